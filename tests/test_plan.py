"""What a changed configuration does, and that it does just that."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.cli.show import plan
from circustwist.model.effects import ChangeSockets, KeepSockets, ReadStack
from circustwist.model.errors import OperationFailed
from circustwist.model.inputs import Asked, SocketsChanged, StackRead, Who
from circustwist.model.plan import compare
from circustwist.model.settings import Settings
from circustwist.model.stack import Socket, Stack, Watcher
from circustwist.model.streams import Stream

from .memory import Memory

WEB = Watcher("web", cmd="web", numprocesses=2, use_sockets=True)
JOB = Watcher("job", cmd="job")
SOCKET = Socket("web", port=1)


def stack(*watchers: Watcher, sockets: tuple[Socket, ...] = (SOCKET,), **more: object) -> Stack:
    """A configuration."""
    return Stack("test", "/test.ini", Settings(**more), watchers, sockets)  # type: ignore[arg-type]


def told(old: Stack, new: Stack) -> list[tuple[str, str, str]]:
    """The items of a plan, in short."""
    return [(item.kind, item.name, item.action) for item in compare(old, new).items]


class CompareTests(SynchronousTestCase):
    """Two configurations."""

    def test_same(self) -> None:
        """Nothing happens for the same configuration."""
        self.assertEqual(told(stack(WEB, JOB), stack(WEB, JOB)), [])

    def test_live(self) -> None:
        """Counts and times change without touching a process."""
        new = attrs.evolve(WEB, numprocesses=5, graceful_timeout=1.0)
        plan = compare(stack(WEB), stack(new))
        (item,) = plan.items
        self.assertEqual(item.action, "now")
        self.assertEqual([(c.option, c.old, c.new) for c in item.changes],
                         [("numprocesses", "2", "5"), ("graceful_timeout", "30.0", "1.0")])

    def test_command(self) -> None:
        """Another command reloads; added and removed watchers are told."""
        new = stack(attrs.evolve(WEB, cmd="web2"), Watcher("new", cmd="new"))
        self.assertEqual(told(stack(WEB, JOB), new), [
            ("watcher", "job", "remove"), ("watcher", "new", "add"), ("watcher", "web", "reload")])

    def test_socket(self) -> None:
        """A socket that is replaced reloads those who hold it, and nobody else."""
        plan = compare(stack(WEB, JOB), stack(WEB, JOB, sockets=(Socket("web", port=2),)))
        self.assertEqual([(i.kind, i.name, i.action) for i in plan.items],
                         [("socket", "web", "replace"), ("watcher", "web", "reload")])
        self.assertEqual(plan.items[1].why, "socket web changes")

    def test_backlog(self) -> None:
        """Another backlog is set at once."""
        new = (attrs.evolve(SOCKET, backlog=9),)
        self.assertEqual(told(stack(WEB), stack(WEB, sockets=new)), [("socket", "web", "now")])

    def test_secrets(self) -> None:
        """Of an environment only the names are told."""
        old, new = attrs.evolve(JOB, env={"A": "canary"}), attrs.evolve(JOB, env={"A": "other", "B": "canary"})
        plan = compare(stack(old), stack(new))
        self.assertNotIn("canary", str(plan.json()))
        self.assertEqual((plan.items[0].changes[0].old, plan.items[0].changes[0].new), ("A", "A B"))

    def test_settings(self) -> None:
        """What only a new supervisor can change is told."""
        self.assertEqual(told(stack(), stack(umask=0o22, warmup_delay=1.0)),
                         [("circus", "warmup_delay", "now"), ("circus", "umask", "restart")])


class ApplyTests(SynchronousTestCase):
    """A plan that is carried out."""

    def apply(self, old: Stack, new: Stack | None, problem: str = "") -> Memory:
        """Begin to apply another configuration, as call number 1."""
        memory = Memory(*old.watchers, sockets=old.sockets)
        memory.begin()
        for id in list(memory.running):
            if (id, "ready") in memory.probes:
                memory.probed(id)
        memory.events.clear()
        memory.ask("reloadconfig", waiting=True)
        (read,) = [effect for effect in memory.others if isinstance(effect, ReadStack)]
        memory.feed(StackRead(read.operation, new, problem))
        for change in [effect for effect in memory.others if isinstance(effect, ChangeSockets)]:
            memory.feed(SocketsChanged(change.operation))
        return memory

    def settle(self, memory: Memory) -> Memory:
        """Let everything come about that can."""
        for _ in range(20):
            for id, what in list(memory.probes):
                if what == "ready" and id in memory.running:
                    memory.probed(id)
            memory.advance(2)
            memory.obey()
        return memory

    def test_broken(self) -> None:
        """A file that cannot be used changes nothing and is told."""
        memory = self.apply(stack(JOB), None, "stack.ini:3: no")
        self.assertEqual(str(memory.answers[1]), "stack.ini:3: no")
        self.assertEqual(list(memory.running), [1])

    def test_untouched(self) -> None:
        """Whom the plan does not name keeps its processes."""
        new = stack(attrs.evolve(WEB, cmd="web2"), JOB)
        memory = self.settle(self.apply(stack(WEB, JOB), new))
        self.assertEqual(memory.answers[1]["operation"], 2)
        ids = {names.id: names.watcher for id, names in memory.names.items() if id in memory.running}
        self.assertEqual(sorted(ids.items()), [(3, "job"), (4, "web"), (5, "web")])
        self.assertEqual(memory.arbiter.watchers["web"].spec.cmd, "web2")

    def test_addedAndRemoved(self) -> None:
        """New watchers start, removed ones stop and are gone."""
        memory = self.settle(self.apply(stack(JOB), stack(Watcher("new", cmd="new", numprocesses=2))))
        self.assertEqual(list(memory.arbiter.watchers), ["new"])
        self.assertEqual(len(memory.running), 2)

    def test_count(self) -> None:
        """Another number is reached without touching the others."""
        memory = self.settle(self.apply(stack(JOB), stack(attrs.evolve(JOB, numprocesses=3))))
        self.assertEqual(sorted(memory.running), [1, 2, 3])

    def test_failed(self) -> None:
        """A new program that fails leaves the old state whole: options, processes and sockets."""
        old = stack(WEB, JOB)
        new = stack(attrs.evolve(WEB, cmd="bad"), attrs.evolve(JOB, graceful_timeout=1.0), Watcher("x", cmd="x"),
                    sockets=(SOCKET, Socket("more")))
        memory = self.apply(old, new)
        memory.exit(max(memory.running), 256)
        self.settle(memory)
        self.assertIsInstance(memory.answers[1], OperationFailed)
        self.assertIn("web/3 exited 1", str(memory.answers[1]))
        self.assertEqual((memory.arbiter.stack, sorted(memory.running)), (old, [1, 2, 3]))
        self.assertEqual((memory.arbiter.watchers["web"].spec, memory.arbiter.watchers["job"].spec), (WEB, JOB))
        (keep,) = [effect for effect in memory.others if isinstance(effect, KeepSockets)]
        self.assertEqual((keep.new, keep.names), (False, ("web",)))

    def test_halfWay(self) -> None:
        """Who was reloaded before the failure is reloaded back."""
        other = Watcher("api", cmd="api")
        old, new = stack(other, JOB), stack(attrs.evolve(other, cmd="api2"), attrs.evolve(JOB, cmd="bad"))
        memory = self.apply(old, new)
        memory.advance(2)
        memory.obey()
        memory.exit(4, 256)
        self.settle(memory)
        self.assertIsInstance(memory.answers[1], OperationFailed)
        self.assertEqual({names.watcher: names.id for id, names in memory.names.items() if id in memory.running},
                         {"api": 5, "job": 2})
        self.assertEqual(memory.arbiter.watchers["api"].spec.cmd, "api")

    def test_planOnly(self) -> None:
        """The command plan tells the same and does nothing."""
        memory = Memory(JOB).begin()
        self.assertIsNone(memory.ask("plan"))
        (read,) = [effect for effect in memory.others if isinstance(effect, ReadStack)]
        memory.feed(StackRead(read.operation, Stack("test", "/test.ini", Settings(), (WEB,))))
        self.assertEqual([(i["name"], i["action"]) for i in memory.answers[1]["items"]],
                         [("job", "remove"), ("web", "add")])
        self.assertEqual(list(memory.arbiter.watchers), ["job"])

    def test_lacks(self) -> None:
        """A limit that cannot be kept is told."""
        memory = Memory(JOB).begin()
        memory.ask("plan")
        (read,) = [effect for effect in memory.others if isinstance(effect, ReadStack)]
        memory.feed(StackRead(read.operation, memory.arbiter.stack, lacks=(("job", "pids_max", "no group"),)))
        answer = memory.answers[1]
        self.assertEqual(plan(answer["items"], lacks=answer["lacks"]), [
            "nothing changes", "watcher job cannot be started with pids_max: no group"])

    def test_hidden(self) -> None:
        """Only an administrator who asks for a plan is told what looks like a secret; later nobody is."""
        memory = Memory(JOB).begin()
        new = attrs.evolve(
            JOB, cmd="job --token canary", extra={"api_key": "canary of two words"},
            stdout_stream=Stream("FileStream", {"password": "canary"}))
        for call, role in ((50, "operator"), (51, "admin")):
            memory.feed(Asked(call, "plan", {}, Who("bob", role)))
            read = [effect for effect in memory.others if isinstance(effect, ReadStack)][-1]
            memory.feed(StackRead(read.operation, Stack("test", "/test.ini", Settings(), (new,))))
        changes = {each["option"]: each["new"] for each in memory.answers[50]["items"][0]["changes"]}
        self.assertEqual(changes, {
            "cmd": "job --token ***", "extra": "api_key=***", "stdout_stream": "class=FileStream, password=***"})
        changes = {each["option"]: each["new"] for each in memory.answers[51]["items"][0]["changes"]}
        self.assertEqual(changes["cmd"], "job --token canary")
        self.assertNotIn("canary", str(memory.ask("operation")))
        self.assertNotIn("canary", str([event.data for event in memory.events]))

    def test_set(self) -> None:
        """The status does not tell what looks like a secret of what was set at run time."""
        memory = Memory(JOB).begin()
        memory.ask("set", name="job", options={"cmd": "job --token canary"})
        self.assertEqual(memory.ask("status", detail=True)["stack"]["tuned"][0]["options"], {"cmd": "job --token ***"})

    @settings(max_examples=60, deadline=None)
    @given(*[st.lists(st.builds(
        Watcher, name=st.sampled_from(("a", "b", "c", "d")), cmd=st.sampled_from(("x", "y")),
        numprocesses=st.integers(0, 3), graceful_timeout=st.sampled_from((1.0, 2.0)), priority=st.integers(0, 2),
    ), unique_by=lambda watcher: watcher.name, max_size=4)] * 2)
    def test_planIsEffect(self, before: list[Watcher], after: list[Watcher]) -> None:
        """For any two configurations the second is reached, and who is not in the plan keeps its processes."""
        old, new = stack(*before, sockets=()), stack(*after, sockets=())
        memory = self.apply(old, new)
        had = {memory.names[id].watcher: id for id in memory.running}
        self.settle(memory)
        self.assertEqual(memory.answers[1].get("operation") if isinstance(memory.answers[1], dict) else None, 2)
        have: dict[str, list[int]] = {}
        for id in memory.running:
            have.setdefault(memory.names[id].watcher, []).append(id)
        wanted = {spec.name: spec.numprocesses for spec in after if spec.numprocesses}
        # A watcher that was started with no process is stopped, as in Circus, and a number does not start it.
        idle = {spec.name for spec in before if not spec.numprocesses}
        self.assertEqual({name: len(ids) for name, ids in have.items() if name not in idle},
                         {name: number for name, number in wanted.items() if name not in idle})
        touched = set(compare(old, new).names("watcher", "reload", "remove", "now"))
        for name, id in had.items():
            if name not in touched:
                self.assertIn(id, have[name])
