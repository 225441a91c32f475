"""
The processes of one watcher towards the wanted number.

This is the only place that decides to start or to retire a process.  The
machine in L{circustwist.logic.machine} knows whether the watcher should run,
L{Seats} knows who does; here the one hears of what happened to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from ..model.effects import NOTHING, Effects, KeepSeats, Publish, Record, Timer
from ..model.errors import SpawnProblem
from ..model.events import Event
from ..model.inputs import Exited, Probed
from ..model.reason import Reason, framed, last
from ..model.stack import Watcher as Spec
from . import durable, hooking, idling, killing, limits, restart
from .course import Inputs
from .demand import Demand
from .detour import Detour
from .life import Ending
from .past import Death, Past
from .readiness import Sight, live
from .reload import AGAIN, Due, Reload
from .seats import Seat, Seats, joined
from .worker import Worker

__all__ = ["Inputs", "Watcher"]


@attrs.define(eq=False)
class Watcher:
    """
    One watcher: its seats, its machine and its past.

    @ivar seats: who runs.
    @ivar draw: a random number of at least 0 and less than 1.
    @ivar status: C{stopped starting active stopping failed}.
    @ivar sight: how its workers can be looked at.
    @ivar demand: how it waits to be needed.
    @ivar detour: which of its seats are given no connections.
    @ivar past: what is told of its past.
    @ivar reloading: the reload under way; None if there is none.
    @ivar due: who is to be replaced for another reason.
    @ivar inputs: its machine.
    """

    seats: Seats
    draw: Callable[[], float]
    status: str = "stopped"
    sight: Sight = attrs.field(factory=Sight)
    demand: Demand = attrs.field(factory=Demand)
    detour: Detour = attrs.field(factory=Detour)
    past: Past = attrs.field(factory=Past)
    reloading: Reload | None = None
    due: Due = attrs.field(factory=Due)
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
        past = self.past
        return Record(durable.wanted(self.name, running, self.seats.wanted, past.resized, past.stopper))

    def start(self, now: float, by: str, begun: bool = False) -> Effects:
        """
        Run, or fill up what is missing; or wait to be needed.

        @param begun: whether nobody asked for it but a supervisor that goes on where another was.
        """
        self.past.problem = self.past.stopper = ""
        if not begun:
            self.seats.renew()
        if self.spec.on_demand and not self.running and not self.seats.held:
            return self.keepSeats() + self.inputs.sleep(now)
        return hooking.start(self, now, by) + self.keepSeats() + self.settle(now)

    def knocked(self, now: float) -> Effects:
        """A connection waits at one of its sockets."""
        if self.demand.asleep and self.spec.hooks:
            return (self.event("wake"), *hooking.start(self, now, ""))
        return self.inputs.knocked(now) + self.settle(now)

    def keepSeats(self) -> Effects:
        """Let go of what belongs to seats that nobody is to have any more."""
        seats = self.seats
        if self.reloading is not None or len(seats.seats) <= seats.wanted or self.detour.leaving:
            return NOTHING
        return (KeepSeats(self.name, seats.taken()),)

    def drained(self, worker: Worker, now: float) -> Effects:
        """Nothing waits any more for a worker that was to go."""
        return self.detour.drained(self.seats, worker, now) + self.settle(now)

    def stop(self, now: float, ending: Ending, again: bool = False) -> Effects:
        """
        Do not run.

        @param again: whether it is to run afterwards, in this life of the supervisor or in its next.
        """
        runs = self.status != "stopped" or self.demand.asleep
        self.past.stopper = "" if again else ending.by
        told = (self.wish(False),) if runs and not again else NOTHING
        return told + hooking.stop(self, now, ending) + self.settle(now)

    def resize(self, now: float, wanted: int, by: str) -> Effects:
        """Run another number of processes, now or at the next start."""
        self.seats.wanted = wanted
        self.past.resized = (by, now) if wanted != self.spec.numprocesses else None
        return (self.wish(self.running or self.demand.asleep), *self.inputs.resize(now, by),
                *self.keepSeats(), *self.settle(now))

    def reload(self, now: float, by: str) -> Effects:
        """Replace every process, one after its successor has proved itself."""
        return self.inputs.reload(now, by) + self.settle(now)

    def cancel(self, now: float, by: str) -> Effects:
        """Replace nobody else; a reload that is under way has failed."""
        if self.reloading is None or self.reloading.single:
            return NOTHING
        return self.reloading.fail(f"cancelled by {by}", now) + self.settle(now)

    def ending(self, by: str) -> Ending:
        """How its workers are ended with the options as they are now."""
        return self.seats.ending(by)

    def adopt(self, worker: Worker) -> Effects:
        """Take in a worker of an earlier supervisor; it is looked at for what it tells of its program."""
        self.seats.adopt(worker)
        aging = limits.begin(self, worker)
        looks = (self.sight.first(self.spec, worker.names), live(self.spec, worker.names))
        return (*aging, *(look for look in looks if look is not None))

    def spawned(self, worker: Worker, now: float, pid: int) -> Effects:
        """A worker's program runs."""
        return hooking.spawned(self, worker, now, pid)

    def admitted(self, worker: Worker, now: float, pid: int) -> Effects:
        """A worker's program runs, and may."""
        effects = worker.inputs.spawned(now, pid)
        seat = self.seats.seatOf(worker)
        if seat is not None:
            self._back(seat, now)
        if worker.state == "starting":
            effects += limits.begin(self, worker)
            probe = self.sight.ready(self.spec, worker.names)
            effects += (probe,) if probe else self._proved(worker, now)
        return effects + self.settle(now)

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
            shown: Effects = (worker.event("ready"),) if worker.state == "starting" else NOTHING
            effects = shown + self._proved(worker, now)
        elif found.what == "ready" and worker.state == "starting":
            effects = self.unfit(worker, framed("was not ready: ", found.detail), now)
        elif found.what == "live" and worker.state == "ready":
            effects = self.unfit(worker, framed("did not do its work: ", found.detail), now)
        else:
            effects = NOTHING
        return effects + self.settle(now)

    def unfit(self, worker: Worker, how: str, now: float, ending: Ending | None = None) -> Effects:
        """A worker runs, but is of no use: it goes, and another one comes if it had a seat."""
        told = worker.event("unfit", reason=how, **last(how))
        if self.reloading is not None and self.reloading.concerns(worker):
            return (told, *self.reloading.fail(framed(f"{worker.names} ", how), now))
        seat = self.seats.seatOf(worker)
        if seat is None:
            return (told,)
        history = restart.afterRun(seat.history, worker.ready)
        effects = self.seats.retire(worker, now, ending or self.seats.ending("probe"))
        self.past.last = Death(str(worker.names), how, -1, now)
        self.past.problem = framed(f"{worker.names} ", how)
        if self._inherited(worker):
            return (told, *effects)
        seat.history, seat.vacated = history, now
        return (told, *effects, *self._later(seat, now, history))

    def limited(self) -> Effects:
        """Other limits hold from now on."""
        return joined([limits.again(self, worker) for worker in self.seats.workers.values() if worker.pid])

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
            return effects + self.successorFailed(worker, f"could not be started: {problem}", now) + self.settle(now)
        self.past.problem = f"{worker.names} could not be started: {problem}"
        if self._inherited(worker):
            return effects + self.settle(now)
        if not problem.shortage:
            seat.history = restart.afterRefusal(seat.history)
        if restart.givenUp(self.spec, seat.history) and not self.seats.held:
            effects += self.inputs.fail(now, self.past.problem)
        else:
            # What the host has too little of is never asked for at once again.
            short = attrs.evolve(seat.history, refused=seat.history.refused + restart.SHORTAGE)
            effects += self._later(seat, now, short if problem.shortage else seat.history)
        return effects + self.settle(now)

    def exited(self, worker: Worker, now: float, end: Exited) -> Effects:
        """A worker has ended."""
        worker.cause = end.cause
        return hooking.exited(self, worker, now, end) + self.settle(now)

    def gone(self, worker: Worker, now: float, end: Exited) -> Effects:
        """A worker has ended, and everybody was told."""
        status = end.status
        planned = worker.ending is not None
        effects = worker.inputs.exited(now, status)
        seat = self.seats.remove(worker)
        if not planned and seat is not None:
            effects += self._died(worker, seat, now, status)
        effects += killing.gone(self, worker, now, status)
        how = Reason(f"{restart.reason(status, end.cause)} after {worker.lived(now):.1f} s",
                     f"{worker.names} wrote: {end.last}" if end.last else "")
        effects += self.reloading.left(worker, now) if self.reloading else NOTHING
        effects += self.successorFailed(worker, how, now)
        self.detour.leaving.pop(worker.names.id, None)
        return effects + (self.keepSeats() if seat is None else NOTHING)

    def successorFailed(self, worker: Worker, how: str, now: float) -> Effects:
        """If a reload waited for this worker, it has failed."""
        if self.reloading is None or not self.reloading.concerns(worker):
            return NOTHING
        return self.reloading.fail(framed(f"{worker.names} ", how), now)

    def _inherited(self, worker: Worker) -> bool:
        """Whether a successor was started already for a worker that is gone: it has the seat now."""
        successor = self.reloading.successor(worker) if self.reloading else None
        if successor is not None:
            self.seats.handOver(successor)
        return successor is not None

    def _died(self, worker: Worker, seat: Seat, now: float, status: int) -> Effects:
        """A worker ended by itself."""
        if self._inherited(worker):
            return NOTHING
        self.past.last = Death(str(worker.names), restart.reason(status, worker.cause), status, now)
        healthy = worker.lived(now) >= restart.HEALTHY or (worker.ready and self.spec.ready not in ("", "after"))
        seat.history = restart.afterService(self.spec, restart.afterRun(seat.history, healthy), status)
        seat.vacated = now
        if not restart.wantedAgain(self.spec, status):
            return self.over(seat.number, status)
        self.past.ends.append(now)
        if restart.tooOften(self.spec, self.past.ends, now):
            count, interval = self.spec.start_limit_burst, self.spec.start_limit_interval
            return self.inputs.fail(now, f"{count} unplanned ends within {interval:g} s, the last: "
                                         f"{worker.names} {restart.reason(status, worker.cause)}")
        del self.past.ends[: -self.spec.start_limit_burst or len(self.past.ends)]
        return self._later(seat, now, seat.history)

    def over(self, seat: int, status: int) -> Effects:
        """A process ended by itself, and for good."""
        success = restart.succeeded(self.spec, status)
        self.past.completed = success and self.past.completed is not False
        return self.seats.spend(seat, success)

    def _later(self, seat: Seat, now: float, history: restart.History) -> Effects:
        """Fill a seat after the pause that this history asks for."""
        pause = restart.pause(history, self.spec.restart_delay_max, self.draw())
        return self.inputs.vacant(now, seat, now + pause)

    def woken(self, timer: Timer, now: float) -> Effects:
        """One of its timers is due."""
        if timer.kind == "backoff" and timer.key < len(self.seats.seats):
            return self.inputs.vacant(now, self.seats.seats[timer.key], now) + self.settle(now)
        if timer.kind == "warmup":
            return self.seats.pump(now) + self.settle(now)
        if timer.kind in ("replace", "detour"):
            return self.settle(now)
        if timer.kind == "idle":
            return idling.woken(self, now)
        if timer.kind == "rest":
            return self.demand.rested(self.seats)
        if timer.kind == "proof":
            return (self.reloading.prove(timer.key, now) if self.reloading else NOTHING) + self.settle(now)
        worker = self.seats.workers.get(timer.key)
        if worker is None:
            return NOTHING
        if timer.kind == "grace":
            if worker.state == "killing":
                self.past.problem = f"{worker.names} cannot be killed: it is frozen, or waits in the kernel"
            return hooking.killed(self, worker, now)
        return self.replace(worker, f"max_age of {self.spec.max_age:g} s", now)

    def replace(self, worker: Worker, why: str, now: float) -> Effects:
        """
        A worker has reached a limit: replace it, one at a time.

        @param why: in words, of which the first is the option.
        """
        seat = self.seats.seatOf(worker)
        if seat is None or not self.running or worker.names.id in self.due.why:
            return NOTHING
        if self.spec.singleton:
            # There may never be two of it, not even for a moment.
            effects = self.seats.retire(worker, now, self.seats.ending(why.partition(" ")[0]))
            return effects + self.inputs.vacant(now, seat, now) + self.settle(now)
        self.due.why[worker.names.id] = why
        return self.settle(now)

    def settle(self, now: float) -> Effects:
        """Tell the machine what has come about."""
        effects = self.detour.look(self.seats, now)
        if self.status == "starting" and self.seats.wanted and self.seats.settled():
            effects += hooking.settle(self, now)
        if self.reloading is not None and self.reloading.over:
            effects += self._reloaded(self.reloading, now)
        if self.reloading is None and self.status == "active":
            self.reloading = self.due.next(self.seats, self.detour, now)
            effects += self.reloading.advance(now) if self.reloading else NOTHING
        if self.seats.vacated() and not (self.status == "active" and not self.seats.wanted):
            effects += hooking.empty(self, now)
        return effects + idling.settle(self, now)

    def _reloaded(self, reload: Reload, now: float) -> Effects:
        """A reload is over."""
        self.reloading = None
        effects = self.inputs.resize(now, reload.by) + self.keepSeats()
        if reload.single:
            return effects + self._replaced(reload, now)
        if not reload.problem:
            self.past.problem = self.past.stale = ""
            return (*effects, self.event("reload", by=reload.by, replaced=reload.replaced))
        self.past.stale = framed(
            "reload failed: ", reload.problem, f"; {reload.replaced} of {reload.total} replaced, the others stay; "
            "a process that ends now is replaced by what is on disk")
        told = self.event("reload_failed", False, reload.by, reason=reload.problem, **last(reload.problem))
        return (*effects, told)


    def _replaced(self, reload: Reload, now: float) -> Effects:
        """One worker was replaced for its age or size, or could not be."""
        if not reload.problem:
            self.past.problem = ""
            return (self.event("replace", by=reload.by, reason=reload.single),) if reload.replaced else NOTHING
        problem = framed(f"not replaced for its {reload.single}: ", reload.problem, f"; tried again in {AGAIN:g} s")
        self.past.problem = problem
        told = self.event("replace_failed", False, reload.by, reason=problem, **last(problem))
        return (told, *self.due.failed(self.name, now))
