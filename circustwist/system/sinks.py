"""
Where the output of workers goes.

A sink takes what one pipe holds.  Several sinks may end in one store: a file
or the standard output.  While a store cannot take more, its L{Gate} is shut:
nobody reads, the bytes stay in the pipes, and workers wait once those are
full.  Nothing is dropped but what is written to a standard output that nobody
reads any more.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model.launch import Names
from ..model.line import shown
from . import lines
from .files import CHUNK, FileStore, Gate, IWritable, Store, reason

BUFFER = 256 * 1024
"""Bytes that may wait for the standard output before reading pauses."""
LAST_CHANCE = 0.5
"""Seconds that a slow standard output gets at the end to take what is left."""

_WORKERS = Logger(namespace="circustwist.worker")


class ISource(Protocol):
    """
    A pipe to be emptied.

    @ivar names: whose output it is.
    @ivar pid: the worker's; 0 is not known yet.
    @ivar output: 1 or 2.
    @ivar rest: the beginning of a line whose end has not come.
    """

    names: Names
    pid: int
    output: int
    rest: bytes

    def told(self, block: bytes) -> None:
        """Its worker has written these lines, each with its newline."""

    def passed(self, look: Callable[[], bytes]) -> None:
        """
        Its worker has written something that was not looked at.

        @param look: looks at it.
        """

    def fileno(self) -> int:
        """The descriptor to read from."""

    def resume(self) -> None:
        """The gate that it waited for has opened."""


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

    @ivar gate: shut while more than L{BUFFER} bytes wait to be written.
    """

    log = Logger()

    def __init__(self, reactor: IReactorFDSet, gate: Gate, fd: int) -> None:
        self.gate = gate
        self._reactor = reactor
        self._fd, self._atOnce = _opened(fd)
        self._buffer = bytearray()

    def write(self, data: bytes) -> None:
        """Write it, now or when it is read; drop it if nobody will."""
        idle = not self._buffer
        if self._fd < 0:
            return
        self._buffer += data
        if idle and self._atOnce:
            self.doWrite()
        if self._buffer:
            self._reactor.addWriter(self)
        if len(self._buffer) > BUFFER:
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
        if len(self._buffer) <= BUFFER and not self.gate.ready:
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
            self.log.warn("standard output {why}: what workers write to it is dropped from now on", why=why)
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


class ISink(Protocol):
    """
    Where one output of a watcher's workers goes.

    @ivar gate: its store's gate: whether anything may be pulled.
    """

    gate: Gate

    def pull(self, source: ISource) -> int:
        """
        Take at most L{CHUNK} bytes out of a pipe.

        @return: how many; 0 when nobody can write to the pipe any more.
        @raise BlockingIOError: if there is nothing, or nothing could be taken.
        """

    def finish(self, source: ISource) -> None:
        """End the line that has begun, if one has."""


class Raw(ISink):
    """Bytes as they are, into a file."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self.gate = store.gate

    def pull(self, source: ISource) -> int:
        count = self.store.splice(source.fileno())
        source.passed(lambda: self.store.file.last(count))
        return count

    def finish(self, source: ISource) -> None:
        pass


class Lined(ISink):
    """A sink of whole lines."""

    def pull(self, source: ISource) -> int:
        data = os.read(source.fileno(), CHUNK)
        block, source.rest = lines.cut(source.rest, data)
        if block:
            source.told(block)
            self.put(source, block)
        return len(data)

    def finish(self, source: ISource) -> None:
        if source.rest:
            block, source.rest = source.rest + b"\n", b""
            source.told(block)
            self.put(source, block)

    def put(self, source: ISource, block: bytes) -> None:
        """Take lines of a worker, each with its newline."""
        raise NotImplementedError


class Kept(Lined):
    """Lines into a file as they are, for whoever has to see them on their way."""

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self.gate = store.gate

    def put(self, source: ISource, block: bytes) -> None:
        self.store.write(block)


class Stamped(Lined):
    """Lines into a file, each after C{TIME [PID] | } as in Circus."""

    def __init__(self, store: FileStore, timeFormat: str, wall: Callable[[], float]) -> None:
        """
        @param timeFormat: as in strftime(3).
        @param wall: the time of day, in seconds since the epoch.
        """
        self.store = store
        self.gate = store.gate
        self._format = timeFormat
        self._wall = wall

    def put(self, source: ISource, block: bytes) -> None:
        self.store.write(lines.joined(lines.stamp(self._format, source.pid, self._wall()), block))


class Passed(Lined):
    """Lines to the standard output, each after C{WATCHER/WID | }."""

    def __init__(self, store: Store | Console, terminal: bool) -> None:
        """
        @param terminal: whether control characters have to be made harmless.
        """
        self.store = store
        self.gate = store.gate
        self._terminal = terminal

    def put(self, source: ISource, block: bytes) -> None:
        if self._terminal:
            block = "".join([shown(line) + "\n" for line in lines.split(block)]).encode()
        self.store.write(lines.joined(f"{source.names} | ".encode(), block))

    def flush(self) -> None:
        """Write what waits, as far as it is read."""
        if isinstance(self.store, Console):
            self.store.flush()

    def close(self) -> None:
        """Write what is left, and close."""
        self.store.close()


class Logged(Lined):
    """Lines to the log, where there is no standard output."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def put(self, source: ISource, block: bytes) -> None:
        names = source.names
        for line in lines.split(block):
            _WORKERS.info(
                "{watcher}/{wid} | {line}",
                watcher=names.watcher, wid=names.wid, output=source.output, line=shown(line))

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """There is nothing to close."""


def standard(reactor: IReactorFDSet, clock: IReactorTime, fd: int | None) -> Passed | Logged:
    """
    The sink of watchers that have no stream.

    @param fd: the standard output; None, a closed one or C{/dev/null} means
        the log.
    """
    gate = Gate(clock, "standard output")
    try:
        mode = os.fstat(-1 if fd is None else fd)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return Logged(gate)
    assert fd is not None
    if stat.S_ISCHR(mode.st_mode) and mode.st_rdev == os.stat(os.devnull).st_rdev:
        return Logged(gate)
    if os.isatty(fd) or stat.S_ISFIFO(mode.st_mode) or stat.S_ISSOCK(mode.st_mode):
        return Passed(Console(reactor, gate, fd), os.isatty(fd))
    return Passed(Store(gate, Descriptor(fd)), False)
