"""
Hooks: functions of users that are called at points in the life of a watcher; Circus's names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from . import values

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*[.:][^\W\d]\w*")


@attrs.frozen
class Point:
    """
    A point at which a hook may be called.

    @ivar doc: when, and what follows from its answer.
    @ivar given: what it is given besides C{watcher}, C{arbiter} and C{hook_name}.
    @ivar decides: whether something is not done if it says no.
    @ivar forgiven: whether an exception counts as yes.
    """

    doc: str
    given: tuple[str, ...] = ()
    decides: bool = False
    forgiven: bool = False


POINTS: Mapping[str, Point] = {
    "before_start": Point(
        "Before a watcher starts.  If it says no, the watcher is not started.", decides=True),
    "after_start": Point(
        "When all processes of a watcher do their work.  If it says no, they are stopped.", decides=True),
    "before_spawn": Point(
        "Before each process is started.  If it says no, the watcher is stopped.", decides=True),
    "after_spawn": Point(
        "When the program of a process runs.  If it says no, the watcher is stopped.", ("pid",), decides=True),
    "before_stop": Point("Before the processes of a watcher are asked to end.", forgiven=True),
    "after_stop": Point("When all of them have ended.", forgiven=True),
    "before_signal": Point(
        "Before a process is signalled.  If it says no, the signal is not sent, unless it is SIGKILL, which waits for "
        "no hook.", ("pid", "signum"), decides=True, forgiven=True),
    "after_signal": Point("After it was signalled.", ("pid", "signum"), forgiven=True),
    "before_reap": Point(
        "When a process has ended, before others are told.", ("process_pid", "time")),
    "after_reap": Point(
        "When a process has ended and others were told, before another takes its place.",
        ("process_pid", "time", "exit_code", "process_status")),
    "extended_stats": Point(
        "When extended statistics of a process are asked for, which it may add to.", ("pid", "stats"), forgiven=True),
}
"""Every point, by the name after C{hooks.} in the ini."""


@attrs.frozen
class Hook:
    """
    One hook of a watcher.

    @ivar target: the function, C{module.function} or C{module:function}.
    @ivar forgiving: whether an exception in it counts as yes.
    """

    target: str
    forgiving: bool = False

    def __str__(self) -> str:
        return f"{self.target}, true" if self.forgiving else self.target


def hook(value: str) -> Hook:
    """
    C{module.function}, optionally with a comma and whether its exceptions count as yes.

    @raise ValueError: if it is neither.
    """
    target, comma, forgiving = (part.strip() for part in value.partition(","))
    if not _DOTTED.fullmatch(target):
        raise ValueError("is no function; e.g. shop.hooks.warm")
    return Hook(target, bool(comma) and values.boolean(forgiving))
