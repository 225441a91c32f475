"""Limits of memory and of requests: what follows from them, and how memory is looked at."""

from __future__ import annotations

import os
import signal

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.effects import Measure
from circustwist.model.inputs import Measured, Noticed
from circustwist.model.launch import Names
from circustwist.model.stack import Watcher
from circustwist.system.memory import INTERVAL, Meter, resident

from .memory import Memory
from .test_ini import WEB, IniTestCase


def web(**options: object) -> Memory:
    """A stack of one process with these limits, which runs."""
    return Memory(Watcher("web", cmd="web", **options)).begin()  # type: ignore[arg-type]


class LimitTests(SynchronousTestCase):
    """A worker that has reached a limit."""

    def test_asked(self) -> None:
        """Only those whose memory is limited are looked at."""
        self.assertEqual(web().others, [])
        memory = web(max_memory=100, max_memory_kill=200)
        self.assertEqual(memory.others, [Measure(memory.names[1], 100)])

    def test_told(self) -> None:
        """The status tells the limits that are set, and no others."""
        memory = web(max_age=60.0, cpu_max=1.5, rlimits={"nofile": 4096, "core": None})
        (told,) = memory.ask("status", detail=True)["stack"]["watchers"]
        self.assertEqual(told["limits"], {
            "max_age": 60.0, "cpu_max": 1.5, "rlimit_nofile": 4096, "rlimit_core": "infinity"})
        (told,) = web().ask("status", detail=True)["stack"]["watchers"]
        self.assertEqual(told["limits"], {})

    def test_soft(self) -> None:
        """At the soft limit a successor comes first; what is said again meanwhile changes nothing."""
        memory = web(max_memory=100)
        for _ in range(3):
            memory.feed(Measured(memory.names[1], 150))
        self.assertEqual((sorted(memory.running), memory.signals), ([1, 2], []))
        memory.advance(2)
        memory.obey()
        self.assertEqual(sorted(memory.running), [2])
        (event,) = [event for event in memory.events if event.name == "replace"]
        self.assertEqual((event.by, event.data["reason"]), ("max_memory", "max_memory of 100 bytes, it has 150"))

    def test_hard(self) -> None:
        """At the hard limit it is killed at once, and another one follows."""
        memory = web(max_memory=100, max_memory_kill=200)
        memory.advance(5)
        memory.feed(Measured(memory.names[1], 200))
        self.assertIn((1, signal.SIGKILL), memory.signals)
        memory.obey()
        memory.advance(1)
        self.assertEqual(list(memory.running), [2])
        self.assertEqual(memory.arbiter.watchers["web"].past.last.reason,  # type: ignore[union-attr]
                         "used 200 bytes of memory, max_memory_kill is 200")

    def test_requests(self) -> None:
        """A process that says that it has answered so many is replaced; what it says of itself is shown."""
        memory = web(max_requests=10, ready="notify")
        memory.probed(1)
        memory.feed(Noticed(memory.names[1], 9, "serving"))
        self.assertEqual(sorted(memory.running), [1])
        (worker,) = memory.ask("status", detail=True)["stack"]["watchers"][0]["workers"]
        self.assertEqual(worker["said"], "serving")
        memory.feed(Noticed(memory.names[1], 10))
        memory.probed(2)
        memory.advance(2)
        memory.obey()
        self.assertEqual(sorted(memory.running), [2])


class IniTests(IniTestCase):
    """Limits that cannot be kept."""

    def test_requests(self) -> None:
        """Only a process that notifies can tell how many requests it has answered."""
        self.assertTold(f"{WEB}max_requests = 5",
                        "F stack.ini:3: [watcher:web] max_requests: needs ready = notify or live = notify, since only "
                        "a process that notifies can tell how many it has answered")
        self.assertEqual(self.one(f"{WEB}max_requests = 5\nlive = notify").max_requests, 5)

    def test_order(self) -> None:
        """The hard limit is above the soft one."""
        self.assertTold(f"{WEB}max_memory = 2M\nmax_memory_kill = 1M",
                        "F stack.ini:4: [watcher:web] max_memory_kill: is not above max_memory, so that nothing would "
                        "be replaced before it is killed")


class MeterTests(SynchronousTestCase):
    """How memory is looked at."""

    def test_resident(self) -> None:
        """Of this process it is some, of none nothing."""
        self.assertGreater(resident(os.getpid()), 1 << 20)
        self.assertEqual(resident(2**22 + 1), 0)

    def test_timer(self) -> None:
        """There is one timer while anybody is looked at, and none otherwise; only who is at its limit is told of."""
        clock, told = Clock(), []
        meter = Meter(clock, lambda names, size: told.append(names.id))
        for id, limit in ((1, 1), (2, 1 << 50)):
            meter.limit(Names(id, "web", id), os.getpid(), limit)
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        clock.advance(INTERVAL)
        clock.advance(INTERVAL)
        self.assertEqual((told, len(clock.getDelayedCalls())), ([1, 1], 1))
        meter.forget(1)
        meter.limit(Names(2, "web", 2), os.getpid(), 0)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_close(self) -> None:
        """Closed while it tells, it looks no more."""
        clock = Clock()
        meter = Meter(clock, lambda names, size: meter.close())
        meter.limit(Names(1, "web", 1), os.getpid(), 1)
        clock.advance(INTERVAL)
        self.assertEqual(clock.getDelayedCalls(), [])
