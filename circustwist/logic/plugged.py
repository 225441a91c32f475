"""
What plugins may not do: undo what an administrator did, or stop what is just being restarted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..model.errors import Conflict
from ..model.inputs import Asked
from .operations import Line

if TYPE_CHECKING:
    from .watcher import Watcher


def permitted(asked: Asked, found: list[Watcher], lines: Mapping[str, Line]) -> list[Watcher]:
    """
    The watchers for which a command is carried out: for a plugin not all.

    @raise Conflict: if that is none of them.
    """
    if not asked.who.plugin:
        return found
    why = {watcher.name: _against(asked, watcher, lines[watcher.name.lower()]) for watcher in found}
    kept = [watcher for watcher in found if not why[watcher.name]]
    if found and not kept:
        raise Conflict(f"{asked.command} by {asked.who.name} is dropped: {'; '.join(why.values())}")
    return kept


def _against(asked: Asked, watcher: Watcher, line: Line) -> str:
    """Why a plugin may not do something to a watcher; empty if it may."""
    steps = [*([line.current] if line.current else []), *line.waiting]
    if asked.command == "stop":
        busy = next((step for step in steps if {"start", "reload"} & set(step.actions)), None)
        return f"{watcher.name} is about to {busy.operation.command}" if busy else ""
    stopper = watcher.past.stopper
    running = watcher.running or watcher.demand.asleep
    if (running and not any("stop" in step.actions for step in steps)) or not stopper or stopper == asked.who.name:
        return ""
    return f"{watcher.name} was stopped by {stopper}"
