"""
The seats of a watcher: who holds them, which are vacant, and who is to leave.

A seat is what a replacement inherits.  It carries the history from which the
pause before the next try follows; the worker in it is one process only.
Nothing here walks over all seats for the sake of one.
"""

from __future__ import annotations

import heapq
import signal
from collections import deque
from collections.abc import Callable, Iterable

import attrs

from ..model.effects import NOTHING, Effects, Forget, Record, Timer, Wake
from ..model.launch import Names
from ..model.stack import Watcher
from . import durable
from .hooks import Hooks
from .restart import NEW, History
from .worker import Ending, Worker, newWorker


@attrs.define(eq=False)
class Seat:
    """
    One place for a process.

    @ivar number: from 0.
    @ivar holder: the id of the worker in it; 0 if it is vacant.
    @ivar history: of those who held it.
    @ivar vacated: when the last holder ended by itself; None if none did.
    @ivar queued: whether a new holder is to be started as soon as it may.
    @ivar spent: whether its last holder ended for good, so that nobody takes it until the watcher is started again.
    """

    number: int
    holder: int = 0
    history: History = NEW
    vacated: float | None = None
    queued: bool = False
    spent: bool = False


@attrs.define(eq=False)
class Numbers:
    """Gives out the lowest free number, from 1, as Circus numbers its processes."""

    _free: list[int] = attrs.field(factory=list)
    _taken: set[int] = attrs.field(factory=set)
    _next: int = 1

    def take(self) -> int:
        """The lowest free number, from now on taken."""
        while self._free:
            number = heapq.heappop(self._free)
            if number not in self._taken:
                self._taken.add(number)
                return number
        self.claim(self._next)
        return self._next - 1

    def claim(self, number: int) -> None:
        """Take this number, which somebody has already."""
        self._taken.add(number)
        while self._next <= number:
            if self._next < number:
                heapq.heappush(self._free, self._next)
            self._next += 1

    def give(self, number: int) -> None:
        """Give a number back."""
        self._taken.discard(number)
        heapq.heappush(self._free, number)


@attrs.define(eq=False)
class Row:
    """
    Seats that are filled one after another.

    @ivar notBefore: when the next one may be.
    """

    seats: deque[Seat] = attrs.field(factory=deque)
    notBefore: float = 0.0


@attrs.define(eq=False)
class Seats:
    """
    The seats of one watcher and the workers in and out of them.

    @ivar spec: the watcher's options.
    @ivar serial: gives the next worker's id.
    @ivar wanted: how many processes should run.
    @ivar generation: how many reloads there were.
    @ivar seats: by number.
    @ivar workers: everyone who has not ended, by id, oldest first.
    @ivar unproved: the ids of those who have a seat and do not do their work yet.
    @ivar waiting: the numbers of the seats that are filled after a pause.
    @ivar held: how many seats have a holder.
    @ivar hooks: what is asked before one is started or ended.
    """

    spec: Watcher
    serial: Callable[[], int]
    wanted: int = 0
    generation: int = 0
    seats: list[Seat] = attrs.field(factory=list)
    workers: dict[int, Worker] = attrs.field(factory=dict)
    unproved: set[int] = attrs.field(factory=set)
    waiting: set[int] = attrs.field(factory=set)
    held: int = 0
    hooks: Hooks = attrs.field(default=attrs.Factory(lambda self: Hooks(self.serial), takes_self=True))
    _wids: Numbers = attrs.field(factory=Numbers)
    _row: Row = attrs.field(factory=Row)

    def seatOf(self, worker: Worker) -> Seat | None:
        """The seat that a worker holds; None if it was already given to somebody else."""
        number = worker.names.seat
        if number < len(self.seats) and self.seats[number].holder == worker.names.id:
            return self.seats[number]
        return None

    def alive(self) -> list[Worker]:
        """Those who count towards the wanted number, oldest first."""
        return [worker for worker in self.workers.values() if worker.alive]

    def pids(self) -> frozenset[int]:
        """Whose processes run, whether they are about to end or not."""
        return frozenset(worker.pid for worker in self.workers.values() if worker.pid)

    def renewed(self) -> bool:
        """Whether the last reload replaced anyone."""
        return any(w.alive and w.names.generation == self.generation for w in self.workers.values())

    def behind(self, generation: int) -> str:
        """
        Go on counting reloads where an earlier supervisor was.

        @return: what is so if not everyone is of the last one; empty if everyone is.
        """
        self.generation = generation
        old = sum(w.names.generation < generation for w in self.workers.values())
        if not old:
            return ""
        return (f"the last reload did not replace {old} of {len(self.workers)} processes; a process that ends now is "
                "replaced by what is on disk")

    def active(self) -> int:
        """How many do their work."""
        return sum(worker.state == "ready" for worker in self.workers.values())

    def adopt(self, worker: Worker) -> None:
        """Take in a worker that runs already."""
        names = worker.names
        self._widen(names.seat + 1)
        if not self.seats[names.seat].holder:
            self._seat(self.seats[names.seat], names.id)
        self.workers[names.id] = worker
        self._wids.claim(names.wid)

    def fill(self, now: float) -> Effects:
        """Start a process for each seat that is vacant and has none coming."""
        self._widen(self.wanted)
        for seat in self.inUse():
            left = seat.spent and self.spec.respawn != "always"
            if not seat.holder and seat.number not in self.waiting and not left:
                self.enqueue(seat)
        return self.pump(now)

    def _widen(self, count: int) -> None:
        while len(self.seats) < count:
            self.seats.append(Seat(len(self.seats)))

    def spend(self, number: int, success: bool) -> Effects:
        """Leave a seat vacant, since its process ended for good; a woken watcher's is filled at the next connection."""
        if self.spec.on_demand:
            return NOTHING
        self._widen(number + 1)
        self.seats[number].spent = True
        return (Record(durable.spent(self.spec.name, number, success)),)

    def renew(self) -> None:
        """Let every seat be filled again."""
        for seat in self.seats:
            seat.spent = False

    def isHeld(self, number: int) -> bool:
        """Whether a seat has a holder."""
        return number < len(self.seats) and self.seats[number].holder != 0

    def inherited(self) -> bool:
        """Whether an earlier supervisor has left workers, or seats that stay vacant."""
        return bool(self.workers) or any(seat.spent for seat in self.seats)

    def inUse(self) -> list[Seat]:
        """As many seats as are wanted; those with a holder first, then the lowest."""
        held = [seat for seat in self.seats if seat.holder]
        vacant = [seat for seat in self.seats if not seat.holder]
        return (held + vacant)[: self.wanted]

    def taken(self) -> tuple[int, ...]:
        """The numbers of the seats that are in use, and of those whose workers have not ended yet."""
        used = {worker.names.seat for worker in self.workers.values()}
        return tuple(sorted(used.union(seat.number for seat in self.inUse())))

    def enqueue(self, seat: Seat) -> None:
        """Let a seat be filled as soon as it may."""
        if not seat.queued:
            seat.queued = True
            self._row.seats.append(seat)

    def pump(self, now: float) -> Effects:
        """Start what waits, C{warmup_delay} between one and the next."""
        effects: list[Effects] = []
        while self._row.seats and now >= self._row.notBefore:
            seat = self._row.seats.popleft()
            seat.queued = False
            if self.held < self.wanted and not seat.holder:
                effects.append(self._start(seat, now))
                if self.spec.warmup_delay:
                    self._row.notBefore = now + self.spec.warmup_delay
        if self._row.seats:
            effects.append((Wake(Timer("warmup", self.spec.name), self._row.notBefore),))
        return joined(effects)

    def _start(self, seat: Seat, now: float) -> Effects:
        worker = self._new(seat.number)
        self._seat(seat, worker.names.id)
        self.unproved.add(worker.names.id)
        return self._begin(worker, now)

    def _begin(self, worker: Worker, now: float) -> Effects:
        if not self.hooks.has(self.spec, "before_spawn"):
            return worker.inputs.begin(now)
        return worker.inputs.vet(now) + self.hooks.ask(self.spec, "before_spawn", worker=worker.names.id)

    def _new(self, seat: int) -> Worker:
        names = Names(self.serial(), self.spec.name, self._wids.take(), seat, self.generation)
        self.workers[names.id] = worker = newWorker(names)
        return worker

    def succeed(self, old: Worker, now: float) -> tuple[Worker, Effects]:
        """Start a worker beside the one whose seat it may get; see L{handOver}."""
        worker = self._new(old.names.seat)
        return worker, self._begin(worker, now)

    def handOver(self, new: Worker) -> None:
        """Give a worker the seat for which it was started, whoever holds it."""
        seat = self.seats[new.names.seat]
        self._seat(seat, new.names.id)
        seat.history, seat.vacated = NEW, None

    def _seat(self, seat: Seat, holder: int) -> None:
        self.held += (holder != 0) - (seat.holder != 0)
        seat.holder, seat.spent = holder, seat.spent and not holder

    def prove(self, worker: Worker, now: float) -> Effects:
        """A worker does its work."""
        self.unproved.discard(worker.names.id)
        return worker.inputs.proved(now)

    def settled(self) -> bool:
        """Whether every process that is to be started was, or could not be."""
        return not self._row.seats and not self.unproved

    def later(self, seat: Seat, at: float) -> Effects:
        """Let a seat be filled at that time."""
        self.waiting.add(seat.number)
        return (Wake(self._backoff(seat.number), at),)

    def vacant(self, seat: Seat, now: float) -> Effects:
        """Let a seat be filled now, or after those that wait already."""
        self.waiting.discard(seat.number)
        self.enqueue(seat)
        return self.pump(now)

    def _backoff(self, number: int) -> Timer:
        return Timer("backoff", self.spec.name, number)

    def clear(self) -> Effects:
        """Nobody is to be started any more."""
        for seat in self._row.seats:
            seat.queued = False
        self._row.seats.clear()
        forget = [Forget(self._backoff(number)) for number in self.waiting]
        self.waiting.clear()
        return (*forget, Forget(Timer("warmup", self.spec.name)))

    def vacated(self) -> bool:
        """Whether nobody is there and nobody is to come."""
        return not self.workers and not self._row.seats and not self.waiting

    def trim(self, now: float, by: str) -> Effects:
        """End the oldest of those that are too many, as Circus does."""
        effects = [self.retire(worker, now, self.ending(by, True)) for worker in self.surplus()]
        if self.held >= self.wanted:
            effects.append(self.clear())
        return joined(effects)

    def surplus(self) -> list[Worker]:
        """The oldest of those that have a seat, as many as are too many."""
        seated = [worker for worker in self.workers.values() if self.seatOf(worker) is not None]
        return seated[: max(0, len(seated) - self.wanted)]

    def unseated(self, now: float, by: str) -> Effects:
        """End those who were to replace somebody, when nobody waits for them any more."""
        strays = [worker for worker in self.alive() if self.seatOf(worker) is None]
        return joined([self.retire(worker, now, self.ending(by)) for worker in strays])

    def retire(self, worker: Worker, now: float, ending: Ending) -> Effects:
        """End a worker; its seat is vacant at once."""
        seat = self.seatOf(worker)
        if seat is not None:
            self._seat(seat, 0)
            seat.history, seat.vacated = NEW, None
        self.unproved.discard(worker.names.id)
        effects = self._end(worker, now, ending)
        if worker.state == "gone":
            self.remove(worker)
        return effects

    def _end(self, worker: Worker, now: float, ending: Ending) -> Effects:
        """Ask a worker to end, or first its hook whether that may be."""
        hooks, spec = self.hooks, self.spec
        if not worker.runs or not hooks.has(spec, "before_signal", "after_signal"):
            return worker.inputs.stop(now, ending)
        given = {"pid": worker.pid, "signum": ending.signum}
        if hooks.has(spec, "before_signal") and ending.signum != signal.SIGKILL:
            return worker.inputs.warn(now, ending) + hooks.ask(spec, "before_signal", given, worker.names.id)
        told = hooks.call(spec, "before_signal", **given)
        return told + worker.inputs.stop(now, ending) + hooks.call(spec, "after_signal", **given)

    def retireAll(self, now: float, ending: Ending) -> Effects:
        """End everyone."""
        ending = attrs.evolve(ending, whole=True)
        return joined([self.retire(worker, now, ending) for worker in list(self.workers.values())])

    def ending(self, by: str, gentle: bool = False) -> Ending:
        """
        How a worker is ended with the options as they are now.

        @param gentle: see L{Ending}.
        """
        spec = self.spec
        return Ending(spec.stop_signal, spec.graceful_timeout, spec.killMode, by, gentle=gentle)

    def remove(self, worker: Worker) -> Seat | None:
        """
        A worker is gone.

        @return: the seat that is vacant by it; None if it was retired from its
            seat before.
        """
        seat = self.seatOf(worker)
        if seat is not None:
            self._seat(seat, 0)
        self.unproved.discard(worker.names.id)
        del self.workers[worker.names.id]
        self._wids.give(worker.names.wid)
        return seat


def joined(effects: Iterable[Effects]) -> Effects:
    """Many effects in one row."""
    return tuple(effect for some in effects for effect in some)
