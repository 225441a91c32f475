"""
Faithfulness, measured: every request is put to Circus 0.19 and to a stack of ours.

What differs on purpose is in L{DIFFERENCES}, each with what C{docs/circus.rst}
says of it; a difference that is not there, and one that is not seen any more, fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .conformance import normal
from .differences import DIFFERENCES, WATCHERS, Case, DifferenceCase, case

DOCS = Path(__file__).parents[2] / "docs" / "circus.rst"


READING: Mapping[str, Case] = {
    "list": case("list"), "list one": case("list", name="ONE"), "list stopped": case("list", name="two"),
    "list nobody": case("list", name="x"), "LIST": case("LIST"),
    "status": case("status"), "status one": case("status", name="two"), "status nobody": case("status", name="x"),
    "numwatchers": case("numwatchers"), "numprocesses": case("numprocesses"),
    "numprocesses one": case("numprocesses", name="ONE"), "numprocesses nobody": case("numprocesses", name="x"),
    "options": case("options", name="one"), "options nobody": case("options", name="x"), "options -": case("options"),
    "get": case("get", name="one", keys=["numprocesses", "cmd", "stop_signal", "max_retry", "respawn", "warmup_delay"]),
    "get env": case("get", name="one", keys=["copy_env", "uid", "args", "graceful_timeout", "shell"]),
    "get nothing": case("get", name="one", keys=[]), "get unknown": case("get", name="one", keys=["nope"]),
    "get free": case("get", name="one", keys=["flapping.attempts"]), "get -": case("get", name="one"),
    "get wrong": case("get", name="one", keys=3), "get nobody": case("get", name="x", keys=["cmd"]),
    "globaloptions": case("globaloptions"), "globaloptions one": case("globaloptions", option="check_delay"),
    "globaloptions unknown": case("globaloptions", option="nope"),
    "globaloptions keys": case("globaloptions", keys=["endpoint"]),
    "listen": case("listen"), "unknown": case("nope"), "unknown properties": case("list", nope=3),
}
"""Requests that change nothing."""

TYPES: Mapping[str, Any] = {
    "numprocesses": "3", "max_retry": "3", "max_age": 1.5, "max_age_variance": "x", "stop_signal": "TERM",
    "warmup_delay": "x", "retry_in": "x", "graceful_timeout": None, "uid": [], "gid": 1.5, "send_hup": 1, "shell": "x",
    "copy_env": 0, "respawn": "x", "stop_children": 1, "close_child_stdin": 1, "close_child_stdout": "x",
    "close_child_stderr": 3, "env": 3, "stdout_stream": 3, "stderr_stream": {}, "rlimit_nofile": "x",
    "rlimit_zzz": 10, "nope": 1, "flapping.attempts": "4", "executable": "x",
}
"""Options with a value of a wrong type, for set and for add."""

REFUSED: Mapping[str, Case] = {
    **{f"set {key}": case("set", name="one", options={key: value}) for key, value in TYPES.items()},
    **{f"add {key}": case("add", name="new", cmd="sleep 9", options={key: value}) for key, value in TYPES.items()},
    "set number in env": case("set", name="one", options={"env": {"A": 1}}),
    "set options": case("set", name="one", options=3), "set -": case("set", name="one"),
    "set no name": case("set", options={}), "set nobody": case("set", name="x", options={"numprocesses": 3}),
    "add again": case("add", name="ONE", cmd="sleep 9"), "add no cmd": case("add", name="new"),
    "add no name": case("add", cmd="sleep 9"), "add options": case("add", name="new", cmd="sleep 9", options=3),
    "add empty": case("add", name="", cmd="sleep 9"), "rm nobody": case("rm", name="x"), "rm -": case("rm"),
    "start nobody": case("start", name="x"), "start match": case("start", name="one", match="zzz"),
    "stop pattern": case("stop", name="[", match="regex"), "stop number": case("stop", name=3),
    "reload nobody": case("reload", name="x"), "reload pattern": case("reload", name="o*"),
    "incr -": case("incr"), "incr nobody": case("incr", name="x"), "incr solo": case("incr", name="solo"),
    "decr solo waiting": case("decr", name="solo", waiting=True),
    "set solo": case("set", name="solo", options={"numprocesses": 2}),
    "kill -": case("kill"), "kill gone": case("kill", name="one", pid=1, waiting=True),
    "kill nobody": case("kill", name="x"), "kill signum": case("kill", name="one", signum="NOPE"),
    "signal -": case("signal", name="one"), "signal no name": case("signal", signum=18),
    "signal nobody": case("signal", name="x", signum=18), "signal gone": case("signal", name="one", signum=18, pid=1),
    "signal text": case("signal", name="one", signum="cont"),
    "signal SIG": case("signal", name="one", signum="SIGCONT"),
    "signal number": case("signal", name="one", signum="18"), "signal unknown": case("signal", name="one", signum="x"),
    "signal stopped": case("signal", name="two", signum=18),
    "signal children": case("signal", name="one", signum=18, children=True),
    "signal recursive": case("signal", name="one", signum=18, recursive=True),
    "signal childpid": case("signal", name="one", signum=18, childpid=3),
}
"""Requests that change nothing since they are refused, or are about nothing."""

CHANGING: Mapping[str, Case] = {
    "stop": case("stop", name="one", waiting=True), "stop again": case("stop", name="one", waiting=True),
    "start": case("start", name="one", waiting=True), "start again": case("start", name="one", waiting=True),
    "start glob": case("start", name="o*", waiting=True), "start regex": case("start", name="O.E", match="regex",
                                                                              waiting=True),
    "start simple": case("start", name="one", match="simple", waiting=True), "start not waiting": case("start",
                                                                                                        name="one"),
    "restart": case("restart", name="one", waiting=True), "restart glob": case("restart", name="[os]*", waiting=True),
    "reload": case("reload", name="one", waiting=True), "reload hard": case("reload", name="one", waiting=True,
                                                                           graceful=False),
    "reload sequential": case("reload", name="one", waiting=True, sequential=True),
    "reload stopped": case("reload", name="two", waiting=True),
    "stop two": case("stop", name="two", waiting=True),
    "incr": case("incr", name="one", waiting=True), "incr 2": case("incr", name="one", nb=2, waiting=True),
    "decr 9": case("decr", name="one", nb=9, waiting=True), "incr not waiting": case("incr", name="one", nb=2),
    "set numprocesses": case("set", name="one", options={"numprocesses": 3}, waiting=True),
    "set negative": case("set", name="one", options={"numprocesses": -1}, waiting=True),
    "set back": case("set", name="one", options={"numprocesses": 2}, waiting=True),
    "set now": case("set", name="one", options={"graceful_timeout": 3, "stop_signal": 2, "send_hup": False},
                    waiting=True),
    "set reload": case("set", name="one", options={"cmd": "sleep 1001"}, waiting=True),
    "set nothing": case("set", name="one", options={}, waiting=True),
    "get set": case("get", name="one", keys=["cmd", "graceful_timeout", "stop_signal", "numprocesses"]),
    "add": case("add", name="three", cmd="sleep 1000", options={"copy_env": True}, waiting=True),
    "status added": case("status", name="three"), "list added": case("list"),
    "set added": case("set", name="three", options={"numprocesses": 2}, waiting=True),
    "status set": case("status", name="three"),
    "start added": case("start", name="three", waiting=True),
    "add start": case("add", name="four", cmd="sleep", args=["1000"], options={"copy_env": True}, start=True,
                      waiting=True),
    "add fails": case("add", name="five", cmd="/nonexistent", start=True, waiting=True),
    "status fails": case("status", name="five"),
    "rm": case("rm", name="three", waiting=True), "rm failed": case("rm", name="five", waiting=True),
    "list removed": case("list"),
    "kill": case("kill", name="one", waiting=True), "kill 9": case("kill", name="one", signum=9, waiting=True),
    "stop several": case("stop", name="[of]*", waiting=True), "statuses": case("status"),
    "start all": case("start", waiting=True), "statuses started": case("status"),
    "reload all": case("reload", waiting=True), "stop all": case("stop", waiting=True),
    "statuses stopped": case("status"),
}
"""Requests that change something, one after the other."""


class DocumentationTests(SynchronousTestCase):
    """What the documentation says."""

    def test_told(self) -> None:
        """Every difference is told in the page for those who come from Circus."""
        page = " ".join(DOCS.read_text().split())
        for reason in set(DIFFERENCES.values()):
            self.assertIn(reason, page)


class RequestTests(DifferenceCase):
    """What C{CircusClient} is answered."""

    ini = WATCHERS

    def test_requests(self) -> None:
        """Requests that change nothing, those that are refused, and those that change something."""
        self.reading()
        self.requests(REFUSED)
        self.requests(CHANGING)

    def reading(self) -> None:
        """Requests that change nothing."""
        self.requests(READING)
        theirs, mine = self.both(lambda side: normal(side.call("options", name="one")["options"]))
        # min_ready is none of Circus's options, so that it takes it for a free-form one.
        self.assertEqual({key: mine[key] for key in theirs} | {"env": 0, "min_ready": 0},
                         theirs | {"env": 0, "min_ready": 0})


RAW: Mapping[str, str] = {
    "no json": "{", "no object": "[]", "number": "3", "no command": "{}", "command is a number": '{"command": 3}',
    "command is null": '{"command": null, "id": "a"}', "no properties": '{"command": "list"}',
    "number as id": '{"command": "list", "id": 7}', "object as id": '{"command": "list", "id": {"a": [1]}}',
    "null as id": '{"command": "nope", "id": null}', "more": '{"command": "list", "more": 1, "waiting": true}',
    "properties are a list": '{"command": "list", "properties": []}',
    "properties are null": '{"command": "list", "properties": null}', "nothing": "", "blank": " ",
    "cast": '{"command": "list", "msg_type": "cast"}', "wrong cast": '{"command": "nope", "msg_type": "cast"}',
    "other type": '{"command": "list", "msg_type": "x"}', "capitals": '{"command": "NumWatchers"}',
}
"""Messages as they are."""


class RawTests(DifferenceCase):
    """What is answered to any message."""

    ini = WATCHERS

    def test_raw(self) -> None:
        """The same answer, with the same id, or none."""
        found = []
        for name, message in RAW.items():
            answers = [side.driver(do="raw", message=message, wait=0.4) for side in self.sides()]
            found.append((f"raw {name}", *([normal(each), each and each.get("id")] for each in answers)))
        for parts in (2, 3):
            found.append((f"raw {parts} frames", *(
                side.driver(do="raw", message='{"command": "list"}', wait=0.3, parts=parts) for side in self.sides())))
        self.compare(found)
