"""
Stopping what was started on demand when nobody needs it any more: C{idle_timeout}.

The connections are looked at several times in that span; one that came and
went in between shows in their total.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.effects import NOTHING, Count, Effects, Forget, Timer, Wake
from ..model.inputs import Counted

if TYPE_CHECKING:
    from .watcher import Watcher

LOOKS = 4
"""So often connections are looked at while the span lasts."""

UNKNOWN = -1


def settle(watcher: Watcher, now: float) -> Effects:
    """Begin to look, or stop."""
    spec, demand = watcher.spec, watcher.demand
    wanted = spec.on_demand and spec.idle_timeout > 0 and watcher.status == "active" and bool(demand.doors)
    if wanted == (demand.quiet is not None):
        return NOTHING
    if not wanted:
        demand.quiet = None
        return (Forget(_timer(watcher)),)
    demand.quiet = (now, UNKNOWN)
    return (_again(watcher, now),)


def woken(watcher: Watcher, now: float) -> Effects:
    """It is time to look, if nobody has changed the option meanwhile."""
    forgotten = settle(watcher, now)
    return forgotten if watcher.demand.quiet is None else (Count(watcher.name, watcher.demand.doors),)


def counted(watcher: Watcher, found: Counted, now: float) -> Effects:
    """What was seen: if it has been quiet for long enough, everybody ends, and the watcher waits."""
    demand, forgotten = watcher.demand, settle(watcher, now)
    if demand.quiet is None:
        return forgotten
    since, total = demand.quiet
    if found.open or found.total != total or watcher.reloading is not None:
        demand.quiet = (now, found.total)
    elif now - since >= watcher.spec.idle_timeout:
        demand.quiet = None
        idle = watcher.event("idle", reason=f"no connection for {watcher.spec.idle_timeout:g} s")
        return (idle, *watcher.seats.retireAll(now, watcher.ending("idle_timeout")), *watcher.seats.clear())
    return (_again(watcher, now),)


def _again(watcher: Watcher, now: float) -> Wake:
    return Wake(_timer(watcher), now + watcher.spec.idle_timeout / LOOKS)


def _timer(watcher: Watcher) -> Timer:
    return Timer("idle", watcher.name)
