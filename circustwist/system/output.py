"""
The pipes on which workers write.

The reading end is ours; a worker has its end open for reading and writing, so
that it can go on writing when we are gone and the pipe can be found again
through it.  Every holder of the pipe is a worker or a descendant of one, so
that its end is still seen when the last of them is gone; pipe(7).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model import values
from ..model.errors import Problem, WorldError
from ..model.launch import Names
from ..model.stack import Watcher
from ..model.streams import Stream
from .files import FileStore, Gate, LogFile, available, realPath, reason
from .handover import End
from .interfaces import IOutputs
from .sinks import ISink, Kept, Logged, Passed, Raw, Stamped, standard

Hear: TypeAlias = Callable[[Names, bytes], None]
TOLD = 3
"""So many of a worker's last lines are remembered,"""
LONGEST_TOLD = 200
"""and so many bytes of each."""

_Key: TypeAlias = tuple[int, int]
"""A worker's id and the number of its output."""

_DONE: Any = CONNECTION_DONE
_OPTIONS = {1: "stdout_stream", 2: "stderr_stream"}


@implementer(IReadDescriptor)
class Pipe:
    """
    The reading end of one pipe.  There may be thousands.

    @ivar names: whose output it is.
    @ivar output: 1 or 2.
    @ivar pid: the worker's; 0 is not known yet.
    @ivar rest: the beginning of a line whose end has not come.
    @ivar tail: the last lines that came; None when nobody will ask for them.
    @ivar tails: where they go when it is closed.
    @ivar sink: what it is emptied into.
    """

    __slots__ = ("_all", "_fd", "_hear", "_reactor", "names", "output", "pid", "rest", "sink", "tail", "tails")

    def __init__(
        self, reactor: IReactorFDSet, names: Names, output: int, end: int, sink: ISink, all: dict[_Key, Pipe]
    ) -> None:
        """
        @param end: the descriptor to read by, not blocking; ours from now on.
        @param all: the pipes that are open; this one is among them until it
            is closed.
        """
        self._reactor = reactor
        self._fd = end
        self._all = all
        self.names = names
        self.output = output
        self.pid = 0
        self.rest = b""
        self.tail: list[bytes] | None = []
        self.tails: dict[_Key, list[bytes]] = {}
        self._hear: Hear | None = None
        self.sink = sink
        all[names.id, output] = self

    def fileno(self) -> int:
        """The descriptor, -1 when it is closed."""
        return self._fd

    def logPrefix(self) -> str:
        return f"{self.names} output {self.output}"

    def resume(self) -> None:
        """Empty it whenever there is something."""
        if self._fd >= 0:
            self._reactor.addReader(self)

    def doRead(self) -> Failure | None:
        """Let the sink take a piece, or wait for it."""
        gate = self.sink.gate
        if not gate.ready:
            self._reactor.removeReader(self)
            gate.waiting.add(self)
            return None
        try:
            return None if self.sink.pull(self) else _DONE
        except BlockingIOError:
            return None

    def drain(self) -> None:
        """Empty it of what is there now, as far as the sink takes it."""
        left = available(self._fd)
        while left > 0 and self.sink.gate.ready:
            try:
                left -= self.sink.pull(self)
            except BlockingIOError:
                break
        if self.sink.gate.ready:
            self.sink.finish(self)

    def told(self, whole: list[bytes]) -> None:
        """The worker has written these lines."""
        if self.tail is not None:
            self.tail = [line[:LONGEST_TOLD] for line in whole[-TOLD:]]
        if self._hear is not None:
            for line in whole:
                self._hear(self.names, line)

    def heardBy(self, hear: Hear) -> None:
        """Let somebody hear each line."""
        self._hear = hear

    def moved(self, sink: ISink) -> None:
        """Empty it into another sink from now on."""
        self.sink.finish(self)
        waiting = self.sink.gate.waiting
        self.sink = sink
        if self in waiting:
            waiting.discard(self)
            self.resume()

    def connectionLost(self, reason: Failure) -> None:
        """Nobody can write to it any more."""
        self.close()

    def close(self) -> None:
        """End the last line and close it."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            self.sink.gate.waiting.discard(self)
            self.sink.finish(self)
            os.close(self._fd)
            self._fd = -1
            if self.tail:
                self.tails[self.names.id, self.output] = self.tail
            del self._all[self.names.id, self.output]


@implementer(IOutputs)
class Outputs:
    """
    All pipes, and the sinks that they are emptied into.

    @ivar hear: told of each line of the workers of whom C{open} said so.
    """

    def __init__(
        self, reactor: IReactorFDSet, clock: IReactorTime, stdout: int | None = 1,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        @param clock: for the tries to write to a file that failed; there is
            no call on it otherwise.
        @param stdout: the standard output, where output goes that no stream
            is configured for; None, a closed one or C{/dev/null} is the log.
            It is looked at when the first worker is started.
        @param wall: the time of day, in seconds since the epoch.
        """
        self._reactor = reactor
        self._clock = clock
        self._stdout = stdout
        self._wall = wall
        self.hear: Hear | None = None
        self._standard: Passed | Logged | None = None
        self._sinks: dict[tuple[str, int], ISink] = {}
        self._files: dict[str, FileStore] = {}
        self._heard: set[str] = set()
        self._tails: dict[_Key, list[bytes]] = {}
        self._pipes: dict[_Key, Pipe] = {}

    def open(self, watcher: Watcher) -> None:
        (self._heard.add if _heard(watcher) else self._heard.discard)(watcher.name)
        streams = {1: watcher.stdout_stream, 2: watcher.stderr_stream}
        try:
            made = {fd: self._sink(watcher, fd, stream) for fd, stream in streams.items() if _filed(stream)}
            for fd in streams:
                self._sinks.pop((watcher.name, fd), None)
            self._sinks.update({(watcher.name, fd): sink for fd, sink in made.items()})
            for pipe in self._pipes.values():
                if pipe.names.watcher == watcher.name:
                    pipe.moved(self._of(pipe.names, pipe.output))
        finally:
            self._closeUnused()

    def _sink(self, watcher: Watcher, fd: int, stream: Stream) -> ISink:
        """
        @raise WorldError: if its file cannot be opened.
        """
        path = realPath(stream.settings["filename"])
        try:
            store = self._store(path)
        except OSError as error:
            raise WorldError(str(Problem(
                watcher.place, f"watcher:{watcher.name}", f"{_OPTIONS[fd]}.filename", f"{path}: {reason(error)}"
            ))) from error
        store.file.maxBytes = values.size(stream.settings.get("max_bytes", "0"))
        store.file.backups = values.natural(stream.settings.get("backup_count", "0"))
        timeFormat = stream.settings.get("time_format")
        if timeFormat:
            return Stamped(store, timeFormat, self._wall)
        return Kept(store) if _heard(watcher) else Raw(store)

    def _store(self, path: str) -> FileStore:
        """The one store of a file; raises OSError if it cannot be opened."""
        if path not in self._files:
            file = LogFile(self._clock, path)
            file.open()
            self._files[path] = FileStore(Gate(self._clock, path), file)
        return self._files[path]

    def _closeUnused(self) -> None:
        used = {id(sink.gate) for sink in (*self._sinks.values(), *(pipe.sink for pipe in self._pipes.values()))}
        for path, store in list(self._files.items()):
            if id(store.gate) not in used:
                self._files.pop(path).close()

    def _of(self, names: Names, fd: int) -> ISink:
        """The sink of a worker's output."""
        found = self._sinks.get((names.watcher, fd))
        if found is not None:
            return found
        if self._standard is None:
            self._standard = standard(self._reactor, self._clock, self._stdout)
        return self._standard

    def pipe(self, names: Names, fd: int) -> int:
        end, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # A worker of another user may open its own /dev/stdout; nobody else reaches the pipe through /proc.
            os.fchmod(writing, 0o666)
            child = _lasting(writing)
        except BaseException:
            os.close(end)
            raise
        finally:
            os.close(writing)
        self._add(names, fd, end)
        return child

    def _add(self, names: Names, fd: int, end: int) -> Pipe:
        pipe = Pipe(self._reactor, names, fd, end, self._of(names, fd), self._pipes)
        pipe.tails = self._tails
        if self.hear is not None and names.watcher in self._heard:
            pipe.heardBy(self.hear)
        return pipe

    def _ofWorker(self, names: Names) -> Iterator[Pipe]:
        """A worker's pipes that are still open."""
        return filter(None, [self._pipes.get((names.id, fd)) for fd in _OPTIONS])

    def started(self, names: Names, pid: int) -> None:
        for pipe in self._ofWorker(names):
            pipe.pid = pid
            pipe.resume()

    def last(self, names: Names) -> str:
        """
        The last lines that a worker wrote, standard error first; to be asked
        once, at its end.
        """
        found: list[bytes] = []
        for output in _OPTIONS:
            pipe, closed = self._pipes.get((names.id, output)), self._tails.pop((names.id, output), [])
            found = (pipe.tail if pipe is not None else closed) or found
            if pipe is not None:
                pipe.tail = None
        return " | ".join(line.decode("utf-8", "backslashreplace").strip() for line in found)

    def ended(self, names: Names) -> None:
        for pipe in self._ofWorker(names):
            pipe.drain()
            pipe.resume()

    def inodes(self, names: Names) -> Mapping[int, int]:
        return {pipe.output: os.fstat(pipe.fileno()).st_ino for pipe in self._ofWorker(names)}

    def adopt(self, names: Names, fd: int, end: int, rest: bytes = b"") -> None:
        try:
            # The descriptor may be a copy of the worker's, which is a writer's too and must not become non-blocking.
            own = os.open(f"/proc/self/fd/{end}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(end)
        pipe = self._add(names, fd, own)
        pipe.rest = rest
        pipe.resume()

    def flush(self) -> None:
        """Write what waits to be written to the standard output, as far as it is read."""
        if self._standard is not None:
            self._standard.flush()

    def ends(self) -> tuple[End, ...]:
        """Every pipe as it is, for another image of this program."""
        return tuple(End(pipe.names, pipe.output, pipe.fileno(), pipe.rest) for pipe in self._pipes.values())

    def reopen(self) -> None:
        for store in self._files.values():
            store.reopen()

    def close(self) -> None:
        for pipe in list(self._pipes.values()):
            pipe.drain()
            pipe.close()
        self._sinks.clear()
        self._closeUnused()
        if self._standard is not None:
            self._standard.close()
            self._standard = None


def _heard(watcher: Watcher) -> bool:
    """Whether somebody looks for a line in what its workers write."""
    return watcher.ready.startswith("log:")


def _filed(stream: Stream) -> bool:
    """Whether a stream leads into a file."""
    return bool(stream.settings.get("filename"))


def _lasting(writing: int) -> int:
    """The end of a pipe for a worker, open for reading too so that it outlives us; without /proc only for writing."""
    try:
        return os.open(f"/proc/self/fd/{writing}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        os.set_blocking(writing, True)
        return os.dup(writing)
