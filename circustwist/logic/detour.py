"""
Connections are led around seats that nobody serves: C{so_reuseport}.

Where each seat has a socket of its own, the kernel gives connections to all of
them.  One that has had no worker doing its work for a while is left out, and
one that is to go away is emptied first, so that nobody's connection is lost
with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

import attrs

from ..model.effects import NOTHING, Avoid, Drain, Effects, Forget, Publish, Timer, Wake
from ..model.events import Event
from ..model.stack import Stack, Watcher
from .readiness import handed
from .seats import Seat, Seats, joined
from .worker import Worker

PATIENCE = 1.0
"""Seconds that a seat may be without a worker that does its work; a new one gets its first connection from it."""


def seated(stack: Stack, spec: Watcher) -> bool:
    """Whether the seats of a watcher have sockets of their own."""
    names = handed(stack, spec)
    return any(socket.seated for socket in stack.sockets if socket.name in names)


@attrs.define(eq=False)
class Detour:
    """
    Which seats of a watcher are given no connections.

    @ivar applies: whether its seats have sockets of their own.
    @ivar avoided: the seats that are given none; None before anybody has looked, since then the kernel may still do
        what an earlier supervisor asked for.
    @ivar leaving: the workers that go as soon as nothing waits for them, and at whose wish.
    """

    applies: bool = False
    avoided: tuple[int, ...] | None = None
    leaving: dict[int, str] = attrs.field(factory=dict)
    _ending: dict[int, float] = attrs.field(factory=dict)
    _since: dict[int, float] = attrs.field(factory=dict)
    _served: set[int] = attrs.field(factory=set)
    _due: float = inf

    def look(self, seats: Seats, now: float) -> Effects:
        """See which seats are served."""
        if not self.applies:
            self.avoided = None
            return NOTHING
        alive = {worker.names.id for worker in seats.alive()}
        self.leaving = {id: by for id, by in self.leaving.items() if id in alive}
        for seat in seats.seats:
            if self._serves(seat, seats):
                self._served.add(seat.number)
                self._since.pop(seat.number, None)
            else:
                self._since.setdefault(seat.number, now if seat.number in self._served else now - PATIENCE)
        self._ending = {id: until for id, until in self._ending.items() if until > now and id in seats.workers}
        told = self._avoid(seats, self._late(now))
        later = [since + PATIENCE for since in self._since.values() if since + PATIENCE > now]
        due = min([*later, *self._ending.values()], default=inf)
        return told + self._wake(due, seats.spec.name)

    def _late(self, now: float) -> set[int]:
        """The seats without a worker for too long; whoever is avoided stays so until it is served again."""
        before = self.avoided or ()
        return {number for number, since in self._since.items() if since + PATIENCE <= now or number in before}

    def _serves(self, seat: Seat, seats: Seats) -> bool:
        worker = seats.workers.get(seat.holder)
        return worker is not None and worker.state == "ready"

    def _avoid(self, seats: Seats, late: set[int]) -> Effects:
        going = self.leaving.keys() | self._ending.keys()
        gone = {worker.names.seat for worker in seats.workers.values() if worker.names.id in going}
        avoided = tuple(sorted(gone | late))
        before, self.avoided = self.avoided, avoided
        if avoided == before:
            return NOTHING
        told = Publish(Event("detour", seats.spec.name, data={"seats": list(avoided)}))
        # While nobody is ready nobody is avoided; nor is that news.
        news = bool(before or avoided) and len(self._since) < len(seats.seats)
        return (Avoid(seats.spec.name, avoided), *((told,) if news else NOTHING))

    def _wake(self, due: float, name: str) -> Effects:
        before, self._due = self._due, due
        if due == before:
            return NOTHING
        return (Forget(Timer("detour", name)),) if due == inf else (Wake(Timer("detour", name), due),)

    def trim(self, seats: Seats, now: float, by: str) -> Effects:
        """End the oldest of those that are too many, each when nothing waits for it any more."""
        if not self.applies:
            return seats.trim(now, by)
        surplus = seats.surplus()
        before = self.leaving
        self.leaving = {id: who for id, who in before.items() if _replaced(id, seats)}
        self.leaving |= {worker.names.id: before.get(worker.names.id, by) for worker in surplus if _drains(worker)}
        effects = [
            (Drain(worker.names),) if _drains(worker) else seats.retire(worker, now, seats.ending(by, True))
            for worker in surplus if worker.names.id not in before
        ]
        return joined(effects) + (seats.clear() if seats.held >= seats.wanted else NOTHING)

    def replaced(self, seats: Seats, workers: Iterable[Worker], now: float, by: str) -> Effects:
        """End those whose seats others have taken, when nothing waits there for either, as long as others serve."""
        effects: list[Effects] = []
        for worker in workers:
            if self.applies and seats.wanted > 1 and _drains(worker):
                self.leaving[worker.names.id] = by
                effects.append((Drain(worker.names),))
            else:
                effects.append(seats.retire(worker, now, seats.ending(by, True)))
        return joined(effects)

    def drained(self, seats: Seats, worker: Worker, now: float) -> Effects:
        """Nothing waits for a worker any more."""
        by = self.leaving.pop(worker.names.id, None)
        if by is None:
            return NOTHING
        # Some go on accepting for a while.
        self._ending[worker.names.id] = now + PATIENCE
        return seats.retire(worker, now, seats.ending(by, True))


def _replaced(id: int, seats: Seats) -> bool:
    """Whether a worker is there whose seat somebody else has taken."""
    worker = seats.workers.get(id)
    return worker is not None and seats.seatOf(worker) is None


def _drains(worker: Worker) -> bool:
    """Whether a worker takes what waits for it, or is about to."""
    return worker.state in ("starting", "ready")
