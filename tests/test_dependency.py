"""Watchers that depend on each other, without a world."""

from __future__ import annotations

import signal
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.dependency import stopStages
from circustwist.model.effects import ReadStack
from circustwist.model.errors import OperationFailed
from circustwist.model.inputs import Adopted, SocketsChanged, StackRead
from circustwist.model.launch import Names
from circustwist.model.needs import circles, needs
from circustwist.model.settings import Settings
from circustwist.model.stack import Stack, Watcher

from .memory import Memory

DB = Watcher("db", cmd="db", ready="notify")
JOB = Watcher("job", cmd="job", respawn="never")
WEB = Watcher("web", cmd="web", depends_on=("db:ready", "job:completed"))


def ran(memory: Memory) -> list[str]:
    """The watchers of all processes that were started, in order."""
    return [event.worker for event in memory.events if event.name == "spawn"]


def who(memory: Memory, name: str) -> int:
    """The id of the last worker of a watcher."""
    return max(id for id, names in memory.names.items() if names.watcher == name)


def waits(memory: Memory) -> dict[str, str]:
    """Who waits for what."""
    watchers: list[dict[str, Any]] = memory.ask("status", detail=True)["stack"]["watchers"]
    return {watcher["name"]: watcher["waits"] for watcher in watchers if watcher["waits"]}


class StartTests(SynchronousTestCase):
    """The start of a stack."""

    def test_conditions(self) -> None:
        """A watcher is started when all it needs is so, and status says what it waits for."""
        memory = Memory(DB, JOB, WEB).begin()
        self.assertEqual((ran(memory), waits(memory)), (["db/1", "job/1"], {"web": "db:ready, job:completed"}))
        memory.probed(who(memory, "db"))
        self.assertEqual(waits(memory), {"web": "job:completed"})
        memory.exit(who(memory, "job"))
        self.assertEqual((ran(memory)[-1], waits(memory)), ("web/1", {}))
        self.assertEqual(memory.status("web"), "active")

    def test_started(self) -> None:
        """For started it is enough that the processes were executed."""
        memory = Memory(DB, Watcher("a", cmd="a", depends_on=("db:started",)))
        memory.auto = False
        memory.begin()
        self.assertEqual(waits(memory), {"a": "db:started"})
        memory.spawned(1)
        self.assertEqual([names.watcher for names in memory.spawning.values()], ["a"])

    def test_everyProcess(self) -> None:
        """Ready are all processes, not one of them."""
        memory = Memory(attrs.evolve(DB, numprocesses=2), Watcher("a", cmd="a", depends_on=("db:ready",))).begin()
        memory.probed(1)
        self.assertEqual(waits(memory), {"a": "db:ready"})
        memory.probed(2)
        self.assertEqual(waits(memory), {})

    def test_priority(self) -> None:
        """Who is free to start does so by priority, the stack's pause between one and the next."""
        memory = Memory(
            Watcher("a", cmd="a", depends_on=("c:started",)), Watcher("b", cmd="b"), Watcher("c", cmd="c", priority=5),
            settings=Settings(warmup_delay=1.0)).begin()
        self.assertEqual(ran(memory), ["c/1"])
        memory.advance(1)
        self.assertEqual(ran(memory), ["c/1", "a/1"])
        memory.advance(1)
        self.assertEqual(ran(memory), ["c/1", "a/1", "b/1"])

    def test_chain(self) -> None:
        """A long chain starts from its end."""
        chain = [Watcher(f"w{n:03}", cmd="x", depends_on=(f"w{n + 1:03}:ready",)) for n in range(400)]
        memory = Memory(*chain, Watcher("w400", cmd="x")).begin()
        self.assertEqual(ran(memory), [f"w{n:03}/1" for n in range(400, -1, -1)])

    def test_failed(self) -> None:
        """Whose dependency fails is not started and says why, and so on down the line; nobody else cares."""
        memory = Memory(DB, JOB, WEB, Watcher("tail", cmd="tail", depends_on=("web:started",)),
                        Watcher("other", cmd="other")).begin()
        memory.exit(who(memory, "job"), 3 << 8)
        self.assertEqual(sorted(set(ran(memory))), ["db/1", "job/1", "other/1"])
        problems = {w["name"]: w["problem"] for w in memory.ask("status", detail=True)["stack"]["watchers"]}
        self.assertEqual(
            problems["web"], "web was not started: job:completed does not hold: job is stopped: job/1 exited 3")
        self.assertTrue(problems["tail"].startswith("tail was not started: web:started does not hold: web is stopped"))
        self.assertEqual([event.watcher for event in memory.events if event.name == "unmet"], ["web", "tail"])
        self.assertEqual(memory.status("other"), "active")

    def test_givenUp(self) -> None:
        """The same when it could not be executed."""
        memory = Memory(Watcher("db", cmd="db", max_retry=1), attrs.evolve(WEB, depends_on=("db:ready",)))
        memory.auto = False
        memory.begin()
        memory.refuse(1)
        self.assertIn("db is failed: db/1 could not be started", memory.arbiter.watchers["web"].past.problem)
        self.assertEqual((memory.status("db"), memory.status("web"), waits(memory)), ("failed", "stopped", {}))

    def test_essential(self) -> None:
        """If an essential watcher is not started, the stack stops."""
        memory = Memory(JOB, Watcher("web", cmd="web", depends_on=("job:completed",), essential=True)).begin()
        memory.exit(1, 1 << 8)
        memory.obey()
        self.assertEqual(memory.quit, 1)


class CommandTests(SynchronousTestCase):
    """Commands to watchers that depend on each other."""

    def ready(self) -> Memory:
        """A stack in which everyone runs."""
        memory = Memory(DB, JOB, WEB).begin()
        memory.probed(who(memory, "db"))
        memory.exit(who(memory, "job"))
        return memory

    def test_startAlso(self) -> None:
        """A start of one watcher starts what it depends on; what has completed is not run again."""
        memory = self.ready()
        memory.ask("stop")
        memory.obey()
        memory.obey()
        self.assertEqual(memory.running, {})
        memory.events.clear()
        memory.ask("start", name="web")
        self.assertEqual((ran(memory), waits(memory)), (["db/1"], {"web": "db:ready"}))
        memory.probed(who(memory, "db"))
        self.assertEqual(ran(memory), ["db/1", "web/1"])

    def test_stopOrder(self) -> None:
        """Nobody is stopped before those that depend on it."""
        memory = self.ready()
        memory.signals.clear()
        memory.ask("stop")
        self.assertEqual([id for id, signum in memory.signals if signum == signal.SIGTERM], [who(memory, "web")])
        memory.obey()
        self.assertEqual([id for id, signum in memory.signals if signum == signal.SIGTERM], [who(memory, "db")])

    def test_quitOrder(self) -> None:
        """The same at the end of the stack, whatever the priorities say."""
        memory = Memory(Watcher("a", cmd="a"), Watcher("b", cmd="b", priority=9, depends_on=("a:ready",)),
                        Watcher("c", cmd="c", priority=3)).begin()
        self.assertEqual(ran(memory), ["c/1", "a/1", "b/1"])
        order = []
        memory.ask("quit")
        while memory.signals:
            order.append({memory.names[id].watcher for id, _ in memory.signals})
            memory.obey()
        self.assertEqual((order, memory.quit), ([{"c"}, {"b"}, {"a"}], 0))

    def test_stopWaiting(self) -> None:
        """A stop calls off what waits; a later supervisor does not start it either."""
        memory = Memory(DB, attrs.evolve(WEB, depends_on=("db:ready",))).begin()
        wish = {"kind": "wanted", "watcher": "web", "running": True, "numprocesses": 1}
        self.assertIn(wish, memory.journal)
        memory.ask("stop", name="web")
        self.assertEqual(waits(memory), {})
        wishes = [entry for entry in memory.journal if entry.get("watcher") == "web"]
        self.assertEqual(wishes, [wish, {**wish, "running": False}])
        memory.probed(1)
        self.assertEqual(ran(memory), ["db/1"])

    def test_cancelWaiting(self) -> None:
        """A start that waits can be cancelled."""
        memory = Memory(DB, attrs.evolve(WEB, depends_on=("db:ready",))).begin()
        memory.ask("cancel", id=1)
        self.assertEqual(waits(memory), {})
        memory.probed(1)
        self.assertEqual(ran(memory), ["db/1"])

    def test_stopNeeded(self) -> None:
        """If what somebody waits for is stopped, waiting is in vain and the command fails."""
        memory = Memory(DB, attrs.evolve(WEB, depends_on=("db:ready",), autostart=False)).begin()
        self.assertIsNone(memory.ask("start", name="web", waiting=True))
        memory.ask("stop", name="db")
        self.assertIsInstance(memory.answers[1], OperationFailed)
        self.assertIn("web was not started: db:ready does not hold: db is stopping", str(memory.answers[1]))

    def test_restart(self) -> None:
        """A restart of all stops and starts in order, and tells all that it changed."""
        memory = self.ready()
        old = set(memory.running.values())
        self.assertIsNone(memory.ask("restart", waiting=True))
        memory.obey()
        memory.obey()
        memory.probed(who(memory, "db"))
        memory.exit(who(memory, "job"))
        changed = memory.answers[1]["watchers"]
        self.assertEqual({pid for each in changed.values() for pid in each["stopped"]}, old)
        self.assertEqual([len(changed[name]["started"]) for name in ("db", "web")], [1, 1])

    def test_adopted(self) -> None:
        """Who runs already does not wait; what had completed counts, and what somebody stopped stays so."""
        memory = Memory(DB, JOB, WEB, Watcher("new", cmd="new", depends_on=("db:ready",)))
        names = memory.names[9] = Names(9, "web", 1)
        memory.running[9] = 7
        memory.feed(Adopted(names, 7, 1.0))
        memory.begin("job", job=(False, 1), db=(False, 1), web=(True, 1))
        self.assertEqual((memory.status("web"), memory.status("db"), ran(memory)), ("active", "stopped", []))
        self.assertIn("db is stopped", memory.arbiter.watchers["new"].past.problem)
        memory.ask("restart", name="web")
        memory.obey()
        memory.probed(who(memory, "db"))
        self.assertEqual(ran(memory), ["db/1", "web/1"])

    def test_added(self) -> None:
        """Watchers that a changed configuration adds start in order, and removed ones stop in it."""
        memory = Memory(JOB).begin()
        memory.ask("reloadconfig", waiting=True)
        (read,) = [effect for effect in memory.others if isinstance(effect, ReadStack)]
        web = attrs.evolve(WEB, name="app", depends_on=("db:ready",))
        memory.feed(StackRead(read.operation, Stack("test", "/test.ini", Settings(), (web, DB))))
        memory.feed(SocketsChanged(read.operation))
        self.assertEqual(waits(memory), {"app": "db:ready"})
        memory.probed(who(memory, "db"))
        memory.obey()
        self.assertEqual((sorted(memory.arbiter.watchers), memory.status("app")), (["app", "db"], "active"))
        self.assertIn("operation", memory.answers[1])


some = st.lists(st.integers(0, 7), max_size=4, unique=True)


class PropertyTests(SynchronousTestCase):
    """What holds for all stacks."""

    def stack(self, edges: list[list[int]]) -> list[Watcher]:
        """Watchers without circles, each needing some of those before it."""
        return [
            Watcher(f"w{n}", cmd="x", priority=n % 3, depends_on=tuple(f"w{m}:ready" for m in to if m < n))
            for n, to in enumerate(edges)]

    @settings(deadline=None)
    @given(st.lists(some, max_size=8))
    def test_order(self, edges: list[list[int]]) -> None:
        """Everyone starts after, and stops before, what it depends on."""
        watchers = self.stack(edges)
        memory = Memory(*watchers).begin()
        order = [name.partition("/")[0] for name in ran(memory)]
        self.assertEqual(sorted(order), sorted(watcher.name for watcher in watchers))
        ends = [each.watcher for stage in stopStages(memory.arbiter.watchers.values()) for each in stage]
        for watcher in watchers:
            for need in needs(watcher):
                self.assertLess(order.index(need.watcher), order.index(watcher.name))
                self.assertLess(ends.index(watcher.name), ends.index(need.watcher))

    @given(st.lists(some, min_size=1, max_size=8))
    def test_circles(self, edges: list[list[int]]) -> None:
        """A circle is found exactly if there is one, and what is told is one."""
        watchers = {f"w{n}": Watcher(f"w{n}", depends_on=tuple(f"w{m}:ready" for m in to))
                    for n, to in enumerate(edges)}
        found = list(circles(watchers.values()))
        for circle in found:
            for one, other in zip(circle, [*circle[1:], circle[0]], strict=True):
                self.assertIn(other, {need.watcher for need in needs(watchers[one])})
        left = dict(watchers)
        while free := [name for name, each in left.items() if not {n.watcher for n in needs(each)} & set(left)]:
            for name in free:
                del left[name]
        self.assertEqual(bool(found), bool(left))
