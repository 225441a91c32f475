"""Workers that have to show that they do their work."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import OperationFailed
from circustwist.model.inputs import Adopted
from circustwist.model.launch import Names
from circustwist.model.stack import Socket, Watcher

from .memory import Memory


def web(**options: object) -> Watcher:
    """A watcher of two processes."""
    return Watcher("web", cmd="web", **{"numprocesses": 2, **options})  # type: ignore[arg-type]


class ReadyTests(SynchronousTestCase):
    """The option ready."""

    def test_starting(self) -> None:
        """A watcher is starting until every process is ready; who waits for the start waits for that."""
        memory = Memory(web(ready="notify", autostart=False)).begin()
        self.assertIsNone(memory.ask("start", name="web", waiting=True))
        memory.probed(1)
        self.assertEqual(memory.status("web"), "starting")
        memory.probed(2)
        self.assertEqual((memory.status("web"), memory.answers[1]["watchers"]["web"]["started"]),
                         ("active", [1001, 1002]))

    def test_after(self) -> None:
        """Without sockets and without an option a process is ready when it was executed."""
        memory = Memory(web()).begin()
        self.assertEqual((memory.probes, memory.status("web")), ({}, "active"))

    def test_never(self) -> None:
        """A process that is not ready in time is ended and started again after a pause; the start has failed."""
        memory = Memory(web(ready="tcp://127.0.0.1:1", numprocesses=1, autostart=False)).begin()
        memory.ask("start", name="web", waiting=True)
        memory.probed(1, ok=False)
        self.assertIsInstance(memory.answers[1], OperationFailed)
        self.assertIn("web/1 was not ready: said no", str(memory.answers[1]))
        memory.obey()
        memory.advance(1)
        self.assertEqual((list(memory.running), (2, "ready") in memory.probes), ([2], True))

    def test_reload(self) -> None:
        """A reload waits until the new process is ready, then for min_ready."""
        memory = Memory(web(ready="notify", numprocesses=1, min_ready=3.0)).begin()
        memory.probed(1)
        memory.ask("reload", name="web", waiting=True)
        memory.advance(50)
        self.assertEqual(memory.signals, [])
        memory.probed(2)
        memory.advance(2.9)
        self.assertEqual(memory.signals, [])
        memory.advance(0.1)
        memory.obey()
        self.assertEqual(list(memory.running), [2])
        self.assertIn(1, memory.answers)

    def test_reloadFails(self) -> None:
        """A new process that is not ready in time ends the reload; the old one stays and the probe is named."""
        memory = Memory(web(ready="notify", numprocesses=1)).begin()
        memory.probed(1)
        memory.ask("reload", name="web", waiting=True)
        memory.probed(2, ok=False)
        memory.obey()
        self.assertEqual(list(memory.running), [1])
        self.assertIn("web/2 was not ready: said no", str(memory.answers[1]))


class ListeningTests(SynchronousTestCase):
    """Workers on a stream socket, of which nothing else was said."""

    SOCKETS = (Socket("web"), Socket("dns", type="sock_dgram"))

    def memory(self, **options: object) -> Memory:
        """A watcher that is handed the sockets."""
        return Memory(web(use_sockets=True, **options), sockets=self.SOCKETS).begin()

    def test_looked(self) -> None:
        """They are looked at until they are seen waiting for connections."""
        memory = self.memory()
        self.assertEqual(memory.probes[1, "ready"].spec, "listening")
        memory.probed(1)
        memory.probed(2)
        self.assertEqual(memory.status("web"), "active")

    def test_datagrams(self) -> None:
        """Nobody listens on a datagram socket."""
        memory = Memory(web(listen_fds=("dns",)), sockets=self.SOCKETS).begin()
        self.assertEqual(memory.probes, {})

    def test_unseen(self) -> None:
        """Where that cannot be seen it is no condition, neither at the start nor later."""
        memory = self.memory(numprocesses=1)
        memory.probed(1, ok=False)
        self.assertEqual((memory.status("web"), memory.arbiter.watchers["web"].past.problem), ("active", ""))
        memory.ask("reload", name="web", waiting=True)
        self.assertEqual(memory.probes, {})
        memory.advance(2)
        memory.obey()
        self.assertEqual(list(memory.running), [2])

    def test_seenBefore(self) -> None:
        """Where it was seen, a new process that is not seen ends a reload."""
        memory = self.memory(numprocesses=1)
        memory.probed(1)
        memory.ask("reload", name="web", waiting=True)
        self.assertEqual(memory.probes[2, "ready"].timeout, 60.0)
        memory.probed(2, ok=False)
        self.assertIsInstance(memory.answers[1], OperationFailed)

    def test_adopted(self) -> None:
        """A worker of an earlier supervisor shows whether it can be seen."""
        memory = Memory(web(use_sockets=True, numprocesses=1), sockets=self.SOCKETS)
        names = memory.names[7] = Names(7, "web", 1)
        memory.running[7] = 70
        memory.feed(Adopted(names, 70, 60.0))
        memory.begin()
        memory.probed(7)
        self.assertIs(memory.arbiter.watchers["web"].sight.seen, True)


class LiveTests(SynchronousTestCase):
    """The option live."""

    def test_hung(self) -> None:
        """A process that does not do its work any more is replaced through its stop signal."""
        memory = Memory(web(live="notify", numprocesses=1)).begin()
        memory.advance(100)
        memory.probed(1, ok=False, what="live")
        self.assertEqual(memory.signals[0], (1, 15))
        memory.advance(1)
        memory.obey()
        self.assertEqual((list(memory.running), (2, "live") in memory.probes), ([2], True))
        past = memory.arbiter.watchers["web"].past
        assert past.last is not None
        self.assertEqual((past.restarts, past.last.reason), (1, "did not do its work: said no"))
