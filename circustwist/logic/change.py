"""
A changed configuration, applied: sockets first, then watcher by watcher.

Nothing of the old state is given up before the new one stands.  When a step
fails, what was changed is changed back, and the old state is whole again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from ..model.effects import NOTHING, ChangeSockets, Effects, KeepSeats, KeepSockets, OpenStreams
from ..model.plan import Plan
from ..model.stack import Stack, Watcher
from ..model.tuned import Tuned
from . import idling
from .dependency import required, startStages, step, stopStages
from .operations import Operation, Step
from .readiness import handed
from .seats import joined

if TYPE_CHECKING:
    from .arbiter import Arbiter


@attrs.define(eq=False)
class Change:
    """
    A configuration that is being applied.

    @ivar operation: its operation.
    @ivar others: whether the watchers that it leaves alone are reloaded too.
    @ivar plan: what is done; None until the new configuration was read.
    @ivar back: whether it is being undone.
    @ivar reloaded: the watchers whose processes may be new.
    @ivar tuned: what of one watcher is changed at run time; None if the files are applied.
    @ivar starts: whether a watcher that is added so is started.
    @ivar before: what lay over the files before, see L{circustwist.model.tuned}.
    @ivar base: what was in the files before.
    @ivar files: what is in the files, once they are read.
    """

    operation: Operation
    others: bool = False
    plan: Plan | None = None
    back: bool = False
    reloaded: list[str] = attrs.field(factory=list)
    tuned: Tuned | None = None
    starts: bool = False
    before: Mapping[str, Tuned] = attrs.field(factory=dict)
    base: Stack | None = None
    files: Stack | None = None

    def collides(self, other: Change) -> bool:
        """Whether two changes may not be carried out at the same time."""
        if "plan" in (self.operation.command, other.operation.command):
            return False
        if self.tuned is None or other.tuned is None:
            return True
        return self.tuned.name.lower() == other.tuned.name.lower()

    def sockets(self, plan: Plan) -> ChangeSockets:
        """What is to be bound before anything else."""
        made = {*plan.names("socket", "add", "replace")}
        return ChangeSockets(
            self.operation.id, tuple(s for s in plan.new.sockets if s.name in made),
            tuple(s for s in plan.new.sockets if s.name in plan.names("socket", "now")))

    def begin(self, arbiter: Arbiter, plan: Plan, now: float) -> Effects:
        """The sockets stand: put the new options in force and line up what is to be done."""
        arbiter.stack = plan.new
        effects = [self._options(arbiter, plan.new, name, now) for name in plan.names("watcher", "now", "reload")]
        for name in plan.names("watcher", "add"):
            arbiter.add(_named(plan.new, name))
            effects.append((OpenStreams(_named(plan.new, name)),))
        arbiter.sort()
        self.operation.stages.extend(self._stages(arbiter, plan))
        return joined(effects) + arbiter.listen()

    def _options(self, arbiter: Arbiter, stack: Stack, name: str, now: float) -> Effects:
        """Give a watcher its options of this configuration."""
        watcher, spec = arbiter.watchers[name.lower()], _named(stack, name)
        before = watcher.spec
        watcher.seats.spec = spec
        effects: Effects = NOTHING
        if before.numprocesses != spec.numprocesses:
            effects = watcher.resize(now, spec.numprocesses, self.operation.by)
        if _streams(before) != _streams(spec):
            effects += (OpenStreams(spec),)
        effects += idling.settle(watcher, now)
        return effects + (watcher.limited() if _limits(before) != _limits(spec) else NOTHING)

    def _stages(self, arbiter: Arbiter, plan: Plan) -> Iterator[list[Step]]:
        touched = plan.names("watcher", "reload")
        if self.others:
            alone = {w.name for w in arbiter.watchers.values() if w.running and w.spec.cmd}
            touched += sorted(alone - set(touched) - {*plan.names("watcher", "add", "remove")})
        for name in touched:
            if arbiter.watchers[name.lower()].running:
                self.reloaded.append(name)
                yield from self._mine([[step(arbiter.watchers[name.lower()], "reload")]])
        for watcher in arbiter.watchers.values():
            if watcher.demand.asleep and not watcher.spec.on_demand:
                yield from self._mine([[step(watcher, "start")]])
        added = [name.lower() for name in plan.names("watcher", "add") if self._starts(plan, name)]
        yield from self._mine(startStages(required([arbiter.watchers[name] for name in added], arbiter.watchers)))
        yield from self._mine(stopStages(arbiter.watchers[n.lower()] for n in plan.names("watcher", "remove")))

    def _starts(self, plan: Plan, name: str) -> bool:
        return _named(plan.new, name).autostart if self.tuned is None else self.starts

    def _mine(self, stages: list[list[Step]]) -> list[list[Step]]:
        """Steps that are not part of any operation yet."""
        for stage in stages:
            for each in stage:
                each.operation = self.operation
        return stages

    def undo(self, arbiter: Arbiter, plan: Plan, now: float) -> Effects:
        """A step failed: put the old options in force again and line up what it takes."""
        self.back = True
        told = arbiter.tuning.undo(arbiter, self)
        effects = [self._options(arbiter, plan.old, name, now) for name in plan.names("watcher", "now", "reload")]
        for name in self.reloaded:
            if arbiter.watchers[name.lower()].seats.renewed():
                self.operation.stages.extend(self._mine([[step(arbiter.watchers[name.lower()], "reload")]]))
        added = [arbiter.watchers[name.lower()] for name in plan.names("watcher", "add")]
        for watcher in added:
            watcher.seats.spec = attrs.evolve(watcher.spec, cmd="")
        self.operation.stages.extend(self._mine(stopStages(added)))
        return joined(effects) + told

    def end(self, arbiter: Arbiter, plan: Plan, now: float) -> Effects:
        """It is done, or undone: let go of the sockets that nobody needs any more."""
        gone = plan.names("watcher", "add" if self.back else "remove")
        effects = joined([arbiter.forget(name, now) for name in gone if not arbiter.stands(name)])
        if self.tuned is None:
            effects += (KeepSockets(not self.back, tuple(socket.name for socket in arbiter.stack.sockets)),)
        return (*effects, *self._seats(arbiter, plan), *arbiter.listen())

    def _seats(self, arbiter: Arbiter, plan: Plan) -> Effects:
        """Let go of the sockets of seats whose watcher is not there any more, or is handed others now."""
        kept = []
        for name in plan.names("watcher", "add", "remove", "reload"):
            watcher = arbiter.watchers.get(name.lower())
            seats = watcher.seats.taken() if watcher else ()
            kept.append(KeepSeats(name, seats, handed(arbiter.stack, watcher.spec) if watcher else ()))
        return tuple(kept)


def _limits(spec: Watcher) -> tuple[float, ...]:
    return (spec.max_age, spec.max_age_variance, spec.max_memory, spec.max_memory_kill)


def _named(stack: Stack, name: str) -> Watcher:
    found = stack.watcher(name)
    assert found is not None
    return found


def _streams(spec: Watcher) -> tuple[object, ...]:
    """What says where output goes, and who hears of it."""
    return spec.stdout_stream, spec.stderr_stream, spec.tail_bytes, spec.ready
