"""
What all browsers are told: events as they come, what has changed, and what is measured.

Nothing happens while nobody looks on.  A message is made once for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..model.events import Occurrence
from ..model.inputs import Who
from ..model.samples import Sample
from .discretion import fitting
from .measure import Row, flat, rows
from .state import Json, difference, picture
from .stream import HEARTBEAT, Viewer, message

if TYPE_CHECKING:
    from ..logic.requests import Steering

MOST_VIEWERS = 20

PERIOD = 1.0
"""Seconds between two measurements."""

GATHER = 0.2
"""Seconds in which what happens is gathered before it is told."""

RECENT = 300
"""So many past events are told to who comes in."""

MOST_GATHERED = 500
"""So many events are told at once; of more the oldest are left out."""

WHO = Who("console", "operator")
"""Asks for all; see L{fitting} for who may read what."""


class Feed:
    """
    The browsers that look on.

    @ivar viewers: who they are.
    """

    _log = Logger(namespace="circustwist")

    def __init__(
        self, steering: Steering, clock: IReactorTime, about: Callable[[], Json],
        seconds: Callable[[], float] = time.time,
    ) -> None:
        """
        @param about: what else is told to who comes in.
        @param seconds: the time of day.
        """
        self.viewers: set[Viewer] = set()
        self._steering = steering
        self._clock = clock
        self._about = about
        self._seconds = seconds
        self._picture: Json = {}
        self._numbers: dict[int, Row] = {}
        self._last: Sample | None = None
        self._events: list[Json] = []
        self._due: IDelayedCall | None = None
        self._beat: IDelayedCall | None = None
        self._ends: list[Callable[[], None]] = []

    def join(self, viewer: Viewer) -> None:
        """Somebody looks on."""
        if not self.viewers:
            self._wake()
        viewer.since = self._seconds()
        self.viewers.add(viewer)
        self.greet(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Somebody has gone."""
        self.viewers.discard(viewer)
        if not self.viewers:
            self._sleep()

    def clients(self) -> list[tuple[Who, float]]:
        """Who looks on, and since which time of day."""
        return [(viewer.who, viewer.since) for viewer in self.viewers]

    def close(self) -> None:
        """Send everybody away."""
        for viewer in list(self.viewers):
            viewer.close()
        self.viewers.clear()
        self._sleep()

    def _wake(self) -> None:
        self._ends += [
            self._steering.subscribe(self._happened), self._steering.observe(self._measured, PERIOD)]
        self._beat = self._clock.callLater(HEARTBEAT, self._alive)

    def _sleep(self) -> None:
        for end in self._ends:
            end()
        self._ends.clear()
        self._events.clear()
        self._picture, self._numbers, self._last = {}, {}, None
        for call in (self._due, self._beat):
            if call is not None and call.active():
                call.cancel()
        self._due = self._beat = None

    def _alive(self) -> None:
        """A comment, which keeps whatever lies between from ending the stream; whose login is over must come again."""
        self._beat = self._clock.callLater(HEARTBEAT, self._alive)
        for viewer in list(self.viewers):
            if viewer.stands():
                viewer.send(b": alive\n\n")
            else:
                viewer.close()

    # Everything

    def greet(self, viewer: Viewer) -> None:
        """Tell somebody everything."""
        self._look().addCallback(self._tell, viewer).addErrback(self._wrong)

    def _tell(self, found: Json, viewer: Viewer) -> None:
        events = [each.json(WHO.role) for each in self._steering.past(0)[-RECENT:]]
        you = {"name": viewer.who.name, "role": viewer.who.role}
        told = fitting({**found, "events": events}, viewer.who.role)
        viewer.send(message("hello", {**self._about(), "you": you, "now": self._seconds(), **told}))
        if self._last is not None:
            viewer.send(message("sample", flat(self._last, self._numbers, {})))

    def _look(self) -> Deferred[Json]:
        """Ask for everything, tell those who know an earlier picture what is different, and remember it."""
        found: Deferred[Json] = Deferred.fromCoroutine(self._asked())
        return found.addCallback(self._compared)

    async def _asked(self) -> Json:
        stack = (await self._steering.ask("status", {"detail": True}, WHO))["stack"]
        operations = (await self._steering.ask("operation", {}, WHO))["operations"]
        return picture(stack, operations, self._seconds(), self._picture)

    def _compared(self, found: Json) -> Json:
        before, self._picture = self._picture, found
        changed = difference(before, found) if before else {}
        if changed:
            self._everybody("state", changed)
        return found

    # Changes

    def _happened(self, occurrence: Occurrence) -> None:
        self._events.append(occurrence.json(WHO.role))
        if len(self._events) > MOST_GATHERED:
            del self._events[0]
        if self._due is None:
            self._due = self._clock.callLater(GATHER, self._flush)

    def _flush(self) -> None:
        self._due = None
        events, self._events = self._events, []
        self._everybody("events", events)
        self._look().addErrback(self._wrong)

    def _measured(self, sample: Sample) -> None:
        now = rows(sample)
        self._everybody("sample", flat(sample, now, self._numbers))
        self._numbers = now
        self._last = sample

    def _everybody(self, kind: str, value: object) -> None:
        made: dict[str, bytes] = {}
        for viewer in list(self.viewers):
            role = viewer.who.role
            if role not in made:
                made[role] = message(kind, value if kind == "sample" else fitting(value, role))
            viewer.send(made[role])

    def _wrong(self, failure: Any) -> None:
        self._log.failure("the console cannot be told what is new", failure)


