"""Watchers that are changed, added and removed at run time."""

from __future__ import annotations

import json
import signal
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.durable import replay, snapshot
from circustwist.model.effects import ReadStack
from circustwist.model.errors import Conflict, Denied, MessageError, NotFound, OperationFailed
from circustwist.model.inputs import Asked, SocketsChanged, StackRead, Who
from circustwist.model.settings import Settings
from circustwist.model.stack import Watcher
from circustwist.model.tuned import Tuned, applied

from .memory import Memory

WEB = Watcher("web", cmd="web", numprocesses=2, extra={"flapping.attempts": "3"})
JOB = Watcher("Job", cmd="job")


def memory(*watchers: Watcher, **settings: Any) -> Memory:
    """A supervisor that runs these."""
    found = Memory(*(watchers or (WEB, JOB)), settings=Settings(**settings)).begin()
    found.events.clear()
    return found


def settled(found: Memory) -> Memory:
    """Everything has come about that can."""
    for _ in range(8):
        found.obey()
        found.advance(2.5)
    return found


def tuned(found: Memory) -> dict[str, Tuned]:
    """What a later supervisor would know, after the journal was compacted and written as text."""
    left = replay(found.journal)
    return dict(replay(json.loads(json.dumps(snapshot(left)))).tuned)


class GetTests(SynchronousTestCase):
    """Options are looked at."""

    def test_get(self) -> None:
        """Some options, free-form ones too."""
        answer = memory().ask("get", name="WEB", keys=["numprocesses", "flapping.attempts"])
        self.assertEqual(answer, {"options": {"numprocesses": 2, "flapping.attempts": "3"}})

    def test_unknown(self) -> None:
        """One that there is not is told in Circus's words."""
        found = memory()
        self.assertEqual(str(found.fails("get", name="web", keys=["nope"])), "'nope' option not found")
        self.assertEqual(str(found.fails("get", name="web")), "message invalid 'keys' is missing")

    def test_environment(self) -> None:
        """An administrator who asks for the environment sees its values, others do not."""
        found = memory(attrs.evolve(WEB, env={"A": "canary"}))
        self.assertEqual(found.ask("get", name="web", keys=["env"]), {"options": {"env": {"A": "canary"}}})
        found.feed(Asked(99, "get", {"name": "web", "keys": ["env"]}, Who("bob", "operator")))
        self.assertNotIn("canary", str(found.answers[99]))

    def test_global(self) -> None:
        """The endpoints are told, all or one."""
        found = memory(endpoint="tcp://127.0.0.1:5555", check_delay=2.0)
        self.assertEqual(found.ask("globaloptions", option="check_delay"), {"options": {"check_delay": 2.0}})
        self.assertEqual(len(found.ask("globaloptions")["options"]), 5)
        self.assertEqual(str(found.fails("globaloptions", option="x")), "'x' not an existing option")


class SetTests(SynchronousTestCase):
    """Options are set."""

    def test_now(self) -> None:
        """A time counts at once, and no process is touched; each option is told."""
        found = memory()
        self.assertIn("operation", found.ask("set", name="web", options={"graceful_timeout": 3, "max_age": 60}))
        spec = found.arbiter.watchers["web"].spec
        self.assertEqual((spec.graceful_timeout, spec.max_age, found.signals), (3.0, 60.0, []))
        self.assertEqual(found.topics(), ["updated", "updated"])
        self.assertEqual(found.arbiter.stack.watcher("web"), spec)

    def test_number(self) -> None:
        """Another number of processes, as incr would have it; below 0 is 0."""
        found = memory()
        self.assertNotIsInstance(found.ask("set", name="web", options={"numprocesses": 4}, waiting=True), Exception)
        self.assertEqual(len(found.running), 5)
        found.ask("set", name="web", options={"numprocesses": -1})
        settled(found)
        self.assertEqual((len(found.running), found.status("web")), (1, "active"))
        self.assertEqual(tuned(found), {})

    def test_reload(self) -> None:
        """Another program goes through the gate."""
        found = memory()
        before = set(found.running.values())
        self.assertIsNone(found.ask("set", name="web", options={"cmd": "new"}, waiting=True))
        settled(found)
        self.assertEqual(len(before & set(found.running.values())), 1)
        self.assertEqual(list(found.answers.values())[-1]["watchers"]["web"]["kept"], [])

    def test_failed(self) -> None:
        """A program that does not run is not kept: everything is as it was."""
        found = memory()
        found.auto = False
        found.ask("set", name="web", options={"cmd": "nope", "max_age": 5}, waiting=True)
        found.refuse(next(iter(found.spawning)))
        settled(found)
        self.assertIsInstance(list(found.answers.values())[-1], OperationFailed)
        self.assertEqual((found.arbiter.watchers["web"].spec, tuned(found)), (WEB, {}))
        self.assertEqual(found.arbiter.stack.watcher("web"), WEB)
        self.assertEqual(found.arbiter.changes, {})

    def test_refused(self) -> None:
        """What cannot be is refused before anything is done."""
        found = memory(WEB, attrs.evolve(JOB, singleton=True))
        self.assertIsInstance(found.fails("set", name="web", options={"max_age": 5, "nope": 1}), MessageError)
        self.assertIsInstance(found.fails("set", name="nope", options={}), NotFound)
        self.assertIsInstance(found.fails("set", name="job", options={"numprocesses": 2}), Conflict)
        self.assertEqual((found.arbiter.watchers["web"].spec, found.events), (WEB, []))

    def test_roles(self) -> None:
        """An operator may set times, but not what is run; so may an administrator who came in unproven."""
        found = memory()
        for call, who in enumerate((Who("bob", "operator"), Who("eve", "admin", defines=False)), 50):
            found.feed(Asked(call, "set", {"name": "web", "options": {"max_age": 5}}, who))
            self.assertIn("operation", found.answers[call])
            for key, value in (("cmd", "x"), ("env", {}), ("on_failure", "exec:x"), ("stdout_stream.filename", "/x")):
                found.feed(Asked(call + 100, "set", {"name": "web", "options": {key: value}}, who))
                self.assertIsInstance(found.answers.pop(call + 100), Denied, key)
            found.feed(Asked(call + 200, "add", {"name": "x", "cmd": "x"}, who))
            self.assertIsInstance(found.answers[call + 200], Denied)

    def test_survives(self) -> None:
        """A later supervisor knows what was set, by whom, and what of it is back to the file's."""
        found = memory()
        found.ask("set", name="web", options={"max_age": 5})
        found.ask("set", name="web", options={"graceful_timeout": 2, "max_age": 6})
        (left,) = tuned(found).values()
        self.assertEqual((left.options, left.by), ({"max_age": 6, "graceful_timeout": 2}, "ann"))
        again = applied(found.arbiter.tuning.base, tuned(found))
        self.assertEqual(again.watchers, found.arbiter.stack.watchers)

    def test_queue(self) -> None:
        """A change of the same watcher waits for the one under way, that of another does not."""
        found = memory()
        found.ask("set", name="web", options={"cmd": "b"})
        found.ask("set", name="web", options={"cmd": "c"})
        found.ask("set", name="job", options={"max_age": 9})
        commands = [found.arbiter.watchers[name].spec for name in ("web", "job")]
        self.assertEqual((commands[0].cmd, commands[1].max_age), ("b", 9.0))
        settled(settled(found))
        self.assertEqual(found.arbiter.watchers["web"].spec.cmd, "c")
        self.assertEqual([operation.state for operation in found.arbiter.operations][1:], ["done"] * 3)

    def test_full(self) -> None:
        """Too many that wait are refused, as Circus refuses a second one."""
        found = memory()
        for _ in range(101):
            self.assertIn("operation", found.ask("set", name="web", options={"cmd": "b"}))
        self.assertEqual(str(found.fails("set", name="web", options={"cmd": "b"})),
                         "arbiter is already running set command")

    def test_superseded(self) -> None:
        """A stop calls off the reload that a set asked for; what was set stays, and nothing is left under way."""
        found = memory()
        found.ask("set", name="web", options={"cmd": "b"})
        found.ask("stop", name="web")
        settled(found)
        self.assertEqual((found.status("web"), found.arbiter.watchers["web"].spec.cmd), ("stopped", "b"))
        self.assertEqual(found.arbiter.changes, {})
        self.assertNotIsInstance(found.ask("set", name="web", options={"cmd": "c"}, waiting=True), Exception)

    def test_quit(self) -> None:
        """Whoever waits in line when everything stops is told that it came to nothing."""
        found = memory()
        found.ask("set", name="web", options={"cmd": "b"}, waiting=True)
        found.ask("set", name="web", options={"cmd": "c"}, waiting=True)
        found.ask("quit")
        self.assertEqual(len([one for one in found.answers.values() if isinstance(one, OperationFailed)]), 2)
        settled(found)
        self.assertEqual(found.quit, 0)


class AddTests(SynchronousTestCase):
    """Watchers come and go."""

    def test_add(self) -> None:
        """It is there and stopped; a later supervisor knows it, and that it does not run."""
        found = memory()
        found.ask("add", name="New", cmd="new", options={"numprocesses": 2})
        self.assertEqual((found.status("new"), found.topics()), ("stopped", ["add"]))
        self.assertEqual(replay(found.journal).wanted["New"], (False, 2))
        self.assertEqual([w.name for w in applied(found.arbiter.tuning.base, tuned(found)).watchers],
                         ["Job", "New", "web"])
        found.ask("start", name="new", waiting=True)
        self.assertEqual(len(found.running), 5)

    def test_start(self) -> None:
        """It is started if that is asked for, and who waits is told which processes there are."""
        found = memory()
        found.ask("add", name="new", cmd="new", args=["a b"], start=True, waiting=True)
        answer = list(found.answers.values())[-1]
        self.assertEqual(len(answer["watchers"]["new"]["started"]), 1)
        self.assertEqual(found.arbiter.watchers["new"].spec.args, ("a b",))

    def test_fails(self) -> None:
        """One that cannot be started stays, as it was asked for."""
        found = memory()
        found.auto = False
        found.ask("add", name="new", cmd="nope", options={"max_retry": 1}, start=True, waiting=True)
        found.refuse(next(iter(found.spawning)))
        settled(found)
        self.assertIsInstance(list(found.answers.values())[-1], OperationFailed)
        self.assertEqual((found.status("new"), found.arbiter.changes), ("failed", {}))

    def test_refused(self) -> None:
        """Names that are taken or no names, unknown options; an empty name does nothing, as in Circus."""
        found = memory()
        self.assertEqual(str(found.fails("add", name="WEB", cmd="x")), "'WEB' already exist")
        self.assertIsInstance(found.fails("add", name="a/b", cmd="x"), MessageError)
        self.assertEqual(str(found.fails("add", name="a", cmd="x", options={"nope": 3})), "unknown key 'nope'")
        self.assertIsInstance(found.fails("add", name="a", cmd=""), MessageError)
        self.assertEqual(found.ask("add", name="", cmd="x"), {})

    def test_remove(self) -> None:
        """It stops and is gone, for later supervisors too; one that was added leaves no trace."""
        found = memory()
        found.ask("add", name="new", cmd="new", start=True)
        found.events.clear()
        found.ask("rm", name="new", waiting=True)
        self.assertEqual(found.topics()[0], "remove")
        settled(found)
        found.ask("rm", name="web")
        settled(found)
        self.assertEqual(list(found.arbiter.watchers), ["job"])
        self.assertEqual({name: one.removed for name, one in tuned(found).items()}, {"web": True})
        self.assertIsInstance(found.fails("rm", name="web"), NotFound)

    def test_again(self) -> None:
        """One that was removed can be added again."""
        found = memory()
        found.ask("rm", name="web")
        settled(found)
        found.ask("add", name="web", cmd="other")
        self.assertEqual(applied(found.arbiter.tuning.base, tuned(found)).watchers, found.arbiter.stack.watchers)

    def test_needed(self) -> None:
        """One on which another depends stays; a process is not left to nobody."""
        found = memory(WEB, Watcher("api", cmd="api", depends_on=("web:ready",)))
        self.assertIsInstance(found.fails("rm", name="web"), Conflict)
        self.assertIsInstance(found.fails("rm", name="api", nostop=True), MessageError)

    def test_files(self) -> None:
        """When the files are applied, what was removed is back and what was added or set stays."""
        found = memory()
        found.ask("rm", name="web")
        settled(found)
        found.ask("add", name="new", cmd="new")
        found.ask("set", name="job", options={"max_age": 7})
        found.ask("reloadconfig", waiting=True)
        (read,) = [effect for effect in found.others if isinstance(effect, ReadStack)]
        found.feed(StackRead(read.operation, found.arbiter.tuning.base))
        found.feed(SocketsChanged(read.operation))
        settled(found)
        self.assertEqual({name: w.status for name, w in found.arbiter.watchers.items()},
                         {"web": "active", "job": "active", "new": "stopped"})
        self.assertEqual(found.arbiter.watchers["job"].spec.max_age, 7.0)
        self.assertEqual(sorted(tuned(found)), ["job", "new"])


class KillTests(SynchronousTestCase):
    """Processes are ended and replaced."""

    def test_all(self) -> None:
        """Each is asked to end; its place is filled when it is gone, not before."""
        found = memory(WEB)
        before = set(found.running.values())
        found.ask("kill", name="web", waiting=True)
        self.assertEqual((len(found.running), len(found.answers)), (2, 0))
        found.obey()
        self.assertEqual((len(found.running), before & set(found.running.values())), (2, set()))
        self.assertEqual(found.wids("web"), [1, 2])
        self.assertEqual(found.topics(), ["kill", "kill", "reap", "spawn", "reap", "spawn"])
        self.assertEqual(len(found.answers), 1)

    def test_one(self) -> None:
        """One process, by another signal, and killed when its time is over."""
        found = memory(WEB)
        pid = max(found.running.values())
        found.ask("kill", name="web", pid=pid, signum="quit", graceful_timeout=0.5)
        self.assertEqual(next(signum for _, signum in found.signals), signal.SIGQUIT)
        found.signals.clear()
        found.advance(0.5)
        self.assertEqual([signum for _, signum in found.signals], [signal.SIGKILL])

    def test_refused(self) -> None:
        """Nonsense is refused, and nothing is signalled."""
        found = memory(WEB)
        for wrong in ({"pid": 3}, {"wid": 9}, {"signum": "x"}, {"graceful_timeout": -1.0}, {"graceful_timeout": "3"}):
            found.fails("kill", name="web", **wrong)
        self.assertEqual(found.signals, [])

    def test_stop(self) -> None:
        """After a stop nobody comes."""
        found = memory(WEB)
        found.ask("kill", name="web")
        found.ask("stop", name="web")
        settled(found)
        self.assertEqual((found.running, found.status("web")), ({}, "stopped"))

    def test_respawn(self) -> None:
        """What is not to be started again is not."""
        found = memory(attrs.evolve(WEB, respawn="never"))
        found.ask("kill", name="web")
        settled(found)
        self.assertEqual((found.running, found.status("web")), ({}, "stopped"))
