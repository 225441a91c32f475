"""
When a process that ended is started again: functions of its history, the
time and a random number.  Nothing here reads a clock or draws a number.
"""

from __future__ import annotations

import attrs

from ..model.stack import Watcher
from ..model.values import signalName

HEALTHY = 1.0
"""A run of so many seconds is healthy."""

FIRST_DELAY = 0.1
"""Seconds of pause after the first unhealthy run."""

SHORTAGE = 4
"""A want of the host's counts as so many refusals when the pause is reckoned, and as none for C{max_retry}."""

JITTER = 0.25
"""The share of a pause that is drawn, so that workers which died together do not come back together."""


@attrs.frozen
class History:
    """
    What is remembered of the processes that held a seat.

    @ivar unhealthy: how many runs in a row were too short.
    @ivar refused: how many tries in a row found nothing to execute.
    """

    unhealthy: int = 0
    refused: int = 0


NEW = History()


def afterRun(history: History, healthy: bool) -> History:
    """The history after a process ended by itself."""
    return NEW if healthy else History(unhealthy=history.unhealthy + 1)


def afterRefusal(history: History) -> History:
    """The history after a process could not be started."""
    return attrs.evolve(history, refused=history.refused + 1)


def pause(history: History, longest: float, draw: float) -> float:
    """
    How long to wait before the next try.

    @param longest: C{restart_delay_max}, seconds.
    @param draw: a random number of at least 0 and less than 1.
    @return: seconds; 0 after a healthy run, then from L{FIRST_DELAY} on twice
        as much each time, never more than C{longest}.
    """
    failures = history.unhealthy + history.refused
    if failures == 0:
        return 0.0
    full = min(FIRST_DELAY * 2.0 ** min(failures - 1, 30), longest)
    return full * (1 - JITTER * draw)


def code(status: int) -> int:
    """
    A wait status as one number, as Circus gives it in C{reap}.

    @param status: as waitpid(2) gives it; -1 if it is not known.
    @return: the exit code, or minus the number of the signal.
    """
    if status < 0:
        return 0
    return -(status & 0x7F) if status & 0x7F else status >> 8


def reason(status: int, cause: str = "") -> str:
    """
    A wait status in words: C{exited 1}, C{killed by SIGKILL}, C{killed by SIGSEGV (core dumped)}.

    @param cause: what else is known, e.g. C{out of memory}.
    """
    if cause:
        return f"{reason(status)}: {cause}"
    if status < 0:
        return "ended, its status is not known"
    if status & 0x7F:
        return f"killed by {signalName(status & 0x7F)}" + (" (core dumped)" if status & 0x80 else "")
    return f"exited {status >> 8}"


def succeeded(watcher: Watcher, status: int) -> bool:
    """Whether C{success_exit_codes} calls it a success that a process ended so."""
    return status >= 0 and code(status) in watcher.success_exit_codes


def afterService(watcher: Watcher, history: History, status: int) -> History:
    """
    The history after a woken process ended by itself.

    Short runs may be its way to serve connections one by one: as long as they
    succeed the pause does not grow.
    """
    done = watcher.on_demand and code(status) in watcher.success_exit_codes
    return attrs.evolve(history, unhealthy=min(history.unhealthy, 1)) if done else history


def wantedAgain(watcher: Watcher, status: int) -> bool:
    """Whether another process is to be started after one ended by itself: C{respawn}; never with C{on_demand}."""
    if watcher.on_demand:
        return False
    if watcher.respawn == "on-failure":
        return code(status) not in watcher.success_exit_codes
    return watcher.respawn == "always"


def tooOften(watcher: Watcher, ends: list[float], now: float) -> bool:
    """
    Whether C{start_limit_burst} unplanned ends fell into C{start_limit_interval}.

    @param ends: their times, in order; those out of the interval are removed.
    """
    while ends and ends[0] < now - watcher.start_limit_interval:
        del ends[0]
    return 0 < watcher.start_limit_burst <= len(ends)


def givenUp(watcher: Watcher, history: History) -> bool:
    """Whether C{max_retry} tries to execute the program were in vain."""
    return 0 <= watcher.max_retry <= history.refused
