"""
What is asked of one worker, until it is answered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..model.effects import Probe
from ..model.reason import framed
from ..model.secrets import hidden

SHORTEST_PAUSE = 0.05
"""Seconds that there are at least between two looks."""
SLOTS = 20
"""The looks at all that live are taken at so many moments of their interval."""

Told = Callable[[bool, str], None]
Done = Callable[[str], None]
"""Told of the end of a look: what is wrong, empty if nothing is."""


class Look(Protocol):
    """A look under way."""

    def close(self) -> None:
        """End it; its C{done} is not called any more."""


class Question:
    """
    One probe that is not answered yet.

    @ivar probe: what is asked.
    @ivar why: what is wrong so far, in words.
    """

    __slots__ = ("_clock", "_deadline", "_ends", "_failures", "_told", "probe", "why")

    def __init__(self, clock: IReactorTime, probe: Probe, told: Told) -> None:
        """
        @param told: called once, unless it is closed before.
        """
        self.probe = probe
        self.why: Callable[[], str] = lambda: f"no answer within {probe.timeout:g} s"
        self._clock = clock
        self._told: Told | None = told
        self._deadline: IDelayedCall | None = None
        self._failures = 0
        self._ends: list[Callable[[], None]] = []

    @property
    def open(self) -> bool:
        """Whether anybody still waits for the answer."""
        return self._told is not None

    def allow(self, seconds: float) -> None:
        """The answer is no unless it comes in so many seconds from now; replaces an earlier limit."""
        if self._deadline is None:
            self._deadline = self._clock.callLater(seconds, self._expired)
        else:
            self._deadline.reset(seconds)

    def extend(self, seconds: float) -> None:
        """Allow so many seconds from now if that is more than is left."""
        if self._deadline is not None and self._clock.seconds() + seconds > self._deadline.getTime():
            self._deadline.reset(seconds)

    def looked(self, problem: str) -> None:
        """
        A look is over.

        @param problem: what is wrong; empty if nothing is.
        """
        if problem:
            self.why = lambda: problem
        if self.probe.what == "ready":
            if not problem:
                self.answer(True)
            return
        self._failures = self._failures + 1 if problem else 0
        if self._failures >= self.probe.threshold:
            self.refuse()

    def refuse(self) -> None:
        """The answer is no."""
        self.answer(False, framed(f"{hidden('spec', self.probe.spec)}: ", self.why()))

    def answer(self, ok: bool, detail: str = "") -> None:
        """This is the answer, if there is none yet."""
        told = self._told
        self.close()
        if told is not None:
            told(ok, detail)

    def soon(self, act: Callable[[], None]) -> None:
        """Do something in the next turn, unless it is closed before."""
        self.atEnd(_canceller(self._clock.callLater(0, act)))

    def atEnd(self, act: Callable[[], None]) -> None:
        """Do this when it is answered or closed."""
        self._ends.append(act)

    def close(self) -> None:
        """Nobody wants to know any more."""
        self._told = None
        if self._deadline is not None:
            _canceller(self._deadline)()
            self._deadline = None
        ends, self._ends = self._ends, []
        for act in ends:
            act()

    def _expired(self) -> None:
        self.refuse()


def _canceller(call: IDelayedCall) -> Callable[[], None]:
    def cancel() -> None:
        if call.active():
            call.cancel()

    return cancel


class Rounds:
    """Looks again and again, one look at a time, until the question is closed."""

    __slots__ = ("_begin", "_call", "_clock", "_limit", "_look", "_looking", "_question")

    def __init__(
        self, clock: IReactorTime, question: Question, begin: Callable[[Done], Look], limit: float
    ) -> None:
        """
        @param begin: begins a look; may be told of its end before it returns.
        @param limit: the longest that one look may take, in seconds.
        """
        self._clock = clock
        self._question = question
        self._begin = begin
        self._limit = limit
        self._look: Look | None = None
        self._looking = False
        self._call: IDelayedCall | None = None

    def start(self, delay: float) -> None:
        """Take the first look in so many seconds."""
        self._question.atEnd(self.close)
        self._call = self._clock.callLater(self._together(delay), self._round)

    def close(self) -> None:
        """Look no more."""
        self._finished()

    def _round(self) -> None:
        self._call = self._clock.callLater(self._limit, self._late)
        self._looking = True
        look = self._begin(self._done)
        if self._looking:
            self._look = look
        else:
            look.close()

    def _late(self) -> None:
        self._finished()
        self._done(f"no answer within {self._limit:g} s")

    def _done(self, problem: str) -> None:
        self._finished()
        self._question.looked(problem)
        if self._question.open:
            self._call = self._clock.callLater(self._pause(), self._round)

    def _pause(self) -> float:
        return self._together(max(SHORTEST_PAUSE, self._question.probe.interval))

    def _together(self, delay: float) -> float:
        """
        Seconds until the next look that is to come in so many: a little more,
        so that looks at many that live are taken several at a time.  A process
        that is woken for each of them would take three times the time.
        """
        probe = self._question.probe
        if probe.what == "ready" or not probe.interval:
            return delay
        grid, now = probe.interval / SLOTS, self._clock.seconds()
        return math.ceil((now + delay) / grid) * grid - now

    def _finished(self) -> None:
        """There is neither a look nor a timer."""
        self._looking = False
        look, self._look = self._look, None
        call, self._call = self._call, None
        if look is not None:
            look.close()
        if call is not None and call.active():
            call.cancel()
