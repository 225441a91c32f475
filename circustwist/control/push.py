"""
What one connection is told without asking each time: events and lines.

Neither costs memory if the peer does not read: events wait in a bounded
queue, lines where they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ..model.events import Occurrence
from ..model.line import Line

if TYPE_CHECKING:
    from ..logic.requests import Following

MOST_EVENTS = 1000
"""So many events may wait for one subscriber that does not read."""


@attrs.define(eq=False)
class Subscription:
    """
    The events of one connection.

    @ivar role: of whom they are told.
    @ivar topics: how the wanted topics begin; empty for all.
    @ivar send: writes one event.
    @ivar paused: whether the peer does not read at the moment.
    @ivar missed: how many were dropped since the last one that was sent.
    """

    role: str
    topics: tuple[str, ...]
    send: Callable[[Mapping[str, Any]], None]
    paused: bool = True
    missed: int = 0
    _waiting: deque[Occurrence] = attrs.field(factory=deque)
    end: Callable[[], None] = lambda: None

    def __call__(self, occurrence: Occurrence) -> None:
        """It has happened."""
        if self.topics and not occurrence.topic.startswith(self.topics):
            return
        if len(self._waiting) >= MOST_EVENTS:
            self._waiting.popleft()
            self.missed += 1
        self._waiting.append(occurrence)
        self._flush()

    def resume(self) -> None:
        """The peer reads again."""
        self.paused = False
        self._flush()

    def _flush(self) -> None:
        if self.missed and not self.paused:
            missed, self.missed = self.missed, 0
            self.send({"topic": "missed", "event": "missed", "missed": missed})
        while self._waiting and not self.paused:
            self.send(self._waiting.popleft().json(self.role))


@attrs.define(eq=False)
class Tailing:
    """
    The lines of one connection.

    @ivar send: writes some lines.
    @ivar paused: whether the peer does not read at the moment.
    @ivar following: to be told when it reads again.
    """

    send: Callable[[Mapping[str, Any]], None]
    following: Following = attrs.field(init=False)
    paused: bool = True

    def __call__(self, lines: Sequence[Line], missed: int) -> bool:
        """Workers have written lines."""
        self.send({"lines": [line.json() for line in lines], "missed": missed})
        return not self.paused

    def resume(self) -> None:
        """The peer reads again."""
        self.paused = False
        self.following.resume()

    def end(self) -> None:
        """No more of it."""
        self.following()
