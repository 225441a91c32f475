"""Watchers that start at the first connection, without a world."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.demand import doors
from circustwist.logic.restart import HEALTHY
from circustwist.model.effects import ChangeSockets, KeepSockets
from circustwist.model.errors import OperationFailed
from circustwist.model.inputs import Adopted, Ended, SocketsChanged, StackRead
from circustwist.model.launch import Names
from circustwist.model.settings import Settings
from circustwist.model.stack import Socket, Stack, Watcher

from .memory import Memory

WEB, OTHER, PACKETS = Socket("web"), Socket("other"), Socket("packets", type="sock_dgram")


def lazy(name: str = "web", **options: object) -> Watcher:
    """A watcher of two processes that is started on demand."""
    given = {"on_demand": True, "numprocesses": 2, "use_sockets": True, "ready": "after"}
    given["cmd"] = f"web $(circus.sockets.{name})"
    return Watcher(name, **{**given, **options})  # type: ignore[arg-type]


def memory(*watchers: Watcher, sockets: tuple[Socket, ...] = (OTHER, PACKETS, WEB)) -> Memory:
    """A supervisor that has begun."""
    return Memory(*watchers, sockets=sockets).begin()


class DoorTests(SynchronousTestCase):
    """The sockets that wake a watcher."""

    def assertDoors(self, watcher: Watcher, *names: str) -> None:
        """These do."""
        self.assertEqual(doors(Stack("s", "/s", sockets=(OTHER, PACKETS, WEB), watchers=(watcher,)), watcher), names)

    def test_named(self) -> None:
        """Those that the command line names, in any of its options."""
        self.assertDoors(lazy(), "web")
        self.assertDoors(lazy(cmd="web", args="--fd $(CIRCUS.sockets.OTHER)"), "other")
        self.assertDoors(lazy(cmd="web", args=("--fd", "((circus.sockets.other))")), "other")

    def test_handed(self) -> None:
        """Those of listen_fds and stdin_socket."""
        self.assertDoors(lazy(use_sockets=False, cmd="web", listen_fds=("web",)), "web")
        self.assertDoors(lazy(use_sockets=False, cmd="web", stdin_socket="other", listen_fds=("web",)), "other", "web")

    def test_any(self) -> None:
        """All stream sockets that it is handed, if it names none."""
        self.assertDoors(lazy(cmd="web"), "other", "web")
        self.assertDoors(lazy(cmd="web", use_sockets=False))

    def test_notHanded(self) -> None:
        """One that it names and is not handed, or on which there are no connections, does not."""
        self.assertDoors(lazy(use_sockets=False))
        self.assertDoors(lazy(cmd="web $(circus.sockets.packets) $(circus.sockets.web)"), "web")


class SleepTests(SynchronousTestCase):
    """Until the first connection."""

    def test_asleep(self) -> None:
        """It is not started with the stack, but waits."""
        world = memory(lazy())
        self.assertEqual((world.status("web"), world.running, world.timers), ("stopped", {}, {}))
        self.assertEqual(world.watched, {"web": ("web",)})
        self.assertTrue(world.ask("status", detail=True)["stack"]["watchers"][0]["asleep"])

    def test_wake(self) -> None:
        """A connection starts all processes at once; nobody looks at the socket any more."""
        world = memory(lazy())
        world.knock("other")
        self.assertEqual(world.running, {})
        world.knock("web")
        self.assertEqual((world.status("web"), len(world.running), world.watched), ("active", 2, {}))
        self.assertEqual(world.topics(), ["wake", "spawn", "spawn", "start"])

    def test_every(self) -> None:
        """Each watcher is woken by its own socket, and two by one that both have."""
        world = memory(lazy(), lazy("other"), lazy("third", cmd="x $(circus.sockets.web)"))
        world.knock("web")
        self.assertEqual([world.status(name) for name in ("web", "other", "third")], ["active", "stopped", "active"])

    def test_start(self) -> None:
        """A start changes nothing while it waits; while it runs, it fills up."""
        world = memory(lazy(numprocesses=2))
        self.assertEqual(world.ask("start", name="web", waiting=True)["operation"], 2)
        self.assertEqual((world.running, world.watched), ({}, {"web": ("web",)}))
        world.knock("web")
        world.exit(1)
        world.ask("start", name="web")
        self.assertEqual((len(world.running), world.watched), (2, {}))

    def test_autostart(self) -> None:
        """Without autostart it waits only after a start that names it."""
        world = memory(lazy(autostart=False))
        self.assertEqual(world.watched, {})
        world.ask("start", name="web")
        self.assertEqual(world.watched, {"web": ("web",)})
        world.ask("stop")
        self.assertEqual(world.watched, {})

    def test_none(self) -> None:
        """Without a process to be started nobody waits, until one is wanted."""
        world = memory(lazy(numprocesses=0))
        self.assertEqual(world.watched, {})
        world.ask("incr", name="web")
        self.assertEqual(world.watched, {"web": ("web",)})
        world.ask("decr", name="web")
        self.assertEqual(world.watched, {})

    def test_late(self) -> None:
        """A connection of which is told when it runs already, or is stopped, changes nothing."""
        world = memory(lazy())
        world.knock("web")
        world.watched["web"] = world.watched["gone"] = ("web",)
        world.knock("web")
        self.assertEqual(len(world.running), 2)
        world.ask("stop", name="web")
        world.watched["web"] = ("web",)
        world.knock("web")
        self.assertEqual(world.status("web"), "stopping")


class AgainTests(SynchronousTestCase):
    """After it ran."""

    def woken(self, **options: object) -> Memory:
        """A supervisor whose watcher was woken long ago."""
        world = memory(lazy(**options))
        world.knock("web")
        world.advance(HEALTHY)
        return world

    def test_ended(self) -> None:
        """When all processes have ended by themselves it waits again; none is replaced."""
        world = self.woken()
        world.exit(1, 256)
        self.assertEqual((world.status("web"), len(world.running), world.watched), ("active", 1, {}))
        world.exit(2, 9)
        self.assertEqual((world.status("web"), world.watched, world.timers), ("stopped", {"web": ("web",)}, {}))
        world.knock("web")
        self.assertEqual((world.status("web"), len(world.running)), ("active", 2))
        self.assertEqual(world.arbiter.watchers["web"].past.restarts, 0)

    def test_essential(self) -> None:
        """That is no reason to stop the stack."""
        world = self.woken(essential=True, numprocesses=1)
        world.exit(1)
        self.assertEqual((world.quit, world.watched), (None, {"web": ("web",)}))

    def test_rest(self) -> None:
        """Those that fail at once are not woken at once again, whatever waits; the pause grows."""
        world = memory(lazy(numprocesses=1))
        pauses = []
        for _ in range(4):
            world.knock("web")
            world.exit(next(iter(world.running)), 256)
            self.assertEqual((world.status("web"), world.watched), ("stopped", {}))
            (due,) = world.timers.values()
            pauses.append(round(due - world.now, 3))
            world.advance(due - world.now)
        self.assertEqual(pauses, [0.1, 0.2, 0.4, 0.8])

    def test_service(self) -> None:
        """If they are short because they serve one connection each, it does not grow."""
        world = memory(lazy(numprocesses=1))
        for _ in range(3):
            world.knock("web")
            world.exit(next(iter(world.running)), 0)
            self.assertEqual(round(next(iter(world.timers.values())) - world.now, 3), 0.1)
            world.advance(0.1)

    def test_startEndsRest(self) -> None:
        """A start ends the pause; a stop ends it and all waiting."""
        world = memory(lazy(numprocesses=1))
        world.knock("web")
        world.exit(1, 256)
        world.ask("incr", name="web")
        self.assertEqual(world.watched, {})
        world.ask("start", name="web")
        self.assertEqual((world.watched, world.timers), ({"web": ("web",)}, {}))
        world.knock("web")
        world.exit(2, 256)
        world.exit(3, 256)
        world.ask("stop", name="web")
        self.assertEqual((world.watched, world.timers), ({}, {}))

    def test_age(self) -> None:
        """What the supervisor itself ends for its age is replaced."""
        world = self.woken(max_age=10.0, max_age_variance=0.0, numprocesses=1)
        world.advance(10 + world.arbiter.watchers["web"].spec.min_ready)
        world.obey()
        self.assertEqual((world.status("web"), list(world.running)), ("active", [2]))

    def test_failed(self) -> None:
        """What cannot be executed fails, and waits again after a start."""
        world = memory(lazy(numprocesses=1, max_retry=1))
        world.auto = False
        world.knock("web")
        world.refuse(1)
        self.assertEqual((world.status("web"), world.watched), ("failed", {}))
        world.ask("start", name="web")
        self.assertEqual((world.status("web"), world.watched), ("stopped", {"web": ("web",)}))

    def test_restart(self) -> None:
        """A restart leaves it waiting."""
        world = self.woken()
        world.ask("restart", name="web")
        world.obey()
        self.assertEqual((world.status("web"), world.watched, world.running), ("stopped", {"web": ("web",)}, {}))


class StopTests(SynchronousTestCase):
    """An administrator's stop is not undone."""

    def test_asleep(self) -> None:
        """One that waits waits no more; start lets it wait again."""
        world = memory(lazy())
        self.assertIsNone(world.ask("stop", name="web", waiting=True).get("problem"))
        self.assertEqual((world.status("web"), world.watched), ("stopped", {}))
        world.ask("start", name="web")
        self.assertEqual(world.watched, {"web": ("web",)})

    def test_awake(self) -> None:
        """One that runs ends, whatever waits at its socket."""
        world = memory(lazy())
        world.knock("web")
        world.ask("stop", name="web")
        world.obey()
        self.assertEqual((world.status("web"), world.watched, world.running), ("stopped", {}, {}))

    def test_quit(self) -> None:
        """At the end nobody waits."""
        world = memory(lazy())
        world.feed(Ended("SIGTERM"))
        self.assertEqual((world.quit, world.watched), (0, {}))


class LaterTests(SynchronousTestCase):
    """After another supervisor, and with another configuration."""

    def wanted(self, world: Memory) -> list[bool]:
        """What the journal has of it."""
        return [entry["running"] for entry in world.journal if entry["kind"] == "wanted"]

    def test_journal(self) -> None:
        """That it waits, or does not, is in the journal."""
        world = memory(lazy())
        world.ask("incr", name="web")
        world.ask("stop", name="web")
        self.assertEqual(self.wanted(world), [True, True, False])

    def test_quit(self) -> None:
        """The end of the supervisor, and a restart, leave the wish as it is."""
        world = memory(lazy())
        world.ask("restart", name="web")
        world.feed(Ended("SIGTERM"))
        self.assertEqual(set(self.wanted(world)), {True})

    def test_left(self) -> None:
        """It waits, or does not, as under the supervisor before."""
        for running in (True, False):
            world = Memory(lazy(), sockets=(WEB,)).begin(web=(running, 2))
            self.assertEqual(world.watched, {"web": ("web",)} if running else {})

    def test_adopted(self) -> None:
        """One that was awake stays so."""
        world = Memory(lazy(numprocesses=1), sockets=(WEB,))
        world.running[1] = 7
        world.names[1] = Names(1, "web", 1)
        world.feed(Adopted(world.names[1], 7, 5.0))
        world.begin(web=(True, 1))
        self.assertEqual((world.status("web"), world.watched), ("active", {}))
        world.exit(1)
        self.assertEqual(world.watched, {"web": ("web",)})

    def change(self, world: Memory, *watchers: Watcher) -> None:
        """Apply another configuration."""
        world.ask("reloadconfig")
        operation = list(world.arbiter.operations)[-1].id
        world.feed(StackRead(operation, Stack("test", "/test.ini", Settings(), watchers, (OTHER, PACKETS, WEB))))
        if any(isinstance(effect, ChangeSockets) for effect in world.others):
            world.feed(SocketsChanged(operation))

    def test_doors(self) -> None:
        """With other sockets it waits at those, from the time on when they are kept."""
        world = memory(lazy())
        self.change(world, lazy(cmd="web $(circus.sockets.other)"))
        self.assertEqual(world.watched, {"web": ("other",)})
        self.assertTrue(any(isinstance(effect, KeepSockets) for effect in world.others))

    def test_off(self) -> None:
        """What is not started on demand any more is started."""
        world = memory(lazy())
        self.change(world, lazy(on_demand=False))
        self.assertEqual((world.status("web"), len(world.running), world.watched), ("active", 2, {}))

    def test_on(self) -> None:
        """What runs goes on, and waits when it has ended."""
        world = memory(lazy(on_demand=False, numprocesses=1))
        self.change(world, lazy(numprocesses=1))
        self.assertEqual(world.status("web"), "active")
        world.advance(5)
        world.exit(1)
        self.assertEqual(world.watched, {"web": ("web",)})

    def test_addRemove(self) -> None:
        """A new one waits; one that is removed does not."""
        world = memory(lazy())
        self.change(world, lazy("other"))
        self.assertEqual((world.watched, list(world.arbiter.watchers)), ({"other": ("other",)}, ["other"]))

    def test_undone(self) -> None:
        """When the change fails, everything is as before."""
        world = memory(lazy(), Watcher("job", cmd="job"))
        world.auto = False
        self.change(world, lazy("other"), lazy(), Watcher("job", cmd="job"), Watcher("bad", cmd="bad", max_retry=1))
        world.refuse(next(iter(world.spawning)))
        world.obey()
        self.assertEqual(world.watched, {"web": ("web",)})
        self.assertEqual(sorted(world.arbiter.watchers), ["job", "web"])
        self.assertNotIsInstance(world.ask("start", name="web", waiting=True), OperationFailed)
