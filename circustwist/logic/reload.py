"""
Replacing processes of a watcher, each only after its successor has proved itself.

All of them, as somebody has asked for, or one that is too old or too large.

A successor is started beside the one that it is to replace, and gets its seat
when it has been ready for C{min_ready}; only then the old one is ended.  At
the first successor that fails those that have not proved themselves go, and
everyone else stays.
"""

from __future__ import annotations

from collections import deque

import attrs

from ..model.effects import NOTHING, Effects, Forget, Timer, Wake
from .detour import Detour
from .seats import Seat, Seats, joined
from .worker import Worker

AGAIN = 60.0
"""Seconds until a replacement that has failed is tried again."""


@attrs.define(eq=False)
class Reload:
    """
    A reload under way.

    @ivar seats: whose.
    @ivar detour: which of its seats are given no connections.
    @ivar by: who asked for it.
    @ivar olds: the ids still to be replaced, oldest first.
    @ivar going: the ids of those who end before their successors are started.
    @ivar coming: for each successor that is not proved yet, whom it replaces.
    @ivar proved: for each successor that waits until all are proved, whom it replaces.
    @ivar total: how many are to be replaced.
    @ivar replaced: how many are.
    @ivar problem: why it failed; empty if it did not.
    @ivar single: why one process is replaced; empty if all are, as somebody has asked for.
    """

    seats: Seats
    detour: Detour
    by: str
    olds: deque[int]
    total: int
    going: set[int] = attrs.field(factory=set)
    coming: dict[int, int] = attrs.field(factory=dict)
    proved: dict[int, int] = attrs.field(factory=dict)
    replaced: int = 0
    problem: str = ""
    single: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing is left to be done."""
        return not self.olds and not self.going and not self.coming

    def concerns(self, worker: Worker) -> bool:
        """Whether it is a successor without a seat."""
        return worker.names.id in self.coming or worker.names.id in self.proved

    def successor(self, worker: Worker) -> Worker | None:
        """Who is to replace a worker and runs already."""
        for pairs in (self.coming, self.proved):
            for new, old in pairs.items():
                if old == worker.names.id:
                    return self.seats.workers.get(new)
        return None

    def advance(self, now: float) -> Effects:
        """Start successors, as many at a time as C{max_surge} and C{max_unavailable} allow."""
        spec = self.seats.spec
        limit = max(spec.max_surge, spec.max_unavailable) if spec.max_surge else len(self.seats.seats)
        effects: list[Effects] = []
        while self.olds and len(self.coming) + len(self.going) < limit:
            old = self.seats.workers.get(self.olds.popleft())
            if old is None or self.seats.seatOf(old) is None:
                self.total -= 1
            elif self._missing() < spec.max_unavailable:
                self.going.add(old.names.id)
                effects.append(self.seats.retire(old, now, self.seats.ending(self.by, True)))
            else:
                effects.append(self._succeed(old, now))
        return joined(effects)

    def _missing(self) -> int:
        """How many have ended, or are about to, before anybody has taken their place."""
        return len(self.going) + sum(old not in self.seats.workers for old in self.coming.values())

    def _succeed(self, old: Worker, now: float) -> Effects:
        new, effects = self.seats.succeed(old, now)
        self.coming[new.names.id] = old.names.id
        return effects

    def left(self, worker: Worker, now: float) -> Effects:
        """Somebody has ended; if it had to before its successor could be started, that is started now."""
        if worker.names.id not in self.going:
            return NOTHING
        self.going.discard(worker.names.id)
        return self._succeed(worker, now)

    def ready(self, worker: Worker, now: float) -> Effects:
        """A successor does its work; now it has to go on for C{min_ready}."""
        if worker.names.id not in self.coming:
            return NOTHING
        return (Wake(self._timer(worker.names.id), now + self.seats.spec.min_ready),)

    def prove(self, id: int, now: float) -> Effects:
        """A successor has proved itself."""
        if id not in self.coming:
            return NOTHING
        self.proved[id] = self.coming.pop(id)
        if self.seats.spec.max_surge == 0 and not self.over:
            return NOTHING
        effects = [self._replace(new, old, now) for new, old in self.proved.items()]
        self.proved.clear()
        return joined(effects) + self.advance(now)

    def _replace(self, newId: int, oldId: int, now: float) -> Effects:
        new = self.seats.workers[newId]
        self.replaced += 1
        others = {oldId, self.seats.seats[new.names.seat].holder} - {newId}
        self.seats.handOver(new)
        gone = [self.seats.workers[id] for id in sorted(others) if id in self.seats.workers]
        return self.detour.replaced(self.seats, gone, now, self.by)

    def fail(self, problem: str, now: float) -> Effects:
        """A successor has failed: those without a seat go, and nobody else is replaced."""
        self.problem = problem
        self.olds.clear()
        unseated = [*self.coming, *self.proved]
        effects: list[Effects] = [self.forget()]
        self.coming.clear()
        self.going.clear()
        self.proved.clear()
        for id in unseated:
            worker = self.seats.workers.get(id)
            if worker is not None and self.seats.seatOf(worker) is None:
                effects.append(self.seats.retire(worker, now, self.seats.ending(self.by)))
        return joined(effects)

    def forget(self) -> Effects:
        """Wait for nobody to prove itself any more."""
        return tuple(Forget(self._timer(id)) for id in self.coming)

    def _timer(self, id: int) -> Timer:
        return Timer("proof", self.seats.spec.name, id)


@attrs.define(eq=False)
class Due:
    """
    Who is to be replaced without anybody having asked for it.

    @ivar why: the reasons, by the ids of the workers.
    @ivar notBefore: when the next one may be tried.
    @ivar killed: the seats of those who were killed on request, by their ids: filled again when they are gone.
    """

    why: dict[int, str] = attrs.field(factory=dict)
    killed: dict[int, Seat] = attrs.field(factory=dict)
    notBefore: float = 0.0

    def next(self, seats: Seats, detour: Detour, now: float) -> Reload | None:
        """The replacement of the first who is still there; None if there is nobody, or it is too soon."""
        while self.why and now >= self.notBefore:
            id = next(iter(self.why))
            worker = seats.workers.get(id)
            if worker is not None and worker.alive and seats.seatOf(worker) is not None:
                why = self.why[id]
                return Reload(seats, detour, why.partition(" ")[0], deque([id]), 1, single=why)
            del self.why[id]
        return None

    def failed(self, watcher: str, now: float) -> Effects:
        """Try it again later."""
        self.notBefore = now + AGAIN
        return (Wake(Timer("replace", watcher), self.notBefore),)


def newReload(seats: Seats, detour: Detour, by: str) -> Reload:
    """A reload of everyone who has a seat."""
    olds = deque(id for id, worker in seats.workers.items() if worker.alive and seats.seatOf(worker) is not None)
    seats.generation += 1
    return Reload(seats, detour, by, olds, len(olds))
