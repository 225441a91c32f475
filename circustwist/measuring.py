"""
What is measured of a running stack: its processes and its sockets together.

What does it is loaded when there is something to measure: most stacks are
watched by nobody, and some have no sockets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.interfaces import IReactorTime

from . import __version__
from .logic import answers
from .logic.arbiter import Arbiter
from .model.effects import Count
from .model.inputs import Counted
from .preparation import Prepared
from .system.output import Outputs

if TYPE_CHECKING:
    from .model.samples import Hits, SocketSample
    from .system.hits import Counter
    from .system.observatory import Observatory


class Measuring:
    """
    Everything that is measured.

    @ivar about: what the logic is told when somebody asks.
    """

    def __init__(
        self, reactor: Any, clock: IReactorTime, arbiter: Arbiter, prepared: Prepared, outputs: Outputs
    ) -> None:
        since = prepared.handover.since if prepared.handover else clock.seconds()
        self.about = answers.About(os.getpid(), __version__, since, self._describe, outputs.tail,
                                   outputs.streams.drops.figures)
        self._reactor = reactor
        self._clock = clock
        self._arbiter = arbiter
        self._prepared = prepared
        self._counter: Counter | None = None
        self._observatory: Observatory | None = None
        self._before: Mapping[str, int | None] = {}

    def open(self) -> None:
        """Count from now on; whether somebody looks or not."""
        self._listen()
        self._prepared.sockets.changed = self._listen

    def observatory(self) -> Observatory:
        """Who takes samples."""
        if self._observatory is None:
            from .system.observatory import Observatory

            self._observatory = Observatory(
                self._clock, lambda: answers.running(self._arbiter), self._sample, self.about.dropped)
        return self._observatory

    def _listen(self) -> None:
        """Count at the sockets that there are now."""
        sections = self._prepared.sockets.sections()
        if self._counter is None and not sections:
            return
        from .system.hits import Listener

        found = {name: Listener.of(socket) for name, socket in sections.items()}
        counter = self._counter or self._counting()
        counter.watch({name: listener for name, listener in found.items() if listener is not None})

    def _counting(self) -> Counter:
        from .system.hits import Counter

        prepared = self._prepared
        self._counter = counter = Counter(self._reactor, self._clock)
        if prepared.handover is not None:
            counter.open(prepared.handover.hits)
        else:
            counter.open({}, prepared.survivors.sockets)
        return counter

    def count(self, effect: Count) -> Counted:
        """How many connections some sockets have had, and have."""
        total = standing = 0
        for name in effect.sockets:
            known = self._describe(name)
            hits = known.get("hits", {"open": None})
            total += hits.get("connections") or 0
            # What is not known may be somebody.
            standing += 1 if hits["open"] is None else max(hits["open"], known["queue"] or 0)
        return Counted(effect.watcher, total, standing)

    def handover(self) -> Mapping[str, Any]:
        """What another image of this program must know of the connections; see L{Counter.handover}."""
        return self._counter.handover() if self._counter is not None else {}

    def _describe(self, name: str) -> Mapping[str, Any]:
        counted = {"hits": self._counter.hits(name).json()} if self._counter is not None else {}
        return {**self._prepared.sockets.describe(name), **counted}

    def _sample(self, period: float) -> tuple[SocketSample, ...]:
        """All sockets, so many seconds after they were asked for last."""
        found = tuple(self._socket(known, period) for known in answers.sockets(self._arbiter.stack, self.about))
        self._before = {socket.name: socket.hits.total for socket in found}
        return found

    def _socket(self, known: Mapping[str, Any], period: float) -> SocketSample:
        from .model.samples import UNCOUNTED, SocketSample

        name = known["name"]
        hits = self._counter.hits(name) if self._counter is not None else UNCOUNTED
        return SocketSample(
            name, known["fd"], known["address"], self._rated(hits, self._before.get(name), period),
            known["queue"], known["limit"], known["drops"], tuple(known.get("seats", ())))

    def _rated(self, hits: Hits, before: int | None, period: float) -> Hits:
        if hits.total is None or before is None or period <= 0:
            return hits
        return attrs.evolve(hits, rate=(hits.total - before) / period)

    def close(self) -> None:
        """Measure nothing any more."""
        self._prepared.sockets.changed = lambda: None
        for each in (self._observatory, self._counter):
            if each is not None:
                each.close()
