"""Tests of taking samples: who is told, when, and that nothing happens while nobody looks."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.launch import Names
from circustwist.model.samples import Sample, SocketSample
from circustwist.system.observatory import FILLED, FIRST, KEPT, Observatory
from circustwist.system.sampling import Gauge, Gone, Sampling


class ObservatoryTests(SynchronousTestCase):
    """One walk serves everybody."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.running: list[tuple[str, list[tuple[Names, int]]]] = [("web", [(Names(1, "web", 1), os.getpid())])]
        self.sockets = 0
        self.observatory = Observatory(self.clock, lambda: self.running, self.look)
        self.addCleanup(self.observatory.close)
        self.samples: list[Sample] = []

    def look(self, period: float) -> tuple[SocketSample, ...]:
        """The sockets of the stack."""
        self.sockets += 1
        return (SocketSample("web", 3, "127.0.0.1:80"),)

    def pass_(self, seconds: float) -> None:
        """Let time pass, and whatever waits be done."""
        self.clock.pump([0, 0, seconds, 0, 0, 0])

    def test_idle(self) -> None:
        """While nobody observes nothing waits."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_period(self) -> None:
        """An observer is told once in each period; what is measured is there."""
        self.observatory.observe(self.samples.append, 1.0)
        for _ in range(4):
            self.pass_(1.0)
        self.assertEqual([sample.period for sample in self.samples], [0.0, 1.0, 1.0, 1.0, 1.0])
        (watcher,) = self.samples[-1].watchers
        self.assertEqual((watcher.name, watcher.workers[0].process.pid), ("web", os.getpid()))
        self.assertGreater(watcher.total(lambda process: process.memory), 1_000_000)
        self.assertEqual(self.samples[-1].sockets[0].name, "web")

    def test_two(self) -> None:
        """Each observer has his own period, and the walks are shared."""
        often: list[Sample] = []
        self.observatory.observe(often.append, 1.0)
        self.observatory.observe(self.samples.append, 2.0)
        for _ in range(4):
            self.pass_(1.0)
        self.assertEqual((len(often), len(self.samples)), (5, 3))
        self.assertEqual(self.sockets, 5)

    def test_late(self) -> None:
        """A sample that comes late says by how much, and those that were missed are not made up for."""
        self.observatory.observe(self.samples.append, 1.0)
        self.pass_(0)
        self.clock.advance(3.5)
        self.pass_(0)
        self.assertEqual(len(self.samples), 2)
        self.assertAlmostEqual(self.samples[-1].lag, 2.5)
        self.pass_(1.0)
        self.assertEqual(len(self.samples), 3)

    def test_end(self) -> None:
        """After the last observer has ended the history goes on for a while; then nothing happens any more."""
        end = self.observatory.observe(self.samples.append, 1.0)
        self.pass_(1.0)
        end()
        end()
        for _ in range(int(FILLED) - 5):
            self.pass_(1.0)
        self.assertEqual((len(self.samples), len(self.clock.getDelayedCalls())), (2, 1))
        self.assertGreater(self.sockets, FILLED - 5)
        for _ in range(10):
            self.pass_(1.0)
        sockets = self.sockets
        self.pass_(KEPT)
        self.assertEqual((self.sockets, self.clock.getDelayedCalls()), (sockets, []))

    def test_seldom(self) -> None:
        """Who looks once a minute, as a scraper does, makes nobody fill a history."""
        self.observatory.observe(self.samples.append, 60.0)
        self.pass_(30)
        self.pass_(30)
        self.assertEqual((len(self.samples), self.sockets), (2, 2))

    def test_endWhileTold(self) -> None:
        """An observer may end while he is told."""
        ends = [self.observatory.observe(lambda sample: ends[0](), 1.0)]
        self.observatory.observe(self.samples.append, 1.0)
        self.pass_(1.0)
        self.pass_(1.0)
        self.assertEqual(len(self.samples), 3)

    def test_failing(self) -> None:
        """An observer that fails keeps nobody from being told."""
        self.observatory.observe(lambda sample: 1 / 0, 1.0)  # type: ignore[arg-type, return-value]
        self.observatory.observe(self.samples.append, 1.0)
        self.pass_(1.0)
        self.assertEqual(len(self.samples), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_once(self) -> None:
        """One look takes two samples if there was none before, so that the processors' use can be told; else one."""
        self.observatory.look(self.samples.append)
        self.pass_(0)
        self.assertEqual(self.samples, [])
        self.pass_(FIRST)
        self.assertEqual([sample.period for sample in self.samples], [FIRST])
        self.observatory.look(self.samples.append)
        self.pass_(5)
        self.assertEqual(len(self.samples), 2)

    def test_many(self) -> None:
        """A walk over many processes lets others have their turn in between."""
        self.running = [("web", [(Names(id, "web", id), os.getpid()) for id in range(1, 3000)])]
        later, turns = self.clock.callLater, []

        def callLater(*given: Any) -> Any:
            turns.append(given[0])
            return later(*given)

        self.patch(self.clock, "callLater", callLater)
        self.observatory.observe(self.samples.append, 60.0)
        self.pass_(0)
        self.assertEqual(len(self.samples), 1)
        self.assertGreater(turns.count(0), 2)


class GaugeTests(SynchronousTestCase):
    """One process, read from C{/proc}."""

    def sleeper(self, program: str = "sleep 60") -> subprocess.Popen[bytes]:
        """A process that is ended after the test."""
        process = subprocess.Popen(["sh", "-c", f"echo; {program}; :"], stdout=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)  # type: ignore[union-attr]
        self.addCleanup(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def test_sample(self) -> None:
        """What is known of this process."""
        for keep in (True, False):
            gauge = Gauge(os.getpid(), keep)
            self.addCleanup(gauge.close)
            sample = gauge.look(1.0)
            self.assertEqual(sample.fds, len(os.listdir("/proc/self/fd")) - 1)
            self.assertIn("python", sample.facts.name)
            self.assertGreater(sample.virtual, sample.memory)
            self.assertGreaterEqual(sample.threads, 1)
            self.assertEqual(sample.cpu, 0.0)

    def test_ended(self) -> None:
        """A process that has ended is gone, a zombie too; descriptors are given back."""
        process = self.sleeper()
        before = len(os.listdir("/proc/self/fd"))
        gauge = Gauge(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.assertRaises(Gone, gauge.look, 1.0)
        process.wait()
        self.assertRaises(Gone, gauge.look, 1.0)
        self.assertRaises(Gone, Gauge, process.pid)
        gauge.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_children(self) -> None:
        """The use of processors by children that have ended counts; the supervisor's own is told without it."""
        mine, alone = Gauge(os.getpid()), Gauge(os.getpid(), children=False)
        self.addCleanup(mine.close)
        self.addCleanup(alone.close)
        first = mine.look(1.0), alone.look(1.0)
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"], check=True)
        second = mine.look(2.0), alone.look(2.0)
        self.assertGreater(second[0].seconds - first[0].seconds, second[1].seconds - first[1].seconds)
        self.assertGreater(second[0].cpu, second[1].cpu)

    def test_offspring(self) -> None:
        """Direct children are counted, and looked at if that is asked for."""
        process = self.sleeper("sleep 60 & sleep 60")
        sampling = Sampling()
        self.addCleanup(sampling.close)
        while True:
            walk = sampling.walk([("web", [(Names(1, "web", 1), process.pid)])], 1.0, True)
            with self.assertRaises(StopIteration) as caught:
                while True:
                    next(walk)
            (watcher,) = caught.exception.value
            (worker,) = watcher.workers
            if worker.process.children == 2 and {each.facts.name for each in worker.offspring} == {"sleep"}:
                break
        for child in worker.offspring:
            os.kill(child.pid, 9)
        self.assertEqual(len(worker.offspring), 2)

    def test_another(self) -> None:
        """Whoever has ended is forgotten; a worker of another process is another gauge."""
        sampling = Sampling()
        before = len(os.listdir("/proc/self/fd"))
        for running in ([(1, os.getpid()), (2, os.getpid())], [(1, os.getppid())], []):
            for _ in sampling.walk([("web", [(Names(id, "web", id), pid) for id, pid in running])], 1.0, False):
                pass
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class LoadingTests(SynchronousTestCase):
    """Most stacks are watched by nobody."""

    def test_nobody(self) -> None:
        """What measures is not loaded before there is something to measure."""
        names = {"samples", "sampling", "observatory", "history", "hits", "diag", "metrics"}
        code = f"import sys, circustwist.service; print(*({names} & {{name.split('.')[-1] for name in sys.modules}}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "\n")
