"""
The last lines of every watcher, for whoever looks at them.

A ring for each watcher holds what came last, in the blocks in which it came.
Who follows has no queue: only a place in each ring, and so costs no memory
however slowly it reads; what has left a ring by then it has missed.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..model.launch import Names
from ..model.line import Line, Selection
from . import lines

DEFAULT_BYTES = 256 * 1024
BATCH = 500
"""So many lines are told at a time."""
OVERHEAD = 200
"""Bytes of memory that a block takes besides its text."""
HANDED = 64 * 1024
DAEMON = Names(0, "", 0)
"""Whose lines those of the supervisor's own log are."""

Listener = Callable[[Sequence[Line], int], bool]
"""Told of some lines, and how many were missed before them; says whether it takes more at once."""


@attrs.frozen
class Block:
    """
    Lines of one worker that came together.

    @ivar serial: numbers the blocks of all watchers.
    @ivar first: the number of the first line in its ring.
    @ivar count: how many lines they are.
    @ivar text: each with its newline.
    @ivar filed: whether they are in a file as well.
    """

    serial: int
    first: int
    count: int
    time: float
    names: Names
    pid: int
    output: int
    text: bytes
    filed: bool

    def lines(self, wanted: Selection, start: int = 0, most: int = sys.maxsize) -> list[Line]:
        """Those of so many lines, from a number on, that are wanted."""
        names = self.names
        if self.time < wanted.since or not wanted.worker(names.watcher, names.wid, self.output):
            return []
        start = max(0, start - self.first)
        text = lines.split(self.text)[start:start + most]
        return [Line(self.time, names.watcher, names.wid, self.pid, self.output, line) for line in wanted.lines(text)]


class Ring:
    """
    The last blocks of one watcher; never empty once something was written.

    @ivar limit: bytes of memory.
    @ivar blocks: the oldest first.
    @ivar total: how many lines there have been.
    """

    __slots__ = ("_size", "blocks", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.blocks: deque[Block] = deque()
        self.total = 0
        self._size = 0

    def push(self, serial: int, now: float, names: Names, pid: int, output: int, text: bytes, filed: bool) -> None:
        """Lines have come."""
        if len(text) > self.limit:
            begin = text.find(b"\n", len(text) - self.limit - 1) + 1 or len(text)
            self.total += text.count(b"\n", 0, begin)
            text = text[begin:]
        number = text.count(b"\n")
        self.blocks.append(Block(serial, self.total, number, now, names, pid, output, text, filed))
        self.total += number
        self._size += len(text) + OVERHEAD
        while self._size > self.limit + OVERHEAD and len(self.blocks) > 1:
            self._size -= len(self.blocks.popleft().text) + OVERHEAD

    def after(self, number: int) -> list[tuple[Ring, Block]]:
        """The blocks with a line of at least this number."""
        found = []
        for block in reversed(self.blocks):
            if block.first + block.count <= number:
                break
            found.append((self, block))
        return found[::-1]

    def keep(self, wanted: Callable[[Block], bool]) -> None:
        """Forget all other blocks."""
        self.blocks = deque(filter(wanted, self.blocks))
        self._size = sum(len(block.text) + OVERHEAD for block in self.blocks)


class Tails:
    """
    The rings, and who follows them.
    """

    def __init__(self, clock: IReactorTime, wall: Callable[[], float] = time.time) -> None:
        """
        @param clock: lets lines be told later; nothing is due while nobody follows.
        @param wall: the time of day, in seconds since the epoch.
        """
        self._limits: dict[str, int] = {}
        self._clock = clock
        self._wall = wall
        self._rings: dict[str, Ring] = {}
        self._serial = count(1)
        self._followings: set[Following] = set()

    def told(self, names: Names, pid: int, output: int, text: bytes, filed: bool = False) -> None:
        """
        A worker has written lines.

        @param text: each with its newline.
        @param filed: whether they are read from its file whenever they are wanted.
        """
        self._push(self._wall(), names, pid, output, text, filed)
        for following in self._followings:
            if following.selection.watcher(names.watcher):
                following.wake()

    def _push(self, now: float, names: Names, pid: int, output: int, text: bytes, filed: bool) -> None:
        ring = self._rings.get(names.watcher)
        if ring is None:
            limit = self._limits.get(names.watcher, DEFAULT_BYTES)
            if not limit:
                return
            ring = self._rings[names.watcher] = Ring(limit)
        ring.push(next(self._serial), now, names, pid, output, text, filed)

    def followed(self, watcher: str) -> bool:
        """Whether somebody follows a watcher."""
        return any(following.selection.watcher(watcher) for following in self._followings)

    def last(self, names: Names, output: int, most: int, longest: int) -> list[bytes]:
        """The beginnings of the last lines of one worker."""
        found: list[bytes] = []
        ring = self._rings.get(names.watcher)
        for block in reversed(ring.blocks if ring else ()):
            if block.names.id == names.id and block.output == output:
                found = [line[:longest] for line in lines.split(block.text)[-most:]] + found
            if len(found) >= most:
                break
        return found[-most:]

    def past(self, selection: Selection, most: int) -> list[Line]:
        """The last lines that are wanted, as far as they are in no file."""
        found: list[list[Line]] = []
        blocks = heapq.merge(
            *(reversed(ring.blocks) for ring in self.rings(selection)), key=lambda block: block.serial, reverse=True)
        for block in blocks:
            if most <= 0:
                break
            told = [] if block.filed else block.lines(selection)[-most:]
            most -= len(told)
            found.append(told)
        return [line for told in reversed(found) for line in told]

    def rings(self, selection: Selection) -> list[Ring]:
        """The rings in which something that is wanted may be."""
        return [ring for watcher, ring in self._rings.items() if selection.watcher(watcher)]

    def follow(self, selection: Selection, listener: Listener) -> Following:
        """Let somebody be told of lines; see C{Steering.follow}."""
        following = Following(selection, listener, self, self._clock)
        self._followings.add(following)
        return following

    def left(self, following: Following) -> None:
        """Somebody follows no more: what is in files as well is forgotten if nobody else does."""
        self._followings.discard(following)
        for watcher, ring in list(self._rings.items()):
            if not self.followed(watcher):
                ring.keep(lambda block: not block.filed)

    def handover(self) -> list[list[Any]]:
        """The last blocks, L{HANDED} bytes of each watcher at most, for another image of this program."""
        found = []
        for ring in self._rings.values():
            room = HANDED
            for block in reversed(ring.blocks):
                room -= len(block.text)
                if room < 0:
                    break
                if not block.filed:
                    found.append(block)
        return [[block.time, attrs.astuple(block.names), block.pid, block.output, block.text.hex()]
                for block in sorted(found, key=lambda block: block.serial)]

    def restore(self, blocks: Iterable[Sequence[Any]]) -> None:
        """Go on with what was handed over."""
        for at, names, pid, output, text in blocks:
            self._push(at, Names(*names), pid, output, bytes.fromhex(text), False)

    def limit(self, watcher: str, size: int) -> None:
        """Let a watcher have a ring of so many bytes at most; 0 is none."""
        self._limits[watcher] = size
        ring = self._rings.get(watcher)
        if ring is not None:
            ring.limit = size
        if not size:
            self._rings.pop(watcher, None)

    def watchers(self) -> list[str]:
        """All that there are."""
        return list(self._limits)

    def forget(self, watcher: str) -> None:
        """There is no such watcher any more."""
        self._limits.pop(watcher, None)
        self._rings.pop(watcher, None)


class Following:
    """
    One who follows; see C{Steering.follow}.

    @ivar selection: what is wanted.
    """

    _log = Logger()

    def __init__(self, selection: Selection, listener: Listener, tails: Tails, clock: IReactorTime) -> None:
        self.selection = selection
        self._listener = listener
        self._tails = tails
        self._clock = clock
        self._takes = False
        self._ended = False
        self._due: IDelayedCall | None = None
        self._next = {ring: ring.total for ring in tails.rings(selection)}

    def __call__(self) -> None:
        """End it."""
        if not self._ended:
            self._ended = True
            if self._due is not None:
                self._due.cancel()
            self._tails.left(self)

    def resume(self) -> None:
        """The listener takes lines from now on."""
        self._takes = True
        self.wake()

    def wake(self) -> None:
        """There may be lines."""
        if self._takes and self._due is None and not self._ended:
            self._due = self._clock.callLater(0, self._tell)

    def _tell(self) -> None:
        self._due = None
        rings, missed = self._rings(), 0
        for ring in rings:
            begin = ring.blocks[0].first if ring.blocks else ring.total
            missed += max(0, begin - self._next.get(ring, 0))
            self._next[ring] = max(begin, self._next.get(ring, 0))
        told = self._batch(rings)
        if told or missed:
            try:
                self._takes = self._listener(told, missed)
            except Exception:
                self._log.failure("a listener to lines failed")
                self()
        if any(self._next[ring] < ring.total for ring in rings):
            self.wake()

    def _rings(self) -> list[Ring]:
        rings = self._tails.rings(self.selection)
        for gone in set(self._next) - set(rings):
            del self._next[gone]
        return rings

    def _batch(self, rings: Sequence[Ring]) -> list[Line]:
        """The next lines of all rings, in the order in which they came."""
        found: list[Line] = []
        room = BATCH
        pending = (ring.after(self._next[ring]) for ring in rings)
        for ring, block in heapq.merge(*pending, key=lambda each: each[1].serial):
            if not room:
                break
            start = max(self._next[ring], block.first)
            taken = min(room, block.first + block.count - start)
            found += block.lines(self.selection, start, taken)
            self._next[ring] = start + taken
            room -= taken
        return found
