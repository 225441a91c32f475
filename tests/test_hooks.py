"""Hooks, without a world: what is asked when, and what goes on with the answer."""

from __future__ import annotations

import signal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.durable import replay
from circustwist.model.effects import Look
from circustwist.model.errors import OperationFailed
from circustwist.model.hooks import POINTS, Hook, hook
from circustwist.model.inputs import Adopted, Begun, Ended, HookDone, Looked, Restored
from circustwist.model.launch import Names
from circustwist.model.samples import ProcessSample, Sample, WatcherSample, WorkerSample
from circustwist.model.stack import Socket, Watcher

from .memory import Memory

TERM, KILLED = int(signal.SIGTERM), int(signal.SIGKILL)


def web(*names: str, forgiving: bool = False, **options: object) -> Watcher:
    """A watcher with these hooks."""
    hooks = {name: Hook(f"shop.{name}", forgiving) for name in names}
    return Watcher("web", cmd="web", hooks=hooks, **options)  # type: ignore[arg-type]


def started(*names: str, **options: object) -> Memory:
    """A supervisor whose watcher runs; before_start and what else there is have said yes."""
    memory = Memory(web(*names, **options)).begin()  # type: ignore[arg-type]
    while memory.hooks:
        memory.hookDone(next(iter(memory.hooks)))
    assert memory.status("web") == "active"
    memory.events.clear()
    return memory


class TextTests(SynchronousTestCase):
    """How a hook is written."""

    def test_forms(self) -> None:
        """A dotted name, and whether exceptions are forgiven."""
        self.assertEqual(hook("a.b"), Hook("a.b"))
        self.assertEqual(hook("a.b:c , yes"), Hook("a.b:c", True))
        self.assertEqual(hook("a.b,false"), Hook("a.b"))
        self.assertEqual(str(Hook("a.b", True)), "a.b, true")

    def test_wrong(self) -> None:
        """Everything else is refused."""
        for text in ("a", "a.", ".a", "a.b,maybe", "a b.c", "os.system('x')", "a.b,", ""):
            self.assertRaises(ValueError, hook, text)


class StartTests(SynchronousTestCase):
    """before_start and after_start."""

    def test_order(self) -> None:
        """First whether the hooks can be called, then before_start, then the processes, then after_start."""
        memory = Memory(web("before_start", "after_start")).begin()
        self.assertEqual((memory.pending(), memory.status("web")), ([""], "starting"))
        memory.answer("")
        self.assertEqual((memory.pending(), memory.running), (["before_start"], {}))
        memory.answer("before_start")
        self.assertEqual((memory.pending(), len(memory.running)), (["after_start"], 1))
        self.assertEqual(memory.status("web"), "starting")
        memory.answer("after_start")
        self.assertEqual(memory.status("web"), "active")
        self.assertEqual(memory.topics(), ["hook_success", "spawn", "hook_success", "start"])

    def test_refused(self) -> None:
        """If before_start says no, nothing runs; the command says why, and a later start asks again."""
        memory = Memory(web("before_start", autostart=False)).begin()
        memory.ask("start", name="web", waiting=True)
        memory.answer("", "before_start", ok=True)
        memory = Memory(web("before_start", autostart=False)).begin()
        call = memory.ask("start", name="web", waiting=True)
        self.assertIsNone(call)
        memory.answer("")
        memory.answer("before_start", ok=False)
        answer = memory.answers[1]
        self.assertIsInstance(answer, OperationFailed)
        self.assertIn("hook before_start said no", str(answer))
        self.assertEqual((memory.status("web"), memory.running, memory.topics()), ("stopped", {}, ["hook_success"]))
        memory.ask("start", name="web")
        memory.answer("", "before_start")
        self.assertEqual(memory.status("web"), "active")

    def test_missing(self) -> None:
        """If a hook cannot be loaded, nothing runs, whatever hook it is and whether it is forgiven."""
        memory = Memory(web("after_stop", forgiving=True)).begin()
        memory.answer("", ok=False, error="hooks.after_stop: there is no module shop")
        self.assertEqual(memory.status("web"), "stopped")
        self.assertIn("there is no module shop", memory.arbiter.watchers["web"].past.problem)

    def test_exceptions(self) -> None:
        """An exception is a no, unless it is forgiven."""
        memory = Memory(web("before_start")).begin()
        memory.answer("")
        memory.answer("before_start", ok=False, error="boom")
        self.assertEqual((memory.status("web"), memory.topics()), ("stopped", ["hook_failure"]))
        memory = Memory(web("before_start", forgiving=True)).begin()
        memory.answer("")
        memory.answer("before_start", ok=False, error="boom")
        self.assertEqual(memory.status("web"), "active")

    def test_afterStart(self) -> None:
        """If after_start says no, all are stopped: kill, reap, stop."""
        memory = Memory(web("after_start")).begin()
        memory.answer("")
        memory.answer("after_start", ok=False)
        memory.obey()
        self.assertEqual(memory.topics(), ["spawn", "hook_success", "kill", "reap", "stop"])
        self.assertEqual(memory.status("web"), "stopped")

    def test_stopMeanwhile(self) -> None:
        """A stop does not wait for before_start, whose answer then changes nothing."""
        memory = Memory(web("before_start")).begin()
        memory.answer("")
        memory.ask("stop", name="web")
        self.assertEqual(memory.status("web"), "stopped")
        memory.answer("before_start")
        self.assertEqual((memory.status("web"), memory.running), ("stopped", {}))

    def test_essential(self) -> None:
        """If an essential watcher is refused, the whole stack ends."""
        for name in ("before_start", "after_start"):
            memory = Memory(web(name, essential=True)).begin()
            memory.answer("")
            memory.answer(name, ok=False)
            memory.obey()
            self.assertEqual(memory.quit, 1, name)

    def test_wake(self) -> None:
        """A watcher that is woken by a connection asks before_start; after a no it does not wait again."""
        spec = web("before_start", on_demand=True, use_sockets=True, ready="after")
        memory = Memory(spec, sockets=(Socket("web"),)).begin()
        self.assertEqual(memory.pending(), [])
        memory.knock("web")
        memory.answer("", "before_start")
        self.assertEqual((memory.status("web"), len(memory.running)), ("active", 1))
        memory = Memory(spec, sockets=(Socket("web"),)).begin()
        memory.knock("web")
        memory.answer("")
        memory.answer("before_start", ok=False)
        self.assertEqual((memory.status("web"), memory.watched), ("stopped", {}))


class SpawnTests(SynchronousTestCase):
    """before_spawn and after_spawn."""

    def test_each(self) -> None:
        """Each process is asked for, and again when one died."""
        memory = Memory(web("before_spawn", numprocesses=2)).begin()
        memory.answer("")
        self.assertEqual((memory.pending(), memory.running), (["before_spawn", "before_spawn"], {}))
        memory.answer("before_spawn", "before_spawn")
        self.assertEqual(len(memory.running), 2)
        memory.exit(next(iter(memory.running)))
        memory.advance(1)
        self.assertEqual(memory.pending(), ["before_spawn"])
        memory.answer("before_spawn")
        self.assertEqual(len(memory.running), 2)

    def test_refused(self) -> None:
        """If before_spawn says no, the watcher is stopped."""
        memory = Memory(web("before_spawn", numprocesses=2)).begin()
        memory.answer("", "before_spawn")
        memory.answer("before_spawn", ok=False)
        memory.obey()
        self.assertEqual(memory.topics(), ["hook_success", "spawn", "hook_success", "kill", "reap", "stop"])
        self.assertEqual(memory.status("web"), "stopped")

    def test_afterSpawn(self) -> None:
        """If after_spawn says no, the process is signalled and never told to run; one that is stubborn is killed."""
        memory = Memory(web("after_spawn", graceful_timeout=5.0)).begin()
        memory.answer("")
        self.assertEqual(memory.topics(), [])
        memory.answer("after_spawn", ok=False)
        self.assertEqual((memory.topics(), memory.signals[0][1]), (["hook_success", "kill"], TERM))
        memory.advance(5)
        self.assertEqual(memory.signals[-1][1], KILLED)
        memory.obey()
        self.assertEqual((memory.topics()[-2:], memory.status("web")), (["reap", "stop"], "stopped"))

    def test_diesMeanwhile(self) -> None:
        """A process that ends while after_spawn is asked did run; the answer changes nothing."""
        memory = Memory(web("after_spawn")).begin()
        memory.answer("")
        memory.exit(next(iter(memory.running)), 256)
        self.assertEqual(memory.topics(), ["spawn", "reap", "start"])
        memory.answer("after_spawn", ok=False)
        self.assertEqual(memory.status("web"), "active")

    def test_stopMeanwhile(self) -> None:
        """A stop ends who waits for either hook."""
        memory = Memory(web("before_spawn", "after_spawn")).begin()
        memory.answer("")
        memory.ask("stop", name="web")
        self.assertEqual(memory.status("web"), "stopped")
        memory = Memory(web("before_spawn", "after_spawn")).begin()
        memory.answer("", "before_spawn")
        memory.ask("stop", name="web")
        memory.obey()
        self.assertEqual(memory.status("web"), "stopped")
        memory.answer("after_spawn")
        self.assertEqual((memory.status("web"), memory.running), ("stopped", {}))

    def test_reload(self) -> None:
        """If a hook refuses the new process of a reload, the reload fails and the old one stays."""
        for names in (("before_spawn",), ("before_spawn", "after_spawn")):
            memory = started(*names)
            old = dict(memory.running)
            memory.ask("reload", name="web", waiting=True)
            memory.answer(*names[:-1])
            memory.answer(names[-1], ok=False)
            memory.obey()
            self.assertEqual((memory.running, memory.status("web")), (old, "active"))
            self.assertIsInstance(memory.answers[1], OperationFailed)

    def test_environment(self) -> None:
        """What a hook changes in the environment is kept, told to the next hook, and to a later supervisor."""
        memory = Memory(web("before_spawn", "after_spawn")).begin()
        memory.answer("")
        memory.answer("before_spawn", PORT="8001", OLD=None)
        self.assertEqual(memory.arbiter.watchers["web"].seats.hooks.env, {"PORT": "8001", "OLD": None})
        self.assertEqual(next(iter(memory.hooks.values())).env, {"PORT": "8001", "OLD": None})
        left = replay(memory.journal)
        self.assertEqual(left.hooked, {"web": {"PORT": "8001", "OLD": None}})
        again = Memory(web("before_spawn"))
        again.feed(Begun(hooked=left.hooked))
        self.assertEqual(again.arbiter.watchers["web"].seats.hooks.env["PORT"], "8001")


class StopTests(SynchronousTestCase):
    """before_stop and after_stop."""

    def test_order(self) -> None:
        """Nobody is signalled before before_stop answers, whatever it says; after_stop is answered before the end."""
        memory = started("before_stop", "after_stop")
        memory.ask("stop", name="web", waiting=True)
        self.assertEqual((memory.signals, memory.status("web")), ([], "stopping"))
        memory.answer("before_stop", ok=False)
        memory.obey()
        self.assertEqual((memory.topics(), memory.answers), (["hook_success", "kill", "reap", "stop"], {}))
        memory.answer("after_stop", ok=False, error="boom")
        self.assertEqual((memory.status("web"), memory.topics()[-1]), ("stopped", "hook_failure"))
        self.assertIn("operation", memory.answers[1])

    def test_diesMeanwhile(self) -> None:
        """Nobody is started again while before_stop is asked."""
        memory = started("before_stop")
        memory.ask("stop", name="web")
        memory.exit(next(iter(memory.running)))
        memory.advance(20)
        self.assertEqual((memory.running, memory.status("web")), ({}, "stopping"))
        memory.answer("before_stop")
        self.assertEqual(memory.status("web"), "stopped")

    def test_restart(self) -> None:
        """A restart starts when after_stop has answered."""
        memory = started("after_stop")
        memory.ask("restart", name="web")
        memory.obey()
        self.assertEqual((memory.running, memory.pending()), ({}, ["after_stop"]))
        memory.answer("after_stop", "")
        self.assertEqual((len(memory.running), memory.status("web")), (1, "active"))

    def test_end(self) -> None:
        """The end of the supervisor waits for them; a second signal does not."""
        memory = started("before_stop", "after_stop")
        memory.feed(Ended("SIGTERM"))
        memory.answer("before_stop")
        memory.obey()
        self.assertIsNone(memory.quit)
        memory.answer("after_stop")
        self.assertEqual(memory.quit, 0)
        for names in (("before_stop",), ("after_stop",), ("before_signal",), ("before_reap",), ("after_reap",)):
            memory = started(*names)
            memory.feed(Ended("SIGTERM"))
            memory.obey()
            self.assertIsNone(memory.quit, names)
            memory.feed(Ended("SIGTERM"))
            memory.obey()
            self.assertEqual(memory.quit, 0, names)

    def test_killWhileStarting(self) -> None:
        """A supervisor that must end at once waits for no hook of a start."""
        for names in (("before_start",), ("before_spawn",), ("after_spawn",), ("after_start",)):
            memory = Memory(web(*names)).begin()
            memory.answer("")
            memory.feed(Ended("SIGTERM", now=True))
            memory.obey()
            self.assertEqual(memory.quit, 0, names)

    def test_byItself(self) -> None:
        """Also a watcher whose processes ended for good tells its hooks."""
        memory = started("before_stop", "after_stop", respawn="never")
        memory.exit(next(iter(memory.running)))
        self.assertEqual((memory.pending(), memory.status("web")), (["before_stop", "after_stop"], "stopped"))


class SignalTests(SynchronousTestCase):
    """before_signal and after_signal."""

    def test_stop(self) -> None:
        """A process is signalled when before_signal allows it; then after_signal is called."""
        memory = started("before_signal", "after_signal")
        memory.ask("stop", name="web")
        (asked,) = memory.hooks.values()
        self.assertEqual((dict(asked.given), memory.signals), ({"pid": 1001, "signum": TERM}, []))
        memory.answer("before_signal")
        self.assertEqual((memory.signals[0][1], memory.pending()), (TERM, ["after_signal"]))
        memory.answer("after_signal")
        memory.obey()
        self.assertEqual(memory.status("web"), "stopped")

    def test_refused(self) -> None:
        """If it says no, nothing is sent but told, and SIGKILL comes in time all the same."""
        memory = started("before_signal", graceful_timeout=5.0)
        memory.ask("stop", name="web")
        memory.answer("before_signal", ok=False)
        self.assertEqual((memory.signals, memory.topics()), ([], ["hook_success", "kill"]))
        memory.advance(5)
        self.assertEqual(memory.signals[-1][1], KILLED)

    def test_exception(self) -> None:
        """An exception in it does not keep the signal back."""
        memory = started("before_signal")
        memory.ask("stop", name="web")
        memory.answer("before_signal", ok=False, error="boom")
        self.assertEqual(memory.signals[0][1], TERM)

    def test_silent(self) -> None:
        """SIGKILL waits for no hook."""
        memory = started("before_signal", graceful_timeout=5.0)
        memory.ask("stop", name="web")
        memory.advance(5)
        self.assertEqual([signum for _, signum in memory.signals], [KILLED])
        memory.obey()
        self.assertEqual(memory.status("web"), "stopped")
        memory.answer("before_signal", "before_signal")
        self.assertEqual(memory.signals, [])

    def test_command(self) -> None:
        """The command signal asks it too."""
        memory = started("before_signal", "after_signal")
        memory.ask("signal", name="web", signum="usr1")
        self.assertEqual(memory.signals, [])
        memory.answer("before_signal")
        self.assertEqual((memory.signals[0][1], memory.pending()), (int(signal.SIGUSR1), ["after_signal"]))
        memory.ask("signal", name="web", signum="kill")
        self.assertEqual(memory.signals[1][1], KILLED)

    def test_hup(self) -> None:
        """So does a reload by SIGHUP."""
        memory = started("before_signal", send_hup=True)
        memory.ask("reload", name="web")
        memory.answer("before_signal")
        self.assertEqual(memory.signals[0][1], int(signal.SIGHUP))

    def test_decr(self) -> None:
        """Whoever is one too many is asked for."""
        memory = started("before_signal", numprocesses=2)
        memory.ask("decr", name="web")
        self.assertEqual((memory.pending(), memory.signals), (["before_signal"], []))
        memory.answer("before_signal")
        self.assertEqual(memory.signals[0][1], TERM)

    def test_kill(self) -> None:
        """A second wish to end a process does not send the signal either."""
        memory = started("before_signal")
        memory.ask("kill", name="web")
        memory.feed(Ended("SIGTERM"))
        self.assertEqual((memory.pending(), memory.signals), (["before_signal"], []))
        memory.answer("before_signal")
        memory.obey()
        self.assertEqual(memory.quit, 0)


class ReapTests(SynchronousTestCase):
    """before_reap and after_reap."""

    def test_order(self) -> None:
        """before_reap, the event, after_reap, and only then another process."""
        memory = started("before_reap", "after_reap")
        memory.exit(next(iter(memory.running)), 256)
        self.assertEqual((memory.topics(), memory.pending()), ([], ["before_reap"]))
        memory.answer("before_reap")
        self.assertEqual((memory.topics(), memory.pending()), (["hook_success", "reap"], ["after_reap"]))
        (asked,) = memory.hooks.values()
        self.assertEqual(dict(asked.given), {"process_pid": 1001, "exit_code": 1, "process_status": 2})
        memory.advance(20)
        self.assertEqual(memory.running, {})
        memory.answer("after_reap")
        memory.advance(1)
        self.assertEqual(len(memory.running), 1)

    def test_one(self) -> None:
        """Either may be missing."""
        for name in ("before_reap", "after_reap"):
            memory = started(name)
            memory.exit(next(iter(memory.running)))
            memory.answer(name, ok=False)
            memory.advance(1)
            self.assertEqual(memory.topics().count("reap"), 1)
            self.assertEqual(len(memory.running), 1)

    def test_planned(self) -> None:
        """One that was stopped has no status of its own, as in Circus."""
        memory = started("after_reap")
        memory.ask("stop", name="web")
        memory.obey()
        (asked,) = memory.hooks.values()
        self.assertEqual((asked.given["exit_code"], asked.given["process_status"]), (-TERM, None))
        memory.answer("after_reap")
        self.assertEqual(memory.status("web"), "stopped")

    def test_successor(self) -> None:
        """A new process that ends while its hook is asked never takes the place of an old one."""
        memory = started("after_reap", min_ready=1.0)
        old = dict(memory.running)
        memory.ask("reload", name="web", waiting=True)
        memory.exit(max(memory.running), 256)
        memory.advance(5)
        self.assertEqual(memory.running, old)
        memory.answer("after_reap")
        self.assertIsInstance(memory.answers[1], OperationFailed)

    def test_health(self) -> None:
        """The time that a hook takes does not count as life of the process."""
        memory = started("after_reap")
        memory.exit(next(iter(memory.running)), 256)
        memory.advance(30)
        memory.answer("after_reap")
        reap = next(event for event in memory.events if event.name == "reap")
        self.assertEqual(reap.data["age"], 0)
        self.assertEqual(memory.arbiter.watchers["web"].seats.seats[0].history.unhealthy, 1)


class StatisticsTests(SynchronousTestCase):
    """extended_stats."""

    def asked(self, extended: bool = True, **arguments: Any) -> Memory:
        """A supervisor that was asked for statistics, and has measured two processes."""
        memory = started("extended_stats", numprocesses=2)
        self.assertIsNone(memory.ask("stats", name="web", extended=extended, **arguments))
        (look,) = (effect for effect in memory.effects if isinstance(effect, Look))
        workers = tuple(WorkerSample(memory.names[id], ProcessSample(pid)) for id, pid in memory.running.items())
        measured = (WatcherSample("web", workers),)
        memory.feed(Looked(look, Sample(0.0, 1.0, ProcessSample(1), 0.0, measured, ())))
        return memory

    def test_adds(self) -> None:
        """It adds to the figures of each process; no event tells of that."""
        memory = self.asked()
        self.assertEqual((memory.answers, memory.pending()), ({}, ["extended_stats", "extended_stats"]))
        for run, call in list(memory.hooks.items()):
            del memory.hooks[run]
            stats = {**call.given["stats"], "requests": call.given["pid"]}
            memory.feed(HookDone(run, "web", "extended_stats", True, stats=stats))
        self.assertEqual({pid: info["requests"] for pid, info in memory.answers[1]["info"].items()},
                         {"1001": 1001, "1002": 1002})
        self.assertEqual(memory.topics(), [])

    def test_fails(self) -> None:
        """An exception is the answer."""
        memory = self.asked()
        memory.answer("extended_stats", ok=False, error="boom")
        self.assertEqual(str(memory.answers[1]), "hook extended_stats: boom")
        memory.answer("extended_stats")

    def test_plain(self) -> None:
        """Without being asked for it is not called."""
        memory = self.asked(False)
        self.assertEqual((len(memory.answers[1]["info"]), memory.pending()), (2, []))


class SurvivalTests(SynchronousTestCase):
    """Hooks and the death of the supervisor."""

    def test_adopted(self) -> None:
        """What runs already goes on: no hook is called for it; what is missing is asked for."""
        memory = Memory(web("before_start", "before_spawn", "after_spawn", "after_start", numprocesses=2))
        memory.feed(Adopted(Names(7, "web", 1), 77, 5.0))
        memory.running[7], memory.names[7] = 77, Names(7, "web", 1)
        memory.feed(Begun({"web": (True, 2)}))
        self.assertEqual((memory.pending(), memory.status("web")), (["before_spawn"], "active"))

    def test_interrupted(self) -> None:
        """A start whose hook was cut off is asked again: there was no process."""
        memory = Memory(web("before_start", "before_spawn")).begin()
        memory.answer("", "before_start")
        left = replay(memory.journal)
        self.assertEqual((left.workers, left.wanted), ((), {"web": (True, 1)}))
        again = Memory(web("before_start", "before_spawn"))
        again.feed(Begun(left.wanted))
        again.answer("", "before_start", "before_spawn")
        self.assertEqual(again.status("web"), "active")

    def test_restored(self) -> None:
        """An upgrade changes nothing of that."""
        memory = Memory(web("before_start"))
        memory.feed(Restored({"id": 3, "command": "upgrade", "by": "ann"}, {}))
        memory.begin()
        self.assertEqual(memory.pending(), [""])


class TableTests(SynchronousTestCase):
    """The table of points."""

    def test_circus(self) -> None:
        """It has Circus's names, and forgives where Circus does."""
        forgiven = {name for name, point in POINTS.items() if point.forgiven}
        self.assertEqual(forgiven, {"before_stop", "after_stop", "before_signal", "after_signal", "extended_stats"})
        self.assertEqual(len(POINTS), 11)
