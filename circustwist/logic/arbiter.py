"""
The whole stack: what happens to it, and what follows.

L{Arbiter.handle} is a function from an input and the time to effects.  Inputs
about a worker go to its watcher; after each the watcher's line may move on,
and with it the operation that its step belongs to.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from functools import singledispatchmethod

import attrs

from ..model.effects import NOTHING, Effects, Forget, Publish, Quit, Timer, Upgrade, Wake
from ..model.events import Event
from ..model.inputs import (
    Adopted,
    Begun,
    Counted,
    Drained,
    Ended,
    Exited,
    HookDone,
    Input,
    Knocked,
    Measured,
    Noticed,
    NotUpgraded,
    Probed,
    Refused,
    Restored,
    SocketsChanged,
    Spawned,
    StackRead,
    Woken,
)
from ..model.launch import Names
from ..model.plan import compare
from ..model.stack import Watcher as Spec
from ..model.tuned import applied
from . import hooking, idling, limits
from .change import Change
from .dependency import required, startStages, stopStages
from .inheritance import spend
from .machine import resume
from .operations import Operation
from .schedule import GATED, SUPERVISOR, Schedule
from .seats import joined
from .tuning import Tuning, sizes, told
from .watcher import Watcher
from .worker import Ending, Worker, adoptedWorker

SHUTDOWN = Timer("shutdown")

@attrs.define(eq=False)
class Arbiter(Schedule):
    """
    The whole stack.

    @ivar quitting: the operation that stops everything; None before.
    @ivar code: the exit code that is to be.
    @ivar changes: the configurations that are being applied, by operation.
    @ivar tuning: what was changed at run time, and what of that waits.
    """

    quitting: Operation | None = None
    code: int = 0
    changes: dict[int, Change] = attrs.field(factory=dict)
    tuning: Tuning = attrs.field(default=attrs.Factory(lambda self: Tuning(self.stack), takes_self=True))

    # Inputs

    def handle(self, input: Input, now: float) -> Effects:
        """
        What follows from an input.

        @param now: the monotonic clock, seconds.
        """
        return self._take(input, now) + self.unblock(now)

    @singledispatchmethod
    def _take(self, input: Input, now: float) -> Effects:
        raise TypeError(f"no input: {input!r}")

    @_take.register
    def _(self, input: Spawned, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: watcher.spawned(worker, now, input.pid))

    @_take.register
    def _(self, input: Refused, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: watcher.refused(worker, now, input.problem))

    @_take.register
    def _(self, input: Exited, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: watcher.exited(worker, now, input))

    @_take.register
    def _(self, input: Probed, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: watcher.probed(worker, input, now))

    @_take.register
    def _(self, input: Measured, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: limits.measured(watcher, worker, input, now))

    @_take.register
    def _(self, input: Noticed, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: limits.noticed(watcher, worker, input, now))

    @_take.register
    def _(self, input: Drained, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: watcher.drained(worker, now))

    def _about(self, names: Names, now: float, tell: Callable[[Watcher, Worker], Effects]) -> Effects:
        """Tell a watcher of one of its workers; one that is not known changes nothing."""
        watcher = self.watchers.get(names.watcher.lower())
        worker = watcher.seats.workers.get(names.id) if watcher else None
        if worker is None:
            return NOTHING
        return self._tell(names.watcher, now, lambda watcher: tell(watcher, worker))

    def _tell(self, name: str, now: float, tell: Callable[[Watcher], Effects]) -> Effects:
        """Tell a watcher something, and see what follows for others; one that is not known changes nothing."""
        watcher = self.watchers.get(name.lower())
        if watcher is None:
            return NOTHING
        before = watcher.status
        return tell(watcher) + self.changed(watcher, before, now)

    @_take.register
    def _(self, input: HookDone, now: float) -> Effects:
        return self._tell(input.watcher, now, lambda watcher: hooking.done(watcher, input, now))

    @_take.register
    def _(self, input: Woken, now: float) -> Effects:
        timer = input.timer
        if timer.watcher:
            return self._tell(timer.watcher, now, lambda watcher: watcher.woken(timer, now))
        if timer == SHUTDOWN:
            return self.killAll(now)
        operation = self.operations.get(timer.key)
        return self.nextStage(operation, now) if operation and not operation.open else NOTHING

    @_take.register
    def _(self, input: Knocked, now: float) -> Effects:
        return self._tell(input.watcher, now, lambda watcher: watcher.knocked(now))

    @_take.register
    def _(self, input: Counted, now: float) -> Effects:
        return self._tell(input.watcher, now, lambda watcher: idling.counted(watcher, input, now))

    @_take.register
    def _(self, input: Adopted, now: float) -> Effects:
        names = input.names
        worker = adoptedWorker(names, input.pid, now - input.age)
        self.serial.next = max(self.serial.next, names.id + 1)
        told = [Publish(Event("adopted", names.watcher, str(names), input.pid))]
        if input.lost:
            told.append(Publish(Event("lost", names.watcher, str(names), input.pid, planned=False, data=input.lost)))
        return (*told, *self._watcherFor(names.watcher).adopt(worker))

    def hookEnvironment(self, name: str) -> Mapping[str, str | None]:
        """What hooks have changed in the environment of a watcher's processes; None is removed."""
        watcher = self.watchers.get(name.lower())
        return watcher.seats.hooks.env if watcher is not None else {}

    def _watcherFor(self, name: str) -> Watcher:
        """The watcher of that name; if the stack has none any more, one that runs nothing and is to stop."""
        found = self.watchers.get(name.lower())
        if found is None:
            found = self.add(Spec(name, cmd="", numprocesses=0, autostart=False))
        return found

    @_take.register
    def _(self, input: Begun, now: float) -> Effects:
        starting, stopping = [], []
        effects = self.operations.interrupt(input.interrupted, now)
        for watcher in self.watchers.values():
            running, wanted = input.wanted.get(watcher.name, (watcher.spec.autostart, watcher.spec.numprocesses))
            watcher.past.resized = input.resized.get(watcher.name)
            if watcher.past.resized is None:
                wanted = watcher.spec.numprocesses
            watcher.past.stale = watcher.seats.behind(input.generations.get(watcher.name, 0))
            watcher.past.completed = watcher.name in input.completed or None
            if running:
                effects += spend(watcher, input, now)
            if watcher.seats.inherited() or (watcher.name in input.wanted and running and not wanted):
                resume(watcher)
            watcher.seats.wanted = wanted if watcher.spec.cmd else 0
            watcher.past.stopper = input.stoppers.get(watcher.name, "")
            watcher.seats.hooks.env = input.hooked.get(watcher.name, {})
            if watcher.spec.cmd and running:
                starting.append(watcher)
            elif watcher.seats.workers:
                stopping.append(watcher)
        # Whoever was stopped by somebody stays so, also if others depend on it.
        stopped = {name for name, (running, _) in input.wanted.items() if not running}
        starting = [watcher for watcher in required(starting, self.watchers) if watcher.name not in stopped]
        effects += self.begin(self.operations.new("start", SUPERVISOR, startStages(starting)), now)
        if stopping:
            effects += self.begin(self.operations.new("stop", SUPERVISOR, stopStages(stopping)), now)
        over = [watcher for watcher in starting if watcher.status == "stopped" and watcher.seats.inherited()]
        return effects + joined([self.ranOut(watcher, now) for watcher in over])

    @_take.register
    def _(self, input: Ended, now: float) -> Effects:
        if self.quitting is None:
            effects = self.quit(now, input.by)
            return effects + self.killAll(now) if input.now else effects
        return self.killAll(now)

    # Another configuration

    @property
    def reconfiguring(self) -> bool:
        """Whether the files are being applied, or are about to be."""
        return self.tuning.reconfiguring or any(change.tuned is None for change in self.changes.values())

    def reconfigure(self, change: Change, now: float) -> Effects:
        """Read the configuration and apply it, or change one watcher at run time."""
        return change.operation.begun() + self.tuning.begin(self, change, now)

    @_take.register
    def _(self, input: StackRead, now: float) -> Effects:
        change = self.changes.get(input.operation)
        if change is None:
            return NOTHING
        if input.stack is None:
            return self._abandon(change, input.problem, now)
        change.files = input.stack
        change.plan = compare(self.stack, applied(input.stack, self.tuning.over(input.stack)))
        if change.operation.command == "plan":
            change.operation.info.update(
                change.plan.json(), tuned=sizes(self.watchers.values(), change.plan, now),
                kept=told(self.tuning.over(input.stack), now),
                lacks=[dict(zip(("name", "option", "reason"), lack, strict=True)) for lack in input.lacks])
            change.operation.full.update(change.plan.json(True))
            return self._abandon(change, "", now)
        return (change.sockets(change.plan),)

    def _abandon(self, change: Change, problem: str, now: float) -> Effects:
        """Nothing was changed, and nothing is going to be."""
        del self.changes[change.operation.id]
        if problem:
            change.operation.fail(problem)
        return self.operations.finish(change.operation, now) + self.tuning.next(self, now)

    @_take.register
    def _(self, input: SocketsChanged, now: float) -> Effects:
        change = self.changes.get(input.operation)
        if change is None or change.plan is None or change.files is None:
            return NOTHING
        if input.problem:
            return self._abandon(change, input.problem, now)
        told = self.tuning.enter(change, change.files, self.tuning.over(change.files))
        return told + change.begin(self, change.plan, now) + self.nextStage(change.operation, now)

    def isBack(self, operation: Operation) -> bool:
        """Whether an operation is being undone."""
        change = self.changes.get(operation.id)
        return change is not None and change.back

    def staged(self, operation: Operation, now: float) -> Effects:
        """The stages of a change are done: let it end, or undo it."""
        change = self.changes.get(operation.id)
        if change is None or change.plan is None:
            return NOTHING
        if operation.reason and not change.back and operation.command in GATED:
            return change.undo(self, change.plan, now) + self.nextStage(operation, now)
        del self.changes[operation.id]
        return change.end(self, change.plan, now) + self.tuning.next(self, now)

    # Another version

    def upgrade(self, operation: Operation) -> Effects:
        """Become the installed version."""
        restarts = {watcher.name: watcher.past.restarts for watcher in self.watchers.values()}
        return (*operation.begun(), Upgrade(operation.json(), restarts))

    @_take.register
    def _(self, input: NotUpgraded, now: float) -> Effects:
        operation = self.operations.get(input.operation)
        if operation is None:
            return NOTHING
        operation.fail(input.problem)
        return self.operations.finish(operation, now)

    @_take.register
    def _(self, input: Restored, now: float) -> Effects:
        for name, restarts in input.restarts.items():
            if name.lower() in self.watchers:
                self.watchers[name.lower()].past.restarts = restarts
        return self.operations.finish(self.operations.restore(input.operation), now)

    # The end

    def quit(self, now: float, by: str, code: int = 0) -> Effects:
        """Call everything off and stop all watchers, in the reverse order of start."""
        if self.quitting is not None:
            return NOTHING
        self.code = code
        waiting = [self.operations.finish(one.operation, now, "superseded") for one in self.tuning.cancel()]
        beaten = [step for line in self.lines.values() for step in line.clear()]
        self.quitting = self.operations.new("quit", by, stopStages(self.watchers.values()))
        timeout = self.stack.settings.shutdown_timeout
        limit: Effects = (Wake(SHUTDOWN, now + timeout),) if timeout is not None else NOTHING
        told = (*joined(waiting), *self.beaten(beaten, now), Publish(Event("quit", by=by)))
        return (*told, *limit, *self.begin(self.quitting, now))

    def killAll(self, now: float) -> Effects:
        """Grant nobody any more time."""
        effects: list[Effects] = []
        for watcher in self.watchers.values():
            ending = Ending(int(signal.SIGKILL), 0.0, watcher.spec.killMode, "quit")
            watcher.seats.hooks.off = True
            ended = watcher.stop(now, ending, True) + hooking.release(watcher, now)
            effects.append(ended + self.changed(watcher, watcher.status, now))
        return joined(effects)

    def finished(self, operation: Operation, now: float) -> Effects:
        """Everything has stopped, if that is what the operation was for."""
        if operation is self.quitting:
            return (Forget(SHUTDOWN), Quit(self.code))
        change = self.changes.pop(operation.id, None)
        if change is None or change.plan is None:
            return NOTHING
        # Something else was asked for meanwhile; what is done of it stays.
        return change.end(self, change.plan, now) + self.tuning.next(self, now)

    def ranOut(self, watcher: Watcher, now: float) -> Effects:
        """Without an essential watcher nothing else may run."""
        if not watcher.spec.essential:
            return NOTHING
        return self.quit(now, f"essential watcher {watcher.name}", _exitCode(watcher))


def _exitCode(watcher: Watcher) -> int:
    """The exit code of the process that ended last, as a shell gives it; 1 if there was none."""
    last = watcher.past.last
    if last is None or last.status < 0:
        return 1
    return 128 + (last.status & 0x7F) if last.status & 0x7F else last.status >> 8
