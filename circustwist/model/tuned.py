"""
What was changed at run time: watchers that were added or removed, and options that were set.

It lies over the configuration: what is in force is both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from .errors import MessageError
from .given import tuned
from .stack import Stack, Watcher


@attrs.frozen
class Tuned:
    """
    What was changed of one watcher.

    @ivar name: the watcher's name, as it was first written.
    @ivar added: whether it stands in no file.
    @ivar removed: whether it is there no more.
    @ivar options: JSON types by option; see L{tuned<circustwist.model.given.tuned>}.
    @ivar by: who did the last of it.
    @ivar at: when, on the monotonic clock.
    """

    name: str
    added: bool = False
    removed: bool = False
    options: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    by: str = ""
    at: float = 0.0


NOTHING_TUNED: Mapping[str, Tuned] = {}


def applied(base: Stack, every: Mapping[str, Tuned]) -> Stack:
    """
    What is in force.

    @param base: the configuration as the files have it.
    @param every: what was changed, by lower-case name.  What a watcher cannot
        have any more is left out.
    """
    if not every:
        return base
    found = {watcher.name.lower(): watcher for watcher in base.watchers}
    for name, change in every.items():
        before = Watcher(change.name) if change.added else found.pop(name, None)
        if before is not None and not change.removed:
            found[name] = _with(before, change.options)
    return attrs.evolve(base, watchers=tuple(sorted(found.values(), key=lambda watcher: watcher.name)))


def _with(spec: Watcher, options: Mapping[str, Any]) -> Watcher:
    try:
        return tuned(spec, options)
    except MessageError:
        for key, value in options.items():
            try:
                spec = tuned(spec, {key: value})
            except MessageError:
                continue
        return spec


def kept(every: Mapping[str, Tuned], old: Stack, new: Stack) -> dict[str, Tuned]:
    """
    What stays in force when the files say something else.

    An option that is changed in the file counts from there again, a watcher
    that was removed is back if the file still has it, and one that was added
    is the file's if that has it now.
    """
    found = {}
    for name, change in every.items():
        before, after = old.watcher(change.name), new.watcher(change.name)
        if change.removed or (change.added and after) or not (change.added or after):
            continue
        options = {key: value for key, value in change.options.items() if not _differs(key, before, after)}
        if change.added or options:
            found[name] = attrs.evolve(change, options=options)
    return found


def _differs(key: str, before: Watcher | None, after: Watcher | None) -> bool:
    """Whether the files have another value for an option than they had."""
    if before is None or after is None:
        return False
    name = "rlimits" if key.startswith("rlimit_") else key.partition(".")[0]
    return bool(getattr(before, name, None) != getattr(after, name, None))
