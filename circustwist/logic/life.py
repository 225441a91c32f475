"""
What may happen to a worker, and how one is ended.
"""

from __future__ import annotations

import signal
from typing import Protocol

import attrs

from ..model.effects import Effects
from ..model.errors import SpawnProblem

REFUSED = "hook after_spawn"
"""By whom a process is ended that a hook does not let stay."""


@attrs.frozen
class Ending:
    """
    How a worker is to be ended.

    @ivar signum: the signal that asks it to.
    @ivar grace: seconds until SIGKILL.
    @ivar killMode: see the option C{kill_mode}.
    @ivar by: who asked for it.
    @ivar gentle: whether others serve in its place, so that it may be waited for until it serves nobody.
    @ivar whole: whether its whole watcher stops.
    """

    signum: int = int(signal.SIGTERM)
    grace: float = 30.0
    killMode: str = "mixed"
    by: str = ""
    whole: bool = False
    gentle: bool = False


class Inputs(Protocol):
    """What may happen to a worker.  C{now} is the monotonic clock's time in seconds."""

    def vet(self, now: float) -> Effects:
        """Wait until somebody allows that it is started."""

    def begin(self, now: float) -> Effects:
        """Start the process."""

    def drop(self, now: float) -> Effects:
        """Do not start the process."""

    def admit(self, now: float, pid: int) -> Effects:
        """Its program runs; wait until somebody allows that it stays."""

    def spawned(self, now: float, pid: int) -> Effects:
        """Its program runs."""

    def refused(self, now: float, problem: SpawnProblem) -> Effects:
        """It could not be started."""

    def proved(self, now: float) -> Effects:
        """It does its work."""

    def stop(self, now: float, ending: Ending) -> Effects:
        """End it."""

    def warn(self, now: float, ending: Ending) -> Effects:
        """End it as soon as somebody allows that it is signalled, or its time is over."""

    def warned(self, now: float, allowed: bool) -> Effects:
        """It may be signalled, or not."""

    def graceExpired(self, now: float) -> Effects:
        """It had time enough to end."""

    def reap(self, now: float) -> Effects:
        """It has ended; wait before others are told."""

    def tell(self, now: float, status: int) -> Effects:
        """Tell others that it has ended."""

    def exited(self, now: float, status: int) -> Effects:
        """It has ended."""
