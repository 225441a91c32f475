"""
Timers on the monotonic clock: setting the time of day moves none of them.

All of them share one timerfd, which is disarmed while nothing waits.  No
reactor is patched.
"""

from __future__ import annotations

import heapq
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from . import kernel
from .interfaces import IClock

SLICE = 0.008
"""So many seconds at most due calls are made in a row."""

_Entry: TypeAlias = tuple[float, int, DelayedCall]


@implementer(IClock, IReadDescriptor)
class Clock:
    """
    The timers.  The descriptor is made by the first call, so that a clock can
    be built before a fork.
    """

    log = Logger()

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor
        self._fd = -1
        self._heap: list[_Entry] = []
        self._serial = 0
        self._live = 0
        self._armed = math.inf

    def seconds(self) -> float:
        return time.monotonic()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:
        if not delay >= 0:
            raise ValueError(f"a call cannot be {delay} seconds later")
        if self._fd < 0:
            self._fd = kernel.timerCreate()
            self._reactor.addReader(self)
        call = DelayedCall(
            self.seconds() + delay, callable, args, kwargs, self._cancelled, self._push, self.seconds
        )
        self._live += 1
        self._push(call)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return list(dict.fromkeys(call for _, _, call in self._heap if call.active()))

    def close(self) -> None:
        for call in self.getDelayedCalls():
            call.cancel()
        if self._fd >= 0:
            self._reactor.removeReader(self)
            os.close(self._fd)
            self._fd = -1

    # IReadDescriptor

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return "timers"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; the descriptor is given back by L{close}."""

    def doRead(self) -> None:
        with suppress(OSError):
            os.read(self._fd, 8)
        self._armed = math.inf
        now = self.seconds()
        end = now + SLICE
        # Calls that are added meanwhile are not due before the next round.
        while (call := self._due(now)) is not None:
            self._make(call)
            if self.seconds() > end:
                break
        self._arm()

    def _make(self, call: DelayedCall) -> None:
        self._live -= 1
        call.called = 1
        try:
            call.func(*call.args, **call.kw)
        except BaseException:
            # Whatever gets out of doRead makes the reactor drop the reader.
            self.log.failure("a timed call failed")

    def _due(self, now: float) -> DelayedCall | None:
        """Take the next call that is due."""
        while self._heap and self._heap[0][0] <= now:
            when, _, call = heapq.heappop(self._heap)
            if _isStale(when, call):
                continue
            if call.delayed_time > 0:
                call.activate_delay()
                self._push(call)
            else:
                return call
        return None

    # The heap: a call that is moved forward is pushed again and its old entry
    # recognised by its time; one that is put off moves when its entry is due.

    def _push(self, call: DelayedCall) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (call.time, self._serial, call))
        if len(self._heap) > 2 * self._live + 64:
            self._heap = [entry for entry in self._heap if not _isStale(entry[0], entry[2])]
            heapq.heapify(self._heap)
        self._arm()

    def _cancelled(self, call: DelayedCall) -> None:
        self._live -= 1
        if not self._live:
            self._heap.clear()
            self._arm()

    def _arm(self) -> None:
        """Have the descriptor become readable at the first call, and never if there is none."""
        first = self._heap[0][0] if self._heap else math.inf
        if self._fd >= 0 and (first < self._armed or first == math.inf != self._armed):
            self._armed = first
            kernel.timerSet(self._fd, 0 if first == math.inf else max(first, 1e-9))


def _isStale(when: float, call: DelayedCall) -> bool:
    return not call.active() or call.time != when
