"""Tests of connections that are led around seats nobody serves."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.effects import Avoid, Drain, KeepSeats
from circustwist.model.inputs import Drained
from circustwist.model.stack import Socket, Watcher
from circustwist.system.drain import INTERVAL, MOST, QUIET, Drains

from .memory import Memory

OWN = Socket("own", so_reuseport=True)
SHARED = Socket("own")


def stack(socket: Socket = OWN, **options: object) -> Memory:
    """A watcher of three processes, each with its own socket."""
    spec = Watcher("web", cmd="web", **{  # type: ignore[arg-type]
        "numprocesses": 3, "use_sockets": True, "ready": "after", "min_ready": 0.0, **options})
    return Memory(spec, sockets=(socket,)).begin()


def avoided(memory: Memory) -> tuple[int, ...]:
    """The seats that are given no connections."""
    return ([effect.seats for effect in memory.others if isinstance(effect, Avoid)] or [()])[-1]


def drained(memory: Memory) -> list[int]:
    """The ids of the workers for which was waited."""
    return [effect.names.id for effect in memory.others if isinstance(effect, Drain)]


class DetourTests(SynchronousTestCase):
    """Seats that are avoided."""

    def test_vacant(self) -> None:
        """A seat that nobody takes again within a second is avoided, until somebody does."""
        memory = stack(respawn="never")
        self.assertEqual(avoided(memory), ())
        memory.exit(2)
        memory.advance(0.9)
        self.assertEqual(avoided(memory), ())
        memory.advance(0.2)
        self.assertEqual(avoided(memory), (1,))
        memory.ask("start", name="web")
        self.assertEqual(avoided(memory), ())

    def test_again(self) -> None:
        """One that is taken again at once never is, and nothing is left to wake up for."""
        memory = stack()
        memory.advance(2)
        memory.exit(2)
        memory.advance(5)
        self.assertEqual((avoided(memory), memory.timers), ((), {}))

    def test_new(self) -> None:
        """A new seat is given connections as soon as its worker is ready."""
        memory = stack(ready="notify", numprocesses=1)
        memory.probed(1)
        self.assertEqual(avoided(memory), ())
        memory.ask("incr", name="web")
        self.assertEqual(avoided(memory), (1,))
        memory.probed(2)
        self.assertEqual(avoided(memory), ())

    def test_shared(self) -> None:
        """Where all processes share a socket there is nothing to be avoided, or to wait for."""
        memory = stack(SHARED, respawn="never")
        memory.exit(2)
        memory.advance(5)
        memory.ask("decr", name="web")
        self.assertEqual((avoided(memory), drained(memory)), ((), []))


class LeavingTests(SynchronousTestCase):
    """Workers that are too many."""

    def test_fewer(self) -> None:
        """One that is to go is given nothing more, and asked to end when nothing waits for it."""
        memory = stack()
        memory.ask("decr", name="web", waiting=True)
        self.assertEqual((avoided(memory), drained(memory), memory.signals), ((0,), [1], []))
        self.assertFalse([effect for effect in memory.others if isinstance(effect, KeepSeats)])
        memory.feed(Drained(memory.names[1]))
        self.assertEqual({id for id, _ in memory.signals}, {1})
        self.assertNotIn(1, memory.answers)
        memory.obey()
        self.assertEqual([e.seats for e in memory.others if isinstance(e, KeepSeats)], [(1, 2)])
        self.assertEqual(memory.answers[1]["numprocesses"], 2)

    def test_back(self) -> None:
        """If it is wanted again it stays."""
        memory = stack()
        memory.ask("decr", name="web")
        memory.ask("incr", name="web")
        memory.feed(Drained(memory.names[1]))
        self.assertEqual((avoided(memory), memory.signals, len(memory.running)), ((), [], 3))

    def test_dies(self) -> None:
        """If it ends meanwhile nobody takes its place."""
        memory = stack()
        memory.ask("decr", name="web", waiting=True)
        memory.exit(1)
        memory.feed(Drained(memory.names[1]))
        memory.advance(20)
        self.assertEqual((len(memory.running), memory.answers[1]["numprocesses"]), (2, 2))

    def test_quit(self) -> None:
        """The end of everything waits for nobody."""
        memory = stack()
        memory.ask("decr", name="web")
        memory.ask("quit")
        self.assertEqual({id for id, _ in memory.signals}, {1, 2, 3})
        memory.obey()
        self.assertEqual(memory.quit, 0)

    def test_reload(self) -> None:
        """A reload replaces those who stay, and who is too many goes after it."""
        memory = stack()
        memory.ask("reload", name="web")
        memory.ask("decr", name="web")
        for _ in range(9):
            memory.advance(1)
            memory.obey()
            for id in drained(memory):
                memory.feed(Drained(memory.names[id]))
        self.assertEqual(len(memory.running), 2)


class ReplacedTests(SynchronousTestCase):
    """Workers whose seats others have taken."""

    def test_replaced(self) -> None:
        """Nobody new comes to a seat while its old worker is about to end, and for a moment after it was asked to."""
        memory = stack()
        memory.ask("reload", name="web", waiting=True)
        memory.advance(0.1)
        self.assertEqual(drained(memory)[:1], [1])
        self.assertIn(0, avoided(memory))
        self.assertNotIn(1, {id for id, _ in memory.signals})
        memory.feed(Drained(memory.names[1]))
        self.assertIn(1, {id for id, _ in memory.signals})
        self.assertIn(0, avoided(memory))
        memory.advance(1.1)
        self.assertNotIn(0, avoided(memory))

    def test_gone(self) -> None:
        """When it has ended the seat is given connections again, and the reload ends with the last."""
        memory = stack()
        memory.ask("reload", name="web", waiting=True)
        for _ in range(4):
            memory.advance(0.1)
            for id in drained(memory):
                memory.feed(Drained(memory.names[id]))
            memory.obey()
        self.assertEqual((avoided(memory), sorted(memory.running)), ((), [4, 5, 6]))
        self.assertEqual(memory.answers[1]["watchers"]["web"]["started"], [1004, 1005, 1006])

    def test_alone(self) -> None:
        """With one seat there is nobody else to serve: its old worker is asked at once."""
        memory = stack(numprocesses=1)
        memory.ask("reload", name="web")
        memory.advance(0.1)
        self.assertEqual((drained(memory), {id for id, _ in memory.signals}), ([], {1}))


class DrainsTests(SynchronousTestCase):
    """Waiting until nobody waits."""

    def setUp(self) -> None:
        """A queue."""
        self.clock = Clock()
        self.drains = Drains(self.clock)
        self.done: list[float] = []
        self.queue = 0
        self.drains.wait(lambda: self.queue, lambda: self.done.append(self.clock.seconds()))

    def test_quiet(self) -> None:
        """It must have been empty for a while."""
        self.clock.pump([INTERVAL] * (QUIET - 1))
        self.queue = 1
        self.clock.advance(INTERVAL)
        self.queue = 0
        self.clock.pump([INTERVAL] * (QUIET - 1))
        self.assertEqual(self.done, [])
        self.clock.advance(INTERVAL)
        self.assertEqual((len(self.done), self.clock.getDelayedCalls()), (1, []))

    def test_never(self) -> None:
        """It is not waited for ever."""
        self.queue = 1
        self.clock.pump([INTERVAL] * (MOST + 1))
        self.assertEqual((len(self.done), self.clock.getDelayedCalls()), (1, []))

    def test_close(self) -> None:
        """At the end nobody waits any more."""
        self.drains.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
