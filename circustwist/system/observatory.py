"""
Takes samples: one now, or one after another while somebody observes.

With nobody observing there is no timer here; what was kept between two samples
is forgotten a while after the last one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TypeAlias

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..model.launch import Names
from ..model.samples import Sample, SocketSample, WatcherSample
from .history import RINGS, History
from .sampling import Sampling

SLICE = 0.004
"""So many seconds at most processes are read in a row."""

SHORTEST = 0.2
"""Seconds between two samples at least."""

FIRST = 0.25
"""So many seconds a sample comes after another at least, so that who wants only one learns of the processors' use."""

KEPT = 60.0
"""So many seconds after a sample the use of the processor can still be told from it."""

FILLED = 120.0
"""So many seconds after the last observer the rings of the history are still filled."""

SELDOM = 10.0
"""Who wants a sample less often than after so many seconds does not watch, and fills no ring."""

Running: TypeAlias = Iterable[tuple[str, Iterable[tuple[Names, int]]]]


@attrs.define(eq=False)
class _Observer:
    """
    Somebody who observes.

    @ivar period: seconds between two samples; 0 if he wants only one.
    @ivar due: when he is to be told, on the monotonic clock.
    """

    listener: Callable[[Sample], None]
    period: float
    due: float

    @property
    def watches(self) -> bool:
        """Whether what he sees is worth keeping."""
        return 0 < self.period < SELDOM


@attrs.frozen
class _Round:
    """
    One walk over all processes.

    @ivar began: on the monotonic clock.
    @ivar late: so many seconds after it was due.
    """

    began: float
    late: float
    walk: Generator[None, None, tuple[WatcherSample, ...]]


class Observatory:
    """
    All that are observing, and the one walk over the processes that serves them.

    @ivar history: what was measured while somebody watched.
    """

    _log = Logger(namespace="circustwist.numbers")

    def __init__(
        self, clock: IReactorTime, running: Callable[[], Running],
        sockets: Callable[[float], tuple[SocketSample, ...]],
        dropped: Callable[[], Mapping[str, Mapping[str, Mapping[str, int]]]] = dict,
    ) -> None:
        """
        @param running: the processes of each watcher.
        @param sockets: the sockets, given the seconds since they were asked for last.
        @param dropped: see L{Sample}.
        """
        self._clock = clock
        self._running = running
        self._sockets = sockets
        self._dropped = dropped
        self._sampling = Sampling()
        self._observers: list[_Observer] = []
        self._call: IDelayedCall | None = None
        self._round: _Round | None = None
        self._last = 0.0
        self.history = History()
        self._filling: _Observer | None = None
        self._watched = 0.0

    # Who observes

    def observe(self, listener: Callable[[Sample], None], period: float) -> Callable[[], None]:
        """Be told of samples from now on; see L{circustwist.logic.requests.Steering}."""
        return self._add(listener, max(SHORTEST, period))

    def look(self, told: Callable[[Sample], None]) -> None:
        """
        Take one sample, with the direct children of all workers.

        @param told: called once with it.
        """
        self._add(told, 0.0)

    def _add(self, listener: Callable[[Sample], None], period: float) -> Callable[[], None]:
        now = self._clock.seconds()
        observer = _Observer(listener, period, now if period or not self._last else max(now, self._last + FIRST))
        self._observers.append(observer)
        if self._filling is None and observer.watches:
            self._filling = _Observer(self._fill, RINGS[0][0], now)
            self._observers.append(self._filling)
        self._next()

        def end() -> None:
            if observer in self._observers:
                self._observers.remove(observer)
                self._next()

        return end

    def _fill(self, sample: Sample) -> None:
        """Keep a sample; some time after the last observer has ended no more."""
        self.history.push(sample)
        now = self._clock.seconds()
        filling = self._filling
        if any(observer.watches for observer in self._observers if observer is not filling):
            self._watched = now
        elif filling is not None and now - self._watched > FILLED:
            self._observers.remove(filling)
            self._filling = None

    # When

    def _next(self) -> None:
        """Wait for whoever is due first; while a walk goes on, its end sees to that."""
        if self._round is not None:
            return
        self._cancel()
        if self._observers:
            at = min(observer.due for observer in self._observers)
            self._call = self._clock.callLater(max(0.0, at - self._clock.seconds()), self._begin, at)
        elif self._last:
            self._call = self._clock.callLater(max(0.0, self._last + KEPT - self._clock.seconds()), self._forget)

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _forget(self) -> None:
        self._call = None
        self._last = 0.0
        self._sampling.close()

    # A sample

    def _begin(self, at: float) -> None:
        now = self._clock.seconds()
        offspring = any(not one.period and one.due <= now + SHORTEST / 2 for one in self._observers)
        self._round = _Round(now, max(0.0, now - at), self._sampling.walk(self._running(), now, offspring))
        self._step(self._round)

    def _step(self, round: _Round) -> None:
        """Read processes for a while, then let others have their turn."""
        self._call = None
        until = time.monotonic() + SLICE
        try:
            while time.monotonic() < until:
                next(round.walk)
            self._call = self._clock.callLater(0, self._step, round)
        except StopIteration as end:
            self._finish(round, end.value)
        except Exception:
            self._log.failure("a look at the processes failed")
            self._finish(round, ())

    def _finish(self, round: _Round, watchers: tuple[WatcherSample, ...]) -> None:
        period = round.began - self._last if self._last else 0.0
        sample = Sample(
            time.time(), period, self._sampling.supervisor(round.began), round.late, watchers, self._sockets(period),
            self._dropped())
        self._round, self._last = None, round.began
        for observer in [observer for observer in self._observers if observer.due <= round.began + SHORTEST / 2]:
            if observer.period:
                later = observer.due + observer.period
                observer.due = later if later > round.began else round.began + observer.period
            elif not period:
                observer.due = round.began + FIRST
                continue
            else:
                self._observers.remove(observer)
            self._tell(observer.listener, sample)
        self._next()

    def _tell(self, listener: Callable[[Sample], None], sample: Sample) -> None:
        try:
            listener(sample)
        except Exception:
            self._log.failure("a listener to samples failed")

    def close(self) -> None:
        """Observe nothing any more."""
        self._cancel()
        self._observers.clear()
        self._sampling.close()
