"""
Whose turn it is: watchers, their lines of steps, and the stages of operations.

A step is begun when its watcher's line has come to it, and is done when the
watcher is where the step wants it; then the line moves on, and with the last
step of a stage the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from ..model.effects import NOTHING, Effects, Timer, Wake
from ..model.needs import Need
from ..model.reason import Reason, words
from ..model.stack import Stack
from ..model.stack import Watcher as Spec
from .demand import doors
from .dependency import hopeless, unmet
from .detour import seated
from .machine import newWatcher
from .operations import Action, Line, Operation, Operations, Step
from .readiness import handed
from .seats import joined
from .watcher import Watcher

GATED = frozenset(("reload", "reloadconfig", "set"))
"""Operations that end at the first failure."""

CHANGING = frozenset(("reloadconfig", "set", "add", "rm"))
"""Operations that change the configuration in force."""

SUPERVISOR = "supervisor"
"""Who asks for what nobody has asked for."""

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
class Schedule:
    """
    All watchers and what is being done with them.

    @ivar stack: the configuration in force.
    @ivar draw: a random number of at least 0 and less than 1.
    @ivar serial: gives the ids of workers.
    @ivar watchers: by lower-case name, in order of start.
    @ivar lines: the steps of each watcher, by the same names.
    @ivar blocked: the watchers whose next step is a start that may not begin yet.
    @ivar operations: all of them.
    """

    stack: Stack
    draw: Callable[[], float]
    serial: Serial = attrs.field(factory=Serial)
    watchers: dict[str, Watcher] = attrs.field(factory=dict)
    lines: dict[str, Line] = attrs.field(factory=dict)
    blocked: set[str] = attrs.field(factory=set)
    operations: Operations = attrs.field(factory=Operations)

    def __attrs_post_init__(self) -> None:
        for spec in self.stack.watchers:
            self.add(spec)
        self.sort()

    # What an arbiter adds

    def isBack(self, operation: Operation) -> bool:
        """Whether an operation is being undone, so that a failure does not end it."""
        return False

    def staged(self, operation: Operation, now: float) -> Effects:
        """All stages of an operation are done; more of them may be added."""
        return NOTHING

    def finished(self, operation: Operation, now: float) -> Effects:
        """What follows from the end of an operation."""
        return NOTHING

    def ranOut(self, watcher: Watcher, now: float) -> Effects:
        """A watcher has ended although nobody asked it to."""
        return NOTHING

    # Watchers

    def add(self, spec: Spec) -> Watcher:
        """Add a watcher, which does not run yet."""
        watcher = newWatcher(spec, self.serial, self.draw, bool(handed(self.stack, spec)))
        self._place(watcher)
        self.watchers[spec.name.lower()], self.lines[spec.name.lower()] = watcher, Line()
        return watcher

    def _place(self, watcher: Watcher) -> None:
        """Tell a watcher where its workers stand with the sockets."""
        watcher.demand.doors = doors(self.stack, watcher.spec)
        watcher.detour.applies = seated(self.stack, watcher.spec)

    def listen(self) -> Effects:
        """Let whoever waits for a connection wait at the sockets of the configuration in force."""
        for watcher in self.watchers.values():
            self._place(watcher)
        return joined([watcher.demand.listen(watcher.seats) for watcher in self.watchers.values()])

    def sort(self) -> None:
        """Bring the watchers into the order of start."""
        found = sorted(self.watchers.items(), key=lambda item: -item[1].spec.priority)
        self.watchers.clear()
        self.watchers.update(found)

    def stands(self, name: str) -> bool:
        """Whether there is a watcher of that name that does anything."""
        watcher = self.watchers.get(name.lower())
        return watcher is not None and (watcher.status != "stopped" or watcher.demand.asleep)

    def forget(self, name: str, now: float) -> Effects:
        """Remove a watcher that has stopped; what waits for it comes to nothing."""
        self.watchers.pop(name.lower(), None)
        self.blocked.discard(name.lower())
        line = self.lines.pop(name.lower(), None)
        return self.beaten(line.clear(), now) if line is not None else NOTHING

    # Operations

    def begin(self, operation: Operation, now: float) -> Effects:
        """Begin an operation."""
        return operation.begun() + self.nextStage(operation, now) + self.unblock(now)

    def nextStage(self, operation: Operation, now: float) -> Effects:
        """Begin the next stage of an operation, or end it."""
        if operation.finished is not None:
            return NOTHING
        if operation.reason and operation.command in GATED and not self.isBack(operation):
            operation.stages.clear()
        while operation.stages:
            operation.open = operation.stages.popleft()
            if operation.open:
                return self._join(list(operation.open), now)
        staged = self.staged(operation, now)
        if operation.open or operation.finished is not None:
            return staged  # it is being undone
        return staged + self.operations.finish(operation, now) + self.finished(operation, now)

    def _join(self, steps: list[Step], now: float) -> Effects:
        """Line up the steps of a stage; all stand in line before the first is begun, since one may need another."""
        beaten = [self.beaten(self.lines[step.watcher.lower()].join(step), now) for step in steps]
        turns = [self._turn(self.watchers[step.watcher.lower()], now) for step in steps]
        return joined(beaten + turns)

    def beaten(self, steps: list[Step], now: float) -> Effects:
        """Steps that came to nothing, since something else was asked for."""
        effects: list[Effects] = []
        for step in steps:
            operation = step.operation
            if operation.finished is None:
                operation.fail(f"{operation.command} of {step.watcher} was superseded")
                effects.append(self.operations.finish(operation, now, "superseded"))
                effects.append(self.finished(operation, now))
        return joined(effects)

    def cancel(self, operation: Operation, by: str, now: float) -> Effects:
        """Do no more of an operation; what is done stays done, and a new configuration is undone."""
        watchers = [self.watchers[name] for name, line in self.lines.items()
                    if line.current is not None and line.current.operation is operation]
        if operation.command in CHANGING:
            operation.fail(f"cancelled by {by}")
            return joined([watcher.cancel(now, by) + self._check(watcher, now) for watcher in watchers])
        for line in self.lines.values():
            line.leave(operation)
        operation.fail(f"cancelled by {by}")
        effects = self.operations.finish(operation, now, "cancelled")
        return effects + joined([watcher.cancel(now, by) + self._turn(watcher, now) for watcher in watchers])

    def _turn(self, watcher: Watcher, now: float) -> Effects:
        """Do what is next in a watcher's line, as far as it can be done at once."""
        line = self.lines.get(watcher.name.lower())
        if line is not None and line.next is not None and self._blocks(watcher, line.next, now):
            return self._block(watcher)
        blocked = watcher.name.lower() in self.blocked
        self.blocked.discard(watcher.name.lower())
        step = line.turn() if line is not None else None
        if line is None or step is None:
            return (watcher.wish(watcher.running),) if blocked else NOTHING
        if step.operation.finished is not None:
            line.current = None
            return self._turn(watcher, now)
        step.before = watcher.seats.pids()
        if step.actions[0] == "start" and not watcher.running and unmet(watcher, self.watchers):
            return self._notStarted(watcher, step, now)
        if blocked and step.actions[0] == "stop":
            return (watcher.wish(False), *self._do(step, watcher, now), *self._check(watcher, now))
        return self._paced(step, now) + self._do(step, watcher, now) + self._check(watcher, now)

    # What waits for others

    def waits(self, watcher: Watcher) -> list[Need]:
        """What keeps a watcher from being started."""
        return unmet(watcher, self.watchers) if watcher.name.lower() in self.blocked else []

    def _blocks(self, watcher: Watcher, step: Step, now: float) -> bool:
        """Whether a step may not begin yet."""
        operation = step.operation
        if step.actions[0] != "start" or watcher.running or operation.finished is not None:
            return False
        if now < operation.pace:
            return True
        if operation.reason and operation.command in GATED and not self.isBack(operation):
            return False
        waits = unmet(watcher, self.watchers)
        return bool(waits) and not hopeless(watcher, self.watchers, self.lines)

    def _block(self, watcher: Watcher) -> Effects:
        """A start has to wait; a later supervisor is to know of it."""
        if watcher.name.lower() in self.blocked:
            return NOTHING
        self.blocked.add(watcher.name.lower())
        return (watcher.wish(True),)

    def _paced(self, step: Step, now: float) -> Effects:
        """Let C{warmup_delay} pass before another watcher of the same stage starts."""
        operation, pause = step.operation, self.stack.settings.warmup_delay
        if not pause or operation.command != "start" or len(operation.open) < 2:
            return NOTHING
        operation.pace = now + pause
        return (Wake(Timer("stage", key=operation.id), operation.pace),)

    def _notStarted(self, watcher: Watcher, step: Step, now: float) -> Effects:
        """What a watcher depends on will never be there."""
        why = hopeless(watcher, self.watchers, self.lines) or step.operation.reason
        watcher.past.problem = f"{watcher.name} was not started: {why}"
        told = watcher.event("unmet", planned=False, by=step.operation.by, reason=why)
        return (told, *self._done(watcher, step, now), *self.ranOut(watcher, now))

    def unblock(self, now: float) -> Effects:
        """Let those begin who need to wait no longer, in the order of start."""
        effects: list[Effects] = []
        while (watcher := self._free(now)) is not None:
            effects.append(self._turn(watcher, now))
        return joined(effects)

    def _free(self, now: float) -> Watcher | None:
        for name in self.watchers if self.blocked else ():
            step = self.lines[name].next if name in self.blocked else None
            if name in self.blocked and (step is None or not self._blocks(self.watchers[name], step, now)):
                return self.watchers[name]
        return None

    def _do(self, step: Step, watcher: Watcher, now: float) -> Effects:
        by = step.operation.by
        if step.actions[0] == "start":
            return watcher.start(now, by, by == SUPERVISOR)
        if step.actions[0] == "reload":
            return watcher.reload(now, by)
        if step.actions[0] == "stop":
            again = len(step.actions) > 1 or step.operation.command == "quit"
            return watcher.stop(now, watcher.ending(by), again)
        return NOTHING

    def changed(self, watcher: Watcher, before: str, now: float) -> Effects:
        """What follows for the operations, and for the stack, from a change in a watcher."""
        effects = self._check(watcher, now)
        ran = before in ("starting", "active") or watcher.seats.hooks.refused
        ended = watcher.status == "failed" or (watcher.status == "stopped" and ran)
        if ended and watcher.status != before and not watcher.demand.asleep:
            effects += self.ranOut(watcher, now)
        if watcher.status == "stopped" and not watcher.spec.cmd:
            effects += self.forget(watcher.name, now)
        return effects

    def _check(self, watcher: Watcher, now: float) -> Effects:
        """Move a watcher's line on, if its step is done."""
        line = self.lines.get(watcher.name.lower())
        step = line.current if line is not None else None
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
        stale = watcher.past.stale
        stale = Reason(stale.removeprefix("reload failed: "), words(stale))
        problem = stale if step.actions[0] == "reload" else watcher.past.problem
        if step.actions[0] != "stop" and problem:
            operation.fail(problem)
        told = operation.info.setdefault("watchers", {})
        told[watcher.name] = _difference(watcher, step, told.get(watcher.name))
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
        return watcher.status not in ("starting", "stopping")
    if action == "stop":
        return watcher.status == "stopped"
    if not watcher.running:
        return True
    seats = watcher.seats
    if watcher.detour.leaving:
        return False
    if action == "reload":
        return watcher.reloading is None and (bool(watcher.past.stale) or len(seats.workers) == seats.held)
    return watcher.status == "active" and seats.settled() and len(seats.workers) == seats.held


def _difference(watcher: Watcher, step: Step, earlier: Mapping[str, list[int]] | None) -> dict[str, list[int]]:
    """What a step, and an earlier one of the same operation, changed, in Circus's words."""
    now = watcher.seats.pids()
    before = step.before if earlier is None else {*earlier["kept"], *earlier["stopped"]}
    return {"started": sorted(now - before), "kept": sorted(now & before), "stopped": sorted(before - now)}
