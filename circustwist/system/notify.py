"""
The notification sockets of workers; sd_notify(3).

Each worker that is asked to notify has a datagram socket of its own, so that
the socket tells who speaks: whoever sent a datagram may have ended by the
time it is read.  Its credentials are looked at only to keep other users out.
Everything that arrives is taken as hostile: what is too long, not text or not
known is ignored, and whoever talks too much is read more slowly.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model.naming import LONGEST_SOCKET_PATH

LONGEST = 4096
"""Bytes of a datagram, beyond which it is ignored."""
BURST = 32
"""So many datagrams of one worker are read within L{PAUSE}."""
PAUSE = 0.05
"""Seconds in which nothing is read of a worker after so many."""
LONGEST_EXTENSION = 3600.0
"""Seconds by which one EXTEND_TIMEOUT_USEC moves a time limit at most."""

_CREDENTIALS = struct.Struct("3i")
_LONGEST_STATUS = 256


@attrs.frozen
class Notice:
    """
    What one datagram says.

    @ivar ready: C{READY=1}: it does its work.
    @ivar alive: C{WATCHDOG=1}.
    @ivar trigger: C{WATCHDOG=trigger}: it wants to be replaced as if it did not live.
    @ivar stopping: C{STOPPING=1}.
    @ivar reloading: C{RELOADING=1}.
    @ivar status: C{STATUS=}, one line for people; None if it says none.
    @ivar extend: C{EXTEND_TIMEOUT_USEC=} in seconds; 0 if it asks for none.
    @ivar requests: C{X_REQUESTS=}: how many requests it has answered so far;
        None if it says nothing of them.
    """

    ready: bool = False
    alive: bool = False
    trigger: bool = False
    stopping: bool = False
    reloading: bool = False
    status: str | None = None
    extend: float = 0.0
    requests: int | None = None


NOTHING = Notice()


def parse(data: bytes) -> Notice:
    """
    What a datagram says, as far as it makes sense; the last line of a name counts.
    """
    said = dict(line.split("=", 1) for line in data.decode("utf-8", "replace").split("\n") if "=" in line)
    extend = _number(said.get("EXTEND_TIMEOUT_USEC", ""))
    return Notice(
        ready=said.get("READY") == "1",
        alive=said.get("WATCHDOG") == "1",
        trigger=said.get("WATCHDOG") == "trigger",
        stopping=said.get("STOPPING") == "1",
        reloading=said.get("RELOADING") == "1",
        status=_shown(said["STATUS"]) if "STATUS" in said else None,
        extend=min((extend or 0) / 1e6, LONGEST_EXTENSION),
        requests=_number(said.get("X_REQUESTS", "")),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _shown(text: str) -> str:
    """Text for people that cannot harm a terminal or a log."""
    return "".join(each if each.isprintable() else "?" for each in text[:_LONGEST_STATUS])


@attrs.frozen
class Address:
    """
    Where a notification socket is.

    @ivar path: of its file; beginning with NUL it is an abstract one, unix(7).
    """

    path: str

    @property
    def variable(self) -> str:
        """The value of C{NOTIFY_SOCKET}."""
        return f"@{self.path[1:]}" if self.abstract else self.path

    @property
    def abstract(self) -> bool:
        """Whether it has no file."""
        return self.path.startswith("\0")


def address(folder: str, id: int) -> Address:
    """
    Where the socket of a worker is: for the same folder and id always in the same place.

    @param folder: for its file; empty for an abstract address, which a later
        process of ours does not know.
    """
    path = os.path.join(folder, str(id))
    if folder and len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return Address(path)
    return Address(f"\0circustwist/{os.getpid()}/{os.urandom(8).hex()}/{id}")


def known(variable: str) -> Address | None:
    """
    The abstract address that we gave a worker before an execve(2) of ours.

    @param variable: its C{NOTIFY_SOCKET}, which the worker may have changed.
    """
    return Address(f"\0{variable[1:]}") if variable.startswith(f"@circustwist/{os.getpid()}/") else None


def bind(place: Address, uid: int) -> socket.socket:
    """
    Make a socket that only this user, we and root can send to.

    @param uid: the user; -1 is our own.
    @raise OSError: if it cannot be made.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        # Before bind(2), which gives the file the mode of the socket: there is no moment with another one.
        os.fchmod(made.fileno(), 0o600)
        if not place.abstract:
            with suppress(FileNotFoundError):
                os.unlink(place.path)
        made.bind(place.path)
        if uid not in (-1, os.geteuid()) and not place.abstract:
            os.chown(place.path, uid, -1, follow_symlinks=False)
    except BaseException:
        _remove(made, place)
        raise
    return made


def _remove(made: socket.socket, place: Address) -> None:
    """Close a socket and remove its file, if it was bound."""
    bound = made.getsockname()
    made.close()
    if bound and not place.abstract:
        with suppress(OSError):
            os.unlink(place.path)


@implementer(IReadDescriptor)
class Mailbox:
    """
    The notification socket of one worker.

    @ivar address: where it is.
    @ivar ready: whether it has said that it is.
    @ivar status: what it last said of itself; empty if nothing.
    @ivar listeners: called with each L{Notice} that says anything.
    """

    log = Logger()

    def __init__(self, reactor: IReactorFDSet, clock: IReactorTime, place: Address, uid: int) -> None:
        """
        @param uid: the user that the worker runs as; -1 is our own.
        @raise OSError: if there can be no socket.
        """
        self.address = place
        self.ready = False
        self.status = ""
        self.listeners: list[Callable[[Notice], None]] = []
        self._reactor = reactor
        self._clock = clock
        self._pause: IDelayedCall | None = None
        self._since = 0.0
        self._count = 0
        self._uids = {os.geteuid() if uid < 0 else uid, os.geteuid(), 0}
        self._socket = bind(place, uid)
        reactor.addReader(self)

    @property
    def environment(self) -> Mapping[str, str]:
        """What the worker must find in its environment."""
        return {"NOTIFY_SOCKET": self.address.variable}

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return f"notifications at {self.address.variable}"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; the socket is given back by L{close}."""

    def doRead(self) -> None:
        now = self._clock.seconds()
        if now - self._since > PAUSE:
            self._since, self._count = now, 0
        with suppress(OSError):  # There is no more, or it was closed by whom we told.
            while self._count < BURST:
                self._receive()
                self._count += 1
            if self.fileno() >= 0:
                self._reactor.removeReader(self)
                self._pause = self._clock.callLater(PAUSE, self._resume)

    def close(self) -> None:
        """Receive nothing any more and remove the file."""
        if self.fileno() < 0:
            return
        self.listeners.clear()
        self._reactor.removeReader(self)
        if self._pause is not None:
            self._pause.cancel()
        _remove(self._socket, self.address)

    def _resume(self) -> None:
        self._pause = None
        self._count = 0
        self._reactor.addReader(self)

    def _receive(self) -> None:
        # There is room for the credentials only, so that no descriptor ever gets to us: the kernel closes them.
        data, control, flags, _ = self._socket.recvmsg(LONGEST, socket.CMSG_SPACE(_CREDENTIALS.size))
        if flags & socket.MSG_TRUNC or not self._isFriend(control):
            return
        notice = parse(data)
        if notice == NOTHING:
            return
        self.ready = self.ready or notice.ready
        if notice.status is not None:
            self.status = notice.status
        for listener in tuple(self.listeners):
            try:
                listener(notice)
            except Exception:
                self.log.failure("a notification was not taken well")

    def _isFriend(self, control: list[tuple[int, int, bytes]]) -> bool:
        """Whether one of those sent it who may."""
        for level, kind, data in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) == _CREDENTIALS.size:
                return _CREDENTIALS.unpack(data)[1] in self._uids
        return False
