"""
Waiting until nobody waits at the sockets of a seat that is to go away.

Nobody tells when a listening socket's queue becomes empty, so it is looked at
again and again, for a short time; a handshake that has begun may still end in
it, so it must have been empty for a while.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

INTERVAL = 0.05
"""Seconds between two looks."""
QUIET = 10
"""So many looks in a row must find nothing."""
MOST = 100
"""So many looks are taken at most."""


class Drains:
    """All that are waited for."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._calls: set[IDelayedCall] = set()

    def wait(self, queued: Callable[[], int], done: Callable[[], None]) -> None:
        """
        Wait for one.

        @param queued: how many wait there.
        @param done: called once, never before this returns.
        """
        self._later(queued, done, 0, 0)

    def _later(self, queued: Callable[[], int], done: Callable[[], None], looks: int, quiet: int) -> None:
        def look() -> None:
            self._calls.discard(call)
            empty = 0 if queued() else quiet + 1
            if empty >= QUIET or looks + 1 >= MOST:
                done()
            else:
                self._later(queued, done, looks + 1, empty)

        call = self._clock.callLater(INTERVAL, look)
        self._calls.add(call)

    def close(self) -> None:
        """Wait for nobody any more."""
        for call in self._calls:
            call.cancel()
        self._calls.clear()
