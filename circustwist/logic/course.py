"""
What may happen to a watcher as a whole.
"""

from __future__ import annotations

from typing import Protocol

from ..model.effects import Effects
from .life import Ending
from .seats import Seat


class Inputs(Protocol):
    """What may happen to a watcher as a whole."""

    def start(self, now: float, by: str) -> Effects:
        """It should run."""

    def stop(self, now: float, ending: Ending) -> Effects:
        """It should not run; C{ending} says how its workers are ended."""

    def resize(self, now: float, by: str) -> Effects:
        """Another number of processes is wanted."""

    def reload(self, now: float, by: str) -> Effects:
        """Every process should be replaced."""

    def prepare(self, now: float) -> Effects:
        """It should run, if somebody allows it."""

    def unprepared(self, now: float) -> Effects:
        """Nobody allows that it runs."""

    def conclude(self, now: float) -> Effects:
        """Every process was started; wait until somebody allows that they stay."""

    def leave(self, now: float) -> Effects:
        """It should not run; wait before its workers are ended."""

    def rest(self, now: float) -> Effects:
        """No worker is left; wait before that counts."""

    def sleep(self, now: float) -> Effects:
        """It should run as soon as a connection waits."""

    def knocked(self, now: float) -> Effects:
        """A connection waits."""

    def settle(self, now: float) -> Effects:
        """Every process that is to be started was, or could not be."""

    def vacant(self, now: float, seat: Seat, due: float) -> Effects:
        """A seat may be filled again, at that time."""

    def fail(self, now: float, reason: str) -> Effects:
        """Further tries are useless."""

    def empty(self, now: float) -> Effects:
        """No worker is left, and none is to come."""
