"""
What is changed at run time: C{set}, C{add} and C{rm} carried out as a change of the configuration.

What concerns different watchers is done side by side; what concerns the same
one, or everything, one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ..model.effects import Effects, ReadStack, Record
from ..model.plan import Plan, compare
from ..model.secrets import hidden
from ..model.stack import Stack
from ..model.tuned import Tuned, applied, kept
from . import durable
from .change import Change
from .seats import joined
from .watcher import Watcher

if TYPE_CHECKING:
    from .arbiter import Arbiter


@attrs.define(eq=False)
class Tuning:
    """
    What lies over the files.

    @ivar base: the configuration as the files have it.
    @ivar every: what was changed, by lower-case name.
    @ivar waiting: changes whose turn has not come.
    """

    base: Stack
    every: Mapping[str, Tuned] = attrs.field(factory=dict)
    waiting: deque[Change] = attrs.field(factory=deque)

    def begin(self, arbiter: Arbiter, change: Change, now: float) -> Effects:
        """Carry out a change as soon as it collides with no other."""
        self.waiting.append(change)
        return self.next(arbiter, now)

    def next(self, arbiter: Arbiter, now: float) -> Effects:
        """Begin what may begin, in the order in which it came."""
        effects: list[Effects] = []
        behind: list[Change] = []
        for change in list(self.waiting):
            if any(change.collides(other) for other in (*arbiter.changes.values(), *behind)):
                behind.append(change)
            elif change in self.waiting:
                self.waiting.remove(change)
                arbiter.changes[change.operation.id] = change
                effects.append(self._begin(arbiter, change, now))
        return joined(effects)

    def _begin(self, arbiter: Arbiter, change: Change, now: float) -> Effects:
        if change.tuned is None:
            return (ReadStack(change.operation.id),)
        return self._tune(arbiter, change, change.tuned, now)

    def _tune(self, arbiter: Arbiter, change: Change, tuned: Tuned, now: float) -> Effects:
        """Put other options of a watcher in force."""
        name = tuned.name.lower()
        every = {**self.every, name: tuned}
        if tuned.removed and self.base.watcher(name) is None:
            del every[name]
        change.plan = plan = compare(arbiter.stack, applied(self.base, every))
        effects = self.enter(change, self.base, every)
        return effects + change.begin(arbiter, plan, now) + arbiter.nextStage(change.operation, now)

    def over(self, stack: Stack) -> Mapping[str, Tuned]:
        """What still lies over the files if they say this."""
        return kept(self.every, self.base, stack)

    def enter(self, change: Change, base: Stack, every: Mapping[str, Tuned]) -> Effects:
        """Something else lies over the files, or they are others; a later supervisor is to know of it."""
        change.before, change.base = self.every, self.base
        effects = self._records(every)
        self.base, self.every = base, every
        return effects

    def undo(self, arbiter: Arbiter, change: Change) -> Effects:
        """What a change has put in force counts no more."""
        every = dict(change.before)
        if change.tuned is not None:
            name = change.tuned.name.lower()
            every = {**{key: tuned for key, tuned in self.every.items() if key != name},
                     **{key: tuned for key, tuned in change.before.items() if key == name}}
        effects = self._records(every)
        self.base, self.every = change.base or self.base, every
        arbiter.stack = applied(self.base, every)
        return effects

    def _records(self, every: Mapping[str, Tuned]) -> Effects:
        names = [name for name in {**self.every, **every} if self.every.get(name) != every.get(name)]
        return tuple(Record(durable.tuned(name, every.get(name))) for name in names)

    def cancel(self) -> list[Change]:
        """Carry out nothing of what waits; what that was."""
        waiting = list(self.waiting)
        self.waiting.clear()
        return waiting

    @property
    def reconfiguring(self) -> bool:
        """Whether the files are about to be applied."""
        return any(change.tuned is None and change.operation.command != "plan" for change in self.waiting)


def resized(watcher: Watcher, now: float) -> dict[str, Any] | None:
    """Who gave a watcher a number of processes that the configuration does not, and how long ago."""
    if watcher.past.resized is None:
        return None
    by, at = watcher.past.resized
    return {
        "by": by, "ago": round(now - at, 3), "wanted": watcher.seats.wanted, "configured": watcher.spec.numprocesses}


def sizes(watchers: Iterable[Watcher], plan: Plan, now: float) -> list[dict[str, Any]]:
    """The watchers that keep another number of processes than a new configuration says."""
    changed = {item.name for item in plan.items for change in item.changes if change.option == "numprocesses"}
    found = [(watcher.name, resized(watcher, now)) for watcher in watchers if watcher.name not in changed]
    return [{"name": name, **told} for name, told in found if told is not None and plan.new.watcher(name) is not None]


def told(every: Mapping[str, Tuned], now: float) -> list[dict[str, Any]]:
    """What lies over the files, by whom and for how long; of an environment only the names, and no secret."""
    return [{
        "name": tuned.name, "added": tuned.added, "removed": tuned.removed, "by": tuned.by,
        "ago": round(now - tuned.at, 3),
        "options": {key: hidden(key, _shown(value)) for key, value in tuned.options.items()},
    } for tuned in every.values()]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(value)
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
