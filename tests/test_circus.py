"""Circus's protocol as texts."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.control import circus
from circustwist.control.circus import Call, Malformed, parsed
from circustwist.control.guard import Guard
from circustwist.model.commands import COMMANDS, TABLE, complete
from circustwist.model.errors import Denied, MessageError, NotFound, OperationFailed, RequestError, UnknownCommand
from circustwist.model.events import Event, Occurrence
from circustwist.model.users import User

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5)


def call(command: str, **properties: Any) -> Call:
    """A request."""
    return Call(command, properties, "x")


class RequestTests(SynchronousTestCase):
    """Bytes that come in."""

    def failed(self, message: bytes) -> dict[str, Any]:
        """What is answered to what is no request."""
        found = parsed(message)
        assert isinstance(found, Malformed), found
        return circus.failure(found, found.error, 1.0)

    def test_request(self) -> None:
        """A request, with everything that it may have."""
        found = parsed(b'{"command": "STATUS", "properties": {"name": "web"}, "id": [1], "msg_type": "cast", "x": 1}')
        self.assertEqual(found, Call("status", {"name": "web"}, [1], True))
        self.assertEqual(parsed(b'{"command": "list"}'), Call("list", {}))

    def test_nothing(self) -> None:
        """Nothing is answered to nothing."""
        self.assertEqual((parsed(b""), parsed(b" \n")), (None, None))

    def test_malformed(self) -> None:
        """What is no request is answered with Circus's number, where Circus says nothing too."""
        self.assertEqual(self.failed(b"{x"), {
            "status": "error", "reason": "json invalid", "tb": None, "time": 1.0, "errno": 1, "id": None})
        self.assertEqual(self.failed(b"[" * 100_000)["errno"], 1)
        self.assertEqual([self.failed(each)["errno"] for each in (b"[]", b"3", b'{"command": 4}', b"{}")], [3, 3, 3, 3])
        self.assertEqual(self.failed(b'{"id": 5, "command": "x", "properties": 3}')["id"], 5)

    @given(st.binary() | JSON.map(lambda value: json.dumps(value).encode())
           | st.builds(lambda name, properties: json.dumps({"command": name, "properties": properties}).encode(),
                       st.sampled_from([*TABLE, "listen"]), st.dictionaries(st.sampled_from(
                           [argument.name for command in COMMANDS for argument in command.arguments]), JSON)))
    def test_anything(self, message: bytes) -> None:
        """Whatever comes, it is a command with good arguments, or an error that can be answered."""
        found = parsed(message)
        if isinstance(found, Call):
            try:
                given = circus.arguments(found)
                complete(TABLE[found.command], given)
            except RequestError as error:
                json.dumps(circus.failure(found, error, 1.0))

    def test_arguments(self) -> None:
        """Circus's loose types become those of the table."""
        self.assertEqual(circus.arguments(call("signal", name="a", signum=9, pid="12")),
                         {"name": "a", "signum": "9", "pid": 12})
        self.assertEqual(circus.arguments(call("kill", name="a", graceful_timeout="2.5", signum=2)),
                         {"name": "a", "graceful_timeout": 2.5, "signum": "2"})
        self.assertEqual(circus.arguments(call("stop", name=None, waiting=1)), {"waiting": True})
        self.assertEqual(circus.arguments(call("reload", name="a*"))["match"], "simple")
        self.assertEqual(circus.arguments(call("incr", name="a", nb="2")), {"name": "a", "nb": 2})

    def test_refused(self) -> None:
        """Circus's words."""
        for command, properties, error, text in (
                ("listen", {}, MessageError, "invalid message. use a pub/sub socket"),
                ("nope", {}, UnknownCommand, "unknown command: 'nope'"),
                ("events", {}, UnknownCommand, "unknown command: 'events'"),
                ("signal", {"childpid": 3}, MessageError, "cannot specify childpid without pid"),
                ("kill", {"graceful_timeout": "x"}, MessageError, "'graceful_timeout' isn't a number"),
                ("set", {"options": 3}, MessageError, "'options' property should be an object")):
            self.assertEqual(str(self.assertRaises(error, circus.arguments, call(command, **properties))), text)


class AnswerTests(SynchronousTestCase):
    """What goes out."""

    found = {"operation": 4, "watchers": {"Web": {"started": [2], "kept": [1], "stopped": [3]}}, "numprocesses": 5}

    def answer(self, command: str, found: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
        """Circus's own keys of an answer."""
        answer = circus.answer(call(command, **properties), self.found if found is None else found, 1.0)
        self.assertEqual((answer.pop("time"), answer.pop("id")), (1.0, "x"))
        return answer

    def test_changes(self) -> None:
        """Who does not wait is told ok, who waits for one watcher what came of it."""
        self.assertEqual(self.answer("start", name="web"), {"status": "ok"})
        wait = {"name": "web", "waiting": True}
        self.assertEqual(self.answer("start", **wait), {"status": "ok", "info": {"started": [2], "kept": [1]}})
        self.assertEqual(self.answer("start", waiting=True), {"status": "ok"})
        self.assertEqual(self.answer("stop", **wait), {"status": "ok", "info": None})
        self.assertEqual(self.answer("reload", **wait),
                         {"status": "ok", "info": {"stopped": [3], "started": [2], "kept": [1]}})
        self.assertEqual(self.answer("add", start=True, **wait), {"status": "ok", "started": [2], "kept": [1]})
        self.assertEqual(self.answer("incr", **wait), {"status": "ok", "numprocesses": 5})
        self.assertEqual(self.answer("incr", name="web"), {"status": "ok"})
        self.assertEqual(self.answer("rm", **wait), {"status": "ok"})

    def test_status(self) -> None:
        """A watcher's status takes the place of ok."""
        self.assertEqual(self.answer("status", {"status": "active"}, name="web"), {"status": "active"})

    def test_globals(self) -> None:
        """Circus's endpoints are told where none are configured."""
        options = {"endpoint": "ipc:///x", "pubsub_endpoint": "", "stats_endpoint": "", "multicast_endpoint": "",
                   "check_delay": 0.0}
        self.assertEqual(self.answer("globaloptions", {"options": options})["options"], {
            "endpoint": "ipc:///x", "pubsub_endpoint": "tcp://127.0.0.1:5556", "stats_endpoint": "tcp://127.0.0.1:5557",
            "multicast_endpoint": "udp://237.219.251.97:12027", "check_delay": 0.0})

    def test_failures(self) -> None:
        """Where a watcher cannot be started, and where a process is gone, all is well in Circus."""
        failed = OperationFailed("web/1 could not be started")
        self.assertEqual(circus.failure(call("start", name="web", waiting=True), failed, 1.0), {
            "status": "ok", "time": 1.0, "id": "x", "info": {"started": [], "kept": []}, "problem": str(failed)})
        self.assertEqual(circus.failure(call("reload", name="web"), failed, 1.0)["errno"], 6)
        self.assertEqual(circus.failure(call("signal"), NotFound("process 3 not found in 'web'"), 1.0)["status"], "ok")
        self.assertEqual(circus.failure(call("signal"), NotFound("program x not found"), 1.0)["errno"], 3)


class EventTests(SynchronousTestCase):
    """What happens, as Circus tells it."""

    def told(self, name: str, planned: bool = True, **data: Any) -> Any:
        """An event of one process."""
        return circus.event(Occurrence("s", 1, 5.0, Event(name, "My Web", "web/1", 7, planned, data=data)))

    def test_keys(self) -> None:
        """Topics and payloads are Circus's, and events that it has not are not told."""
        self.assertEqual(self.told("spawn", wid=1), ("watcher.my_web.spawn", {"process_pid": 7, "time": 5.0}))
        self.assertEqual(self.told("start"), ("watcher.my_web.start", {"time": 5.0}))
        self.assertEqual(self.told("backoff"), None)
        self.assertEqual(circus.event(Occurrence("s", 1, 5.0, Event("quit"))), None)

    def test_reap(self) -> None:
        """An end is told if nobody asked for it, or the whole watcher stops."""
        self.assertEqual(self.told("reap", False, exit_code=3)[1], {"process_pid": 7, "time": 5.0, "exit_code": 3})
        self.assertEqual(self.told("reap", exit_code=-15), None)
        self.assertEqual(self.told("reap", exit_code=-15, stopped=True)[1]["exit_code"], -15)


class GuardTests(SynchronousTestCase):
    """Who may do what."""

    def test_ways(self) -> None:
        """What says what is run takes a private endpoint or the word of the configuration."""
        for endpoint, insecure, defines in (
                ("ipc:///x", False, True), ("ipc://@x", False, False), ("tcp://127.0.0.1:1", False, False),
                ("tcp://127.0.0.1:1", True, True)):
            who = Guard(endpoint, insecure).who("", call("set"))
            self.assertEqual((who.role, who.defines), ("admin", defines), endpoint)

    def test_owner(self) -> None:
        """The owner of the endpoint adds what runs as them, and nothing else."""
        guard = Guard("ipc:///x", owner="ann")
        self.assertTrue(guard.who("", call("add", options={"uid": "ann", "numprocesses": 2})).defines)
        self.assertFalse(guard.who("", call("set", options={"uid": "ann"})).defines)
        for options in ({}, {"uid": "root"}, 3):
            self.assertRaises(MessageError, guard.who, "", call("add", options=options))
        for more in ({"stdout_stream.filename": "/x"}, {"on_failure": "exec:x"}, {"gid": "root"}, {"ready": "exec:x"}):
            self.assertRaises(Denied, guard.who, "", call("add", options={"uid": "ann", **more}))

    def test_keys(self) -> None:
        """With CURVE everybody has the role of the user whose key they have."""
        guard = Guard("tcp://*:1", users=lambda: [User("ann", role="operator", curve_key="k")])
        self.assertEqual([guard.who(key, call("list")).role for key in ("k", "x", "")], ["operator", "", ""])
        self.assertEqual([guard.knows(key) for key in ("k", "x", "")], [True, False, False])
