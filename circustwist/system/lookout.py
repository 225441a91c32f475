"""
Looks at processes that start, until each is seen waiting for connections.

All of them share one timer and one budget: a turn takes 5 ms at most and is
followed by a pause of four times its length, so that a thousand starting
processes take a fifth of a core and are looked at more rarely.  While nothing
starts there is no timer.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from . import listening

FIRST_PAUSE = 0.005
"""Seconds between the first two looks at a process; it doubles after each."""
LONGEST_PAUSE = 0.1
"""Seconds between two looks at most, if there is time for that."""
SLICE = 0.005
"""So many seconds at most looks are taken in a row."""
REST = 4
"""A turn is followed by a pause of so many times its length."""


class Sought:
    """
    One process that is looked at.

    @ivar pid: its pid.
    @ivar sockets: the inodes of the sockets that count.
    @ivar found: called once, when it is seen.
    @ivar pause: seconds until the next look.
    @ivar refused: whether the last look was not permitted.
    @ivar wanted: whether anybody still waits for it.
    """

    __slots__ = ("found", "pause", "pid", "refused", "sockets", "wanted")

    def __init__(self, pid: int, sockets: Collection[int], found: Callable[[], None]) -> None:
        self.pid = pid
        self.sockets = frozenset(sockets)
        self.found = found
        self.pause = FIRST_PAUSE
        self.refused = False
        self.wanted = True


class Lookout:
    """All processes that are looked at."""

    log = Logger()

    def __init__(self, clock: IReactorTime, sees: Callable[[int, frozenset[int]], bool] = listening.sees) -> None:
        """
        @param sees: takes one look.
        """
        self._clock = clock
        self._sees = sees
        self._heap: list[tuple[float, int, Sought]] = []
        self._serial = 0
        self._rested = 0.0
        self._call: IDelayedCall | None = None

    def add(self, sought: Sought) -> None:
        """Look at a process, for the first time as soon as possible."""
        self._push(sought, self._clock.seconds())
        self._arm()

    def discard(self, sought: Sought) -> None:
        """Look at it no more."""
        sought.wanted = False
        if not any(each.wanted for _, _, each in self._heap):
            self.close()

    def close(self) -> None:
        """Look at nothing any more."""
        self._heap.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _push(self, sought: Sought, when: float) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, sought))

    def _arm(self) -> None:
        """Take the next turn when the first look is due and the pause is over."""
        while self._heap and not self._heap[0][2].wanted:
            heapq.heappop(self._heap)
        if not self._heap:
            return
        delay = max(0.0, max(self._rested, self._heap[0][0]) - self._clock.seconds())
        if self._call is None:
            self._call = self._clock.callLater(delay, self._turn)
        else:
            self._call.reset(delay)

    def _turn(self) -> None:
        self._call = None
        begun = now = self._clock.seconds()
        while self._heap and self._heap[0][0] <= begun and now - begun < SLICE:
            sought = heapq.heappop(self._heap)[2]
            if sought.wanted:
                self._look(sought)
            now = self._clock.seconds()
        self._rested = now + (now - begun) * REST
        self._arm()

    def _look(self, sought: Sought) -> None:
        try:
            seen = self._sees(sought.pid, sought.sockets)
            sought.refused = False
        except OSError as error:
            seen, sought.refused = False, isinstance(error, PermissionError)
        except Exception:
            self.log.failure("could not look at process {pid}", pid=sought.pid)
            seen = False
        if seen:
            sought.wanted = False
            sought.found()
        else:
            self._push(sought, self._clock.seconds() + sought.pause)
            sought.pause = min(LONGEST_PAUSE, sought.pause * 2)
