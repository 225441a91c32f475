"""
Where the output of workers goes.

A sink takes what one pipe holds.  Several sinks may end in one store: a file
or the standard output.  While a store cannot take more, its L{Gate} is shut:
nobody reads, the bytes stay in the pipes, and workers wait once those are
full.  Nothing is dropped but what a stream is told to drop, and what is
written to a standard output that nobody reads any more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Protocol

from twisted.logger import Logger

from ..model.launch import Names
from ..model.line import OUTPUTS, shown
from . import lines
from .console import Console
from .files import CHUNK
from .stores import FileStore, Gate, Store

GONE = "nobody reads the standard output"
_WORKERS = Logger(namespace="circustwist.worker")


class ISource(Protocol):
    """
    A pipe to be emptied.

    @ivar names: whose output it is.
    @ivar pid: the worker's; 0 is not known yet.
    @ivar output: 1 or 2.
    @ivar rest: the beginning of a line whose end has not come.
    @ivar room: so many bytes are read at a time.
    """

    names: Names
    pid: int
    output: int
    rest: bytes
    room: int

    def told(self, block: bytes) -> None:
        """Its worker has written these lines, each with its newline."""

    def passed(self, look: Callable[[], bytes]) -> None:
        """
        Its worker has written something that was not looked at.

        @param look: looks at it.
        """

    def dropped(self, block: bytes, why: str) -> None:
        """This was dropped on its way."""

    def fileno(self) -> int:
        """The descriptor to read from."""

    def resume(self) -> None:
        """The gate that it waited for has opened."""


class ISink(Protocol):
    """
    Where one output of a watcher's workers goes.

    @ivar gate: its store's gate: whether anything may be pulled.
    @ivar drops: whether it may even when not, because it is dropped then.
    @ivar held: so many bytes of one pipe may be in memory and nowhere else.
    """

    gate: Gate
    drops: bool = False
    held: int = CHUNK

    def pull(self, source: ISource) -> int:
        """
        Take at most L{CHUNK} bytes out of a pipe.

        @return: how many; 0 when nobody can write to the pipe any more.
        @raise BlockingIOError: if there is nothing, or nothing could be taken.
        """

    def discard(self, source: ISource) -> tuple[int, bytes]:
        """
        Read as much and throw it away, but never half of a line.

        @return: how many bytes were read, 0 when nobody can write to the pipe
            any more; and what was thrown away.
        @raise BlockingIOError: if there is nothing.
        """

    def finish(self, source: ISource) -> None:
        """End the line that has begun, if one has."""

    def flush(self) -> None:
        """Write what waits, as far as that is possible at once."""
        return

    def close(self) -> None:
        """Let go of what is not shared with others."""
        return


class Raw(ISink):
    """Bytes as they are, into a file."""

    held = 0

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self.gate = store.gate

    def pull(self, source: ISource) -> int:
        count = self.store.splice(source.fileno())
        source.passed(lambda: self.store.file.last(count))
        return count

    def discard(self, source: ISource) -> tuple[int, bytes]:
        data = os.read(source.fileno(), source.room)
        return len(data), data

    def finish(self, source: ISource) -> None:
        pass


class Lined(ISink):
    """
    A sink of whole lines.

    @ivar longest: bytes, without the newline, after which a line is cut.
    """

    longest = lines.MAX_LINE

    def pull(self, source: ISource) -> int:
        data, block = self._read(source)
        if block:
            source.told(block)
            self.put(source, block)
        return len(data)

    def _read(self, source: ISource) -> tuple[bytes, bytes]:
        """What comes out of a pipe, never more than C{held} with what was left over, and the lines in it."""
        data = os.read(source.fileno(), max(1, min(source.room, self.held - len(source.rest))))
        block, source.rest = lines.cut(source.rest, data, self.longest)
        return data, block

    def discard(self, source: ISource) -> tuple[int, bytes]:
        data, block = self._read(source)
        if block:
            source.told(block)
        return len(data), block

    def finish(self, source: ISource) -> None:
        if source.rest:
            block, source.rest = source.rest + b"\n", b""
            source.told(block)
            self.put(source, block)

    def put(self, source: ISource, block: bytes) -> None:
        """Take lines of a worker, each with its newline."""
        raise NotImplementedError


class Written(Lined):
    """Lines into a store."""

    def __init__(
        self, store: Store | Console, prefix: Callable[[ISource], bytes] | None = None, suffix: bytes = b"",
        terminal: bool = False,
    ) -> None:
        """
        @param prefix: makes what stands before each line.
        @param suffix: stands behind each line.
        @param terminal: whether control characters have to be made harmless.
        """
        self.store = store
        self.gate = store.gate
        self._prefix = prefix
        self._suffix = suffix
        self._terminal = terminal

    def put(self, source: ISource, block: bytes) -> None:
        if self.store.gone:
            source.dropped(block, GONE)
            return
        if self._terminal:
            block = "".join([shown(line) + "\n" for line in lines.split(block)]).encode()
        prefix = self._prefix(source) if self._prefix is not None else b""
        self.store.write(lines.joined(prefix, block, self._suffix) if prefix or self._suffix else block)

    def flush(self) -> None:
        if isinstance(self.store, Console):
            self.store.flush()


class Objects(Lined):
    """A JSON object for each line, into a store."""

    def __init__(self, store: Store | Console, wall: Callable[[], float]) -> None:
        """
        @param wall: the time of day, in seconds since the epoch.
        """
        self.store = store
        self.gate = store.gate
        self._wall = wall

    def put(self, source: ISource, block: bytes) -> None:
        if self.store.gone:
            source.dropped(block, GONE)
            return
        names = source.names
        head = (
            f'{{"time":{self._wall():.6f},"watcher":{encode_basestring(names.watcher)},"wid":{names.wid},'
            f'"pid":{source.pid},"stream":"{OUTPUTS[source.output]}","text":')
        self.store.write(lines.objects(head, block))

    def flush(self) -> None:
        if isinstance(self.store, Console):
            self.store.flush()


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
