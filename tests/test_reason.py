"""Who reads what a process wrote before something failed."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import OperationFailed
from circustwist.model.events import Occurrence
from circustwist.model.inputs import Asked, Exited, Probed, Who
from circustwist.model.reason import Reason, framed, joined, whole
from circustwist.model.stack import Watcher

from .memory import Memory

CANARY = "password = hunter2"


class ReasonTests(SynchronousTestCase):
    """Tests of the value."""

    def test_formatted(self) -> None:
        """What is made of it by formatting has no last words; what is made on purpose has."""
        reason = Reason("web/1 exited 1", CANARY)
        self.assertNotIn(CANARY, f"it failed: {reason}" + str.join("", [reason]) + json.dumps(reason))
        self.assertEqual(whole(framed("it failed: ", reason, "!")), f"it failed: web/1 exited 1!; {CANARY}")

    def test_joined(self) -> None:
        """Of two reasons both texts and all words are kept."""
        one, two = Reason("one", "said a"), Reason("two", "said b")
        self.assertEqual(whole(joined(one, two)), "one; two; said a; said b")
        self.assertEqual(whole(joined("", two)), "two; said b")
        self.assertEqual(whole(joined(one, "three")), "one; three; said a")


class RoleTests(SynchronousTestCase):
    """Tests of what the logic tells those of different roles."""

    def told(self, memory: Memory, role: str) -> list[str]:
        """All that somebody of a role can read, by command and of events."""
        found: list[Any] = []
        asked: tuple[tuple[str, dict[str, Any]], ...] = (("status", {"detail": True}), ("operation", {}))
        for command, arguments in asked:
            call = 1000 + len(memory.answers)
            memory.feed(Asked(call, command, arguments, Who("bob", role)))
            found.append(memory.answers[call])
        events = [Occurrence("s", 1, 0.0, event).json(role) for event in memory.events]
        return [json.dumps(each) for each in (*found, *events)]

    def check(self, memory: Memory) -> None:
        """Operators read it in the status and in events; viewers nowhere."""
        self.assertNotIn(CANARY, "".join(self.told(memory, "viewer")))
        for role in ("operator", "admin"):
            status, _, *events = self.told(memory, role)
            self.assertIn(CANARY, status)
            self.assertIn(CANARY, "".join(events))

    def ended(self, memory: Memory, id: int) -> None:
        """A worker ends after it has written something."""
        del memory.running[id]
        memory.feed(Exited(memory.names[id], 256, CANARY))

    def test_reload(self) -> None:
        """A reload that fails: whoever asked is told all, and who asks about it what their role allows."""
        memory = Memory(Watcher("web", cmd="web", numprocesses=2, min_ready=5.0)).begin()
        memory.ask("reload", name="web", waiting=True)
        operation = memory.arbiter.operations._last
        for call, role in ((50, "viewer"), (51, "operator")):
            memory.feed(Asked(call, "operation", {"id": operation, "waiting": True}, Who("bob", role)))
        self.ended(memory, 3)
        self.assertIsInstance(memory.answers[1], OperationFailed)
        self.assertIn(f"; web/3 wrote: {CANARY}", str(memory.answers[1]))
        self.check(memory)
        self.assertNotIn(CANARY, json.dumps(memory.answers[50]))
        self.assertEqual(memory.answers[51]["operations"][0]["last_words"], f"web/3 wrote: {CANARY}")
        self.assertIn(CANARY, self.told(memory, "operator")[1])

    def test_replaced(self) -> None:
        """A worker that is too old, whose successor ends."""
        memory = Memory(Watcher("web", cmd="web", min_ready=5.0, max_age=10, max_age_variance=0)).begin()
        memory.advance(10)
        self.ended(memory, 2)
        self.check(memory)

    def test_notReady(self) -> None:
        """What the command of a probe wrote."""
        memory = Memory(Watcher("web", cmd="web", ready="exec:look")).begin()
        memory.feed(Probed(memory.names[1], "ready", False, Reason("exec:look: exit code 1", CANARY)))
        self.check(memory)
