"""
How many connections each socket was given.

The kernel tells of the end of every TCP connection; those that stand are
counted when somebody asks.  Nobody is between a client and a worker, and while
no connection ends nothing happens here.

UNIX sockets, and all sockets where the kernel does not tell, are looked at
when somebody asks: what comes and goes in between is not seen, so their
numbers are lower bounds.
"""

from __future__ import annotations

import errno
import socket as net
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model.samples import UNCOUNTED, Hits
from . import diag, kernel, sightings
from .diag import Key

COUNTED, SEEN = "counted", "seen"
"""The methods: told of every connection by the kernel, or seen when somebody looked."""

PAUSE = 0.1
"""Seconds between two reads of what the kernel tells, if there is room for so much,"""

FASTEST = 64_000
"""which is reckoned with so many connections a second."""

LONGEST = 0.008
"""So many seconds the connections that stand are counted at most."""

FRESH = 0.005
"""So many seconds a count is not taken again: all sockets are asked for one after another."""

MOST = 2000
"""So many notifications are read in a row."""

_EVENT = 1280
"""Bytes of a socket's buffer that a notification takes."""
_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33
_ADDRESSES = 16
"""So many addresses that a section has had count for it."""


@attrs.define(eq=False)
class Tally:
    """
    The connections of one section.

    @ivar keys: its addresses, earlier ones last.
    @ivar path: of a UNIX socket.
    @ivar ended: how many connections have ended.
    @ivar shown: the highest total that was told.
    @ivar exact: whether none can have been missed.
    """

    keys: tuple[Key, ...] = ()
    path: bytes = b""
    ended: int = 0
    received: int = 0
    sent: int = 0
    open: int | None = None
    shown: int = 0
    exact: bool = True
    sightings: sightings.Sightings = attrs.field(factory=sightings.Sightings)

    def state(self) -> dict[str, Any]:
        """What another image of this program must know."""
        gone = self.sightings.total - len(self.sightings.now)
        return {"ended": self.ended + gone, "received": self.received, "sent": self.sent, "shown": self.shown,
                "exact": self.exact}


@attrs.frozen
class Listener:
    """
    What is to be counted for a section.

    @ivar key: of TCP.
    @ivar path: of a UNIX socket, as it was bound.
    """

    key: Key | None
    path: bytes = b""

    @classmethod
    def of(cls, socket: net.socket) -> Listener | None:
        """That of a listening socket; None if it has no connections."""
        if socket.family == net.AF_UNIX:
            name = socket.getsockname()
            path = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
            return cls(None, path) if socket.type != net.SOCK_DGRAM and path else None
        if socket.type != net.SOCK_STREAM:
            return None
        host, port = socket.getsockname()[:2]
        return cls((socket.family, net.inet_pton(socket.family, host.partition("%")[0]), port))


@implementer(IReadDescriptor)
class Counter:
    """
    All sections, and the one socket on which the kernel tells.
    """

    _log = Logger(namespace="circustwist.numbers")

    def __init__(self, reactor: IReactorFDSet, clock: IReactorTime) -> None:
        self._reactor = reactor
        self._clock = clock
        self._netlink: net.socket | None = None
        self._buffer = bytearray(8192)
        self._pause = PAUSE
        self._call: IDelayedCall | None = None
        self._tallies: dict[str, Tally] = {}
        self._byKey: dict[Key, Tally] = {}
        self._resolved: dict[Key, Tally | None] = {}
        self._counted = 0.0

    # What is counted

    def open(self, earlier: Mapping[str, Any], missed: Collection[str] = ()) -> None:
        """
        Begin.

        @param earlier: what L{handover} has told in an earlier image.
        @param missed: the sections of which connections were not counted while
            no supervisor ran.
        """
        try:
            self._netlink = _adopted(earlier) or _made()
            for _ in diag.ask(diag.standing(net.AF_INET, [1])):
                pass
        except OSError as error:
            self._log.info("connections cannot be counted exactly here: {error}", error=error)
            self._drop()
        for name, state in dict(earlier.get("sockets", {})).items():
            self._tallies[name] = Tally(**state)
        for name in missed:
            self._tallies.setdefault(name, Tally()).exact = False
        if self._netlink is not None:
            room = self._netlink.getsockopt(net.SOL_SOCKET, net.SO_RCVBUF) / _EVENT
            self._pause = min(PAUSE, room / FASTEST)
            self._reactor.addReader(self)

    def watch(self, listeners: Mapping[str, Listener]) -> None:
        """Count for these sections from now on; what they had before goes on to count for them."""
        before = list(self._byKey)
        self._tallies = {name: self._tallies.get(name) or Tally() for name in listeners}
        for name, listener in listeners.items():
            tally = self._tallies[name]
            tally.path = listener.path
            if listener.key is not None:
                tally.keys = tuple(dict.fromkeys((listener.key, *tally.keys)))[:_ADDRESSES]
        self._byKey = {key: tally for tally in self._tallies.values() for key in reversed(tally.keys)}
        self._byKey |= {tally.keys[0]: tally for tally in self._tallies.values() if tally.keys}
        self._resolved.clear()
        self._counted = 0.0
        if self._netlink is not None and list(self._byKey) != before:
            kernel.filterSocket(self._netlink.fileno(), diag.portFilter({port for _, _, port in self._byKey}))

    def _tally(self, key: Key) -> Tally | None:
        """Whose connection one at this address is: of the socket bound to it, or to all addresses."""
        try:
            return self._resolved[key]
        except KeyError:
            pass
        family, _, port = key
        found = self._byKey.get(key) or self._byKey.get((family, diag.ANY.get(family, b""), port))
        if len(self._resolved) >= 10_000:
            self._resolved.clear()
        self._resolved[key] = found
        return found

    # What the kernel tells

    def fileno(self) -> int:
        return self._netlink.fileno() if self._netlink is not None else -1

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return "circustwist.hits"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""

    def doRead(self) -> None:
        """Read what there is, then let more come together before it is read."""
        if self._drain() < MOST:
            self._reactor.removeReader(self)
            self._call = self._clock.callLater(self._pause, self._again)

    def _again(self) -> None:
        self._call = None
        if self._drain():
            self._call = self._clock.callLater(self._pause, self._again)
        elif self._netlink is not None:
            self._reactor.addReader(self)

    def _drain(self) -> int:
        """Read notifications, and tell how many there were."""
        netlink, buffer, ended, tally = self._netlink, self._buffer, diag.ended, self._tally
        if netlink is None:
            return 0
        receive = netlink.recvfrom_into
        for count in range(MOST):
            try:
                size, (sender, _) = receive(buffer)
            except BlockingIOError:
                return count
            except OSError as error:
                self._failed(error)
                return count
            found = ended(buffer, size) if not sender else None
            whose = tally(found[0]) if found is not None else None
            if found is not None and whose is not None:
                whose.ended += 1
                whose.received += found[1]
                whose.sent += found[2]
        return MOST

    def _failed(self, error: OSError) -> None:
        """Some notifications were lost: from now on the numbers are lower bounds."""
        if error.errno != errno.ENOBUFS:
            raise error
        for tally in self._tallies.values():
            tally.exact = False

    # Who asks

    def counts(self) -> Mapping[str, Hits]:
        """What is known of every section that has connections, now."""
        now = time.monotonic()
        if now - self._counted > FRESH:
            self._drain()
            self._stand(now + LONGEST)
            self._counted = time.monotonic()
        return {name: self._hits(tally) for name, tally in self._tallies.items()}

    def hits(self, name: str) -> Hits:
        """What is known of one section."""
        return self.counts().get(name, UNCOUNTED)

    def _stand(self, until: float) -> None:
        """Count the connections that stand."""
        if any(tally.path for tally in self._tallies.values()):
            seen = sightings.unix({tally.path for tally in self._tallies.values()}, until)
            for tally in self._tallies.values():
                if tally.path:
                    tally.sightings.look(seen.get(tally.path, frozenset()))
        if self._netlink is None:
            self._see()
        elif self._byKey:
            with suppress(OSError):
                found = diag.connections({(family, port) for family, _, port in self._byKey}, until)
                if found is not None:
                    self._stood(found)

    def _stood(self, found: Mapping[Key, int]) -> None:
        for tally in self._tallies.values():
            tally.open = 0 if tally.keys else None
        for key, count in found.items():
            whose = self._tally(key)
            if whose is not None:
                whose.open = (whose.open or 0) + count

    def _see(self) -> None:
        """The same where the kernel has no notifications."""
        seen: dict[int, set[Any]] = {}
        for key, remote in sightings.tcp({port for _, _, port in self._byKey}):
            whose = self._tally(key)
            if whose is not None:
                seen.setdefault(id(whose), set()).add((key, remote))
        for tally in self._tallies.values():
            if tally.keys:
                tally.sightings.look(frozenset(seen.get(id(tally), ())))

    def _hits(self, tally: Tally) -> Hits:
        if tally.path or self._netlink is None:
            seen = tally.sightings
            tally.shown = max(tally.shown, tally.ended + seen.total)
            return Hits(tally.shown, False, SEEN, None, len(seen.now))
        tally.shown = max(tally.shown, tally.ended + (tally.open or 0))
        exact = tally.exact and tally.open is not None
        return Hits(tally.shown, exact, COUNTED, None, tally.open, tally.received, tally.sent)

    # The end

    def handover(self) -> dict[str, Any]:
        """What another image of this program must know; with the descriptor on which the kernel tells it, if any."""
        self.counts()
        return {"fd": self.fileno(), "sockets": {name: tally.state() for name, tally in self._tallies.items()}}

    def _drop(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def close(self) -> None:
        """Count no more."""
        if self._call is not None:
            self._call.cancel()
        if self._netlink is not None:
            self._reactor.removeReader(self)
        self._drop()


def _made() -> net.socket:
    """A socket on which the kernel tells; nothing passes its filter yet."""
    netlink = net.socket(net.AF_NETLINK, net.SOCK_RAW | net.SOCK_CLOEXEC | net.SOCK_NONBLOCK, diag.NETLINK_SOCK_DIAG)
    try:
        kernel.filterSocket(netlink.fileno(), diag.portFilter(()))
        try:
            netlink.setsockopt(net.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:
            netlink.setsockopt(net.SOL_SOCKET, net.SO_RCVBUF, _BUFFER)
        netlink.bind((0, diag.ENDED))
    except OSError:
        netlink.close()
        raise
    return netlink


def _adopted(earlier: Mapping[str, Any]) -> net.socket | None:
    """The socket of an earlier image, with what the kernel has told meanwhile."""
    fd = earlier.get("fd", -1)
    if not isinstance(fd, int) or fd < 0:
        return None
    netlink = net.socket(fileno=fd)
    netlink.setblocking(False)
    return netlink

