"""Tests of the timers on the monotonic clock."""

from __future__ import annotations

import os
import random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from circustwist.system import kernel
from circustwist.system.clock import Clock
from circustwist.system.interfaces import IClock


class OddError(Exception):
    """What a test's call raises."""


class ManualTests(SynchronousTestCase):
    """A clock whose time and descriptor are looked at by hand."""

    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.clock = Clock(self.reactor)
        self.addCleanup(self.clock.close)
        self.now = 100.0
        self.clock.seconds = lambda: self.now  # type: ignore[method-assign]
        self.done: list[Any] = []

    def advance(self, seconds: float) -> None:
        """Let time pass and the descriptor become readable."""
        self.now += seconds
        self.clock.doRead()

    def armed(self) -> bool:
        """Whether anything would wake us."""
        return kernel.timerLeft(self.clock.fileno()) > 0

    def later(self, delay: float, what: Any) -> Any:
        """A call that says that it was made."""
        return self.clock.callLater(delay, self.done.append, what)

    def test_interfaces(self) -> None:
        """It is a clock and a descriptor."""
        verifyObject(IClock, self.clock)
        verifyObject(IReadDescriptor, self.clock)

    def test_lazy(self) -> None:
        """Nothing is opened before the first call."""
        self.assertEqual(self.clock.fileno(), -1)
        self.assertEqual(self.reactor.getReaders(), [])
        self.clock.close()

    def test_order(self) -> None:
        """Calls are made in the order of their times, those of one time as they were asked for."""
        for delay in (3, 1, 2):
            self.later(delay, delay)
        self.later(1, "again")
        self.advance(2)
        self.assertEqual(self.done, [1, "again", 2])
        self.advance(1)
        self.assertEqual(self.done, [1, "again", 2, 3])

    def test_arguments(self) -> None:
        """Arguments of both kinds are handed on."""
        self.clock.callLater(0, lambda *a, **k: self.done.append((a, k)), 1, key=2)
        self.advance(0)
        self.assertEqual(self.done, [((1,), {"key": 2})])

    def test_negative(self) -> None:
        """What should have been made already is refused."""
        for delay in (-1, float("nan")):
            self.assertRaises(ValueError, self.clock.callLater, delay, self.done.append)

    def test_cancel(self) -> None:
        """A call that was cancelled is not made."""
        call = self.later(1, "never")
        self.later(1, "yes")
        call.cancel()
        self.assertRaises(AlreadyCancelled, call.cancel)
        self.advance(1)
        self.assertEqual(self.done, ["yes"])

    def test_called(self) -> None:
        """A call that was made cannot be cancelled."""
        call = self.later(1, "yes")
        self.advance(1)
        self.assertFalse(call.active())
        self.assertRaises(AlreadyCalled, call.cancel)

    def test_sooner(self) -> None:
        """A call can be moved forward, and is then made once."""
        call = self.later(10, "moved")
        self.later(5, "other")
        call.reset(1)
        self.assertEqual(call.getTime(), 101)
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)
        self.advance(1)
        self.assertEqual(self.done, ["moved"])
        self.advance(20)
        self.assertEqual(self.done, ["moved", "other"])

    def test_later(self) -> None:
        """A call can be put off, even twice."""
        call = self.later(1, "late")
        call.reset(5)
        call.delay(1)
        self.advance(5)
        self.assertEqual(self.done, [])
        self.advance(1)
        self.assertEqual(self.done, ["late"])

    def test_delayedCalls(self) -> None:
        """Only what is still to be made is listed."""
        kept, cancelled = self.later(1, "kept"), self.later(1, "cancelled")
        cancelled.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [kept])
        self.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_exception(self) -> None:
        """A call that fails is logged and stops no other, whatever it raises."""
        def fail(error: BaseException) -> None:
            raise error

        self.clock.callLater(1, fail, OddError())
        self.clock.callLater(1, fail, SystemExit(3))
        self.later(1, "next")
        self.advance(1)
        self.assertEqual(self.done, ["next"])
        self.assertEqual(len(self.flushLoggedErrors(OddError, SystemExit)), 2)

    def test_idle(self) -> None:
        """Nothing is armed while nothing waits."""
        call = self.later(1e6, "never")
        self.assertTrue(self.armed())
        call.cancel()
        self.assertFalse(self.armed())
        self.later(1, "made")
        self.advance(1)
        self.assertFalse(self.armed())

    def test_recursion(self) -> None:
        """A call for now that is asked for by a call is made in the next round."""
        self.clock.callLater(0, self.clock.callLater, 0.5, self.done.append, "inner")
        self.advance(0)
        self.assertEqual(self.done, [])
        self.assertTrue(self.clock.getDelayedCalls())
        self.advance(1)
        self.assertEqual(self.done, ["inner"])

    def test_slices(self) -> None:
        """After 8 ms of calls everybody else has a turn, and the rest follows at once."""
        def slow(n: int) -> None:
            self.now += 0.005
            self.done.append(n)

        for n in range(5):
            self.clock.callLater(0, slow, n)
        self.advance(0)
        self.assertEqual(self.done, [0, 1])
        while self.clock.getDelayedCalls():
            self.clock.doRead()
        self.assertEqual(self.done, [0, 1, 2, 3, 4])

    def test_cancelledHeap(self) -> None:
        """What was cancelled is not kept."""
        self.later(1e6, "kept")
        for _ in range(10000):
            self.later(1e6, "never").cancel()
        self.assertLess(len(self.clock._heap), 200)

    def test_close(self) -> None:
        """A closed clock has given everything back, and can be used again."""
        self.later(1, "never")
        fd = self.clock.fileno()
        self.clock.close()
        self.assertRaises(OSError, os.fstat, fd)
        self.assertEqual(self.reactor.getReaders(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.later(1, "again")
        self.advance(1)
        self.assertEqual(self.done, ["again"])


class RealTests(TestCase):
    """The clock in a real reactor."""

    timeout = 30.0

    def setUp(self) -> None:
        self.clock = Clock(reactor)
        self.addCleanup(self.clock.close)

    def test_many(self) -> Deferred[None]:
        """Thousands of calls are made, each at its time, in order."""
        done: Deferred[None] = Deferred()
        made: list[float] = []
        delays = [random.uniform(0, 0.2) for _ in range(5000)]

        def call(when: float) -> None:
            self.assertGreaterEqual(self.clock.seconds(), when)
            made.append(when)
            if len(made) == len(delays):
                done.callback(None)

        for delay in delays:
            self.clock.callLater(delay, call, self.clock.seconds() + delay)
        done.addCallback(lambda _: self.assertEqual(len(made), 5000))
        done.addCallback(lambda _: self.assertEqual(kernel.timerLeft(self.clock.fileno()), 0))
        return done

    def test_zero(self) -> Deferred[None]:
        """A call for now is made in a later turn."""
        done: Deferred[None] = Deferred()
        self.clock.callLater(0, done.callback, None)
        self.assertFalse(done.called)
        return done
