"""
Who is to be started before whom, and who stops after whom.

Without C{depends_on} the order is Circus's: watchers start one after the
other, the highest priority first, and those of one priority stop together,
the lowest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from ..model.needs import Need, needs
from .operations import Action, Line, Step
from .watcher import Watcher


def holds(need: Need, watcher: Watcher) -> bool:
    """Whether what a need says is so now."""
    seats = watcher.seats
    completed = watcher.status == "stopped" and bool(watcher.past.completed)
    if need.condition == "completed":
        return completed
    if need.condition == "ready":
        return watcher.status == "active" and seats.active() >= seats.wanted
    executed = sum(worker.alive and worker.pid != 0 for worker in seats.workers.values())
    return completed or (watcher.running and executed >= seats.wanted)


def unmet(watcher: Watcher, watchers: Mapping[str, Watcher]) -> list[Need]:
    """What a watcher waits for, if it is to start."""
    return [
        need for need in needs(watcher.spec)
        if need.watcher not in watchers or not holds(need, watchers[need.watcher])
    ]


def hopeless(watcher: Watcher, watchers: Mapping[str, Watcher], lines: Mapping[str, Line]) -> str:
    """Why waiting any longer is in vain; empty if it is not."""
    for need in unmet(watcher, watchers):
        other = watchers.get(need.watcher)
        if other is None:
            return f"{need} does not hold: there is no watcher {need.watcher}"
        if not other.running and not lines[need.watcher].starts:
            return f"{need} does not hold: {_state(other)}"
    return ""


def _state(watcher: Watcher) -> str:
    """Why a watcher is not there."""
    past = watcher.past
    why = past.problem
    if past.completed is False and past.last is not None:
        why = f"{past.last.worker} {past.last.reason}"
    return f"{watcher.name} is {watcher.status}{': ' * bool(why)}{why}"


def required(found: Iterable[Watcher], watchers: Mapping[str, Watcher]) -> list[Watcher]:
    """These watchers and all that they depend on and that is not there, in the order of start."""
    wanted: set[str] = set()
    open = [watcher.name.lower() for watcher in found]
    while open:
        name = open.pop()
        wanted.add(name)
        missing = (need.watcher for need in unmet(watchers[name], watchers))
        open += [each for each in missing if each in watchers and each not in wanted and not watchers[each].running]
    return [watcher for name, watcher in watchers.items() if name in wanted]


def startStages(found: Sequence[Watcher]) -> list[list[Step]]:
    """One watcher after the other; if any depends on another, all at once, each as soon as it may."""
    steps = [step(watcher, "start") for watcher in found]
    if any(watcher.spec.depends_on for watcher in found):
        return [steps]
    return [[each] for each in steps]


def stopStages(found: Iterable[Watcher]) -> list[list[Step]]:
    """The lowest priority first, but nobody before those that depend on it."""
    left = {watcher.name.lower(): watcher for watcher in found}
    users = dict.fromkeys(left, 0)
    for watcher in left.values():
        for name in {need.watcher for need in needs(watcher.spec)} & set(left):
            users[name] += 1
    stages: list[list[Step]] = []
    while left:
        # In a circle, which no configuration has, everybody goes at once.
        free = [watcher for name, watcher in left.items() if not users[name]] or list(left.values())
        level = min(watcher.spec.priority for watcher in free)
        stage = [watcher for watcher in free if watcher.spec.priority == level]
        for watcher in stage:
            del left[watcher.name.lower()]
            for name in {need.watcher for need in needs(watcher.spec)} & set(users):
                users[name] -= 1
        stages.append([step(watcher, "stop") for watcher in stage])
    return stages


def step(watcher: Watcher, *actions: Action) -> Step:
    """A watcher's part in an operation."""
    return Step(watcher.name, deque(actions))
