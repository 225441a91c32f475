"""
The processes of one watcher towards the wanted number.

This is the only place that decides to start or to retire a process.  The
machine in L{circustwist.logic.machine} knows whether the watcher should run,
L{Seats} knows who does; here the one hears of what happened to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs

from ..model.effects import NOTHING, Effects, KeepSeats, Publish, Record, Timer, Wake
from ..model.errors import SpawnProblem
from ..model.events import Event
from ..model.inputs import Exited, Probed
from ..model.stack import Watcher as Spec
from . import durable, restart
from .demand import Demand
from .readiness import Sight, live
from .reload import Reload
from .seats import Seat, Seats
from .worker import Ending, Worker


@attrs.frozen
class Death:
    """
    The last end of a process that nobody had asked for.

    @ivar worker: as people type it.
    @ivar reason: in words.
    @ivar status: as waitpid(2) gives it.
    @ivar at: when.
    @ivar back: seconds until the seat was taken again; None as long as it is not.
    """

    worker: str
    reason: str
    status: int
    at: float
    back: float | None = None


@attrs.define(eq=False)
class Past:
    """
    What is told of what was.

    @ivar restarts: how often a process was started in place of one that ended by itself.
    @ivar last: the last unplanned end; None if there was none.
    @ivar problem: why a process could not be started, or the watcher failed; empty if all is well.
    @ivar stale: why the code on disk is not what runs, since a reload failed; empty if none did.
    @ivar ends: the times of unplanned ends that C{start_limit_burst} counts.
    """

    restarts: int = 0
    last: Death | None = None
    problem: str = ""
    stale: str = ""
    ends: list[float] = attrs.field(factory=list)


class Inputs(Protocol):
    """What may happen to a watcher as a whole."""

    def start(self, now: float, by: str) -> Effects:
        """It should run."""

    def stop(self, now: float, ending: Ending) -> Effects:
        """It should not run; C{ending} says how its workers are ended."""

    def resize(self, now: float, by: str) -> Effects:
        """Another number of processes is wanted."""

    def reload(self, now: float, by: str) -> Effects:
        """Every process should be replaced."""

    def sleep(self, now: float) -> Effects:
        """It should run as soon as a connection waits."""

    def knocked(self, now: float) -> Effects:
        """A connection waits."""

    def settle(self, now: float) -> Effects:
        """Every process that is to be started was, or could not be."""

    def vacant(self, now: float, seat: Seat, due: float) -> Effects:
        """A seat may be filled again, at that time."""

    def fail(self, now: float, reason: str) -> Effects:
        """Further tries are useless."""

    def empty(self, now: float) -> Effects:
        """No worker is left, and none is to come."""


@attrs.define(eq=False)
class Watcher:
    """
    One watcher: its seats, its machine and its past.

    @ivar seats: who runs.
    @ivar draw: a random number of at least 0 and less than 1.
    @ivar status: C{stopped starting active stopping failed}.
    @ivar sight: how its workers can be looked at.
    @ivar demand: how it waits to be needed.
    @ivar past: what is told of its past.
    @ivar reloading: the reload under way; None if there is none.
    @ivar inputs: its machine.
    """

    seats: Seats
    draw: Callable[[], float]
    status: str = "stopped"
    sight: Sight = attrs.field(factory=Sight)
    demand: Demand = attrs.field(factory=Demand)
    past: Past = attrs.field(factory=Past)
    reloading: Reload | None = None
    inputs: Inputs = attrs.field(init=False, repr=False)

    @property
    def spec(self) -> Spec:
        """Its options."""
        return self.seats.spec

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    @property
    def running(self) -> bool:
        """Whether it should run."""
        return self.status in ("starting", "active")

    def event(self, name: str, planned: bool = True, by: str = "", **data: Any) -> Publish:
        """An event about the watcher as a whole."""
        return Publish(Event(name, self.name, planned=planned, by=by, data=data))

    def wish(self, running: bool) -> Record:
        """What should be, for the journal."""
        return Record(durable.wanted(self.name, running, self.seats.wanted))

    def start(self, now: float, by: str) -> Effects:
        """Run, or fill up what is missing; or wait to be needed."""
        self.past.problem = ""
        if self.spec.on_demand and not self.running and not self.seats.held:
            return self.keepSeats() + self.inputs.sleep(now)
        return self.inputs.start(now, by) + self.keepSeats() + self._settle(now)

    def knocked(self, now: float) -> Effects:
        """A connection waits at one of its sockets."""
        return self.inputs.knocked(now) + self._settle(now)

    def keepSeats(self) -> Effects:
        """Let go of what belongs to seats that nobody is to have any more."""
        seats = self.seats
        if self.reloading is not None or len(seats.seats) <= seats.wanted:
            return NOTHING
        return (KeepSeats(self.name, tuple(seat.number for seat in seats.inUse())),)

    def stop(self, now: float, ending: Ending, again: bool = False) -> Effects:
        """
        Do not run.

        @param again: whether it is to run afterwards, in this life of the supervisor or in its next.
        """
        runs = self.status != "stopped" or self.demand.asleep
        told = (self.wish(False),) if runs and not again else NOTHING
        return told + self.inputs.stop(now, ending) + self._settle(now)

    def resize(self, now: float, wanted: int, by: str) -> Effects:
        """Run another number of processes, now or at the next start."""
        self.seats.wanted = wanted
        return (self.wish(self.running or self.demand.asleep), *self.inputs.resize(now, by),
                *self.keepSeats(), *self._settle(now))

    def reload(self, now: float, by: str) -> Effects:
        """Replace every process, one after its successor has proved itself."""
        return self.inputs.reload(now, by) + self._settle(now)

    def cancel(self, now: float, by: str) -> Effects:
        """Replace nobody else; a reload that is under way has failed."""
        if self.reloading is None:
            return NOTHING
        return self.reloading.fail(f"cancelled by {by}", now) + self._settle(now)

    def ending(self, by: str) -> Ending:
        """How its workers are ended with the options as they are now."""
        return self.seats.ending(by)

    def adopt(self, worker: Worker) -> Effects:
        """Take in a worker of an earlier supervisor; it is looked at for what it tells of its program."""
        self.seats.adopt(worker)
        looks = (self.sight.first(self.spec, worker.names), live(self.spec, worker.names))
        return tuple(look for look in looks if look is not None)

    def spawned(self, worker: Worker, now: float, pid: int) -> Effects:
        """A worker's program runs."""
        effects = worker.inputs.spawned(now, pid)
        seat = self.seats.seatOf(worker)
        if seat is not None:
            self._back(seat, now)
        if worker.state == "starting":
            effects += self._aging(worker, now)
            probe = self.sight.ready(self.spec, worker.names)
            effects += (probe,) if probe else self._proved(worker, now)
        return effects + self._settle(now)

    def _proved(self, worker: Worker, now: float) -> Effects:
        """A worker does its work."""
        if worker.state != "starting":
            return NOTHING
        look = live(self.spec, worker.names)
        effects = self.seats.prove(worker, now) + ((look,) if look else NOTHING)
        return effects + (self.reloading.ready(worker, now) if self.reloading else NOTHING)

    def probed(self, worker: Worker, found: Probed, now: float) -> Effects:
        """What was found when a worker was looked at."""
        if self.sight.guessed(self.spec):
            # What was never seen, and was not asked for, proves nothing about this one.
            unseen = not found.ok and not self.sight.seen
            self.sight.seen = found.ok or bool(self.sight.seen)
            found = attrs.evolve(found, ok=found.ok or unseen)
        if found.ok:
            effects = self._proved(worker, now)
        elif found.what == "ready" and worker.state == "starting":
            effects = self._unfit(worker, f"was not ready: {found.detail}", now)
        elif found.what == "live" and worker.state == "ready":
            effects = self._unfit(worker, f"did not do its work: {found.detail}", now)
        else:
            effects = NOTHING
        return effects + self._settle(now)

    def _unfit(self, worker: Worker, how: str, now: float) -> Effects:
        """A worker runs, but is of no use: it goes, and another one comes if it had a seat."""
        told = worker.event("unfit", reason=how)
        if self.reloading is not None and self.reloading.concerns(worker):
            return (told, *self.reloading.fail(f"{worker.names} {how}", now))
        seat = self.seats.seatOf(worker)
        if seat is None:
            return (told,)
        history = restart.afterRun(seat.history, worker.ready)
        effects = self.seats.retire(worker, now, self.seats.ending("probe"))
        self.past.last = Death(str(worker.names), how, -1, now)
        self.past.problem = f"{worker.names} {how}"
        seat.history, seat.vacated = history, now
        return (told, *effects, *self._later(seat, now, history))

    def _aging(self, worker: Worker, now: float) -> Effects:
        if not self.spec.max_age:
            return NOTHING
        age = self.spec.max_age + self.spec.max_age_variance * self.draw()
        return (Wake(Timer("age", self.name, worker.names.id), now + age),)

    def _back(self, seat: Seat, now: float) -> None:
        """A seat is taken again after its holder died."""
        if seat.vacated is None:
            return
        self.past.restarts += 1
        self.past.problem = ""
        last = self.past.last
        if last is not None and last.back is None:
            self.past.last = attrs.evolve(last, back=now - seat.vacated)
        seat.vacated = None

    def refused(self, worker: Worker, now: float, problem: SpawnProblem) -> Effects:
        """A worker could not be started."""
        effects = worker.inputs.refused(now, problem)
        seat = self.seats.remove(worker)
        if seat is None:
            return effects + self._successorFailed(worker, f"could not be started: {problem}", now) + self._settle(now)
        self.past.problem = f"{worker.names} could not be started: {problem}"
        if not problem.shortage:
            seat.history = restart.afterRefusal(seat.history)
        if restart.givenUp(self.spec, seat.history) and not self.seats.held:
            effects += self.inputs.fail(now, self.past.problem)
        else:
            # What the host has too little of is never asked for at once again.
            short = attrs.evolve(seat.history, refused=seat.history.refused + SHORTAGE)
            effects += self._later(seat, now, short if problem.shortage else seat.history)
        return effects + self._settle(now)

    def exited(self, worker: Worker, now: float, end: Exited) -> Effects:
        """A worker has ended."""
        status, said = end.status, f": {end.last}" if end.last else ""
        planned = worker.ending is not None
        effects = worker.inputs.exited(now, status)
        seat = self.seats.remove(worker)
        if not planned and seat is not None:
            effects += self._died(worker, seat, now, status)
        how = f"{restart.reason(status)} after {now - worker.since:.1f} s{said}"
        effects += self._successorFailed(worker, how, now)
        return effects + self._settle(now)

    def _successorFailed(self, worker: Worker, how: str, now: float) -> Effects:
        """If a reload waited for this worker, it has failed."""
        if self.reloading is None or not self.reloading.concerns(worker):
            return NOTHING
        return self.reloading.fail(f"{worker.names} {how}", now)

    def _died(self, worker: Worker, seat: Seat, now: float, status: int) -> Effects:
        """A worker ended by itself."""
        successor = self.reloading.successor(worker) if self.reloading else None
        if successor is not None:
            self.seats.handOver(successor)
            return NOTHING
        self.past.last = Death(str(worker.names), restart.reason(status), status, now)
        healthy = now - worker.since >= restart.HEALTHY or (worker.ready and self.spec.ready not in ("", "after"))
        seat.history = restart.afterService(self.spec, restart.afterRun(seat.history, healthy), status)
        seat.vacated = now
        if not restart.wantedAgain(self.spec, status):
            return NOTHING
        self.past.ends.append(now)
        if restart.tooOften(self.spec, self.past.ends, now):
            count, interval = self.spec.start_limit_burst, self.spec.start_limit_interval
            return self.inputs.fail(now, f"{count} unplanned ends within {interval:g} s, the last: "
                                         f"{worker.names} {restart.reason(status)}")
        del self.past.ends[: -self.spec.start_limit_burst or len(self.past.ends)]
        return self._later(seat, now, seat.history)

    def _later(self, seat: Seat, now: float, history: restart.History) -> Effects:
        """Fill a seat after the pause that this history asks for."""
        pause = restart.pause(history, self.spec.restart_delay_max, self.draw())
        return self.inputs.vacant(now, seat, now + pause)

    def woken(self, timer: Timer, now: float) -> Effects:
        """One of its timers is due."""
        if timer.kind == "backoff" and timer.key < len(self.seats.seats):
            return self.inputs.vacant(now, self.seats.seats[timer.key], now) + self._settle(now)
        if timer.kind == "warmup":
            return self.seats.pump(now) + self._settle(now)
        if timer.kind == "rest":
            return self.demand.rested(self.seats)
        if timer.kind == "proof":
            return (self.reloading.prove(timer.key, now) if self.reloading else NOTHING) + self._settle(now)
        worker = self.seats.workers.get(timer.key)
        if worker is None:
            return NOTHING
        if timer.kind == "grace":
            return worker.inputs.graceExpired(now)
        return self._replace(worker, now)

    def _replace(self, worker: Worker, now: float) -> Effects:
        """A worker has reached its age."""
        seat = self.seats.seatOf(worker)
        if seat is None or not self.running:
            return NOTHING
        effects = self.seats.retire(worker, now, self.seats.ending("max_age"))
        return effects + self.inputs.vacant(now, seat, now) + self._settle(now)

    def _settle(self, now: float) -> Effects:
        """Tell the machine what has come about."""
        effects = NOTHING
        if self.status == "starting" and self.seats.wanted and self.seats.settled():
            effects += self.inputs.settle(now)
        if self.reloading is not None and self.reloading.over:
            effects += self._reloaded(self.reloading, now)
        if self.seats.vacated() and not (self.status == "active" and not self.seats.wanted):
            dozes = self.spec.on_demand and self.running
            effects += self.keepSeats() + self.inputs.sleep(now) if dozes else self.inputs.empty(now)
        return effects

    def _reloaded(self, reload: Reload, now: float) -> Effects:
        """A reload is over."""
        self.reloading = None
        effects = self.inputs.resize(now, reload.by) + self.keepSeats()
        if not reload.problem:
            self.past.problem = self.past.stale = ""
            return (*effects, self.event("reload", by=reload.by, replaced=reload.replaced))
        self.past.stale = (
            f"reload failed: {reload.problem}; {reload.replaced} of {reload.total} replaced, the others stay; "
            "a process that ends now is replaced by what is on disk")
        return (*effects, self.event("reload_failed", False, reload.by, reason=reload.problem))


SHORTAGE = 4
"""A want of the host's counts as so many refusals when the pause is reckoned, and as none for C{max_retry}."""
