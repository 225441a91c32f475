"""Plugins, without a world: what they may do, and what becomes of it when the supervisor dies."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist import foreign
from circustwist.guests import MODULES
from circustwist.logic.durable import replay, snapshot
from circustwist.model.amounts import fraction, pattern, percent, share
from circustwist.model.errors import Conflict
from circustwist.model.inputs import Asked, Begun, Who
from circustwist.model.plan import compare
from circustwist.model.plugins import KINDS, NATIVE, Flapping, Plugin, ResourceWatcher
from circustwist.model.reference import find
from circustwist.model.samples import ProcessSample
from circustwist.model.stack import Stack, Watcher
from circustwist.plugins.observers import figures
from circustwist.plugins.resources import violations

from .memory import Memory

PLUGIN = Who("plugin flapping", "operator", plugin=True)
CALL = 1_000_000


class GuardTests(SynchronousTestCase):
    """What a plugin asks for."""

    def ask(self, memory: Memory, command: str, who: Who = PLUGIN, name: str = "web") -> Any:
        """Give a command as a plugin."""
        memory.feed(Asked(CALL + len(memory.effects), command, {"name": name}, who))
        return next(answer for call, answer in reversed(memory.answers.items()) if call >= CALL)

    def running(self, **options: Any) -> Memory:
        """A supervisor with a watcher."""
        return Memory(Watcher("web", cmd="web", **options), Watcher("job", cmd="job")).begin()

    def test_own(self) -> None:
        """What it has stopped it may start."""
        memory = self.running()
        self.assertNotIsInstance(self.ask(memory, "stop"), Exception)
        memory.obey()
        self.assertNotIsInstance(self.ask(memory, "start"), Exception)
        self.assertEqual(memory.status("web"), "active")

    def test_others(self) -> None:
        """What somebody else has stopped it may not, by no command; nor if it stopped it before them."""
        for before in (False, True):
            memory = self.running()
            if before:
                self.ask(memory, "stop")
                memory.obey()
            memory.ask("stop", name="web")
            memory.obey()
            for command in ("start", "restart", "reload"):
                answer = self.ask(memory, command)
                self.assertIsInstance(answer, Conflict)
                self.assertIn("web was stopped by ann", str(answer))
            self.assertEqual(memory.status("web"), "stopped")

    def test_stopping(self) -> None:
        """Nor is a stop undone that is still under way."""
        memory = self.running()
        memory.ask("stop", name="web")
        self.assertIsInstance(self.ask(memory, "restart"), Conflict)

    def test_all(self) -> None:
        """A command for all leaves those out."""
        memory = self.running()
        memory.ask("stop", name="web")
        memory.obey()
        self.assertNotIsInstance(self.ask(memory, "restart", name=""), Exception)
        memory.obey()
        self.assertEqual((memory.status("web"), memory.status("job")), ("stopped", "active"))

    def test_restarting(self) -> None:
        """A stop is dropped while the watcher is restarted or reloaded; anybody else may stop it."""
        for command in ("restart", "reload"):
            memory = self.running(min_ready=1.0)
            memory.ask(command, name="web")
            self.assertIn(f"web is about to {command}", str(self.ask(memory, "stop")))
            self.assertNotIsInstance(self.ask(memory, "stop", Who("ann", "operator")), Exception)

    def test_survives(self) -> None:
        """Who has stopped a watcher is known to a later supervisor."""
        memory = self.running()
        self.ask(memory, "stop")
        memory.obey()
        left = replay(memory.journal)
        self.assertEqual(left.stoppers, {"web": "plugin flapping"})
        self.assertEqual(replay(snapshot(left)).stoppers, left.stoppers)
        again = Memory(Watcher("web", cmd="web"))
        again.feed(Begun(left.wanted, stoppers=left.stoppers))
        self.assertIsInstance(self.ask(again, "start", Who("plugin other", "operator", plugin=True)), Conflict)
        self.ask(again, "start")
        self.assertEqual((again.status("web"), replay(again.journal).stoppers), ("active", {}))


class TableTests(SynchronousTestCase):
    """The table of plugins."""

    def test_complete(self) -> None:
        """Every kind is declared, found by the name of its class in Circus, and made."""
        self.assertEqual(set(KINDS), set(MODULES))
        self.assertEqual(set(KINDS), set(NATIVE.values()))
        self.assertEqual([entry.section for entry in find("attempts")], ["plugin"])

    def test_amounts(self) -> None:
        """Percent and sizes are told apart."""
        self.assertEqual((share("90"), share("0.5%"), share("250M")), (90.0, 0.5, 250 * 1024**2))
        self.assertEqual((percent("150"), fraction("0.1"), pattern("a+")), (150.0, 0.1, "a+"))
        for convert, text in ((share, "x"), (percent, "-1"), (fraction, "0"), (fraction, "2"), (pattern, "(")):
            self.assertRaises(ValueError, convert, text)


class ResourceTests(SynchronousTestCase):
    """What is wrong with a process."""

    def test_violations(self) -> None:
        """Each limit in its own unit."""
        process = ProcessSample(1, cpu=95.0, share=10.0, memory=200)
        self.assertEqual(set(violations(process, ResourceWatcher(max_mem=100))), {"over_cpu", "over_memory"})
        self.assertEqual(set(violations(process, ResourceWatcher(max_cpu=None, max_mem=11.0, health_threshold=50.0))),
                         {"over_health"})
        self.assertEqual(set(violations(process, ResourceWatcher(max_cpu=None, min_cpu=96.0, min_mem=201))),
                         {"under_cpu", "under_memory"})


class ForeignTests(SynchronousTestCase):
    """Plugins that are processes."""

    def stack(self, **more: Any) -> Stack:
        """A stack with one."""
        plugin = Plugin("mine", use="shop.Mine", config={"b": "two words", "a": "1"}, options={"priority": 5}, **more)
        return Stack("test", "/srv/test.ini", plugins=(plugin,))

    def test_watcher(self) -> None:
        """It is a watcher whose arguments need no quotes."""
        self.patch(foreign, "find_spec", lambda name: True)
        stack = foreign.withProcesses(self.stack(), "/run/private")
        (watcher,) = stack.watchers
        self.assertEqual((watcher.name, watcher.priority, watcher.working_dir), ("plugin:mine", 5, "/srv"))
        self.assertIn("a:1:::b:two words:::name:plugin:mine", watcher.args)
        control, events = foreign.ways("/run/private", "mine")
        self.assertIn(control, watcher.args)
        self.assertIn(events, watcher.args)
        self.assertEqual(foreign.withProcesses(stack, "/run/private"), stack)

    def test_missing(self) -> None:
        """Without the package, or without a folder, it is not run, and the rest is as it was."""
        self.patch(foreign, "find_spec", lambda name: None if name == "circus" else True)
        self.assertEqual(foreign.withProcesses(self.stack(), "/run/private").watchers, ())
        self.patch(foreign, "find_spec", lambda name: True)
        self.assertEqual(foreign.withProcesses(self.stack(), "").watchers, ())


class PlanTests(SynchronousTestCase):
    """Another configuration."""

    def test_plan(self) -> None:
        """What happens to plugins is told; those that are processes are watchers."""

        def stack(*plugins: Plugin) -> Stack:
            return Stack("test", "/test.ini", plugins=plugins)

        flapping = Plugin("f", use="circus.plugins.flapping.Flapping", settings=Flapping())
        other = Plugin("f", use=flapping.use, settings=Flapping(attempts=3))
        mine = Plugin("mine", use="shop.Mine")
        told = [(item.name, item.action) for item in compare(stack(flapping, mine), stack()).items]
        self.assertEqual(told, [("f", "remove")])
        self.assertEqual(compare(stack(flapping), stack(flapping)).items, ())
        (item,) = compare(stack(flapping), stack(other)).items
        self.assertEqual((item.action, [(c.option, c.old, c.new) for c in item.changes]),
                         ("now", [("attempts", "2", "3")]))


class RedisTests(SynchronousTestCase):
    """The answer of a Redis."""

    @given(st.text())
    def test_any(self, text: str) -> None:
        """Whatever it is, only figures come of it."""
        for name, value in figures(f"used_memory:12\n{text}"):
            self.assertIsInstance(value, float, name)
