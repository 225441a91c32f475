"""
Lines as messages: to syslog, and to the journal of systemd in its own protocol.

@see: RFC 3164, 4.1; U{https://systemd.io/JOURNAL_NATIVE_PROTOCOL}.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model.line import OUTPUTS
from . import lines
from .sinks import ISource, Lined
from .stores import Gate

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
JOURNAL = "/run/systemd/journal/socket"


@implementer(IWriteDescriptor)
class Mailbox:
    """
    A socket to which messages are sent one by one.

    @ivar gate: shut while any wait to be sent.
    """

    def __init__(self, reactor: IReactorFDSet, clock: IReactorTime, address: str) -> None:
        """
        @param address: a path, or C{HOST:PORT} for UDP; HOST is an address.
        """
        self.gate = Gate(clock, address)
        self._reactor = reactor
        self._address = address
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque()

    def send(self, messages: Iterable[bytes]) -> None:
        """Send them, now or when that is possible."""
        self._waiting.extend(messages)
        if self.gate.ready:
            self.doWrite()

    def doWrite(self) -> None:
        """Send what can be sent."""
        try:
            while self._waiting:
                self._send(self._open(), self._waiting[0])
                self._waiting.popleft()
                self.gate.succeeded()
        except BlockingIOError:
            self.gate.shut()
            self._reactor.addWriter(self)
            return
        except OSError as error:
            self._shut()
            self.gate.failed(error, self.doWrite)
            return
        if self._socket is not None:
            self._reactor.removeWriter(self)
        self.gate.open()

    def _open(self) -> socket.socket:
        if self._socket is None:
            host, colon, port = self._address.rpartition(":")
            path = "/" in self._address or not colon
            family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket.connect(self._address if path else (host.strip("[]"), int(port)))
        return self._socket

    def _send(self, to: socket.socket, message: bytes) -> None:
        try:
            to.send(message)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self._sendLarge(to, message)

    def _sendLarge(self, to: socket.socket, message: bytes) -> None:
        """A message that is too large for a datagram: its beginning."""
        to.send(message[:1024])

    def _shut(self) -> None:
        if self._socket is not None:
            self._reactor.removeWriter(self)
            self._socket.close()
            self._socket = None

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return self._address

    def connectionLost(self, reason: Failure) -> None:
        """Whoever was there is gone; the next message looks for another."""
        self._shut()

    def close(self) -> None:
        """Send what can be sent, and close."""
        if self._waiting:
            self.doWrite()
        self.gate.close()
        self._shut()
        if self._waiting:
            self.gate.lost(sum(map(len, self._waiting)))


class Journal(Mailbox):
    """The journal: what is too large for a datagram comes in a sealed file in memory."""

    def _sendLarge(self, to: socket.socket, message: bytes) -> None:
        memory = os.memfd_create("circustwist-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(memory, message)
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
            to.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))])
        finally:
            os.close(memory)


class Messages(Lined):
    """A message of syslog for each line."""

    def __init__(
        self, mailbox: Mailbox, priority: int, ident: str, prefix: Callable[[ISource], bytes] | None,
        wall: Callable[[], float],
    ) -> None:
        """
        @param priority: facility and level.
        @param ident: the name; without it the watcher's.
        @param prefix: makes what stands before the text.
        """
        self.gate = mailbox.gate
        self._mailbox = mailbox
        self._priority = priority
        self._ident = ident
        self._prefix = prefix
        self._wall = wall

    def put(self, source: ISource, block: bytes) -> None:
        now = time.localtime(self._wall())
        # The day is padded with a space, and the month is English whatever the locale.
        month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[now.tm_mon - 1]
        ident = self._ident or source.names.watcher
        head = f"<{self._priority}>{month} {now.tm_mday:2} {time.strftime('%H:%M:%S', now)} {ident}[{source.pid}]: "
        before = head.encode() + (self._prefix(source) if self._prefix is not None else b"")
        self._mailbox.send([before + line for line in lines.split(block)])

    def close(self) -> None:
        self._mailbox.close()


class Entries(Lined):
    """An entry of the journal for each line."""

    def __init__(self, mailbox: Mailbox, level: int, ident: str) -> None:
        self.gate = mailbox.gate
        self._mailbox = mailbox
        self._level = level
        self._ident = ident

    def put(self, source: ISource, block: bytes) -> None:
        names = source.names
        head = "".join(f"{key}={value}\n" for key, value in (
            ("PRIORITY", self._level), ("SYSLOG_IDENTIFIER", self._ident or names.watcher),
            ("CIRCUSTWIST_WATCHER", names.watcher), ("CIRCUSTWIST_WID", names.wid),
            ("CIRCUSTWIST_STREAM", OUTPUTS[source.output]), ("OBJECT_PID", source.pid or ""),
        ) if value != "").encode()
        self._mailbox.send([head + _message(line) for line in lines.split(block)])

    def close(self) -> None:
        self._mailbox.close()


def _message(line: bytes) -> bytes:
    """A field of any bytes: its length stands before it."""
    return b"MESSAGE\n" + len(line).to_bytes(8, "little") + line + b"\n"
