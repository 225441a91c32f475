"""Tests of the rings in which the past is kept."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.launch import Names
from circustwist.model.samples import Hits, ProcessSample, Sample, SocketSample, WatcherSample, WorkerSample
from circustwist.system.history import History, Ring

KEY = ("watcher", "web")


def sample(time: float, cpu: float = 0.0, total: int | None = 0) -> Sample:
    """A sample of one watcher and one socket."""
    process = ProcessSample(7, cpu, memory=1000)
    return Sample(
        time, 1.0, process, 0.001, (WatcherSample("Web", (WorkerSample(Names(1, "Web", 1), process),)),),
        (SocketSample("a", 3, "127.0.0.1:80", Hits(total, rate=1.0, open=2), 3),))


class RingTests(SynchronousTestCase):
    """One ring."""

    @given(
        st.lists(st.tuples(st.floats(0.01, 40), st.floats(-1e6, 1e6, width=32)), max_size=60), st.integers(1, 10),
        st.sampled_from([1.0, 5.0]))
    def test_means(self, given_: list[tuple[float, float]], size: int, step: float) -> None:
        """Each point is the mean of what came in its step; the last ones are kept, in order."""
        ring, time = Ring(step, size), 1000.0
        slots: dict[float, list[float]] = {}
        for after, value in given_:
            time += after
            ring.push(time, {KEY: (value,)})
            slots.setdefault(time // step * step, []).append(value)
        found = list(ring.curve(KEY, 0))
        wanted = list(slots.items())[-size - 1:]
        self.assertEqual([at for at, _ in found], [at for at, _ in wanted])
        for (_, (value,)), (_, values) in zip(found, wanted, strict=True):
            mean = sum(values) / len(values)
            self.assertTrue(math.isclose(value, mean, rel_tol=1e-5, abs_tol=0.2), (value, mean))

    def test_gone(self) -> None:
        """What has gone is forgotten when its last point is, so that a ring does not grow."""
        ring = Ring(1.0, 3)
        for n in range(20):
            ring.push(n, {("watcher", f"w{n}"): (1.0,)})
        self.assertLessEqual(len(ring.columns), 6)


class HistoryTests(SynchronousTestCase):
    """All of them."""

    def test_recall(self) -> None:
        """Minutes come by seconds, hours by half minutes."""
        history = History()
        for n in range(300):
            history.push(sample(1000.0 + n, n))
        found = history.recall("watcher", "web", 60)
        self.assertEqual((found["step"], found["times"][-1], found["cpu"][-1]), (1.0, 1299.0, 299.0))
        self.assertEqual(len(found["times"]), 61)
        self.assertEqual(set(found), {"step", "times", "cpu", "memory", "processes", "gaps"})
        found = history.recall("watcher", "web", 7200)
        self.assertEqual((found["step"], found["times"][-2:]), (30.0, [1260.0, 1290.0]))
        self.assertEqual(found["cpu"][-2], sum(range(260, 290)) / 30)
        self.assertEqual(history.recall("socket", "a", 60)["queue"][-1], 3.0)
        own = history.recall("supervisor", "", 60)
        self.assertEqual((own["lag"][-1], own["stack_cpu"][-1]), (0.001, 299.0))
        self.assertEqual((own["stack_memory"][-1], own["stack_rate"][-1]), (1000.0, 1.0))

    def test_nothing(self) -> None:
        """Before the first sample, and of what is not there, there is nothing."""
        history = History()
        self.assertEqual(history.recall("watcher", "web", 60)["times"], [])
        history.push(sample(1000.0))
        self.assertEqual(history.recall("watcher", "nix", 60)["times"], [])

    def test_gap(self) -> None:
        """Time in which nobody looked is a gap, of which only the difference of the totals is known."""
        history = History()
        for n in (0, 1, 2, 60, 61):
            history.push(sample(1000.0 + n, 1.0, 10 * n))
        found = history.recall("socket", "a", 120)
        self.assertEqual(found["gaps"], [{"from": 1002.0, "to": 1060.0, "connections": 580}])
        self.assertEqual(found["times"], [1000.0, 1001.0, 1002.0, 1003.0, 1060.0, 1061.0])
        self.assertEqual(found["open"], [2.0, 2.0, 2.0, None, 2.0, 2.0])

    def test_uncounted(self) -> None:
        """Where nothing is counted there is no difference."""
        history = History()
        for n in (0, 60):
            history.push(sample(1000.0 + n, total=None))
        self.assertEqual(history.recall("socket", "a", 120)["gaps"][0]["connections"], None)
