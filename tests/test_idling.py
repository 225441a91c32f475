"""Watchers that end when nobody needs them, without a world."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.effects import Count
from circustwist.model.inputs import Counted

from .memory import Memory
from .test_demand import lazy, memory


class IdleTests(SynchronousTestCase):
    """C{idle_timeout}."""

    def setUp(self) -> None:
        self.world = memory(lazy(idle_timeout=40.0))

    def looks(self) -> int:
        """How often the connections were asked for."""
        return len([effect for effect in self.world.others if effect == Count("web", ("web",))])

    def pass_(self, seconds: float, total: int, open: int = 0) -> Memory:
        """Let time pass, while so many connections are seen."""
        for _ in range(int(seconds // 10)):
            before = self.looks()
            self.world.advance(10)
            if self.looks() > before:
                self.world.feed(Counted("web", total, open))
        return self.world

    def test_asleep(self) -> None:
        """While it waits nobody looks."""
        self.pass_(1000, 0)
        self.assertEqual((self.looks(), self.world.timers), (0, {}))

    def test_idle(self) -> None:
        """After the span without a connection all end, and the next one wakes it again."""
        self.world.knock("web")
        self.pass_(40, 1)
        self.assertEqual(self.world.signals, [])
        self.pass_(20, 1)
        self.assertEqual(len({id for id, _ in self.world.signals}), 2)
        self.assertIn("idle", self.world.topics())
        self.world.obey()
        self.assertEqual((self.world.status("web"), self.world.watched), ("stopped", {"web": ("web",)}))
        self.assertEqual(self.world.timers, {})
        self.world.knock("web")
        self.assertEqual((self.world.status("web"), len(self.world.running)), ("active", 2))

    def test_open(self) -> None:
        """As long as one is open nobody ends."""
        self.world.knock("web")
        self.pass_(400, 1, open=1)
        self.assertEqual(self.world.signals, [])
        self.pass_(30, 1)
        self.assertEqual(self.world.signals, [])
        self.pass_(20, 1)
        self.assertEqual(len({id for id, _ in self.world.signals}), 2)

    def test_between(self) -> None:
        """One that came and went between two looks counts too."""
        self.world.knock("web")
        for n in range(20):
            self.pass_(30, n)
        self.assertEqual(self.world.signals, [])

    def test_knocked(self) -> None:
        """A connection that comes while they end wakes it as soon as they have."""
        self.world.knock("web")
        self.pass_(50, 1)
        self.world.obey()
        self.world.knock("web")
        self.assertEqual(self.world.status("web"), "active")

    def test_stopped(self) -> None:
        """Who is stopped is not looked at any more; neither is one without the option, or that always runs."""
        self.world.knock("web")
        self.world.ask("stop", name="web")
        self.world.obey()
        self.assertEqual(self.world.timers, {})
        for spec in (lazy(), lazy(idle_timeout=40.0, on_demand=False)):
            world = memory(spec)
            world.knock("web")
            world.advance(1000)
            self.assertFalse([effect for effect in world.others if isinstance(effect, Count)])

    def test_live(self) -> None:
        """The option may be set while it runs, and taken away."""
        self.world.knock("web")
        self.world.ask("set", name="web", options={"idle_timeout": 0})
        self.pass_(400, 1)
        self.assertLessEqual(self.looks(), 1)
        self.assertEqual(self.world.signals, [])
        self.world.ask("set", name="web", options={"idle_timeout": 40})
        self.pass_(100, 1)
        self.assertEqual(len({id for id, _ in self.world.signals}), 2)
