"""
All watchers: their order, their lines of steps, and the end of everything.

L{Arbiter.handle} is a function from an input and the time to effects.  Inputs
about a worker go to its watcher; after each the watcher's line may move on,
and with it the operation that its step belongs to.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from functools import singledispatchmethod

import attrs

from ..model.effects import NOTHING, Effects, Forget, Publish, Quit, Timer, Wake
from ..model.events import Event
from ..model.inputs import Adopted, Begun, Ended, Exited, Input, Refused, Spawned, Woken
from ..model.launch import Names
from ..model.stack import Stack
from ..model.stack import Watcher as Spec
from .machine import newWatcher, resume
from .operations import Action, Line, Operation, Operations, Step
from .seats import joined
from .watcher import Watcher
from .worker import Ending, Worker, adoptedWorker

SHUTDOWN = Timer("shutdown")
SHOWN = 20
"""So often at most the progress of one step is published."""


@attrs.define(eq=False)
class Serial:
    """Gives numbers that are never used again."""

    next: int = 1

    def __call__(self) -> int:
        """The next one."""
        self.next += 1
        return self.next - 1


@attrs.define(eq=False)
class Arbiter:
    """
    The whole stack.

    @ivar stack: its configuration.
    @ivar draw: a random number of at least 0 and less than 1.
    @ivar serial: gives the ids of workers.
    @ivar watchers: by lower-case name, in order of start.
    @ivar lines: the steps of each watcher, by the same names.
    @ivar operations: all of them.
    @ivar quitting: the operation that stops everything; None before.
    @ivar code: the exit code that is to be.
    """

    stack: Stack
    draw: Callable[[], float]
    serial: Serial = attrs.field(factory=Serial)
    watchers: dict[str, Watcher] = attrs.field(factory=dict)
    lines: dict[str, Line] = attrs.field(factory=dict)
    operations: Operations = attrs.field(factory=Operations)
    quitting: Operation | None = None
    code: int = 0

    def __attrs_post_init__(self) -> None:
        for spec in sorted(self.stack.watchers, key=lambda spec: -spec.priority):
            self.watchers[spec.name.lower()] = newWatcher(spec, self.serial, self.draw)
            self.lines[spec.name.lower()] = Line()

    # Inputs

    @singledispatchmethod
    def handle(self, input: Input, now: float) -> Effects:
        """
        What follows from an input.

        @param now: the monotonic clock, seconds.
        """
        raise TypeError(f"no input: {input!r}")

    @handle.register
    def _(self, input: Spawned, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: watcher.spawned(worker, now, input.pid))

    @handle.register
    def _(self, input: Refused, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: watcher.refused(worker, now, input.problem))

    @handle.register
    def _(self, input: Exited, now: float) -> Effects:
        return self._about(input.names, now, lambda watcher, worker: watcher.exited(worker, now, input.status))

    def _about(self, names: Names, now: float, tell: Callable[[Watcher, Worker], Effects]) -> Effects:
        """Tell a watcher of one of its workers; one that is not known changes nothing."""
        watcher = self.watchers.get(names.watcher.lower())
        worker = watcher.seats.workers.get(names.id) if watcher else None
        if watcher is None or worker is None:
            return NOTHING
        before = watcher.status
        return tell(watcher, worker) + self._changed(watcher, before, now)

    @handle.register
    def _(self, input: Woken, now: float) -> Effects:
        timer = input.timer
        if timer.watcher:
            watcher = self.watchers.get(timer.watcher.lower())
            if watcher is None:
                return NOTHING
            before = watcher.status
            return watcher.woken(timer, now) + self._changed(watcher, before, now)
        if timer == SHUTDOWN:
            return self.killAll(now)
        operation = self.operations.get(timer.key)
        return self.nextStage(operation, now) if operation else NOTHING

    @handle.register
    def _(self, input: Adopted, now: float) -> Effects:
        names = input.names
        worker = adoptedWorker(names, input.pid, now - input.age)
        self.serial.next = max(self.serial.next, names.id + 1)
        self._watcherFor(names.watcher).adopt(worker)
        return (Publish(Event("adopted", names.watcher, str(names), input.pid)),)

    def _watcherFor(self, name: str) -> Watcher:
        """The watcher of that name; if the stack has none any more, one that runs nothing and is to stop."""
        found = self.watchers.get(name.lower())
        if found is None:
            found = newWatcher(Spec(name, cmd="", numprocesses=0, autostart=False), self.serial, self.draw)
            self.watchers[name.lower()], self.lines[name.lower()] = found, Line()
        return found

    @handle.register
    def _(self, input: Begun, now: float) -> Effects:
        stages: list[list[Step]] = []
        for watcher in self.watchers.values():
            running, wanted = input.wanted.get(watcher.name, (watcher.spec.autostart, watcher.spec.numprocesses))
            if watcher.seats.workers:
                resume(watcher)
            watcher.seats.wanted = wanted if watcher.spec.cmd else 0
            if not watcher.spec.cmd or not running:
                stages += [[Step(watcher.name, deque[Action](["stop"]))]] if watcher.seats.workers else []
            else:
                stages.append([Step(watcher.name, deque[Action](["start"]))])
        return self.begin(self.operations.new("start", "supervisor", stages), now)

    @handle.register
    def _(self, input: Ended, now: float) -> Effects:
        if self.quitting is None:
            effects = self.quit(now, input.by)
            return effects + self.killAll(now) if input.now else effects
        return self.killAll(now)

    # The end

    def quit(self, now: float, by: str, code: int = 0) -> Effects:
        """Call everything off and stop all watchers, the lowest priority first."""
        if self.quitting is not None:
            return NOTHING
        self.code = code
        beaten = [step for line in self.lines.values() for step in line.clear()]
        levels = sorted({watcher.spec.priority for watcher in self.watchers.values()})
        stages = [
            [Step(w.name, deque[Action](["stop"])) for w in self.watchers.values() if w.spec.priority == level]
            for level in levels
        ]
        self.quitting = self.operations.new("quit", by, stages)
        timeout = self.stack.settings.shutdown_timeout
        limit: Effects = (Wake(SHUTDOWN, now + timeout),) if timeout is not None else NOTHING
        return (*self.beaten(beaten, now), Publish(Event("quit", by=by)), *limit, *self.begin(self.quitting, now))

    def killAll(self, now: float) -> Effects:
        """Grant nobody any more time."""
        effects: list[Effects] = []
        for watcher in self.watchers.values():
            ending = Ending(int(signal.SIGKILL), 0.0, watcher.spec.killMode, "quit")
            effects.append(watcher.stop(now, ending) + self._changed(watcher, watcher.status, now))
        return joined(effects)

    # Operations

    def begin(self, operation: Operation, now: float) -> Effects:
        """Begin an operation."""
        return (operation.event(f"{operation.command} begins"), *self.nextStage(operation, now))

    def nextStage(self, operation: Operation, now: float) -> Effects:
        """Begin the next stage of an operation, or end it."""
        if operation.finished is not None:
            return NOTHING
        while operation.stages:
            operation.open = operation.stages.popleft()
            if operation.open:
                return joined([self._join(step, now) for step in list(operation.open)])
        effects = self.operations.finish(operation, now)
        return (*effects, Forget(SHUTDOWN), Quit(self.code)) if operation is self.quitting else effects

    def _join(self, step: Step, now: float) -> Effects:
        line = self.lines[step.watcher.lower()]
        return self.beaten(line.join(step), now) + self._turn(self.watchers[step.watcher.lower()], now)

    def beaten(self, steps: list[Step], now: float) -> Effects:
        """Steps that came to nothing, since something else was asked for."""
        effects: list[Effects] = []
        for step in steps:
            operation = step.operation
            if operation.finished is None:
                operation.fail(f"{operation.command} of {step.watcher} was superseded")
                effects.append(self.operations.finish(operation, now, "superseded"))
        return joined(effects)

    def _turn(self, watcher: Watcher, now: float) -> Effects:
        """Do what is next in a watcher's line, as far as it can be done at once."""
        line = self.lines[watcher.name.lower()]
        step = line.turn()
        if step is None:
            return NOTHING
        if step.operation.finished is not None:
            line.current = None
            return self._turn(watcher, now)
        step.before = watcher.seats.pids()
        return self._do(step, watcher, now) + self._check(watcher, now)

    def _do(self, step: Step, watcher: Watcher, now: float) -> Effects:
        by = step.operation.by
        if step.actions[0] == "start":
            return watcher.start(now, by)
        if step.actions[0] == "reload":
            return watcher.reload(now, by)
        if step.actions[0] == "stop":
            return watcher.stop(now, watcher.ending(by))
        return NOTHING

    def _changed(self, watcher: Watcher, before: str, now: float) -> Effects:
        """What follows for the operations, and for the stack, from a change in a watcher."""
        effects = self._check(watcher, now)
        ended = watcher.status == "failed" or (watcher.status == "stopped" and before in ("starting", "active"))
        if watcher.spec.essential and ended and watcher.status != before:
            effects += self.quit(now, f"essential watcher {watcher.name}", _exitCode(watcher))
        if watcher.status == "stopped" and not watcher.spec.cmd:
            del self.watchers[watcher.name.lower()], self.lines[watcher.name.lower()]
        return effects

    def _check(self, watcher: Watcher, now: float) -> Effects:
        """Move a watcher's line on, if its step is done."""
        step = self.lines[watcher.name.lower()].current
        if step is None:
            return NOTHING
        if not _complete(watcher, step.actions[0]):
            return self._progress(watcher, step)
        if len(step.actions) > 1:
            step.actions.popleft()
            return self._do(step, watcher, now) + self._check(watcher, now)
        return self._done(watcher, step, now)

    def _done(self, watcher: Watcher, step: Step, now: float) -> Effects:
        operation = step.operation
        self.lines[watcher.name.lower()].current = None
        problem = watcher.past.stale if step.actions[0] == "reload" else watcher.past.problem
        if step.actions[0] != "stop" and problem:
            operation.fail(problem)
        operation.info.setdefault("watchers", {})[watcher.name] = _difference(watcher, step)
        effects = self._progress(watcher, step, last=True)
        if step in operation.open:
            operation.open.remove(step)
            if not operation.open:
                effects += self._stageDone(operation, now)
        return effects + self._turn(watcher, now)

    def _stageDone(self, operation: Operation, now: float) -> Effects:
        """Begin the next stage, after C{warmup_delay} if the one behind was a start."""
        pause = self.stack.settings.warmup_delay
        if pause and operation.command == "start" and operation.stages:
            return (Wake(Timer("stage", key=operation.id), now + pause),)
        return self.nextStage(operation, now)

    def _progress(self, watcher: Watcher, step: Step, last: bool = False) -> Effects:
        """Publish how far a step is, if there is something new to say."""
        seats = watcher.seats
        if step.actions[0] == "stop":
            total = max(len(step.before), len(seats.workers))
            done = total - len(seats.workers)
        elif watcher.reloading is not None:
            total, done = watcher.reloading.total, watcher.reloading.replaced
        else:
            total, done = seats.wanted, seats.held - len(seats.unproved)
        if not last and (done - step.shown) * SHOWN < total:
            return NOTHING
        step.shown = done
        return (step.operation.event(f"{watcher.name} {done}/{total}", done, total, watcher.name),)


def _complete(watcher: Watcher, action: Action) -> bool:
    """Whether an action has come to its end."""
    if action == "start":
        return watcher.status != "starting"
    if action == "stop":
        return watcher.status == "stopped"
    if not watcher.running:
        return True
    seats = watcher.seats
    if action == "reload":
        return watcher.reloading is None and (bool(watcher.past.stale) or len(seats.workers) == seats.held)
    return watcher.status == "active" and seats.settled() and len(seats.workers) == seats.held


def _difference(watcher: Watcher, step: Step) -> dict[str, list[int]]:
    """What a step changed, in Circus's words."""
    now = watcher.seats.pids()
    return {
        "started": sorted(now - step.before), "kept": sorted(now & step.before), "stopped": sorted(step.before - now)}


def _exitCode(watcher: Watcher) -> int:
    """The exit code of the process that ended last, as a shell gives it; 1 if there was none."""
    last = watcher.past.last
    if last is None or last.status < 0:
        return 1
    return 128 + (last.status & 0x7F) if last.status & 0x7F else last.status >> 8
