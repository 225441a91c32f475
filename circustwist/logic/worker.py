"""
One process, from the wish for it to its end.

Every input is decided in every state; what was not expected changes nothing.
A worker never comes back: a replacement is another worker in the same seat.
"""

from __future__ import annotations

import signal
from typing import Any, Protocol

import attrs
from automat import TypeMachineBuilder

from ..model.effects import NOTHING, Effects, Forget, Publish, Record, Signal, Spawn, Timer, Wake, Whom
from ..model.errors import SpawnProblem
from ..model.events import Event
from ..model.launch import Names
from . import durable
from .lookup import ignore, remembering
from .restart import code, reason

DEADLY = 2.0
"""Seconds after which it is told that SIGKILL does not end a process: it is frozen, or waits in the kernel."""


@attrs.frozen
class Ending:
    """
    How a worker is to be ended.

    @ivar signum: the signal that asks it to.
    @ivar grace: seconds until SIGKILL.
    @ivar killMode: see the option C{kill_mode}.
    @ivar by: who asked for it.
    @ivar whole: whether its whole watcher stops.
    """

    signum: int = int(signal.SIGTERM)
    grace: float = 30.0
    killMode: str = "mixed"
    by: str = ""
    whole: bool = False


class Inputs(Protocol):
    """What may happen to a worker.  C{now} is the monotonic clock's time in seconds."""

    def begin(self, now: float) -> Effects:
        """Start the process."""

    def spawned(self, now: float, pid: int) -> Effects:
        """Its program runs."""

    def refused(self, now: float, problem: SpawnProblem) -> Effects:
        """It could not be started."""

    def proved(self, now: float) -> Effects:
        """It does its work."""

    def stop(self, now: float, ending: Ending) -> Effects:
        """End it."""

    def graceExpired(self, now: float) -> Effects:
        """It had time enough to end."""

    def exited(self, now: float, status: int) -> Effects:
        """It has ended."""


@attrs.define(eq=False)
class Worker:
    """
    A worker and what is known of it.

    @ivar names: what it is called.
    @ivar state: C{new spawning starting ready stopping killing gone}, or
        C{cancelled} if it is to end before it was started.
    @ivar pid: 0 while there is no process.
    @ivar since: when its program began to run, or was asked for.
    @ivar ready: whether it ever was.
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
    share: float = 0.0
    said: str = ""
    cause: str = ""
    ending: Ending | None = None
    inputs: Inputs = attrs.field(init=False, repr=False)

    @property
    def alive(self) -> bool:
        """Whether it counts towards the wanted number."""
        return self.state in ("spawning", "starting", "ready")

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
        whom: Whom = "tree" if ending.killMode == "control-group" else "process"
        # A stopped process acts on nothing but SIGKILL until it is continued; signal(7).
        return (
            Signal(self.names.id, ending.signum, whom), Signal(self.names.id, signal.SIGCONT, whom),
            self.event("kill", signum=ending.signum), Wake(self.timer(), now + ending.grace),
        )

    def finish(self, state: str = "gone") -> Record:
        """Enter the last state."""
        self.state = state
        return Record(durable.gone(self.names.id))


_builder = TypeMachineBuilder(Inputs, Worker)
_new = _builder.state("new")
_spawning = _builder.state("spawning")
_cancelled = _builder.state("cancelled")
_starting = _builder.state("starting")
_ready = _builder.state("ready")
_stopping = _builder.state("stopping")
_killing = _builder.state("killing")
_gone = _builder.state("gone")


@_new.upon(Inputs.begin).to(_spawning)
def _begin(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state, worker.since = "spawning", now
    return (Record(durable.intent(worker.names)), Spawn(worker.names))


@_spawning.upon(Inputs.spawned).to(_starting)
def _spawned(inputs: Inputs, worker: Worker, now: float, pid: int) -> Effects:
    worker.state, worker.pid, worker.since = "starting", pid, now
    return (worker.event("spawn", wid=worker.names.wid, generation=worker.names.generation),)


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
    ending = worker.ending or Ending()
    return (worker.event("spawn", wid=worker.names.wid, generation=worker.names.generation), *worker.ask(ending, now))


@_starting.upon(Inputs.proved).to(_ready)
def _proved(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state, worker.ready = "ready", True
    return NOTHING


@_starting.upon(Inputs.stop).to(_stopping)
@_ready.upon(Inputs.stop).to(_stopping)
def _stop(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    worker.state = "stopping"
    return worker.ask(ending, now)


@_stopping.upon(Inputs.stop).loop()
def _hurry(inputs: Inputs, worker: Worker, now: float, ending: Ending) -> Effects:
    # A second wish may only shorten what is left of the grace.
    if worker.ending is not None and ending.grace < worker.ending.grace:
        worker.ending = ending
        return (Wake(worker.timer(), now + ending.grace),)
    return NOTHING


@_stopping.upon(Inputs.graceExpired).to(_killing)
def _kill(inputs: Inputs, worker: Worker, now: float) -> Effects:
    worker.state = "killing"
    whom: Whom = "process" if worker.ending and worker.ending.killMode == "process" else "tree"
    killed = worker.event("kill", signum=int(signal.SIGKILL))
    return (Signal(worker.names.id, signal.SIGKILL, whom), killed, Wake(worker.timer(), now + DEADLY))


@_killing.upon(Inputs.graceExpired).loop()
def _unkillable(inputs: Inputs, worker: Worker, now: float) -> Effects:
    return (worker.event("unkillable"),)


@_starting.upon(Inputs.exited).to(_gone)
@_ready.upon(Inputs.exited).to(_gone)
@_stopping.upon(Inputs.exited).to(_gone)
@_killing.upon(Inputs.exited).to(_gone)
def _exited(inputs: Inputs, worker: Worker, now: float, status: int) -> Effects:
    whole = {"stopped": True} if worker.ending and worker.ending.whole else {}
    age = round(now - worker.since, 3)
    told = worker.event("reap", exit_code=code(status), reason=reason(status, worker.cause), age=age, **whole)
    forget: Effects = (Forget(worker.timer()),) if worker.ending else NOTHING
    return (worker.finish(), *forget, told)


ignore(_new, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.stop, Inputs.graceExpired, Inputs.exited)
ignore(_spawning, Inputs.begin, Inputs.proved, Inputs.graceExpired, Inputs.exited)
ignore(_cancelled, Inputs.begin, Inputs.proved, Inputs.stop, Inputs.graceExpired, Inputs.exited)
ignore(_starting, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.graceExpired)
ignore(_ready, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.graceExpired)
ignore(_stopping, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved)
ignore(_killing, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.stop)
ignore(_gone, Inputs.begin, Inputs.spawned, Inputs.refused, Inputs.proved, Inputs.stop, Inputs.graceExpired,
       Inputs.exited)

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
