"""
What was measured in the last minutes and hours, in rings that do not grow.

A ring keeps so many points at equal steps; each is the mean of what came in
its step.  The time in which nobody looked is a gap, of which only the
difference of the totals is known.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from ..model.samples import Sample

RINGS = ((1.0, 120), (5.0, 180), (30.0, 240))
"""The seconds of a step, and how many steps are kept: two minutes, a quarter of an hour, two hours."""

GAP = 10.0
"""So many seconds without a sample are a gap."""

GAPS = 50
"""So many gaps are remembered."""

WATCHER = ("cpu", "memory", "processes")
SOCKET = ("rate", "open", "queue")
SUPERVISOR = ("cpu", "memory", "lag", "stack_cpu", "stack_memory", "stack_rate")

Key: TypeAlias = tuple[str, str]
"""What a curve is of, C{watcher}, C{socket} or C{supervisor}, and its name."""

Point: TypeAlias = Mapping[Key, tuple[float, ...]]


@attrs.define
class Ring:
    """
    One ring.

    @ivar step: in seconds.
    @ivar size: how many points it keeps.
    @ivar times: of the points, oldest first once C{at} is taken for the beginning; C{nan} where there is none.
    @ivar columns: the values of each curve at the same places.
    @ivar at: where the next point goes.
    """

    step: float
    size: int
    times: array[float] = attrs.field(init=False)
    columns: dict[Key, tuple[array[float], ...]] = attrs.field(factory=dict)
    at: int = 0
    _slot: int = -1
    _sums: dict[Key, list[float]] = attrs.field(factory=dict)
    _counts: dict[Key, int] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.times = array("d", [math.nan] * self.size)

    def push(self, time: float, point: Point) -> None:
        """Take in what was measured at a time."""
        slot = int(time // self.step)
        if slot != self._slot:
            self._close()
            self._slot = slot
        for key, values in point.items():
            sums = self._sums.get(key)
            if sums is None:
                self._sums[key], self._counts[key] = list(values), 1
            else:
                self._sums[key] = [a + b for a, b in zip(sums, values, strict=True)]
                self._counts[key] += 1

    def _close(self) -> None:
        """Write the mean of what came in a step, and begin the next."""
        if self._sums:
            at, self.at = self.at, (self.at + 1) % self.size
            self.times[at] = self._slot * self.step
            for key in self._sums.keys() - self.columns.keys():
                empty = [math.nan] * self.size
                self.columns[key] = tuple(array("f", empty) for _ in self._sums[key])
            for key, columns in list(self.columns.items()):
                sums, count = self._sums.get(key), self._counts.get(key, 1)
                for n, column in enumerate(columns):
                    column[at] = sums[n] / count if sums is not None else math.nan
                if at == 0 and sums is None and all(map(math.isnan, columns[0])):
                    del self.columns[key]
        self._sums, self._counts = {}, {}

    def curve(self, key: Key, since: float) -> Iterator[tuple[float, tuple[float, ...]]]:
        """The points of a curve after a time, the unfinished one too."""
        columns = self.columns.get(key, ())
        for n in range(self.size):
            at = (self.at + n) % self.size
            if self.times[at] > since and columns:
                yield self.times[at], tuple(column[at] for column in columns)
        if key in self._sums and self._slot * self.step > since:
            yield self._slot * self.step, tuple(total / self._counts[key] for total in self._sums[key])


@attrs.define
class History:
    """
    All rings, and the gaps between the times in which somebody looked.

    @ivar gaps: from when to when, and the difference of the connections by socket.
    """

    rings: tuple[Ring, ...] = attrs.field(factory=lambda: tuple(Ring(step, size) for step, size in RINGS))
    gaps: deque[tuple[float, float, Mapping[str, int]]] = attrs.field(factory=lambda: deque(maxlen=GAPS))
    _last: Sample | None = None

    def push(self, sample: Sample) -> None:
        """Take in a sample."""
        last, self._last = self._last, sample
        if last is not None and sample.time - last.time > GAP:
            before = {socket.name: socket.hits.total for socket in last.sockets}
            self.gaps.append((last.time, sample.time, {
                socket.name: socket.hits.total - known for socket in sample.sockets
                if (known := before.get(socket.name)) is not None and socket.hits.total is not None}))
        point = _point(sample)
        for ring in self.rings:
            ring.push(sample.time, point)

    def recall(self, kind: str, name: str, length: float) -> dict[str, Any]:
        """
        A curve.

        @param length: how far back, in seconds; tells the ring.
        """
        names = {"watcher": WATCHER, "socket": SOCKET}.get(kind, SUPERVISOR)
        ring = next((ring for ring in self.rings if ring.step * ring.size >= length), self.rings[-1])
        since = (self._last.time if self._last is not None else 0.0) - length - ring.step
        times: list[float] = []
        columns: list[list[float | None]] = [[] for _ in names]
        for time, values in ring.curve((kind, name), since):
            if times and time - times[-1] > max(GAP, 2 * ring.step):
                self._add(times, columns, times[-1] + ring.step, (math.nan,) * len(names))
            self._add(times, columns, time, values)
        gaps = [
            {"from": round(begun, 3), "to": round(ended, 3), "connections": counted.get(name)}
            for begun, ended, counted in self.gaps if ended > since]
        return {"step": ring.step, "times": times, **dict(zip(names, columns, strict=True)), "gaps": gaps}

    def _add(
        self, times: list[float], columns: list[list[float | None]], time: float, values: tuple[float, ...]
    ) -> None:
        times.append(time)
        for column, value in zip(columns, values, strict=True):
            column.append(None if math.isnan(value) else round(value, 3))


def _point(sample: Sample) -> Point:
    """What is kept of a sample."""
    own = sample.supervisor
    used = [(one.total(lambda p: p.cpu), float(one.total(lambda p: p.memory))) for one in sample.watchers]
    rates = [socket.hits.rate for socket in sample.sockets if socket.hits.rate is not None]
    point: dict[Key, tuple[float, ...]] = {("supervisor", ""): (
        own.cpu, float(own.memory), sample.lag, sum(cpu for cpu, _ in used), sum(memory for _, memory in used),
        sum(rates) if rates else math.nan)}
    for one, (cpu, memory) in zip(sample.watchers, used, strict=True):
        point["watcher", one.name.lower()] = (cpu, memory, float(len(one.workers)))
    for socket in sample.sockets:
        point["socket", socket.name] = tuple(
            math.nan if value is None else float(value)
            for value in (socket.hits.rate, socket.hits.open, socket.queue))
    return point
