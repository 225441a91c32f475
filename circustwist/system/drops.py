"""
How much of what workers wrote was dropped, and who is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..model.events import Event
from ..model.line import OUTPUTS
from .stores import TELL_EVERY


@attrs.define(eq=False)
class Drops:
    """
    What was dropped of one output of a watcher's workers.

    @ivar told: told of an event about it.
    @ivar size: bytes.
    @ivar lines: newlines among them.
    """

    _log = Logger()

    watcher: str
    output: int
    clock: IReactorTime
    told: Callable[[Event], None]
    size: int = 0
    lines: int = 0
    _state: str = ""
    _said: tuple[int, int] = (0, 0)
    _at: float = float("-inf")
    _due: IDelayedCall | None = None

    def add(self, data: bytes, why: str) -> None:
        """This was dropped too; it is said at once, then every L{TELL_EVERY} seconds."""
        self.size += len(data)
        self.lines += data.count(b"\n")
        self._state = f"because {why}"
        left = self._at + TELL_EVERY - self.clock.seconds()
        if left <= 0:
            self._say()
        elif self._due is None and data:
            self._due = self.clock.callLater(left, self._say)

    def over(self) -> None:
        """Output is taken again."""
        if self._due is not None:
            self._state = "; it is taken again"

    def close(self) -> None:
        """Say what was not said yet."""
        self._say()

    def _say(self) -> None:
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        size, lines = self.size - self._said[0], self.lines - self._said[1]
        if not size:
            return
        stream = OUTPUTS[self.output]
        self._said, self._at = (self.size, self.lines), self.clock.seconds()
        self._log.warn(
            "{watcher} {stream}: {size} bytes of output, {lines} lines, were dropped {state} ({total} bytes so far)",
            watcher=self.watcher, stream=stream, size=size, lines=lines, state=self._state, total=self.size)
        self.told(Event("dropped", self.watcher, planned=False, data={
            "stream": stream, "bytes": size, "lines": lines, "total": self.size, "state": self._state.strip("; ")}))

    def handover(self) -> list[Any]:
        """What was counted and said, for another image of this program."""
        return [self.watcher, self.output, self.size, self.lines, *self._said]

    def restore(self, size: int, lines: int, *said: int) -> None:
        """Count on from there."""
        self.size, self.lines = size, lines
        self._said = (said[0], said[1])
        self._state = "before an upgrade"


class Ledger:
    """
    What was dropped of all outputs.

    @ivar told: told of the events about it.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.told: Callable[[Event], None] = lambda event: None
        self._clock = clock
        self._drops: dict[tuple[str, int], Drops] = {}

    def of(self, watcher: str, output: int) -> Drops:
        """The count of one output, which begins with 0."""
        found = self._drops.get((watcher, output))
        if found is None:
            found = Drops(watcher, output, self._clock, lambda event: self.told(event))
            self._drops[watcher, output] = found
        return found

    def total(self, watcher: str) -> int:
        """How many bytes it was, of both outputs of a watcher."""
        return sum(drops.size for (name, _), drops in self._drops.items() if name == watcher)

    def figures(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        """C{bytes} and C{lines} by watcher and C{stdout} or C{stderr}, of those that may drop something."""
        found: dict[str, dict[str, Mapping[str, int]]] = {}
        for (watcher, output), drops in self._drops.items():
            found.setdefault(watcher, {})[OUTPUTS[output]] = {"bytes": drops.size, "lines": drops.lines}
        return found

    def handover(self) -> list[list[Any]]:
        """The counts, for another image of this program."""
        return [drops.handover() for drops in self._drops.values()]

    def restore(self, counts: Iterable[Sequence[Any]]) -> None:
        """Count on from there."""
        for watcher, output, *found in counts:
            self.of(watcher, output).restore(*found)

    def forget(self, watcher: str) -> None:
        """There is no such watcher any more."""
        for key in [key for key in self._drops if key[0] == watcher]:
            self._drops.pop(key).close()

    def close(self) -> None:
        """Say what was not said yet."""
        for drops in self._drops.values():
            drops.close()
