"""The life of watchers and workers, without a world."""

from __future__ import annotations

import signal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.durable import Left, replay
from circustwist.logic.restart import HEALTHY
from circustwist.logic.tuning import resized
from circustwist.model.effects import KeepSeats
from circustwist.model.errors import Conflict, Denied, MessageError, NotFound, OperationFailed, UnknownCommand
from circustwist.model.inputs import Adopted, Asked, Begun, Ended, Who
from circustwist.model.launch import Names
from circustwist.model.settings import Settings
from circustwist.model.stack import Watcher

from .memory import Memory

KILLED = int(signal.SIGKILL)


def web(**options: object) -> Watcher:
    """A watcher of three processes."""
    return Watcher("web", cmd="web", **{"numprocesses": 3, **options})  # type: ignore[arg-type]


class SeatTests(SynchronousTestCase):
    """What belongs to the seats of a watcher."""

    def kept(self, memory: Memory) -> list[tuple[int, ...]]:
        """The seats whose belongings stayed, each time."""
        return [effect.seats for effect in memory.others if isinstance(effect, KeepSeats)]

    def test_fewer(self) -> None:
        """With fewer processes, those of the seats that are taken stay; after a stop and a start, of the lowest."""
        memory = Memory(web()).begin()
        self.assertEqual(self.kept(memory), [])
        memory.ask("decr", name="web")
        memory.obey()
        self.assertEqual(self.kept(memory)[-1], (1, 2))
        memory.ask("restart", name="web")
        memory.obey()
        self.assertEqual(self.kept(memory)[-1], (0, 1))
        self.assertEqual({w.names.seat for w in memory.arbiter.watchers["web"].seats.workers.values()}, {0, 1})

    def test_reload(self) -> None:
        """While a reload is under way they all stay."""
        memory = Memory(web(min_ready=1.0)).begin()
        memory.ask("reload", name="web")
        memory.ask("decr", name="web")
        self.assertEqual(self.kept(memory), [])
        for _ in range(3):
            memory.advance(1)
            memory.obey()
        self.assertEqual(len(self.kept(memory)[-1]), 2)


class StartTests(SynchronousTestCase):
    """Watchers that start."""

    def test_everyone(self) -> None:
        """As many processes as wanted are started, numbered from 1."""
        memory = Memory(web()).begin()
        self.assertEqual((memory.status("web"), memory.wids("web"), len(memory.running)), ("active", [1, 2, 3], 3))
        self.assertEqual(memory.topics(), ["spawn", "spawn", "spawn", "start"])

    def test_order(self) -> None:
        """Watchers of higher priority start first; others in the order of their names."""
        memory = Memory(Watcher("a", cmd="a"), Watcher("b", cmd="b", priority=5), Watcher("c", cmd="c")).begin()
        self.assertEqual([event.watcher for event in memory.events if event.name == "start"], ["b", "a", "c"])

    def test_autostart(self) -> None:
        """A watcher without autostart waits for a command that names it."""
        memory = Memory(web(autostart=False)).begin()
        self.assertEqual((memory.status("web"), memory.running), ("stopped", {}))
        memory.ask("start")
        self.assertEqual(memory.status("web"), "stopped")
        memory.ask("start", name="web")
        self.assertEqual(memory.status("web"), "active")

    def test_warmup(self) -> None:
        """Between two processes warmup_delay passes."""
        memory = Memory(web(warmup_delay=2.0)).begin()
        self.assertEqual((len(memory.running), memory.status("web")), (1, "starting"))
        memory.advance(2)
        self.assertEqual(len(memory.running), 2)
        memory.advance(2)
        self.assertEqual((len(memory.running), memory.status("web"), memory.timers), (3, "active", {}))

    def test_pauseBetweenWatchers(self) -> None:
        """Between two watchers the stack's warmup_delay passes."""
        memory = Memory(Watcher("a", cmd="a"), Watcher("b", cmd="b"), settings=Settings(warmup_delay=1.0)).begin()
        self.assertEqual(memory.status("b"), "stopped")
        memory.advance(1)
        self.assertEqual(memory.status("b"), "active")

    def test_none(self) -> None:
        """A watcher of no processes stays stopped, as in Circus."""
        memory = Memory(web(numprocesses=0)).begin()
        self.assertEqual((memory.status("web"), memory.spawning), ("stopped", {}))

    def test_idle(self) -> None:
        """With everything running no timer is set."""
        self.assertEqual(Memory(web()).begin().timers, {})


class RestartTests(SynchronousTestCase):
    """Processes that end by themselves."""

    def test_atOnce(self) -> None:
        """After a healthy run the next process starts at once, under the same number."""
        memory = Memory(web()).begin()
        memory.advance(HEALTHY)
        memory.exit(2, KILLED)
        self.assertEqual((memory.wids("web"), len(memory.running), memory.timers), ([1, 2, 3], 3, {}))
        past = memory.arbiter.watchers["web"].past
        assert past.last is not None
        self.assertEqual((past.restarts, past.last.worker, past.last.reason, past.last.back),
                         (1, "web/2", "killed by SIGKILL", 0))

    def test_backoff(self) -> None:
        """A process that dies at once is started after pauses that grow to restart_delay_max."""
        memory = Memory(web(numprocesses=1, restart_delay_max=1.0)).begin()
        pauses = []
        for _ in range(7):
            memory.exit(next(iter(memory.running)), 256)
            (due,) = memory.timers.values()
            pauses.append(round(due - memory.now, 3))
            memory.advance(due - memory.now)
        self.assertEqual(pauses, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])

    def test_unplanned(self) -> None:
        """The event of such an end says that nobody asked for it."""
        memory = Memory(web()).begin()
        memory.exit(1, 256)
        (reap,) = [event for event in memory.events if event.name == "reap"]
        self.assertEqual((reap.planned, reap.data["exit_code"], reap.worker), (False, 1, "web/1"))

    def test_never(self) -> None:
        """Without respawn a watcher stops when its last process has ended."""
        memory = Memory(web(respawn="never", numprocesses=2)).begin()
        memory.exit(1)
        self.assertEqual(memory.status("web"), "active")
        memory.exit(2, 256)
        self.assertEqual((memory.status("web"), memory.timers), ("stopped", {}))

    def test_onFailure(self) -> None:
        """With respawn = on-failure only a process that failed comes back."""
        memory = Memory(web(respawn="on-failure", numprocesses=2)).begin()
        memory.advance(5)
        memory.exit(1)
        memory.exit(2, 256)
        self.assertEqual(len(memory.running), 1)

    def test_startLimit(self) -> None:
        """Too many ends within the interval and the watcher has failed; start clears it."""
        memory = Memory(web(start_limit_burst=2, start_limit_interval=60.0)).begin()
        memory.advance(5)
        memory.exit(1, 256)
        memory.exit(2, 256)
        self.assertEqual((memory.status("web"), len(memory.running)), ("failed", 2))
        memory.ask("start", name="web")
        self.assertEqual((memory.status("web"), len(memory.running)), ("active", 3))

    def test_gaveUp(self) -> None:
        """After max_retry tries to execute a program that is not there the watcher has failed."""
        memory = Memory(web(numprocesses=1, max_retry=3))
        memory.auto = False
        memory.begin()
        for _ in range(3):
            memory.refuse(next(iter(memory.spawning)))
            memory.advance(10)
        self.assertEqual((memory.status("web"), memory.timers, memory.spawning), ("failed", {}, {}))
        self.assertIn("execve: ENOENT", memory.arbiter.watchers["web"].past.problem)

    def test_shortage(self) -> None:
        """What the host has too little of is asked for again for ever."""
        memory = Memory(web(numprocesses=1, max_retry=1))
        memory.auto = False
        memory.begin()
        for _ in range(10):
            memory.refuse(next(iter(memory.spawning)), errno=11)
            memory.advance(10)
        memory.spawned(next(iter(memory.spawning)))
        self.assertEqual(memory.status("web"), "active")

    def test_othersGoOn(self) -> None:
        """A program that vanishes under a running watcher takes nobody down and is looked for again."""
        memory = Memory(web(max_retry=1)).begin()
        memory.advance(5)
        memory.auto = False
        memory.exit(1, KILLED)
        for _ in range(5):
            memory.refuse(next(iter(memory.spawning)))
            memory.advance(10)
        self.assertEqual((memory.status("web"), len(memory.running), len(memory.spawning)), ("active", 2, 1))

    def test_age(self) -> None:
        """A process that has reached its age goes when a successor has proved itself; one at a time."""
        memory = Memory(web(numprocesses=2, max_age=60.0)).begin()
        memory.advance(60)
        self.assertEqual((sorted(memory.running), memory.signals), ([1, 2, 3], []))
        memory.advance(2)
        memory.obey()
        self.assertEqual(sorted(memory.running), [2, 3, 4])
        memory.advance(2)
        memory.obey()
        self.assertEqual((sorted(memory.running), memory.status("web")), ([3, 4], "active"))
        self.assertEqual(sum(event.name == "replace" for event in memory.events), 2)

    def test_ageOfSingleton(self) -> None:
        """Of a singleton there are never two."""
        memory = Memory(web(numprocesses=1, max_age=60.0, singleton=True)).begin()
        memory.advance(60)
        memory.obey()
        self.assertEqual(list(memory.running), [2])

    def test_ageInVain(self) -> None:
        """If the successor fails, the old one stays, status says it, and it is tried again."""
        memory = Memory(web(numprocesses=1, max_age=60.0)).begin()
        memory.advance(60)
        memory.exit(2, 256)
        self.assertEqual(list(memory.running), [1])
        problem = memory.arbiter.watchers["web"].past.problem
        self.assertIn("not replaced for its max_age of 60 s: web/2 exited 1", problem)
        memory.advance(62)
        memory.obey()
        self.assertEqual((list(memory.running), memory.arbiter.watchers["web"].past.problem), ([3], ""))

    def test_ageAndReload(self) -> None:
        """A reload takes the place of a replacement, and replaces everyone."""
        memory = Memory(web(numprocesses=2, max_age=60.0, min_ready=5.0)).begin()
        memory.advance(61)
        self.assertIsNone(memory.ask("reload", name="web", waiting=True))
        self.assertEqual([id for id, signum in memory.signals if signum == signal.SIGTERM], [3])
        for _ in range(4):
            memory.obey()
            memory.advance(5)
        self.assertEqual((sorted(memory.running), memory.answers[1]["operation"]), ([4, 5], 2))

    def test_essential(self) -> None:
        """When an essential watcher ends, the stack stops with its code."""
        memory = Memory(web(), Watcher("job", cmd="job", respawn="never", essential=True)).begin()
        memory.exit(next(id for id, names in memory.names.items() if names.watcher == "job"), 3 << 8)
        memory.obey()
        self.assertEqual((memory.quit, memory.running), (3, {}))


class StopTests(SynchronousTestCase):
    """Watchers that stop."""

    def test_orderly(self) -> None:
        """Everyone gets the stop signal and is granted graceful_timeout."""
        memory = Memory(web(stop_signal=int(signal.SIGQUIT), graceful_timeout=7.0)).begin()
        memory.ask("stop", name="web")
        self.assertEqual({s for _, s in memory.signals}, {signal.SIGQUIT, signal.SIGCONT})
        self.assertEqual(set(memory.timers.values()), {107.0})
        memory.obey()
        self.assertEqual((memory.status("web"), memory.timers), ("stopped", {}))

    def test_stubborn(self) -> None:
        """Who does not end in time is killed."""
        memory = Memory(web()).begin()
        memory.ask("stop", name="web")
        memory.signals.clear()
        memory.advance(30)
        self.assertEqual(memory.signals, [(1, KILLED), (2, KILLED), (3, KILLED)])
        memory.obey()
        self.assertEqual(memory.status("web"), "stopped")

    def test_beforeItRan(self) -> None:
        """A process that was asked for and comes too late is ended at once."""
        memory = Memory(web(numprocesses=1))
        memory.auto = False
        memory.begin()
        memory.ask("stop", name="web")
        memory.spawned(1)
        self.assertEqual(memory.signals[0], (1, signal.SIGTERM))
        memory.obey()
        self.assertEqual(memory.status("web"), "stopped")

    def test_notUndone(self) -> None:
        """A pending restart does not undo a stop."""
        memory = Memory(web(numprocesses=1)).begin()
        memory.exit(1, 256)
        memory.ask("stop", name="web")
        memory.advance(100)
        self.assertEqual((memory.status("web"), memory.running, memory.timers), ("stopped", {}, {}))

    def test_priority(self) -> None:
        """What started first stops last."""
        memory = Memory(Watcher("db", cmd="db", priority=9), web()).begin()
        memory.feed(Ended("SIGTERM"))
        self.assertNotIn((1, signal.SIGTERM), memory.signals)
        memory.obey()
        self.assertIn((1, signal.SIGTERM), memory.signals)
        memory.obey()
        self.assertEqual(memory.quit, 0)

    def test_secondSignal(self) -> None:
        """A second signal to the supervisor kills at once."""
        memory = Memory(web()).begin()
        memory.feed(Ended("SIGTERM"))
        memory.signals.clear()
        memory.feed(Ended("SIGTERM"))
        memory.advance(0)
        self.assertEqual([s for _, s in memory.signals], [KILLED] * 3)

    def test_shutdownTimeout(self) -> None:
        """After shutdown_timeout everything that is left is killed."""
        memory = Memory(web(), settings=Settings(shutdown_timeout=3.0)).begin()
        memory.feed(Ended("SIGTERM"))
        memory.signals.clear()
        memory.advance(3)
        memory.obey()
        self.assertEqual((memory.quit, memory.running, memory.timers), (0, {}, {}))


class CommandTests(SynchronousTestCase):
    """Commands and their queue."""

    def test_waiting(self) -> None:
        """A command that is waited for is answered when it is done."""
        memory = Memory(web()).begin()
        self.assertIsNone(memory.ask("restart", name="web", waiting=True))
        memory.obey()
        self.assertEqual(memory.answers[1]["watchers"]["web"],
                         {"started": [1004, 1005, 1006], "kept": [], "stopped": [1001, 1002, 1003]})

    def test_failure(self) -> None:
        """A start that comes to nothing is answered with the reason."""
        memory = Memory(web(numprocesses=1, autostart=False)).begin()
        memory.auto = False
        memory.ask("start", name="web", waiting=True)
        memory.refuse(1)
        self.assertIsInstance(memory.answers[1], OperationFailed)
        self.assertIn("web/1 could not be started: execve: ENOENT", str(memory.answers[1]))

    def test_queued(self) -> None:
        """A start during a stop is done after it."""
        memory = Memory(web()).begin()
        memory.ask("stop", name="web")
        memory.ask("start", name="web")
        self.assertEqual(memory.status("web"), "stopping")
        memory.obey()
        self.assertEqual(memory.status("web"), "active")

    def test_superseded(self) -> None:
        """A stop supersedes a start that waits."""
        memory = Memory(web()).begin()
        memory.ask("stop", name="web")
        memory.ask("start", name="web", waiting=True)
        memory.ask("stop", name="web")
        self.assertIsInstance(memory.answers[2], OperationFailed)
        memory.obey()
        self.assertEqual(memory.status("web"), "stopped")

    def test_stopDuringStart(self) -> None:
        """A stop does not wait for a slow start."""
        memory = Memory(web(warmup_delay=9.0)).begin()
        memory.ask("stop", name="web")
        memory.obey()
        self.assertEqual((memory.status("web"), memory.timers), ("stopped", {}))

    def test_parallel(self) -> None:
        """A slow stop of one watcher keeps nobody else waiting."""
        memory = Memory(web(), Watcher("api", cmd="api")).begin()
        memory.ask("stop", name="web")
        memory.ask("stop", name="api")
        memory.obey()
        self.assertEqual((memory.status("web"), memory.status("api")), ("stopped", "stopped"))

    def test_incr(self) -> None:
        """More and fewer processes; the oldest end first."""
        memory = Memory(web()).begin()
        memory.auto = False
        self.assertIsNone(memory.ask("incr", name="web", nb=1, waiting=True))
        memory.spawned(4)
        self.assertEqual(memory.answers[1], {"operation": 2, "numprocesses": 4, "watchers": {
            "web": {"started": [1004], "kept": [1001, 1002, 1003], "stopped": []}}})
        memory.auto = True
        self.assertEqual(memory.ask("incr", name="web", nb=1)["numprocesses"], 5)
        self.assertEqual(memory.wids("web"), [1, 2, 3, 4, 5])
        self.assertEqual(memory.ask("decr", name="web", nb=4)["numprocesses"], 1)
        memory.obey()
        self.assertEqual(list(memory.running), [5])
        self.assertEqual(memory.ask("decr", name="web", nb=9)["numprocesses"], 0)
        memory.obey()
        self.assertEqual((memory.status("web"), memory.running), ("active", {}))

    def test_cancel(self) -> None:
        """A reload that is cancelled replaces nobody else; who waits for it is told by whom."""
        memory = Memory(web()).begin()
        memory.ask("reload", name="web", waiting=True)
        memory.advance(2)
        memory.obey()
        self.assertEqual(memory.ask("cancel", id=2), {})
        memory.obey()
        self.assertEqual(sorted(memory.running), [2, 3, 4])
        self.assertEqual(str(memory.answers[1]), "cancelled by ann")
        self.assertEqual(memory.timers, {})
        self.assertEqual(str(memory.fails("cancel", id=2)), "operation 2 is cancelled")
        memory.ask("reload", name="web")
        self.assertEqual(len(memory.running), 4)

    def test_cancelWaiting(self) -> None:
        """An operation that waits its turn is taken out of the line."""
        memory = Memory(web()).begin()
        memory.ask("stop", name="web")
        memory.ask("start", name="web")
        memory.ask("cancel", id=3)
        memory.obey()
        self.assertEqual(memory.status("web"), "stopped")

    def test_singleton(self) -> None:
        """The number of a singleton does not change."""
        memory = Memory(web(singleton=True, numprocesses=1)).begin()
        self.assertEqual(memory.ask("incr", name="web"), {"numprocesses": 1, "singleton": True})

    def test_match(self) -> None:
        """Names are globs, regular expressions or plain, in any case of letters."""
        memory = Memory(web(), Watcher("Web2", cmd="web")).begin()
        memory.ask("stop", name="WEB*")
        memory.obey()
        self.assertEqual((memory.status("web"), memory.status("web2")), ("stopped", "stopped"))
        memory.ask("start", name="web.", match="regex")
        self.assertEqual((memory.status("web"), memory.status("web2")), ("stopped", "active"))

    def test_signal(self) -> None:
        """A signal reaches everyone, or the one that is named."""
        memory = Memory(web()).begin()
        memory.ask("signal", name="web", signum="usr1")
        memory.ask("signal", name="web", signum="9", wid=2)
        memory.ask("signal", name="web", signum="HUP", pid=1003)
        self.assertEqual(memory.signals, [(1, 10), (2, 10), (3, 10), (2, 9), (3, 1)])

    def test_errors(self) -> None:
        """What cannot be obeyed is answered with an error of its kind, in Circus's words."""
        memory = Memory(web()).begin()
        for kind, text, command, arguments in (
            (UnknownCommand, "unknown command: 'fly'", "fly", {}),
            (NotFound, "program nope not found", "stop", {"name": "nope"}),
            (NotFound, "program nope not found", "options", {"name": "nope"}),
            (MessageError, "message invalid 'name' is missing", "incr", {}),
            (MessageError, "'nb' isn't an integer", "incr", {"name": "web", "nb": "x"}),
            (MessageError, "unknown match method m", "start", {"name": "web", "match": "m"}),
            (MessageError, "signal invalid: 'X' is not a signal; e.g. TERM, SIGQUIT or 15", "signal",
             {"name": "web", "signum": "X"}),
            (NotFound, "worker 9 not found in 'web'", "signal", {"name": "web", "signum": "1", "wid": 9}),
            (NotFound, "operation 99 not found", "operation", {"id": 99}),
        ):
            error = memory.fails(command, **arguments)
            self.assertIs(type(error), kind)
            self.assertEqual(str(error), text)

    def test_denied(self) -> None:
        """A role that is too little is told so, and nothing happens."""
        memory = Memory(web()).begin()
        for call, (command, role) in enumerate((("stop", "viewer"), ("quit", "operator"), ("ping", "")), 1):
            memory.feed(Asked(call, command, {}, Who("bob", role)))
            self.assertIsInstance(memory.answers[call], Denied)
        self.assertEqual(memory.status("web"), "active")

    def test_longQueue(self) -> None:
        """At most a hundred commands wait for a watcher."""
        memory = Memory(web()).begin()
        memory.ask("stop", name="web")
        for _ in range(100):
            self.assertIn("operation", memory.ask("restart", name="web"))
        self.assertEqual(str(memory.fails("restart", name="web")), "arbiter is already running stop command")
        self.assertIsInstance(memory.fails("incr", name="web"), Conflict)

    def test_whileQuitting(self) -> None:
        """While everything stops only quit and questions are answered."""
        memory = Memory(web()).begin()
        memory.ask("quit", waiting=True)
        self.assertIsInstance(memory.fails("start", name="web"), Conflict)
        self.assertEqual(memory.ask("status"), {"statuses": {"web": "stopping"}})
        memory.obey()
        self.assertEqual((memory.quit, memory.answers[1]["operation"]), (0, 2))

    def test_environmentIsSecret(self) -> None:
        """The values of an environment are not told."""
        memory = Memory(web(env={"PASSWORD": "canary"})).begin()
        self.assertNotIn("canary", str(memory.ask("options", name="web")) + str(memory.ask("status", detail=True)))


class AdoptTests(SynchronousTestCase):
    """Workers of an earlier supervisor."""

    def test_taken(self) -> None:
        """They count, keep their numbers, and only what is missing is started."""
        memory = Memory(web())
        memory.feed(Adopted(Names(41, "web", 2, 1), 7, 60.0))
        memory.running[41], memory.names[41] = 7, Names(41, "web", 2, 1)
        memory.begin()
        self.assertEqual((memory.wids("web"), sorted(memory.running)), ([1, 2, 3], [41, 42, 43]))
        memory.exit(41, KILLED)
        self.assertEqual(len(memory.running), 3)

    def test_stopIsKept(self) -> None:
        """A watcher that somebody had stopped stays stopped, and one with another number keeps that."""
        memory = Memory(web(), Watcher("api", cmd="api")).begin(web=(False, 3), api=(True, 2))
        self.assertEqual((memory.status("web"), memory.status("api"), len(memory.running)), ("stopped", "active", 2))

    def test_mixed(self) -> None:
        """After a reload that was cut short status says so, until the next good one."""
        memory = Memory(web(min_ready=0.0))
        for id, generation in (41, 2), (42, 1), (43, 1):
            names = Names(id, "web", id - 40, id - 41, generation)
            memory.feed(Adopted(names, id + 1000, 60.0))
            memory.running[id], memory.names[id] = id + 1000, names
        memory.feed(Begun({"web": (True, 3)}, generations={"web": 2}))
        self.assertEqual(
            memory.arbiter.watchers["web"].past.stale, "the last reload did not replace 2 of 3 processes; a process "
            "that ends now is replaced by what is on disk")
        memory.ask("reload", name="web")
        for _ in range(4):
            memory.advance(1)
            memory.obey()
        self.assertEqual(memory.arbiter.watchers["web"].past.stale, "")
        self.assertEqual({names.generation for id, names in memory.names.items() if id in memory.running}, {3})

    def test_resized(self) -> None:
        """Another number of processes than the configuration has is kept, and told with who wanted it."""
        memory = Memory(web()).begin()
        memory.ask("incr", name="web", nb=2)
        left = replay(memory.journal)
        self.assertEqual((left.wanted["web"], left.resized["web"]), ((True, 5), ("ann", 100.0)))
        later = Memory(web(numprocesses=4))
        later.feed(Begun(left.wanted, resized=left.resized))
        self.assertEqual((len(later.running), resized(later.arbiter.watchers["web"], 160.0)), (
            5, {"by": "ann", "ago": 60.0, "wanted": 5, "configured": 4}))
        later.ask("decr", name="web")
        self.assertIsNone(resized(later.arbiter.watchers["web"], 160.0))
        left = replay([*memory.journal, *later.journal])
        self.assertEqual((left.wanted["web"], dict(left.resized)), ((True, 4), {}))

    def test_otherIni(self) -> None:
        """A number that nobody has changed at run time is that of the configuration as it is now."""
        memory = Memory(web(numprocesses=4))
        memory.feed(Begun({"web": (True, 3)}))
        self.assertEqual(len(memory.running), 4)

    def later(
        self, left: Left, *alive: int, dead: tuple[int | None, ...] = (), asked: str = "", **options: Any
    ) -> Memory:
        """Another supervisor of two workers, some of which have ended meanwhile."""
        memory = Memory(web(numprocesses=2, **options))
        for id in alive:
            memory.feed(Adopted(left.workers[id].names, id + 2000, 60.0))
            memory.running[left.workers[id].names.id] = id + 2000
            memory.names[left.workers[id].names.id] = left.workers[id].names
        ended = tuple((worker.names, status) for worker, status in zip(left.workers, dead, strict=False))
        interrupted = ((7, asked, "bob"),) if asked else ()
        memory.feed(Begun(left.wanted, interrupted, spent=left.spent, dead=ended))
        return memory

    def test_spent(self) -> None:
        """A process that has ended for good is not started by the next supervisor, but with the watcher."""
        memory = Memory(web(respawn="never", numprocesses=2)).begin()
        memory.exit("web/1")
        self.assertEqual(memory.wids("web"), [2])
        left = replay(memory.journal)
        later = self.later(left, 0, respawn="never")
        self.assertEqual((later.wids("web"), later.status("web")), ([2], "active"))
        later.ask("start", name="web")
        self.assertEqual(len(later.running), 2)
        self.assertEqual(replay([*memory.journal, *later.journal]).spent, {})
        self.assertEqual(len(self.later(left, 0).running), 2)

    def test_endedMeanwhile(self) -> None:
        """So it is with one that ended while no supervisor ran, unless it may have been asked to or have failed."""
        left = replay(Memory(web(respawn="never", numprocesses=2)).begin().journal)
        for respawn, status, asked, count in (
                ("never", 0, "", 1), ("never", 256, "", 1), ("never", None, "upgrade", 1),
                ("never", 0, "restart", 2), ("on-failure", 0, "", 1),
                ("on-failure", 256, "", 2), ("on-failure", None, "", 2), ("always", 0, "", 2)):
            later = self.later(left, 1, dead=(status,), asked=asked, respawn=respawn)
            self.assertEqual(len(later.running), count, (respawn, status, asked))
            self.assertEqual(later.status("web"), "active")

    def test_allEndedMeanwhile(self) -> None:
        """A watcher all of whose processes have ended for good has stopped, and an essential one ends everything."""
        left = replay(Memory(web(respawn="never", numprocesses=2)).begin().journal)
        for status, done in (0, True), (256, False):
            later = self.later(left, dead=(0, status), respawn="never")
            self.assertEqual((later.status("web"), len(later.names)), ("stopped", 0))
            self.assertEqual(later.arbiter.watchers["web"].past.completed, done)
        later = self.later(left, dead=(0, 3 << 8), respawn="never", essential=True)
        self.assertEqual(later.quit, 3)

    def test_interrupted(self) -> None:
        """What the earlier supervisor was doing is told as interrupted."""
        memory = Memory(web())
        memory.feed(Begun({}, ((7, "reload", "bob"),)))
        (told,) = memory.ask("operation", id=7)["operations"]
        self.assertEqual((told["state"], told["by"], told["command"]), ("interrupted", "bob", "reload"))
        self.assertEqual(memory.ask("restart", name="web")["operation"], 9)

    def test_killedMeanwhile(self) -> None:
        """What was to run again after a restart, or after the supervisor itself was stopped, is recorded as such."""
        for ask in "restart", "quit":
            memory = Memory(web()).begin()
            memory.ask(ask)
            self.assertNotEqual(memory.signals, [])
            self.assertTrue(replay(memory.journal).wanted["web"][0], ask)
        memory = Memory(web()).begin()
        memory.ask("restart")
        memory.ask("stop")
        self.assertFalse(replay(memory.journal).wanted["web"][0])

    def test_nobody(self) -> None:
        """A watcher that ran without any process goes on so, and takes up more."""
        memory = Memory(web()).begin(web=(True, 0))
        self.assertEqual((memory.status("web"), memory.running), ("active", {}))
        memory.ask("incr", name="web", nb=2)
        self.assertEqual(len(memory.running), 2)

    def test_midReload(self) -> None:
        """Of two workers for one seat, left by a reload that was cut short, the old one stays."""
        memory = Memory(web(numprocesses=1))
        for names in (Names(3, "web", 1, 0, 0), Names(4, "web", 2, 0, 1)):
            memory.names[names.id], memory.running[names.id] = names, names.id
            memory.feed(Adopted(names, names.id, 60.0))
        memory.begin()
        self.assertEqual(memory.signals[0], (4, signal.SIGTERM))
        memory.obey()
        self.assertEqual(list(memory.running), [3])

    def test_stray(self) -> None:
        """Those of a watcher that is in the configuration no more are ended."""
        memory = Memory(web(numprocesses=1))
        names = memory.names[5] = Names(5, "old", 1)
        memory.running[5] = 9
        memory.feed(Adopted(names, 9, 60.0))
        memory.feed(Begun())
        self.assertIn((5, signal.SIGTERM), memory.signals)
        memory.obey()
        self.assertEqual(list(memory.arbiter.watchers), ["web"])


class ReloadTests(SynchronousTestCase):
    """Processes that are replaced."""

    def reload(self, memory: Memory, **arguments: object) -> None:
        """Begin a reload that is waited for, as call number 1."""
        self.assertIsNone(memory.ask("reload", name="web", waiting=True, **arguments))

    def test_oneByOne(self) -> None:
        """A new process must have lived for min_ready before an old one goes; then the next follows."""
        memory = Memory(web(min_ready=2.0)).begin()
        self.reload(memory)
        self.assertEqual((sorted(memory.running), memory.signals), ([1, 2, 3, 4], []))
        memory.advance(1.9)
        self.assertEqual(memory.signals, [])
        memory.advance(0.1)
        self.assertEqual(memory.signals[0], (1, signal.SIGTERM))
        memory.obey()
        memory.advance(2)
        memory.obey()
        self.assertNotIn(1, memory.answers)
        memory.advance(2)
        memory.obey()
        self.assertEqual((sorted(memory.running), len(memory.wids("web"))), ([4, 5, 6], 3))
        self.assertEqual(memory.answers[1]["watchers"]["web"]["kept"], [])
        self.assertEqual((memory.status("web"), memory.timers), ("active", {}))

    def test_diesEarly(self) -> None:
        """A new process that ends before it has proved itself ends the reload; the old ones stay."""
        memory = Memory(web(min_ready=5.0)).begin()
        self.reload(memory)
        memory.advance(3)
        memory.exit(4, 256)
        self.assertEqual((sorted(memory.running), memory.signals, memory.spawning), ([1, 2, 3], [], {}))
        self.assertIsInstance(memory.answers[1], OperationFailed)
        self.assertIn("web/4 exited 1 after 3.0 s; 0 of 3 replaced, the others stay", str(memory.answers[1]))
        memory.advance(100)
        self.assertEqual((sorted(memory.running), memory.timers), ([1, 2, 3], {}))
        problem = memory.ask("status", detail=True)["stack"]["watchers"][0]["problem"]
        self.assertIn("a process that ends now is replaced by what is on disk", problem)

    def test_notFound(self) -> None:
        """The same with a program that cannot be executed."""
        memory = Memory(web()).begin()
        memory.auto = False
        self.reload(memory)
        memory.refuse(4)
        self.assertIn("web/4 could not be started: execve: ENOENT", str(memory.answers[1]))
        self.assertEqual(sorted(memory.running), [1, 2, 3])

    def test_halfWay(self) -> None:
        """Who was replaced before the failure stays replaced."""
        memory = Memory(web()).begin()
        self.reload(memory)
        memory.advance(2)
        memory.obey()
        memory.exit(5, KILLED)
        self.assertEqual(sorted(memory.running), [2, 3, 4])
        self.assertIn("1 of 3 replaced", str(memory.answers[1]))

    def test_all(self) -> None:
        """With max_surge = all every old process stays until all new ones have proved themselves."""
        memory = Memory(web(max_surge=0)).begin()
        self.reload(memory)
        self.assertEqual(len(memory.running), 6)
        memory.advance(2)
        memory.obey()
        self.assertEqual(sorted(memory.running), [4, 5, 6])

    def test_allFails(self) -> None:
        """Then a failure leaves exactly the old ones."""
        memory = Memory(web(max_surge=0)).begin()
        self.reload(memory)
        memory.advance(1)
        memory.exit(6, 256)
        memory.obey()
        self.assertEqual(sorted(memory.running), [1, 2, 3])

    def test_unavailable(self) -> None:
        """With max_unavailable an old process ends first, and its successor is started then."""
        memory = Memory(web(max_unavailable=1)).begin()
        self.reload(memory)
        self.assertEqual((sorted(memory.running), {id for id, _ in memory.signals}), ([1, 2, 3], {1}))
        memory.obey()
        self.assertEqual(sorted(memory.running), [2, 3, 4])
        memory.advance(1.9)
        self.assertEqual(memory.signals, [])
        for _ in range(3):
            memory.advance(2)
            memory.obey()
        self.assertEqual(sorted(memory.running), [4, 5, 6])
        self.assertEqual(memory.answers[1]["watchers"]["web"]["started"], [1004, 1005, 1006])

    def test_twoUnavailable(self) -> None:
        """Two at a time are gone at most, and the rest stays if a successor fails; what is missing is started."""
        memory = Memory(web(numprocesses=4, max_unavailable=2)).begin()
        self.reload(memory)
        memory.obey()
        self.assertEqual(sorted(memory.running), [3, 4, 5, 6])
        memory.exit(5, 256)
        self.assertIn("web/1 exited 1", str(memory.answers[1]))
        memory.obey()
        memory.advance(20)
        memory.obey()
        self.assertEqual((len(memory.running), sorted(memory.running)[:2]), (4, [3, 4]))

    def test_oldDies(self) -> None:
        """If an old process ends meanwhile, its successor is there already and nobody else is started."""
        memory = Memory(web(numprocesses=1)).begin()
        memory.advance(5)
        self.reload(memory)
        memory.exit(1, KILLED)
        self.assertEqual(sorted(memory.running), [2])
        memory.advance(2)
        self.assertEqual((sorted(memory.running), memory.answers[1]["watchers"]["web"]["started"]), ([2], [1002]))

    def test_oldRefused(self) -> None:
        """The same when the old one could not even be started: nobody else is started for its seat."""
        memory = Memory(web(numprocesses=2))
        memory.auto = False
        memory.begin()
        memory.refuse(1)
        memory.refuse(2)
        memory.advance(1)
        memory.ask("reload", name="web")
        memory.refuse(3)
        memory.spawned(5)
        memory.advance(60)
        watcher = memory.arbiter.watchers["web"]
        coming = len(watcher.reloading.coming) if watcher.reloading else 0
        self.assertEqual(len(watcher.seats.alive()), 2 + coming)

    def test_bothDie(self) -> None:
        """If then the successor ends too, the seat is filled as after any other end."""
        memory = Memory(web(numprocesses=1)).begin()
        self.reload(memory)
        memory.exit(1, KILLED)
        memory.exit(2, 256)
        memory.advance(10)
        self.assertEqual(len(memory.running), 1)
        self.assertIsInstance(memory.answers[1], OperationFailed)

    def test_stop(self) -> None:
        """A stop during a reload ends everyone, old and new."""
        memory = Memory(web()).begin()
        self.reload(memory)
        memory.ask("stop", name="web")
        memory.obey()
        self.assertEqual((memory.status("web"), memory.running, memory.timers), ("stopped", {}, {}))
        self.assertIn("superseded", str(memory.answers[1]))

    def test_resize(self) -> None:
        """Another number takes effect when the reload is over."""
        memory = Memory(web()).begin()
        self.reload(memory)
        memory.ask("decr", name="web", nb=2)
        for _ in range(3):
            memory.advance(2)
            memory.obey()
        self.assertEqual(len(memory.running), 1)

    def test_hup(self) -> None:
        """With send_hup the processes are told, and stay."""
        memory = Memory(web(send_hup=True)).begin()
        self.assertIsNotNone(memory.ask("reload", name="web", waiting=True))
        self.assertEqual(memory.signals, [(id, signal.SIGHUP) for id in (1, 2, 3)])

    def test_ungraceful(self) -> None:
        """With graceful = False it is a restart."""
        memory = Memory(web()).begin()
        memory.ask("reload", name="web", graceful=False)
        memory.obey()
        self.assertEqual(sorted(memory.running), [4, 5, 6])

    def test_stopped(self) -> None:
        """A watcher that is stopped is started, as in Circus."""
        memory = Memory(web(autostart=False)).begin()
        memory.ask("reload", name="web")
        self.assertEqual(memory.status("web"), "active")
