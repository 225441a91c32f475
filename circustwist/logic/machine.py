"""
Whether a watcher should run: the machine behind L{circustwist.logic.watcher}.

Its states are Circus's, C{asleep} for one that is C{stopped} until a connection
waits for it, and C{failed} for one that gave up.  Every input is decided in
every state; what was not expected changes nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from automat import TypeMachineBuilder

from ..model.effects import NOTHING, Effects, Forget, Record, Signal, Timer
from ..model.stack import Watcher as Spec
from . import durable, hooking, restart
from .lookup import ignore, others, remembering
from .readiness import Sight
from .reload import newReload
from .seats import Seat, Seats, joined
from .watcher import Inputs, Watcher
from .worker import Ending

_builder = TypeMachineBuilder(Inputs, Watcher)
_stopped = _builder.state("stopped")
_asleep = _builder.state("asleep")
_preparing = _builder.state("preparing")
_starting = _builder.state("starting")
_concluding = _builder.state("concluding")
_active = _builder.state("active")
_leaving = _builder.state("leaving")
_stopping = _builder.state("stopping")
_resting = _builder.state("resting")
_failed = _builder.state("failed")


@_stopped.upon(Inputs.prepare).to(_preparing)
@_failed.upon(Inputs.prepare).to(_preparing)
@_asleep.upon(Inputs.prepare).to(_preparing)
def _prepare(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "starting"
    watcher.past.problem = ""
    return (watcher.wish(True), *watcher.demand.wake(watcher.spec))


@_preparing.upon(Inputs.unprepared).to(_stopped)
def _unprepared(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "stopped"
    return NOTHING


@_preparing.upon(Inputs.stop).to(_stopped)
def _stopPreparing(inputs: Inputs, watcher: Watcher, now: float, ending: Ending) -> Effects:
    watcher.status = "stopped"
    return watcher.seats.retireAll(now, ending)


@_preparing.upon(Inputs.start).to(_starting)
@_stopped.upon(Inputs.start).to(_starting)
@_failed.upon(Inputs.start).to(_starting)
def _start(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    watcher.status = "starting"
    _renew(watcher)
    return (watcher.wish(True), *watcher.seats.fill(now))


def _renew(watcher: Watcher) -> None:
    """What was counts no more."""
    watcher.past.problem = watcher.past.stale = ""
    watcher.past.completed = None
    watcher.past.ends.clear()
    watcher.seats.renew()
    for seat in watcher.seats.seats:
        seat.history = restart.NEW


@_stopped.upon(Inputs.sleep).to(_asleep)
@_failed.upon(Inputs.sleep).to(_asleep)
@_asleep.upon(Inputs.sleep).loop()
def _sleep(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "stopped"
    _renew(watcher)
    forget = watcher.demand.wake(watcher.spec)
    return (watcher.wish(True), *forget, *watcher.demand.sleep(watcher.seats, now, watcher.draw))


@_starting.upon(Inputs.sleep).to(_asleep)
@_concluding.upon(Inputs.sleep).to(_asleep)
@_active.upon(Inputs.sleep).to(_asleep)
def _sleepAgain(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "stopped"
    return (watcher.event("stop", planned=False), *watcher.demand.sleep(watcher.seats, now, watcher.draw))


@_asleep.upon(Inputs.knocked).to(_starting)
def _wake(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "starting"
    for seat in watcher.seats.seats:
        seat.vacated = None  # it is no restart
    return (*watcher.demand.wake(watcher.spec), watcher.event("wake"), *watcher.seats.fill(now))


@_asleep.upon(Inputs.start).to(_starting)
def _startUnasked(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    return watcher.demand.wake(watcher.spec) + _start(inputs, watcher, now, by)


@_asleep.upon(Inputs.stop).to(_stopped)
def _stopAsleep(inputs: Inputs, watcher: Watcher, now: float, ending: Ending) -> Effects:
    return watcher.demand.wake(watcher.spec)


@_asleep.upon(Inputs.resize).loop()
def _resizeAsleep(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    return watcher.demand.listen(watcher.seats)


@_starting.upon(Inputs.start).loop()
@_concluding.upon(Inputs.start).loop()
@_active.upon(Inputs.start).loop()
def _startAgain(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    strays = watcher.seats.unseated(now, by) if watcher.reloading is None else NOTHING
    return strays + watcher.seats.clear() + watcher.detour.trim(watcher.seats, now, by) + watcher.seats.fill(now)


@_starting.upon(Inputs.conclude).to(_concluding)
def _conclude(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    return NOTHING


@_concluding.upon(Inputs.settle).to(_active)
@_starting.upon(Inputs.settle).to(_active)
def _settled(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "active"
    return (watcher.event("start"),)


@_starting.upon(Inputs.stop).to(_stopping)
@_concluding.upon(Inputs.stop).to(_stopping)
@_active.upon(Inputs.stop).to(_stopping)
@_leaving.upon(Inputs.stop).to(_stopping)
@_failed.upon(Inputs.stop).to(_stopping)
def _stop(inputs: Inputs, watcher: Watcher, now: float, ending: Ending) -> Effects:
    return _leave(inputs, watcher, now) + watcher.seats.retireAll(now, ending)


@_starting.upon(Inputs.leave).to(_leaving)
@_concluding.upon(Inputs.leave).to(_leaving)
@_active.upon(Inputs.leave).to(_leaving)
@_failed.upon(Inputs.leave).to(_leaving)
def _leave(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    forget = watcher.reloading.forget() if watcher.reloading else NOTHING
    watcher.due.why.clear()
    watcher.status, watcher.reloading = "stopping", None
    return (*forget, Forget(Timer("replace", watcher.name)), *watcher.seats.clear())


@_stopping.upon(Inputs.stop).loop()
def _stopSooner(inputs: Inputs, watcher: Watcher, now: float, ending: Ending) -> Effects:
    return watcher.seats.retireAll(now, ending)


@_stopping.upon(Inputs.empty).to(_stopped)
def _empty(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "stopped"
    return (watcher.event("stop"),)


@_stopping.upon(Inputs.rest).to(_resting)
def _rest(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    return (watcher.event("stop"),)


@_resting.upon(Inputs.empty).to(_stopped)
def _rested(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "stopped"
    return NOTHING


@_starting.upon(Inputs.empty).to(_stopped)
@_concluding.upon(Inputs.empty).to(_stopped)
@_active.upon(Inputs.empty).to(_stopped)
def _ranOut(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "stopped"
    completed: Effects = (Record(durable.completed(watcher.name)),) if watcher.past.completed else NOTHING
    return (watcher.wish(False), *completed, watcher.event("stop", planned=False))


@_starting.upon(Inputs.vacant).loop()
@_concluding.upon(Inputs.vacant).loop()
@_active.upon(Inputs.vacant).loop()
def _vacant(inputs: Inputs, watcher: Watcher, now: float, seat: Seat, due: float) -> Effects:
    if due > now:
        return watcher.seats.later(seat, due)
    return watcher.seats.vacant(seat, now)


@_starting.upon(Inputs.resize).loop()
@_concluding.upon(Inputs.resize).loop()
@_active.upon(Inputs.resize).loop()
def _resize(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    if watcher.reloading is not None:
        return NOTHING  # done when the reload is over
    return watcher.detour.trim(watcher.seats, now, by) + watcher.seats.fill(now)


@_active.upon(Inputs.reload).loop()
def _reload(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    if watcher.spec.send_hup:
        running = [worker for worker in watcher.seats.workers.values() if worker.runs]
        hup = joined([hooking.send(watcher, one, Signal(one.names.id, int(signal.SIGHUP))) for one in running])
        return (*hup, watcher.event("reload", by=by, replaced=0))
    effects: Effects = NOTHING
    if watcher.reloading is not None and not watcher.reloading.single:
        return NOTHING
    if watcher.reloading is not None:
        # Everyone is replaced, so that the one successor is not needed.
        effects = watcher.reloading.forget() + watcher.seats.unseated(now, by)
    watcher.reloading = newReload(watcher.seats, watcher.detour, by)
    record = Record(durable.reloaded(watcher.name, watcher.seats.generation))
    return (*effects, record, *watcher.reloading.advance(now))


@_starting.upon(Inputs.fail).to(_failed)
@_concluding.upon(Inputs.fail).to(_failed)
@_active.upon(Inputs.fail).to(_failed)
def _fail(inputs: Inputs, watcher: Watcher, now: float, reason: str) -> Effects:
    watcher.status, watcher.past.problem = "failed", reason
    return (*watcher.seats.clear(), watcher.event("failed", planned=False, reason=reason))


_HOOKED = (Inputs.prepare, Inputs.unprepared, Inputs.conclude, Inputs.leave, Inputs.rest)

ignore(_stopped, Inputs.knocked, Inputs.stop, Inputs.resize, Inputs.reload, Inputs.settle, Inputs.vacant, Inputs.fail,
       Inputs.empty, *others(_HOOKED, Inputs.prepare))
ignore(_asleep, Inputs.reload, Inputs.settle, Inputs.vacant, Inputs.fail, Inputs.empty,
       *others(_HOOKED, Inputs.prepare))
ignore(_preparing, Inputs.sleep, Inputs.knocked, Inputs.resize, Inputs.reload, Inputs.settle, Inputs.vacant,
       Inputs.fail, Inputs.empty, *others(_HOOKED, Inputs.unprepared))
ignore(_starting, Inputs.reload, Inputs.knocked, *others(_HOOKED, Inputs.conclude, Inputs.leave))
ignore(_concluding, Inputs.reload, Inputs.knocked, *others(_HOOKED, Inputs.leave))
ignore(_active, Inputs.settle, Inputs.knocked, *others(_HOOKED, Inputs.leave))
ignore(_leaving, Inputs.start, Inputs.sleep, Inputs.knocked, Inputs.resize, Inputs.reload, Inputs.settle,
       Inputs.vacant, Inputs.fail, Inputs.empty, *_HOOKED)
ignore(_stopping, Inputs.start, Inputs.sleep, Inputs.knocked, Inputs.resize, Inputs.reload, Inputs.settle,
       Inputs.vacant, Inputs.fail, *others(_HOOKED, Inputs.rest))
ignore(_resting, Inputs.start, Inputs.stop, Inputs.sleep, Inputs.knocked, Inputs.resize, Inputs.reload, Inputs.settle,
       Inputs.vacant, Inputs.fail, *_HOOKED)
ignore(_failed, Inputs.knocked, Inputs.resize, Inputs.reload, Inputs.settle, Inputs.vacant, Inputs.fail, Inputs.empty,
       *others(_HOOKED, Inputs.prepare, Inputs.leave))

MACHINE = remembering(_builder.build())


def newWatcher(spec: Spec, serial: Callable[[], int], draw: Callable[[], float], handed: bool = False) -> Watcher:
    """
    A watcher that does not run yet.

    @param serial: gives the id of the next worker.
    @param draw: see L{Watcher}.
    @param handed: whether its workers are handed a socket on which connections are accepted.
    """
    watcher = Watcher(Seats(spec, serial, spec.numprocesses), draw, sight=Sight(handed))
    watcher.inputs = MACHINE(watcher)
    return watcher


def resume(watcher: Watcher) -> None:
    """Make a watcher one whose workers run already."""
    watcher.status = "active"
    watcher.inputs = MACHINE(watcher, _active)
