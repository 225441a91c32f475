"""
Everything that happens, as values with a topic and a JSON form.

The logic makes an L{Event}; whoever publishes it adds its number and the time
of day, as an L{Occurrence}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from .reason import LAST_WORDS, hears

HOOK = "hook"
"""By whom events are that a hook has published."""


@attrs.frozen
class Event:
    """
    Something that happened.

    @ivar name: Circus's names where it has one: C{spawn reap kill start stop
        reload updated add remove}; ours are C{ready failed backoff operation quit
        adopted ...}.
    @ivar watcher: the watcher's name; empty for the stack as a whole.
    @ivar worker: as people type it, C{web/3}; empty if none is meant.
    @ivar pid: the process, 0 if none is meant.
    @ivar planned: whether somebody asked for it; flapping counts only what
        nobody asked for.
    @ivar by: who asked for it, e.g. C{uid 1000 (amp)}; empty if nobody did.
    @ivar data: what else there is to say; JSON types only.  C{last_words}, what
        a process wrote, is only for those who may read that.
    """

    name: str
    watcher: str = ""
    worker: str = ""
    pid: int = 0
    planned: bool = True
    by: str = ""
    data: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Occurrence:
    """
    An event with its number.

    @ivar start: identifies the run of the supervisor that counted.
    @ivar number: from 1, without gaps within a run.
    @ivar time: time of day, seconds since the epoch.
    """

    start: str
    number: int
    time: float
    event: Event

    @property
    def topic(self) -> str:
        """C{watcher.NAME.EVENT}, or C{arbiter.EVENT} for the stack as a whole."""
        name = self.event.watcher.lower().replace(" ", "_")
        return f"watcher.{name}.{self.event.name}" if name else f"arbiter.{self.event.name}"

    def json(self, role: str = "") -> dict[str, Any]:
        """As every face sends it to somebody of that role."""
        event = self.event
        data = {key: value for key, value in event.data.items() if key != LAST_WORDS or hears(role)}
        return {
            "start": self.start, "n": self.number, "time": round(self.time, 6), "topic": self.topic,
            "event": event.name, "watcher": event.watcher, "worker": event.worker, "pid": event.pid,
            "planned": event.planned, "by": event.by, "data": data,
        }
