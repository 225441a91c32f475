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

from ..model.effects import NOTHING, Effects, Record, Signal
from ..model.stack import Watcher as Spec
from . import durable, restart
from .lookup import ignore, remembering
from .readiness import Sight
from .reload import newReload
from .seats import Seat, Seats
from .watcher import Inputs, Watcher
from .worker import Ending

_builder = TypeMachineBuilder(Inputs, Watcher)
_stopped = _builder.state("stopped")
_asleep = _builder.state("asleep")
_starting = _builder.state("starting")
_active = _builder.state("active")
_stopping = _builder.state("stopping")
_failed = _builder.state("failed")


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
@_active.upon(Inputs.start).loop()
def _startAgain(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    strays = watcher.seats.unseated(now, by) if watcher.reloading is None else NOTHING
    return strays + watcher.seats.clear() + watcher.detour.trim(watcher.seats, now, by) + watcher.seats.fill(now)


@_starting.upon(Inputs.settle).to(_active)
def _settled(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "active"
    return (watcher.event("start"),)


@_starting.upon(Inputs.stop).to(_stopping)
@_active.upon(Inputs.stop).to(_stopping)
@_failed.upon(Inputs.stop).to(_stopping)
def _stop(inputs: Inputs, watcher: Watcher, now: float, ending: Ending) -> Effects:
    forget = watcher.reloading.forget() if watcher.reloading else NOTHING
    watcher.due.why.clear()
    watcher.status, watcher.reloading = "stopping", None
    return (*forget, *watcher.seats.clear(), *watcher.seats.retireAll(now, ending))


@_stopping.upon(Inputs.stop).loop()
def _stopSooner(inputs: Inputs, watcher: Watcher, now: float, ending: Ending) -> Effects:
    return watcher.seats.retireAll(now, ending)


@_stopping.upon(Inputs.empty).to(_stopped)
def _empty(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "stopped"
    return (watcher.event("stop"),)


@_starting.upon(Inputs.empty).to(_stopped)
@_active.upon(Inputs.empty).to(_stopped)
def _ranOut(inputs: Inputs, watcher: Watcher, now: float) -> Effects:
    watcher.status = "stopped"
    completed: Effects = (Record(durable.completed(watcher.name)),) if watcher.past.completed else NOTHING
    return (watcher.wish(False), *completed, watcher.event("stop", planned=False))


@_starting.upon(Inputs.vacant).loop()
@_active.upon(Inputs.vacant).loop()
def _vacant(inputs: Inputs, watcher: Watcher, now: float, seat: Seat, due: float) -> Effects:
    if due > now:
        return watcher.seats.later(seat, due)
    return watcher.seats.vacant(seat, now)


@_starting.upon(Inputs.resize).loop()
@_active.upon(Inputs.resize).loop()
def _resize(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    if watcher.reloading is not None:
        return NOTHING  # done when the reload is over
    return watcher.detour.trim(watcher.seats, now, by) + watcher.seats.fill(now)


@_active.upon(Inputs.reload).loop()
def _reload(inputs: Inputs, watcher: Watcher, now: float, by: str) -> Effects:
    if watcher.spec.send_hup:
        hup = [Signal(id, int(signal.SIGHUP)) for id, worker in watcher.seats.workers.items() if worker.alive]
        return (*hup, watcher.event("reload", by=by, replaced=0))
    effects: Effects = NOTHING
    if watcher.reloading is not None and not watcher.reloading.single:
        return NOTHING
    if watcher.reloading is not None:
        # Everyone is replaced, so that the one successor is not needed.
        effects = watcher.reloading.forget() + watcher.seats.unseated(now, by)
    watcher.reloading = newReload(watcher.seats, by)
    record = Record(durable.reloaded(watcher.name, watcher.seats.generation))
    return (*effects, record, *watcher.reloading.advance(now))


@_starting.upon(Inputs.fail).to(_failed)
@_active.upon(Inputs.fail).to(_failed)
def _fail(inputs: Inputs, watcher: Watcher, now: float, reason: str) -> Effects:
    watcher.status, watcher.past.problem = "failed", reason
    return (*watcher.seats.clear(), watcher.event("failed", planned=False, reason=reason))


ignore(_stopped, Inputs.knocked, Inputs.stop, Inputs.resize, Inputs.reload, Inputs.settle, Inputs.vacant, Inputs.fail,
        Inputs.empty)
ignore(_asleep, Inputs.reload, Inputs.settle, Inputs.vacant, Inputs.fail, Inputs.empty)
ignore(_starting, Inputs.reload, Inputs.knocked)
ignore(_active, Inputs.settle, Inputs.knocked)
ignore(_stopping, Inputs.start, Inputs.sleep, Inputs.knocked, Inputs.resize, Inputs.reload, Inputs.settle,
        Inputs.vacant, Inputs.fail)
ignore(_failed, Inputs.knocked, Inputs.resize, Inputs.reload, Inputs.settle, Inputs.vacant, Inputs.fail, Inputs.empty)

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
