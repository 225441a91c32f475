"""
One process, from the wish for it to its end.

Every input is decided in every state; what was not expected changes nothing.
A worker never comes back: a replacement is another worker in the same seat.
"""

from __future__ import annotations

import signal
from typing import Any

import attrs
from automat import TypeMachineBuilder

from ..model.effects import NOTHING, Effects, Forget, Publish, Record, Signal, Spawn, Timer, Wake, Whom
from ..model.errors import SpawnProblem
from ..model.events import Event
from ..model.launch import Names
from . import durable
from .life import REFUSED, Ending, Inputs
from .lookup import ignore, others, remembering
from .restart import code, reason

AGAIN = 10.0
"""Seconds after which it is killed and told once more."""

DEADLY = 2.0
"""Seconds after which it is told that SIGKILL does not end a process: it is frozen, or waits in the kernel."""


@attrs.define(eq=False)
class Worker:
    """
    A worker and what is known of it.

    @ivar names: what it is called.
    @ivar state: C{new spawning starting ready stopping killing gone}, or
        C{cancelled} if it is to end before it was started; C{vetting admitting
        warned reaping} while it waits for a hook.
    @ivar pid: 0 while there is no process.
    @ivar since: when its program began to run, or was asked for.
    @ivar ready: whether it ever was.
    @ivar until: when it ended; 0 as long as that is not told.
    @ivar share: a number of at least 0 and less than 1, drawn once, by which it grows older than others.
    @ivar said: what it says of itself, for people.
    @ivar cause: what is known of its end besides its status; empty if nothing is.
    @ivar ending: how it is ended; None as long as nobody asked for that.
    @ivar inputs: its machine.
    """

    names: Names
    state: str = "new"
    pid: int = 0
    since: float = 0.0
    ready: bool = False
    until: float = 0.0
    share: float = 0.0
    said: str = ""
    cause: str = ""
    ending: Ending | None = None
    inputs: Inputs = attrs.field(init=False, repr=False)

    @property
    def alive(self) -> bool:
        """Whether it counts towards the wanted number."""
        return self.state in ("vetting", "spawning", "admitting", "starting", "ready")

    @property
    def runs(self) -> bool:
        """Whether there is a process that nobody has asked to end."""
        return self.state in ("admitting", "starting", "ready")

    def lived(self, now: float) -> float:
        """For how long it has run, in seconds."""
        return (self.until or now) - self.since

    def event(self, name: str, **data: Any) -> Publish:
        """An event about this worker; it is planned if its end was asked for."""
        names = self.names
        by = self.ending.by if self.ending else ""
        planned = self.ending is not None or name == "spawn"
        return Publish(Event(name, names.watcher, str(names), self.pid, planned, by, data))

    def timer(self) -> Timer:
        """The timer of its grace."""
        return Timer("grace", self.names.watcher, self.names.id)

    def ask(self, ending: Ending, now: float) -> Effects:
        """Ask the process to end, as C{ending} says."""
        self.ending = ending
        return (*self.signals(ending), self.event("kill", signum=ending.signum), Wake(self.timer(), now + ending.grace))

    def signals(self, ending: Ending) -> Effects:
        """The signals that ask it to end."""
        whom: Whom = "tree" if ending.killMode == "control-group" else "process"
        if ending.gentle and whom == "process":
            return (Signal(self.names.id, ending.signum, rest=self.names),)
        # A stopped process acts on nothing but SIGKILL until it is continued; signal(7).
        return (Signal(self.names.id, ending.signum, whom), Signal(self.names.id, signal.SIGCONT, whom))

    def spawnEvent(self) -> Publish:
        """The event that its program runs."""
        return self.event("spawn", wid=self.names.wid, generation=self.names.generation)

    def reapEvent(self, status: int, now: float) -> Publish:
        """The event that it has ended."""
        whole = {"stopped": True} if self.ending and self.ending.whole else {}
        age = round(self.lived(now), 3)
        return self.event("reap", exit_code=code(status), reason=reason(status, self.cause), age=age, **whole)

    def finish(self, state: str = "gone") -> Record:
        """Enter the last state."""
        self.state = state
        return Record(durable.gone(self.names.id))


__all__ = ["MACHINE", "Ending", "Inputs", "Worker", "adoptedWorker", "newWorker"]

_builder = TypeMachineBuilder(Inputs, Worker)
_new = _builder.state("new")
_vetting = _builder.state("vetting")
_spawning = _builder.state("spawning")
_cancelled = _builder.state("cancelled")
_admitting = _builder.state("admitting")
_starting = _builder.state("starting")
_ready = _builder.state("ready")
_warned = _builder.state("warned")
_stopping = _builder.state("stopping")
_killing = _builder.state("killing")
_reaping = _builder.state("reaping")
_told = _builder.state("told")
_gone = _builder.state("gone")


@_new.upon(Inputs.vet).to(_vetting)
def _vet(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state, worker.since = "vetting", now
    return NOTHING


@_vetting.upon(Inputs.drop).to(_gone)
def _drop(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state = "gone"
    return NOTHING


@_vetting.upon(Inputs.stop).to(_gone)
def _dropUnasked(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    worker.state, worker.ending = "gone", ending
    return NOTHING


@_new.upon(Inputs.begin).to(_spawning)
@_vetting.upon(Inputs.begin).to(_spawning)
def _begin(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state, worker.since = "spawning", now
    return (Record(durable.intent(worker.names)), Spawn(worker.names))


@_spawning.upon(Inputs.spawned).to(_starting)
def _spawned(inputs: Inputs, worker: Worker, now: float, pid: int) -> Effects:
    worker.state, worker.pid, worker.since = "starting", pid, now
    return (worker.spawnEvent(),)


@_spawning.upon(Inputs.admit).to(_admitting)
def _admit(inputs: Inputs, worker: Worker, now: float, pid: int) -> Effects:
    worker.state, worker.pid, worker.since = "admitting", pid, now
    return NOTHING


@_admitting.upon(Inputs.spawned).to(_starting)
def _admitted(inputs: Inputs, worker: Worker, now: float, pid: int) -> Effects:
    worker.state = "starting"
    return (worker.spawnEvent(),)


@_spawning.upon(Inputs.refused).to(_gone)
def _refused(inputs: Inputs, worker: Worker, now: float, problem: SpawnProblem) -> Effects:
    return (worker.finish(), worker.event("spawn_failure", step=problem.step, errno=problem.errno, error=str(problem)))


@_spawning.upon(Inputs.stop).to(_cancelled)
def _cancel(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    worker.state, worker.ending = "cancelled", ending
    return NOTHING


@_cancelled.upon(Inputs.refused).to(_gone)
def _cancelledInVain(inputs: Inputs, worker: Worker, now: float, problem: SpawnProblem) -> Effects:
    return (worker.finish(),)


@_cancelled.upon(Inputs.spawned).to(_stopping)
def _cancelledTooLate(inputs: Inputs, worker: Worker, now: float, pid: int) -> Effects:
    worker.state, worker.pid, worker.since = "stopping", pid, now
    return (worker.spawnEvent(), *worker.ask(worker.ending or Ending(), now))


@_cancelled.upon(Inputs.admit).to(_warned)
def _cancelledWarned(inputs: Inputs, worker: Worker, now: float, pid: int) -> Effects:
    worker.pid, worker.since = pid, now
    return (worker.spawnEvent(), *_warn(worker, worker.ending or Ending(), now))


@_starting.upon(Inputs.proved).to(_ready)
def _proved(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state, worker.ready = "ready", True
    return NOTHING


@_starting.upon(Inputs.stop).to(_stopping)
@_ready.upon(Inputs.stop).to(_stopping)
def _stop(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    worker.state = "stopping"
    return worker.ask(ending, now)


@_admitting.upon(Inputs.stop).to(_stopping)
def _stopAdmitting(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    worker.state = "stopping"
    return _unadmitted(worker, ending) + worker.ask(ending, now)


def _unadmitted(worker: Worker, ending: Ending) -> Effects:
    """Who was refused by a hook was never told to run."""
    return NOTHING if ending.by == REFUSED else (worker.spawnEvent(),)


@_starting.upon(Inputs.warn).to(_warned)
@_ready.upon(Inputs.warn).to(_warned)
def _warnRunning(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    return _warn(worker, ending, now)


@_admitting.upon(Inputs.warn).to(_warned)
def _warnAdmitting(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    return _unadmitted(worker, ending) + _warn(worker, ending, now)


def _warn(worker: Worker, ending: Ending, now: float) -> Effects:
    worker.state, worker.ending = "warned", ending
    return (Wake(worker.timer(), now + ending.grace),)


@_warned.upon(Inputs.warned).to(_stopping)
def _signalled(inputs: Inputs, worker: Worker, now: float, allowed: bool) -> Effects:
    worker.state = "stopping"
    ending = worker.ending or Ending()
    return (*(worker.signals(ending) if allowed else NOTHING), worker.event("kill", signum=ending.signum))


@_warned.upon(Inputs.stop).loop()
@_stopping.upon(Inputs.stop).loop()
def _hurry(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    # A second wish may only shorten what is left of the grace.
    if worker.ending is not None and ending.grace < worker.ending.grace:
        worker.ending = ending
        return (Wake(worker.timer(), now + ending.grace),)
    return NOTHING


@_warned.upon(Inputs.graceExpired).to(_killing)
@_stopping.upon(Inputs.graceExpired).to(_killing)
def _kill(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state = "killing"
    whom: Whom = "process" if worker.ending and worker.ending.killMode == "process" else "tree"
    killed = worker.event("kill", signum=int(signal.SIGKILL))
    return (Signal(worker.names.id, signal.SIGKILL, whom), killed, Wake(worker.timer(), now + DEADLY))


@_killing.upon(Inputs.graceExpired).loop()
def _unkillable(inputs: Inputs, worker: Worker, now: float) -> Effects:
    whom: Whom = "process" if worker.ending and worker.ending.killMode == "process" else "tree"
    again = Wake(worker.timer(), now + AGAIN)
    return (worker.event("unkillable"), Signal(worker.names.id, signal.SIGKILL, whom), again)


@_starting.upon(Inputs.exited).to(_gone)
@_ready.upon(Inputs.exited).to(_gone)
@_warned.upon(Inputs.exited).to(_gone)
@_stopping.upon(Inputs.exited).to(_gone)
@_killing.upon(Inputs.exited).to(_gone)
@_reaping.upon(Inputs.exited).to(_gone)
def _exited(inputs: Inputs, worker: Worker, now: float, status: int) -> Effects:
    told = worker.reapEvent(status, now)
    forget: Effects = (Forget(worker.timer()),) if worker.ending else NOTHING
    return (worker.finish(), *forget, told)


@_admitting.upon(Inputs.exited).to(_gone)
def _exitedAdmitting(inputs: Inputs, worker: Worker, now: float, status: int) -> Effects:
    return (worker.spawnEvent(), worker.finish(), worker.reapEvent(status, now))


@_starting.upon(Inputs.reap).to(_reaping)
@_ready.upon(Inputs.reap).to(_reaping)
@_warned.upon(Inputs.reap).to(_reaping)
@_stopping.upon(Inputs.reap).to(_reaping)
@_killing.upon(Inputs.reap).to(_reaping)
def _reap(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state, worker.until = "reaping", now
    return (Forget(worker.timer()),) if worker.ending else NOTHING


@_admitting.upon(Inputs.reap).to(_reaping)
def _reapAdmitting(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state, worker.until = "reaping", now
    return (worker.spawnEvent(),)


@_reaping.upon(Inputs.tell).to(_told)
def _tell(inputs: Inputs, worker: Worker, now: float, status: int) -> Effects:
    return (worker.reapEvent(status, now),)


@_told.upon(Inputs.exited).to(_gone)
def _toldAll(inputs: Inputs, worker: Worker, now: float, status: int) -> Effects:
    return (worker.finish(),)


_HOOKED = (Inputs.vet, Inputs.drop, Inputs.admit, Inputs.warn, Inputs.warned, Inputs.reap, Inputs.tell)

ignore(_new, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.stop, Inputs.graceExpired, Inputs.exited,
       *others(_HOOKED, Inputs.vet))
ignore(_vetting, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.graceExpired, Inputs.exited,
       *others(_HOOKED, Inputs.drop))
ignore(_spawning, Inputs.begin, Inputs.proved, Inputs.graceExpired, Inputs.exited, *others(_HOOKED, Inputs.admit))
ignore(_cancelled, Inputs.begin, Inputs.proved, Inputs.stop, Inputs.graceExpired, Inputs.exited,
       *others(_HOOKED, Inputs.admit))
ignore(_admitting, Inputs.begin, Inputs.refused, Inputs.proved, Inputs.graceExpired,
       *others(_HOOKED, Inputs.warn, Inputs.reap))
ignore(_starting, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.graceExpired,
       *others(_HOOKED, Inputs.warn, Inputs.reap))
ignore(_ready, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.graceExpired,
       *others(_HOOKED, Inputs.warn, Inputs.reap))
ignore(_warned, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved,
       *others(_HOOKED, Inputs.warned, Inputs.reap))
ignore(_stopping, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, *others(_HOOKED, Inputs.reap))
ignore(_killing, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.stop,
       *others(_HOOKED, Inputs.reap))
ignore(_reaping, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.stop, Inputs.graceExpired,
       *others(_HOOKED, Inputs.tell))
ignore(_told, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.stop, Inputs.graceExpired, *_HOOKED)
ignore(_gone, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.stop, Inputs.graceExpired,
       Inputs.exited, *_HOOKED)

MACHINE = remembering(_builder.build())


def newWorker(names: Names) -> Worker:
    """A worker that is still to be started."""
    worker = Worker(names)
    worker.inputs = MACHINE(worker)
    return worker


def adoptedWorker(names: Names, pid: int, since: float) -> Worker:
    """
    A worker that an earlier supervisor started and that still runs.

    @param since: when its program began to run, on our monotonic clock; may be
        negative.
    """
    worker = Worker(names, "ready", pid, since, True)
    worker.inputs = MACHINE(worker, _ready)
    return worker
