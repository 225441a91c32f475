"""
The standard output of the supervisor: a terminal, a pipe, a socket or a file.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import time
from contextlib import suppress
from functools import partial

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .files import CHUNK, reason
from .stores import Gate, IWritable, Store

LAST_CHANCE = 0.5
"""Seconds that a slow standard output gets at the end to take what is left."""


class Descriptor(IWritable):
    """A descriptor that is written to as it is and that is not ours to close."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> int:
        return os.write(self._fd, data[:CHUNK])

    def close(self) -> None:
        pass


@implementer(IWriteDescriptor)
class Console:
    """
    A standard output that may have to be waited for: a pipe, a terminal or a
    socket.

    @ivar gate: shut while anything waits to be written: it would be lost with us.
    """

    log = Logger()

    def __init__(self, reactor: IReactorFDSet, gate: Gate, fd: int) -> None:
        self.gate = gate
        self._reactor = reactor
        self._fd, self._atOnce = _opened(fd)
        self._buffer = bytearray()

    @property
    def gone(self) -> bool:
        """Whether nobody reads any more."""
        return self._fd < 0

    @property
    def pending(self) -> bytes:
        """What was not written yet."""
        return bytes(self._buffer)

    def write(self, data: bytes, again: bool = False) -> None:
        """Write it, now or when it is read; drop it if nobody will."""
        if again:
            self.flush()
        idle = not self._buffer
        if self._fd < 0:
            return
        self._buffer += data
        if idle and self._atOnce:
            self.doWrite()
        if self._buffer:
            self._reactor.addWriter(self)
            self.gate.shut()

    def doWrite(self) -> None:
        """Write what can be written."""
        try:
            count = os.write(self._fd, self._buffer[:CHUNK if self._atOnce else select.PIPE_BUF])
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(reason(error))
            return
        del self._buffer[:count]
        if not self._buffer:
            self._reactor.removeWriter(self)
            self.gate.open()

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "standard output"

    def connectionLost(self, reason: Failure) -> None:
        """Nobody reads any more."""
        self._lost("is closed by its reader")

    def _lost(self, why: str) -> None:
        if self._fd >= 0:
            self.log.warn(
                "standard output {why}: {count} bytes that waited, and what workers write to it from now on, "
                "are dropped", why=why, count=len(self._buffer))
            self._release()

    def _release(self) -> None:
        self._reactor.removeWriter(self)
        os.close(self._fd)
        self._fd = -1
        self._buffer.clear()
        self.gate.open()

    def flush(self) -> None:
        """Give the reader a chance."""
        deadline = time.monotonic() + LAST_CHANCE
        poll = select.poll()
        if self._buffer:
            poll.register(self._fd, select.POLLOUT)
        while self._buffer and (left := deadline - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self.doWrite()

    def close(self) -> None:
        """Give the reader a last chance, and close."""
        self.flush()
        if self._buffer:
            self.gate.lost(len(self._buffer))
        if self._fd >= 0:
            self._release()


def _opened(fd: int) -> tuple[int, bool]:
    """
    A descriptor of our own for a standard output.  It is opened anew where
    that is possible, since O_NONBLOCK on the given one would reach everybody
    who shares it, e.g. the shell.

    @return: the descriptor, and whether it never blocks.  If it may block,
        PIPE_BUF bytes fit when poll(2) says that it is writable; pipe(7).
    """
    with suppress(OSError):
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), True
    return os.dup(fd), False


class Screen:
    """
    A standard output to which lines are written without ever waiting for its
    reader: those that do not fit are left out, and counted.

    @ivar missed: how many lines were left out since one was written.
    """

    def __init__(self, fd: int) -> None:
        self.missed = 0
        self._rest = b""
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            self._write = partial(_sent, socket.socket(fileno=os.dup(fd)))
        elif stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
            self._write = partial(os.write, _opened(fd)[0])
        else:
            self._write = partial(os.write, fd)

    def write(self, text: str) -> None:
        """Write lines, or leave them out."""
        told = f"{self.missed} lines were left out, since nobody read them\n" if self.missed else ""
        data = self._rest + (told + text).encode("utf-8", "backslashreplace")
        try:
            written = self._write(data)
        except OSError:
            self.missed += 1
            return
        if self._rest and written < len(self._rest):
            self._rest = self._rest[written:]
            self.missed += 1
        else:
            self._rest, self.missed = data[written:], 0

    def flush(self) -> None:
        """Nothing waits but the end of a line that has begun."""


def _sent(connection: socket.socket, data: bytes) -> int:
    return connection.send(data, socket.MSG_DONTWAIT)


@attrs.frozen
class Standard:
    """
    The standard output.

    @ivar store: where to write; None if there is none, so that it is the log.
    @ivar terminal: whether it is one.
    """

    gate: Gate
    store: Store | Console | None = None
    terminal: bool = False


def standard(reactor: IReactorFDSet, clock: IReactorTime, fd: int | None) -> Standard:
    """
    What the standard output is.

    @param fd: its descriptor; None, a closed one or C{/dev/null} means that there is none.
    """
    gate = Gate(clock, "standard output")
    try:
        mode = os.fstat(-1 if fd is None else fd)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return Standard(gate)
    assert fd is not None
    if stat.S_ISCHR(mode.st_mode) and mode.st_rdev == os.stat(os.devnull).st_rdev:
        return Standard(gate)
    if os.isatty(fd) or stat.S_ISFIFO(mode.st_mode) or stat.S_ISSOCK(mode.st_mode):
        return Standard(gate, Console(reactor, gate, fd), os.isatty(fd))
    return Standard(gate, Store(gate, Descriptor(fd)))
