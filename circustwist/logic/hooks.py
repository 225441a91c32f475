"""
The hooks of a watcher that were asked for, and what waits for their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..model.effects import Effects, RunHook, Signal
from ..model.hooks import POINTS
from ..model.inputs import Exited, HookDone
from ..model.stack import Watcher
from .extending import Extending
from .life import Ending

NONE: Mapping[str, Any] = {}


@attrs.frozen
class Waiting:
    """
    What waits for the answer of a hook.

    @ivar worker: whom it is about; 0 if nobody.
    @ivar forgiving: whether an exception counts as yes.
    @ivar signal: what is sent if the answer is yes.
    @ivar end: how its process ended.
    """

    name: str
    worker: int = 0
    forgiving: bool = False
    signal: Signal | None = None
    end: Exited | None = None

    def allows(self, done: HookDone) -> bool:
        """Whether an answer is a yes, or counts as one."""
        point = POINTS.get(self.name)
        if point is not None and not point.decides:
            return True
        return self.forgiving or (point is not None and point.forgiven) if done.error else done.ok


@attrs.define(eq=False)
class Hooks:
    """
    Those of one watcher.

    @ivar serial: gives numbers that no other run has.
    @ivar env: what they have changed in the environment of its processes; None is removed.
    @ivar waiting: what waits, by the number of the run.
    @ivar off: whether none is called any more, since everything ends at once.
    @ivar refused: whether one of them said no, and so it does not run.
    @ivar extending: statistics that wait for what they add, by the number of the run.
    @ivar ending: how its workers are ended when C{before_stop} has answered.
    """

    serial: Callable[[], int]
    env: Mapping[str, str | None] = attrs.field(factory=dict)
    waiting: dict[int, Waiting] = attrs.field(factory=dict)
    off: bool = False
    refused: bool = False
    extending: dict[int, Extending] = attrs.field(factory=dict)
    ending: Ending = attrs.field(factory=Ending)

    def has(self, spec: Watcher, *names: str) -> bool:
        """Whether one of these is called."""
        return bool(spec.hooks) and not self.off and any(name in spec.hooks for name in names)

    def call(self, spec: Watcher, name: str, **given: Any) -> tuple[RunHook, ...]:
        """Call a hook, whatever it answers."""
        return (RunHook(self.serial(), spec, name, given, self.env),) if self.has(spec, name) else ()

    def ask(
        self, spec: Watcher, name: str, given: Mapping[str, Any] = NONE, worker: int = 0,
        signal: Signal | None = None, end: Exited | None = None,
    ) -> Effects:
        """Call a hook, or with no name find out whether all can be called, and let something wait for its answer."""
        run = self.serial()
        forgiving = bool(name) and spec.hooks[name].forgiving
        self.waiting[run] = Waiting(name, worker, forgiving, signal, end)
        return (RunHook(run, spec, name, given, self.env),)

    def asked(self, *names: str) -> bool:
        """Whether something waits for one of these."""
        return any(waiting.name in names for waiting in self.waiting.values())

    def forget(self, *names: str) -> None:
        """Nothing waits for these any more."""
        for run, waiting in list(self.waiting.items()):
            if waiting.name in names:
                del self.waiting[run]
