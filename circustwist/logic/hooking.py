"""
What a watcher does before and after its hooks have answered.

Nothing here waits: what is to go on is kept in L{Hooks}, and goes on with the
answer.  A hook that does not answer counts as failed after C{hook_timeout}.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from ..model.effects import NOTHING, Effects, Publish, Record, Signal
from ..model.events import Event
from ..model.inputs import Exited, HookDone
from . import durable, extending
from .hooks import Waiting
from .life import REFUSED, Ending
from .restart import code, reason
from .worker import Worker

if TYPE_CHECKING:
    from .watcher import Watcher

STARTING = ("", "before_start", "after_start")


# Before


def start(watcher: Watcher, now: float, by: str) -> Effects:
    """Start a watcher, once its hooks allow it."""
    hooks, spec = watcher.seats.hooks, watcher.spec
    if hooks.asked("", "before_start"):
        return NOTHING
    if watcher.status in ("stopped", "failed"):
        hooks.refused = False
        if spec.hooks and not hooks.off:
            return watcher.inputs.prepare(now) + hooks.ask(spec, "")
    return watcher.inputs.start(now, by)


def settle(watcher: Watcher, now: float) -> Effects:
    """Every process that is to be started was, or could not be."""
    hooks, spec = watcher.seats.hooks, watcher.spec
    if hooks.asked(*STARTING):
        return NOTHING
    if hooks.has(spec, "after_start"):
        return watcher.inputs.conclude(now) + hooks.ask(spec, "after_start")
    return watcher.inputs.settle(now)


def stop(watcher: Watcher, now: float, ending: Ending) -> Effects:
    """Stop a watcher."""
    hooks, spec = watcher.seats.hooks, watcher.spec
    unbegun = hooks.asked("", "before_start")
    hooks.forget(*STARTING)
    if hooks.asked("before_stop"):
        hooks.ending = ending
        return NOTHING
    if not unbegun and watcher.status in ("starting", "active", "failed") and hooks.has(spec, "before_stop"):
        hooks.ending = ending
        return watcher.inputs.leave(now) + hooks.ask(spec, "before_stop")
    return watcher.inputs.stop(now, ending)


def empty(watcher: Watcher, now: float) -> Effects:
    """No worker is left, and none is to come."""
    hooks, spec = watcher.seats.hooks, watcher.spec
    if hooks.asked("", "before_start", "before_stop", "after_stop"):
        return NOTHING
    if watcher.running:
        # By itself; what they answer would change nothing.
        told = hooks.call(spec, "before_stop") + hooks.call(spec, "after_stop")
        dozes = watcher.keepSeats() + watcher.inputs.sleep(now) if spec.on_demand else watcher.inputs.empty(now)
        return dozes + told
    if watcher.status == "stopping" and hooks.has(spec, "after_stop"):
        return watcher.inputs.rest(now) + hooks.ask(spec, "after_stop")
    return watcher.inputs.empty(now)


def spawned(watcher: Watcher, worker: Worker, now: float, pid: int) -> Effects:
    """The program of a worker runs."""
    hooks, spec, id = watcher.seats.hooks, watcher.spec, worker.names.id
    if worker.state == "spawning" and hooks.has(spec, "after_spawn"):
        return worker.inputs.admit(now, pid) + hooks.ask(spec, "after_spawn", {"pid": pid}, id)
    ending = worker.ending
    if worker.state == "cancelled" and ending and ending.signum != signal.SIGKILL and hooks.has(spec, "before_signal"):
        asked = hooks.ask(spec, "before_signal", {"pid": pid, "signum": ending.signum}, id)
        return worker.inputs.admit(now, pid) + asked
    return watcher.admitted(worker, now, pid)


def exited(watcher: Watcher, worker: Worker, now: float, end: Exited) -> Effects:
    """The process of a worker has ended."""
    hooks, spec = watcher.seats.hooks, watcher.spec
    if not worker.pid or not hooks.has(spec, "before_reap", "after_reap"):
        return watcher.gone(worker, now, end)
    how = f"{reason(end.status)} after {now - worker.since:.1f} s"
    effects = worker.inputs.reap(now) + watcher.successorFailed(worker, how, now)
    if hooks.has(spec, "before_reap"):
        return effects + hooks.ask(spec, "before_reap", {"process_pid": worker.pid}, worker.names.id, end=end)
    return effects + _told(watcher, worker, now, end)


def _told(watcher: Watcher, worker: Worker, now: float, end: Exited) -> Effects:
    """Tell others that a process has ended."""
    hooks, spec = watcher.seats.hooks, watcher.spec
    if not hooks.has(spec, "after_reap"):
        return watcher.gone(worker, now, end)
    given = {"process_pid": worker.pid, "exit_code": code(end.status), "process_status": None if worker.ending else 2}
    told = worker.inputs.tell(now, end.status)
    return told + hooks.ask(spec, "after_reap", given, worker.names.id, end=end)


def send(watcher: Watcher, worker: Worker, effect: Signal) -> Effects:
    """Signal a worker, once its hook allows it."""
    hooks, spec = watcher.seats.hooks, watcher.spec
    given = {"pid": worker.pid, "signum": effect.signum}
    if effect.signum == signal.SIGKILL or not hooks.has(spec, "before_signal"):
        return (*hooks.call(spec, "before_signal", **given), effect, *hooks.call(spec, "after_signal", **given))
    return hooks.ask(spec, "before_signal", given, worker.names.id, effect)


def killed(watcher: Watcher, worker: Worker, now: float) -> Effects:
    """A worker had time enough to end."""
    hooks, spec = watcher.seats.hooks, watcher.spec
    given = {"pid": worker.pid, "signum": int(signal.SIGKILL)}
    again = worker.state == "killing"
    effects = worker.inputs.graceExpired(now)
    if again:
        return effects
    return hooks.call(spec, "before_signal", **given) + effects + hooks.call(spec, "after_signal", **given)


# After


def done(watcher: Watcher, answer: HookDone, now: float) -> Effects:
    """A hook has answered."""
    hooks, effects = watcher.seats.hooks, NOTHING
    if answer.name == extending.NAME:
        return extending.extended(watcher, answer)
    if answer.name:
        data = {"name": answer.name, **({"error": answer.error} if answer.error else {})}
        name = "hook_failure" if answer.error else "hook_success"
        effects = (Publish(Event(name, watcher.name, planned=not answer.error, data=data)),)
    if answer.env:
        hooks.env = {**hooks.env, **answer.env}
        effects += (Record(durable.hooked(watcher.name, hooks.env)),)
    waiting = hooks.waiting.pop(answer.run, None)
    if waiting is None:
        return effects
    why = f"{answer.name}: {answer.error}" if answer.error else f"{answer.name} said no"
    return effects + _go(watcher, waiting, waiting.allows(answer), f"hook {why}" if answer.name else answer.error, now)


def release(watcher: Watcher, now: float) -> Effects:
    """Wait for no hook any more: everything goes on as if all had said yes."""
    hooks, effects = watcher.seats.hooks, NOTHING
    while hooks.waiting:
        effects += _go(watcher, hooks.waiting.pop(next(iter(hooks.waiting))), True, "", now)
    return effects


def _go(watcher: Watcher, waiting: Waiting, yes: bool, why: str, now: float) -> Effects:
    """Go on with what has waited."""
    if waiting.name in _WHOLE:
        return _WHOLE[waiting.name](watcher, yes, why, now) + watcher.settle(now)
    worker = watcher.seats.workers.get(waiting.worker)
    if worker is None:
        return NOTHING
    return _WORKER[waiting.name](watcher, worker, waiting, yes, why, now) + watcher.settle(now)


def _loaded(watcher: Watcher, yes: bool, why: str, now: float) -> Effects:
    hooks, spec = watcher.seats.hooks, watcher.spec
    if yes and hooks.has(spec, "before_start"):
        return hooks.ask(spec, "before_start")
    return _maybeStart(watcher, yes, why, now)


def _maybeStart(watcher: Watcher, yes: bool, why: str, now: float) -> Effects:
    if yes:
        return watcher.inputs.start(now, "") + watcher.keepSeats()
    watcher.past.problem = f"{watcher.name} was not started: {why}"
    return (watcher.wish(False), *watcher.inputs.unprepared(now))


def _started(watcher: Watcher, yes: bool, why: str, now: float) -> Effects:
    return watcher.inputs.settle(now) if yes else _refuse(watcher, why, "hook after_start", now)


def _leave(watcher: Watcher, yes: bool, why: str, now: float) -> Effects:
    return watcher.inputs.stop(now, watcher.seats.hooks.ending)


def _rested(watcher: Watcher, yes: bool, why: str, now: float) -> Effects:
    return watcher.inputs.empty(now)


def _vetted(watcher: Watcher, worker: Worker, waiting: Waiting, yes: bool, why: str, now: float) -> Effects:
    if worker.state != "vetting":
        return NOTHING
    if yes:
        return worker.inputs.begin(now)
    failed = _successor(watcher, worker, why, now)
    if failed:
        return failed
    effects = worker.inputs.drop(now)
    watcher.seats.remove(worker)
    return effects + _refuse(watcher, why, "hook before_spawn", now)


def _admitted(watcher: Watcher, worker: Worker, waiting: Waiting, yes: bool, why: str, now: float) -> Effects:
    if worker.state != "admitting":
        return NOTHING
    if yes:
        return watcher.admitted(worker, now, worker.pid)
    return _successor(watcher, worker, why, now) or _refuse(watcher, why, REFUSED, now)


def _successor(watcher: Watcher, worker: Worker, why: str, now: float) -> Effects:
    """A reload whose new process is refused has failed; the old ones stay."""
    reload = watcher.reloading
    return reload.fail(f"{worker.names}: {why}", now) if reload is not None and reload.concerns(worker) else NOTHING


def _refuse(watcher: Watcher, why: str, by: str, now: float) -> Effects:
    """A hook does not let a watcher run."""
    watcher.past.problem = why
    watcher.seats.hooks.refused = True
    return watcher.stop(now, watcher.ending(by))


def _signalled(watcher: Watcher, worker: Worker, waiting: Waiting, yes: bool, why: str, now: float) -> Effects:
    if waiting.signal is not None:
        sent: Effects = (waiting.signal,) if yes else NOTHING
        signum = waiting.signal.signum
    else:
        sent = worker.inputs.warned(now, yes)
        signum = worker.ending.signum if worker.ending else 0
    return sent + watcher.seats.hooks.call(watcher.spec, "after_signal", pid=worker.pid, signum=signum)


def _reaping(watcher: Watcher, worker: Worker, waiting: Waiting, yes: bool, why: str, now: float) -> Effects:
    return _told(watcher, worker, now, waiting.end) if waiting.end else NOTHING


def _reaped(watcher: Watcher, worker: Worker, waiting: Waiting, yes: bool, why: str, now: float) -> Effects:
    return watcher.gone(worker, now, waiting.end) if waiting.end else NOTHING


Whole: TypeAlias = "Callable[[Watcher, bool, str, float], Effects]"
One: TypeAlias = "Callable[[Watcher, Worker, Waiting, bool, str, float], Effects]"
_WHOLE: Mapping[str, Whole] = {
    "": _loaded, "before_start": _maybeStart, "after_start": _started, "before_stop": _leave, "after_stop": _rested,
}
_WORKER: Mapping[str, One] = {
    "before_spawn": _vetted, "after_spawn": _admitted, "before_signal": _signalled, "before_reap": _reaping,
    "after_reap": _reaped,
}
