"""Tests of counting what was dropped."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.events import Event
from circustwist.system.drops import Ledger


class DropsTests(SynchronousTestCase):
    """Tests of L{Ledger} and what it counts."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        self.ledger = self.made()
        self.drops = self.ledger.of("web", 2)

    def made(self) -> Ledger:
        """A ledger whose events are kept."""
        ledger = Ledger(self.clock)
        ledger.told = self.events.append
        return ledger

    def told(self) -> list[tuple[Any, ...]]:
        """The bytes, lines, total and state of each event since the last call."""
        found = [tuple(event.data[key] for key in ("bytes", "lines", "total", "state")) for event in self.events]
        self.events.clear()
        return found

    def test_seldom(self) -> None:
        """It is told at once, then ten seconds later what has come since, then no more if nothing comes."""
        for _ in range(3):
            self.drops.add(b"a\nbc\n", "it is slow")
        self.assertEqual((self.events[0].name, self.events[0].data["stream"]),
                         ("dropped", "stderr"))
        self.assertEqual(self.told(), [(5, 2, 5, "because it is slow")])
        self.clock.advance(9.9)
        self.assertEqual(self.told(), [])
        self.drops.over()
        self.clock.advance(0.1)
        self.assertEqual(self.told(), [(10, 4, 15, "it is taken again")])
        self.clock.advance(100)
        self.assertEqual((self.told(), self.clock.getDelayedCalls()), ([], []))

    def test_close(self) -> None:
        """What was not told is told at the end."""
        self.drops.add(b"1", "x")
        self.drops.add(b"23", "x")
        self.ledger.close()
        self.assertEqual(self.told(), [(1, 0, 1, "because x"), (2, 0, 3, "because x")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_upgrade(self) -> None:
        """Another image counts on, and tells what was not told."""
        self.drops.add(b"1\n", "x")
        self.drops.add(b"23\n", "x")
        self.told()
        other = self.made()
        other.restore(self.ledger.handover())
        self.assertEqual((other.total("web"), other.figures()), (5, {"web": {"stderr": {"bytes": 5, "lines": 2}}}))
        other.close()
        self.assertEqual(self.told(), [(3, 1, 5, "before an upgrade")])

    def test_forget(self) -> None:
        """Nothing is left of a watcher that is gone."""
        self.ledger.of("other", 1).add(b"1\n", "x")
        self.ledger.forget("web")
        self.assertEqual((self.ledger.figures().keys(), self.ledger.total("web")), ({"other"}, 0))
