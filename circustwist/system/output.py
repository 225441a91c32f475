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
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model.launch import Names
from ..model.line import MOST_LINES, OUTPUTS, Line, Selection
from ..model.stack import Watcher
from . import backward, lines
from .files import CHUNK, available
from .handover import End
from .interfaces import IOutputs
from .sinks import ISink
from .streams import Streams
from .tail import Tails

Hear: TypeAlias = Callable[[Names, bytes], None]
TOLD = 3
"""So many of a worker's last lines are remembered,"""
LONGEST_TOLD = 200
"""and so many bytes of each."""

MANY = 3
"""So many pipes may be read in full in one round of the reactor."""
MARK = b"[up to %d bytes may be missing before this line: the supervisor was killed]\n"
SMALL = 4096
"""Bytes that are read at a time at least."""
PAUSE = 0.02
"""Seconds between two tries at the end."""

_Key: TypeAlias = tuple[int, int]
"""A worker's id and the number of its output."""

_DONE: Any = CONNECTION_DONE


@implementer(IReadDescriptor)
class Pipe:
    """
    The reading end of one pipe.  There may be thousands.

    @ivar names: whose output it is.
    @ivar output: 1 or 2.
    @ivar pid: the worker's; 0 is not known yet.
    @ivar rest: the beginning of a line whose end has not come.
    @ivar seen: the same of what went by unseen, as long as somebody follows it.
    @ivar room: so many bytes are read at a time.
    @ivar turn: when it was its turn, counted over all pipes.
    @ivar sink: what it is emptied into.
    """

    __slots__ = ("_fd", "_outputs", "_reactor", "names", "output", "pid", "rest", "room", "seen", "sink",
                 "turn")

    def __init__(self, reactor: IReactorFDSet, names: Names, output: int, end: int, outputs: Outputs) -> None:
        """
        @param end: the descriptor to read by, not blocking; ours from now on.
        """
        self._reactor = reactor
        self._fd = end
        self._outputs = outputs
        self.names = names
        self.output = output
        self.pid = 0
        self.rest = b""
        self.room = CHUNK
        self.turn = 0
        self.seen = b""
        self.sink = outputs.streams.of(names, output)

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
        if not gate.ready and not self.sink.drops:
            self._reactor.removeReader(self)
            gate.waiting.add(self)
            return None
        self._share()
        try:
            return None if self.sink.pull(self) else _DONE
        except BlockingIOError:
            return None

    def _share(self) -> None:
        """Read less at a time when many others are read too, so that a round of all of them is short."""
        turns = self._outputs.turns = self._outputs.turns + 1
        busy, self.turn = turns - self.turn, turns
        self.room = CHUNK if busy <= MANY else max(SMALL, CHUNK * MANY // busy)

    def drain(self) -> None:
        """Empty it of what is there now, as far as the sink takes it."""
        left = available(self._fd)
        while left > 0 and (self.sink.gate.ready or self.sink.drops):
            try:
                left -= self.sink.pull(self)
            except BlockingIOError:
                break
        if self.sink.gate.ready:
            self.sink.finish(self)

    def left(self) -> int:
        """How many bytes are in it that its sink does not take now."""
        return 0 if self.sink.gate.ready or self.sink.drops else available(self._fd)

    def told(self, block: bytes) -> None:
        """The worker has written these lines."""
        self._outputs.told(self, block)

    def dropped(self, block: bytes, why: str) -> None:
        """This was dropped on its way."""
        self._outputs.streams.drops.of(self.names.watcher, self.output).add(block, why)

    def passed(self, look: Callable[[], bytes]) -> None:
        """The worker has written something that nobody sees but those who follow it."""
        if self._outputs.tails.followed(self.names.watcher):
            block, self.seen = lines.cut(self.seen, look())
            if block:
                self._outputs.tails.told(self.names, self.pid, self.output, block, True)
        elif self.seen:
            self.seen = b""

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
            if lost := self.left():
                self.sink.gate.lost(lost)
            os.close(self._fd)
            self._fd = -1
            self._outputs.closed(self)


@implementer(IOutputs)
class Outputs:
    """
    All pipes, and the sinks that they are emptied into.

    @ivar grace: seconds that are waited at the end for what takes no more.
    @ivar hear: told of each line of the workers of whom C{open} said so.
    @ivar turns: how often any pipe was read.
    @ivar streams: the sinks.
    @ivar tails: the last lines of every watcher.
    """

    def __init__(
        self, reactor: IReactorFDSet, clock: IReactorTime, stdout: int | None = 1,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        @param clock: for the tries to write to a file that failed, and for
            those who follow; there is no call on it otherwise.
        @param stdout: see L{Streams}.
        @param wall: the time of day, in seconds since the epoch.
        """
        self._reactor = reactor
        self.grace = 0.0
        self.turns = 0
        self.hear: Hear | None = None
        self.streams = Streams(reactor, clock, stdout, wall)
        self.tails = Tails(clock, wall)
        self._heard: set[str] = set()
        self._pipes: dict[_Key, Pipe] = {}

    def open(self, watcher: Watcher) -> None:
        heard = watcher.ready.startswith("log:")
        (self._heard.add if heard else self._heard.discard)(watcher.name)
        self.tails.limit(watcher.name, watcher.tail_bytes)
        before = self.streams.all()
        try:
            self.streams.open(watcher, heard)
            for pipe in self._pipes.values():
                if pipe.names.watcher == watcher.name:
                    pipe.moved(self.streams.of(pipe.names, pipe.output))
        finally:
            self.streams.closeUnused([pipe.sink for pipe in self._pipes.values()], before)

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
        pipe = self._pipes[names.id, fd] = Pipe(self._reactor, names, fd, end, self)
        return pipe

    def closed(self, pipe: Pipe) -> None:
        """A pipe is closed."""
        del self._pipes[pipe.names.id, pipe.output]

    def told(self, pipe: Pipe, block: bytes) -> None:
        """A worker has written lines, each with its newline."""
        self.tails.told(pipe.names, pipe.pid, pipe.output, block)
        if self.hear is not None and pipe.names.watcher in self._heard:
            for line in lines.split(block):
                self.hear(pipe.names, line)

    def _ofWorker(self, names: Names) -> Iterator[Pipe]:
        """A worker's pipes that are still open."""
        return filter(None, [self._pipes.get((names.id, fd)) for fd in OUTPUTS])

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
        for output in OUTPUTS:
            found = self.tails.last(names, output, TOLD, LONGEST_TOLD) or found
        return " | ".join(line.decode("utf-8", "backslashreplace").strip() for line in found)

    def tail(self, selection: Selection, most: int) -> list[Line]:
        most = min(most, MOST_LINES)
        return [*self._filed(selection, most), *self.tails.past(selection, most)] if most > 0 else []

    def _filed(self, wanted: Selection, most: int) -> list[Line]:
        """The last lines of the files that are fed unseen; whose a line is, is known if there is only one."""
        seen: set[str] = set()
        found: list[Line] = []
        for watcher, output, path in self.streams.raw():
            wids = {pipe.names.wid for pipe in self._pipes.values() if pipe.names.watcher == watcher}
            wid = wids.pop() if len(wids) == 1 else 0
            if path in seen or not wanted.watcher(watcher) or not wanted.worker(watcher, wid, output):
                continue
            seen.add(path)
            last = backward.last(backward.rotated(path), most, wanted.grep, wanted.since)
            found += [Line(0.0, watcher, wid, 0, output, line) for line in last]
        return found

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

    def bereft(self, names: Names) -> Mapping[str, int]:
        found = {pipe.output: pipe.sink.held for pipe in self._ofWorker(names) if pipe.sink.held}
        for output, most in found.items():
            self.tails.told(names, 0, output, MARK % most)
        return {OUTPUTS[output]: most for output, most in found.items()}

    def flush(self) -> None:
        self.streams.flush()

    def handover(self) -> Mapping[str, Any]:
        pending = {path: data.hex() for path, data in self.streams.pending().items()}
        return {"pending": pending, "lines": self.tails.handover(), "drops": self.streams.drops.handover()}

    def restore(self, left: Mapping[str, Any]) -> None:
        for path, data in left.get("pending", {}).items():
            self.streams.restore(path, bytes.fromhex(data))
        self.tails.restore(left.get("lines", ()))
        self.streams.drops.restore(left.get("drops", ()))

    def ends(self) -> tuple[End, ...]:
        """Every pipe as it is, for another image of this program."""
        return tuple(End(pipe.names, pipe.output, pipe.fileno(), pipe.rest) for pipe in self._pipes.values())

    def keep(self, watchers: Collection[str]) -> None:
        gone = [name for name in self.tails.watchers() if name.lower() not in watchers]
        if not gone:
            return
        before = self.streams.all()
        for name in gone:
            self.tails.forget(name)
            self.streams.forget(name)
            self._heard.discard(name)
        self.streams.closeUnused([pipe.sink for pipe in self._pipes.values()], before)

    def rotate(self, watchers: Collection[str]) -> list[str]:
        return self.streams.rotate(watchers)

    def reopen(self) -> None:
        self.streams.reopen()

    def close(self) -> None:
        deadline = time.monotonic() + self.grace
        for pipe in list(self._pipes.values()):
            pipe.drain()
            while pipe.left() and time.monotonic() < deadline:
                time.sleep(PAUSE)
                self.streams.retry()
                pipe.drain()
            pipe.close()
        self.streams.close()


def _lasting(writing: int) -> int:
    """The end of a pipe for a worker, open for reading too so that it outlives us; without /proc only for writing."""
    try:
        return os.open(f"/proc/self/fd/{writing}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        os.set_blocking(writing, True)
        return os.dup(writing)
