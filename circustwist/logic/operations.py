"""
What is being done: operations, their steps, and whose turn it is.

An operation is a row of stages; a stage is done when each of its steps is.  A
step belongs to one watcher, and a watcher does one step at a time: the others
stand in its line.  This module keeps the books; it decides nothing about
processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from ..model.effects import Answer, Effects, Publish, Record
from ..model.errors import OperationFailed
from ..model.events import Event
from ..model.reason import framed, hears, joined, last, whole
from . import durable

Action: TypeAlias = Literal["start", "stop", "settle", "reload"]
OPPOSITE: Mapping[str, tuple[str, ...]] = {"start": ("stop",), "stop": ("start", "reload")}
"""What a later step calls off: waiting ones that would end otherwise."""

DEEPEST_LINE = 100
"""So many steps may wait for one watcher."""

KEPT = 1000
"""So many finished operations are remembered,"""

KEPT_FOR = 600.0
"""and each for so many seconds."""


@attrs.define(eq=False)
class Step:
    """
    One watcher's part in an operation.

    @ivar watcher: its name.
    @ivar actions: what is still to be done, in order; the first is at hand.
    @ivar before: the pids that ran when it began.
    @ivar shown: the progress that was last published, in processes.
    """

    watcher: str
    actions: deque[Action]
    before: frozenset[int] = frozenset()
    shown: int = -1
    operation: Operation = attrs.field(init=False, repr=False)


@attrs.define(eq=False)
class Operation:
    """
    What somebody asked for, from then until it is done.

    @ivar id: from 1.
    @ivar by: who asked.
    @ivar stages: those to come; each is a list of steps.
    @ivar open: the steps of the stage at hand that are not done.
    @ivar state: C{running done failed superseded interrupted cancelled}.
    @ivar reason: why it failed, see L{circustwist.model.reason}; empty if it did not.
    @ivar info: what came of it.
    @ivar full: what of that administrators who wait for it are told otherwise.
    @ivar calls: who waits for the end of it, the command by which they do, and their role.
    @ivar finished: when it ended; None as long as it runs.
    @ivar pace: before that no further watcher is started.
    """

    id: int
    command: str
    by: str
    stages: deque[list[Step]]
    open: list[Step] = attrs.field(factory=list)
    state: str = "running"
    reason: str = ""
    info: dict[str, Any] = attrs.field(factory=dict)
    full: dict[str, Any] = attrs.field(factory=dict)
    calls: list[tuple[int, str, str]] = attrs.field(factory=list)
    finished: float | None = None
    pace: float = 0.0

    def json(self, role: str = "") -> dict[str, Any]:
        """As every face shows it to somebody of that role."""
        steps = [step.watcher for step in self.open]
        return {
            "id": self.id, "command": self.command, "by": self.by, "state": self.state, "reason": self.reason,
            "at": steps, "stages_left": len(self.stages), "info": self.info,
            **(last(self.reason) if hears(role) else {}),
        }

    def event(self, text: str, done: int = 0, total: int = 0, watcher: str = "") -> Publish:
        """An event about its progress."""
        return Publish(Event("operation", by=self.by, data={
            "id": self.id, "command": self.command, "state": self.state, "watcher": watcher,
            "done": done, "total": total, "text": text, **last(text)}))

    def begun(self) -> Effects:
        """What is recorded and told at its begin."""
        return (Record(durable.began(self.id, self.command, self.by)), self.event(f"{self.command} begins"))

    def answers(self) -> Effects:
        """What those who wait are told at the end."""
        told: list[Answer] = []
        for call, command, role in self.calls:
            if command == "operation":
                told.append(Answer(call, {"operations": [self.json(role)]}))
            elif self.state == "done":
                full = self.full if role == "admin" else {}
                told.append(Answer(call, {"operation": self.id, **self.info, **full}))
            else:
                told.append(Answer(call, OperationFailed(whole(self.reason) or f"{self.command} was superseded")))
        self.calls.clear()
        return tuple(told)

    def fail(self, reason: str) -> None:
        """Part of it did not come about; the first reason is kept first."""
        self.reason = joined(self.reason, reason)


@attrs.define(eq=False)
class Line:
    """
    The steps of one watcher: the one at hand and those that wait.

    @ivar current: the step at hand; None if there is none.
    """

    current: Step | None = None
    waiting: deque[Step] = attrs.field(factory=deque)

    @property
    def full(self) -> bool:
        """Whether no more commands should be taken."""
        return len(self.waiting) >= DEEPEST_LINE

    @property
    def starts(self) -> bool:
        """Whether a start is at hand or waits."""
        return any("start" in step.actions for step in ([self.current] if self.current else []) + [*self.waiting])

    @property
    def next(self) -> Step | None:
        """The step that can be taken in hand; None if there is none."""
        return self.waiting[0] if self.current is None and self.waiting else None

    def join(self, step: Step) -> list[Step]:
        """
        Let a step wait its turn.

        @return: the steps that it supersedes: those that wait to do the
            opposite, and a start at hand when it is to stop.
        """
        opposite = OPPOSITE.get(step.actions[0], ()) if len(step.actions) == 1 else ()
        beaten = [other for other in self.waiting if other.actions[-1] in opposite]
        for other in beaten:
            self.waiting.remove(other)
        if step.actions[0] == "stop" and self.current is not None and self.current.actions[-1] in opposite:
            beaten.append(self.current)
            self.current = None
        self.waiting.append(step)
        return beaten

    def turn(self) -> Step | None:
        """Take the next step in hand, if none is."""
        if self.current is None and self.waiting:
            self.current = self.waiting.popleft()
            return self.current
        return None

    def leave(self, operation: Operation) -> bool:
        """Take an operation's steps out; whether one was at hand."""
        self.waiting = deque(step for step in self.waiting if step.operation is not operation)
        if self.current is None or self.current.operation is not operation:
            return False
        self.current = None
        return True

    def clear(self) -> list[Step]:
        """Everything is called off; what that was."""
        steps = [*([self.current] if self.current else []), *self.waiting]
        self.current = None
        self.waiting.clear()
        return steps


@attrs.define(eq=False)
class Operations:
    """All operations, running and remembered, by id."""

    _byId: dict[int, Operation] = attrs.field(factory=dict)
    _last: int = 0

    def new(self, command: str, by: str, stages: Iterable[list[Step]]) -> Operation:
        """A new operation, which has not begun."""
        self._last += 1
        operation = Operation(self._last, command, by, deque(stages))
        for stage in operation.stages:
            for step in stage:
                step.operation = operation
        self._byId[operation.id] = operation
        return operation

    def restore(self, known: Mapping[str, Any]) -> Operation:
        """An operation of an earlier image of this program; later ones have higher ids."""
        operation = Operation(int(known["id"]), str(known["command"]), str(known["by"]), deque())
        self._last = max(self._last, operation.id)
        self._byId[operation.id] = operation
        return operation

    def get(self, id: int) -> Operation | None:
        """The operation of that id."""
        return self._byId.get(id)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._byId.values())

    def finish(self, operation: Operation, now: float, state: str = "") -> Effects:
        """It is over; forget those that ended long ago."""
        operation.state = state or ("failed" if operation.reason else "done")
        operation.finished = now
        operation.stages.clear()
        operation.open.clear()
        self._prune(now)
        text = f"{operation.command} {operation.state}"
        told = operation.event(framed(f"{text}: ", operation.reason) if operation.reason else text)
        return (Record(durable.finished(operation.id)), told, *operation.answers())

    def interrupt(self, left: Iterable[tuple[int, str, str]], now: float) -> Effects:
        """What an earlier supervisor was doing when it was killed came to nothing, or only in part."""
        effects: list[Effects] = []
        for id, command, by in left:
            if id not in self._byId:
                operation = self.restore({"id": id, "command": command, "by": by})
                operation.fail("the supervisor was killed before it was done")
                effects.append(self.finish(operation, now, "interrupted"))
        return tuple(effect for some in effects for effect in some)

    def _prune(self, now: float) -> None:
        for id, operation in list(self._byId.items()):
            if operation.finished is None:
                continue
            if len(self._byId) <= KEPT and now - operation.finished < KEPT_FOR:
                break
            del self._byId[id]
