"""
Statistics of a watcher to which its hook C{extended_stats} may add.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ..model.effects import NOTHING, Answer, Effects, Look
from ..model.errors import Conflict
from ..model.inputs import HookDone

if TYPE_CHECKING:
    from .watcher import Watcher

NAME = "extended_stats"


@attrs.define(eq=False)
class Extending:
    """
    One answer that hooks may add to.

    @ivar call: the command that it answers.
    @ivar answer: what is known so far.
    @ivar waiting: the pid for which each run of the hook was asked.
    """

    call: int
    answer: dict[str, Any]
    waiting: dict[int, str] = attrs.field(factory=dict)


def extend(watcher: Watcher | None, look: Look, effects: Effects) -> Effects:
    """
    Let the hook add to an answer, if there is one and it was asked for.

    @param effects: the answer without it.
    """
    if watcher is None or not look.arguments.get("extended") or not watcher.seats.hooks.has(watcher.spec, NAME):
        return effects
    (answer,) = (effect for effect in effects if isinstance(effect, Answer))
    if not isinstance(answer.value, Mapping):
        return effects
    found = Extending(look.call, dict(answer.value))
    asked: Effects = NOTHING
    for pid, stats in _infos(found.answer).items():
        for effect in watcher.seats.hooks.call(watcher.spec, NAME, pid=int(pid), stats=dict(stats)):
            found.waiting[effect.run] = pid
            watcher.seats.hooks.extending[effect.run] = found
            asked += (effect,)
    return asked or effects


def extended(watcher: Watcher, answer: HookDone) -> Effects:
    """The hook has answered for one process; an exception in it is the answer to the whole command, as in Circus."""
    every = watcher.seats.hooks.extending
    found = every.pop(answer.run, None)
    if found is None:
        return NOTHING
    pid = found.waiting.pop(answer.run)
    if answer.error and not watcher.spec.hooks[NAME].forgiving:
        for run in found.waiting:
            every.pop(run, None)
        return (Answer(found.call, Conflict(f"hook {NAME}: {answer.error}")),)
    _infos(found.answer)[pid].update(answer.stats)
    return () if found.waiting else (Answer(found.call, found.answer),)


def _infos(answer: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is told of each process, by its pid; without those that are gone."""
    told = answer.get("info", {})
    every = {str(answer["process"]): told} if "process" in answer else told
    return {pid: info for pid, info in every.items() if isinstance(info, dict)}
