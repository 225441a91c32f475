"""
Faithfulness, measured: every request, command line and event is put to Circus 0.19 and to a stack of ours.

What differs on purpose is in L{DIFFERENCES}, each with what C{docs/circus.rst}
says of it; a difference that is not there, and one that is not seen any more, fails.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .conformance import PairCase, Side, normal, words
from .stack import SCRIPTS, TIMEOUT

DOCS = Path(__file__).parents[2] / "docs" / "circus.rst"

WATCHERS = """
[watcher:one]
cmd = sleep 1000
copy_env = True
numprocesses = 2
flapping.attempts = 5
min_ready = 0
[watcher:Two]
cmd = sleep 1000
copy_env = True
autostart = False
min_ready = 0
[watcher:solo]
cmd = sleep 1000
copy_env = True
singleton = True
min_ready = 0
[socket:web]
host = 127.0.0.1
port = 0
"""

Case = tuple[str, dict[str, Any]]


def case(command: str, **properties: Any) -> Case:
    """A request."""
    return command, properties


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

ENVIRONMENT = "Environments are shown as ``***``"
KEYS = "``options`` tells every option"
TEXTS = "errors of the client instead of tracebacks"
FREE = "``get`` knows free-form options"
KILL = "``kill`` of an unknown watcher is an error"
PROBLEM = "a ``problem`` key"
FAILED = "the status ``failed``"
SEQUENTIAL = "``--sequential`` is accepted"
SIGNALLED = "``kill`` is published before ``after_signal`` is called"
REFUSED_SPAWN = "the end of a process that ``after_spawn`` has refused is published"
DROPPED = "Circus drops watchers that were added"
DIFFERENCES: Mapping[str, str] = {
    "options": KEYS, "get free": FREE, "get wrong": TEXTS, "stop pattern": TEXTS, "stop number": TEXTS,
    "kill nobody": KILL, "kill signum": TEXTS, "signal unknown": TEXTS, "signal childpid": TEXTS,
    "add fails": PROBLEM, "status fails": FAILED, "circusctl kill nope": KILL, "circusctl signal one nope": TEXTS,
    "raw no object": TEXTS, "raw number": TEXTS, "raw no command": TEXTS, "raw command is a number": TEXTS,
    "raw command is null": TEXTS, "raw properties are a list": TEXTS, "raw properties are null": TEXTS,
    "hooks of all": SIGNALLED, "hooks of spawned": REFUSED_SPAWN,
    "circusctl status four": DROPPED, "events of sequential": SEQUENTIAL,
}
"""Cases in which we differ on purpose, and what the documentation says of it."""


class DifferenceCase(PairCase):
    """Cases that may be in the table of differences."""

    def compare(self, cases: Iterable[tuple[str, Any, Any]]) -> None:
        """
        Compare pairs of what was said.

        @param cases: the name of each, what Circus says and what we say.
        """
        wrong = []
        for name, theirs, mine in cases:
            if (theirs != mine) != (name in DIFFERENCES):
                known = f"  (listed: {DIFFERENCES[name]})" if name in DIFFERENCES else ""
                wrong.append(f"{name}{known}\n    circus {json.dumps(theirs)}\n    ours   {json.dumps(mine)}")
        if wrong:
            self.fail("\n".join(wrong))

    def requests(self, cases: Mapping[str, Case]) -> None:
        """Put requests to both, in order."""
        found = []
        for name, (command, properties) in cases.items():
            theirs, mine = self.both(lambda side, c=command, p=properties: side.call(c, **p))  # type: ignore[misc]
            found.append((name, normal(theirs), normal(mine)))
        self.compare(found)


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


LINES: tuple[str, ...] = (
    "status", "status one", "status nope", "list", "list one", "list nope", "numwatchers", "numprocesses",
    "numprocesses one", "get one numprocesses", "get one cmd stop_signal", "get one nope", "get one", "get",
    "globaloptions check_delay", "globaloptions nope", "listsockets", "ipython", "nope", "--version",
    "--json status", "--json status one", "--json status nope", "--json list", "--json numprocesses", "--json nope",
    "--prettify status", "--json --prettify list", "options nope", "options",
    "stop", "stop nope", "start one --waiting", "start --waiting one", "stop --waiting one", "status one",
    "start one", "start nope", "restart one --waiting", "restart --match regex --waiting o.e", "--json stop one",
    "--json start one --waiting", "reload one --waiting", "reload --terminate --waiting one",
    "reload --sequential --waiting one", "incr one --waiting", "incr one 2 --waiting", "decr one --waiting",
    "decr one 2 --waiting", "incr solo", "incr", "incr nope", "numprocesses one",
    "set one graceful_timeout 4", "set one numprocesses 3 --waiting", "set one nope 3", "set one numprocesses x",
    "set one", "set", "get one graceful_timeout", "set one max_age 3 stop_signal TERM",
    "add --start three sleep 1000", "add four sleep 1000", "add one sleep 3", "add", "add x", "status three",
    "rm three", "rm nope", "rm", "kill one", "kill nope", "kill", "kill one --signum 9", "kill one 1",
    "signal one CONT", "signal one cont", "signal one 18", "signal one nope", "signal one", "signal nope 18",
    "signal --children one 18", "signal --recursive one SIGCONT", "signal one 1 18", "reloadconfig --waiting",
    "start --waiting", "stop --waiting", "status four",
)
"""Command lines of circusctl, one after the other."""


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


class CommandLineTests(DifferenceCase):
    """What C{circusctl} says and returns."""

    ini = WATCHERS

    def test_lines(self) -> None:
        """Every command, with its flags and with mistakes."""
        found = []
        for line in LINES:
            theirs, mine = self.both(lambda side, line=line: side.ctl(*line.split()))  # type: ignore[misc]
            found.append((f"circusctl {line}", said(theirs), said(mine)))
        theirs, mine = self.both(lambda side: side.ctl("quit", "--waiting"))
        found.append(("circusctl quit", said(theirs), said(mine)))
        self.compare(found)
        self.assertEqual([side.process.wait(TIMEOUT) for side in self.sides()], [0, 0])


SHELL = """status
status one
numwatchers
help status
nope
incr solo
set one numprocesses 1
list nope
"""


class ShellTests(DifferenceCase):
    """circusctl without a command."""

    ini = WATCHERS

    def test_shell(self) -> None:
        """Its prompt takes every command."""
        found = [subprocess.run(
            [str(SCRIPTS / "circusctl"), "--endpoint", side.endpoint], input=SHELL, capture_output=True, text=True,
            timeout=TIMEOUT, check=False) for side in self.sides()]
        self.assertIn("one: active", found[0].stdout)
        self.assertEqual(*((run.returncode, run.stdout, run.stderr) for run in found))


class ListenTests(DifferenceCase):
    """C{circusctl listen}."""

    ini = WATCHERS

    def test_listen(self) -> None:
        """It prints the events that begin with its topics."""
        found = []
        for side in self.sides():
            events = f"ipc://{side.folder}/events"
            with subprocess.Popen(
                    [str(SCRIPTS / "circusctl"), "--endpoint", events, "listen", "watcher.one.start"],
                    stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as listening:
                assert listening.stdout is not None
                told = b""
                while not told:
                    # Nothing tells when the subscription counts.
                    self.quiet()
                    side.call("restart", name="one", waiting=True)
                    if select.select([listening.stdout], [], [], 0.5)[0]:
                        told = listening.stdout.readline()
                listening.kill()
            found.append(words(told.decode()))
        self.assertIn("watcher.one.start", found[0])
        self.assertEqual(*found)


OPERATIONS: Mapping[str, tuple[Case, ...]] = {
    "stop": (case("stop", name="one", waiting=True),), "start": (case("start", name="one", waiting=True),),
    "restart": (case("restart", name="one", waiting=True),),
    "terminate": (case("reload", name="one", waiting=True, graceful=False),),
    "reload": (case("reload", name="one", waiting=True),),
    "sequential": (case("reload", name="one", waiting=True, sequential=True),),
    "incr": (case("incr", name="one", waiting=True),), "decr": (case("decr", name="one", waiting=True),),
    "set": (case("set", name="one", options={"graceful_timeout": 3, "stop_signal": 15}, waiting=True),),
    "kill": (case("kill", name="one", waiting=True),),
    "signal": (case("signal", name="one", signum="KILL"),),
    "add": (case("add", name="A b", cmd="sleep 1000", options={"copy_env": True}, start=True, waiting=True),),
    "rm": (case("rm", name="a b", waiting=True),),
}
"""What is done while events are listened to."""


HOOKS = """
def yes(watcher, arbiter, hook_name, **kwargs):
    return True

def no(watcher, arbiter, hook_name, **kwargs):
    return False

def bad(watcher, arbiter, hook_name, **kwargs):
    raise ValueError("bad")
"""
HOOKED: Mapping[str, tuple[str, ...]] = {
    "all": tuple(f"hooks.{name} = hooked.yes" for name in (
        "before_start", "after_start", "before_spawn", "after_spawn", "before_stop", "after_stop", "before_signal",
        "after_signal", "before_reap", "after_reap")),
    "refused": ("hooks.before_start = hooked.no",), "unspawned": ("hooks.before_spawn = hooked.no",),
    "spawned": ("hooks.after_spawn = hooked.no",), "failed": ("hooks.before_start = hooked.bad",),
    "ignored": ("hooks.before_start = hooked.bad, true",), "signal": ("hooks.before_signal = hooked.bad",),
    "started": ("hooks.after_start = hooked.no",),
}
"""The hooks of watchers."""


class HookTests(DifferenceCase):
    """Hooks, as events and states show them."""

    ini = WATCHERS + "".join(
        "\n".join((f"[watcher:{name}]", "cmd = sleep 1000", "copy_env = True", "autostart = False", "min_ready = 0",
                   *lines, "")) for name, lines in HOOKED.items())

    def prepare(self, folder: Path) -> None:
        """The module with the hooks."""
        (folder / "hooked.py").write_text(HOOKS)

    def test_hooks(self) -> None:
        """Start, state and stop of each watcher."""
        found = []
        for side in self.sides():
            side.driver(do="consume", endpoint=f"ipc://{side.folder}/events")
        for name in HOOKED:
            pairs: list[Any] = []
            for side in self.sides():
                self.quiet()
                side.driver(do="heard", least=0)
                side.call("start", name=name, waiting=True)
                status = side.call("status", name=name)["status"]
                side.call("stop", name=name, waiting=True)
                told = side.driver(do="heard", least=1)
                pairs.append([status, [[topic, payload.get("name")] for topic, payload in told]])
            found.append((f"hooks of {name}", *pairs))
        self.compare(found)


CHANGES: Mapping[str, tuple[str, str]] = {
    "nothing": ("", ""), "more processes": ("numprocesses = 2", "numprocesses = 3"),
    "another program": ("cmd = sleep 1000\ncopy_env = True\nsingleton", "cmd = sleep 1001\ncopy_env = True\nsingleton"),
    "one more": ("[socket:web]", "[watcher:more]\ncmd = sleep 1000\ncopy_env = True\nmin_ready = 0\n[socket:web]"),
    "one less": ("[watcher:more]\ncmd = sleep 1000\ncopy_env = True\nmin_ready = 0\n", ""),
    "mistake": ("numprocesses = 3", "numprocesses = x"), "corrected": ("numprocesses = x", "numprocesses = 3"),
}
"""What is changed in the ini, one after the other."""


class ReconfigurationTests(DifferenceCase):
    """C{reloadconfig}."""

    ini = WATCHERS

    def test_changes(self) -> None:
        """What runs afterwards, and whose processes are others."""
        found = []
        for name, (old, new) in CHANGES.items():
            pairs = []
            for side in self.sides():
                self.quiet()
                before = self.pids(side)
                side.rewrite(lambda text, old=old, new=new: text.replace(old, new, 1))  # type: ignore[misc]
                answer = side.call("reloadconfig", waiting=True)
                after = self.pids(side)
                pairs.append([answer["status"], answer.get("errno"), {
                    each: [len(pids), len(pids & before.get(each, set()))] for each, pids in after.items()}])
            found.append((f"reloadconfig {name}", *pairs))
        self.compare(found)

    def pids(self, side: Side) -> dict[str, set[int]]:
        """The processes of each watcher."""
        return {name: set(side.call("list", name=name)["pids"]) for name in side.call("list")["watchers"]}


class EventTests(DifferenceCase):
    """What C{CircusConsumer} hears."""

    ini = WATCHERS.replace("numprocesses = 2", "numprocesses = 1")

    def test_events(self) -> None:
        """The events of each operation, in order, with what they tell."""
        found = []
        for side in self.sides():
            side.driver(do="consume", endpoint=f"ipc://{side.folder}/events")
        for name, requests in OPERATIONS.items():
            pairs = []
            for side in self.sides():
                self.quiet()
                side.driver(do="heard", least=0)
                for command, properties in requests:
                    side.call(command, **properties)
                told = side.driver(do="heard", least=EXPECTED[name])
                pairs.append([self.event(each) for each in told if side is self.ours or not self.chance(name, each)])
            found.append((f"events of {name}", *pairs))
        self.compare(found)

    def chance(self, name: str, told: list[Any]) -> bool:
        """Whether Circus tells of an end only if its periodic check falls into the moment."""
        return name in ("kill", "decr", "reload") and told[0].endswith(".reap")

    def event(self, told: list[Any]) -> Any:
        """One event without times and pids; both are looked at."""
        topic, payload = told
        self.assertIsInstance(payload.pop("time"), float)
        return [topic, normal(payload)]


EXPECTED: Mapping[str, int] = {
    "stop": 3, "start": 2, "restart": 5, "terminate": 5, "reload": 3, "sequential": 3, "incr": 1, "decr": 1, "set": 2,
    "kill": 2, "signal": 2, "add": 3, "rm": 4}
"""How many events each of them brings at least."""


class StatisticsTests(DifferenceCase):
    """What C{stats} answers, what C{StatsClient} hears and what C{circus-top} shows."""

    ini = WATCHERS
    circus = "stats_endpoint = ipc://{folder}/stats"

    def test_statistics(self) -> None:
        """All of it, at the same two supervisors."""
        self.commands()
        self.topics()
        self.top()
        self.asynchronous()

    def commands(self) -> None:
        """The answers have the same shape; what there is no process for is told in the same words."""
        found = []
        for name, request in (
                ("stats", case("stats")), ("stats one", case("stats", name="ONE")),
                ("stats extended", case("stats", name="one", extended=True)),
                ("stats stopped", case("stats", name="two")),
                ("stats nobody", case("stats", name="x")), ("stats gone", case("stats", name="one", process=1)),
                ("dstats", case("dstats"))):
            theirs, mine = self.both(lambda side, r=request: side.call(r[0], **r[1]))  # type: ignore[misc]
            theirs.get("infos", {}).pop("circusd-stats", None)
            found.append((name, shape(theirs), shape(mine)))
        pids = [side.call("list", name="one")["pids"][0] for side in self.sides()]
        found.append(("stats process", *(
            shape(side.call("stats", name="one", process=pid)) for side, pid in zip(self.sides(), pids, strict=True))))
        self.compare(found)

    def topics(self) -> None:
        """Each process, watcher and socket has its topic, and each tells the same."""
        found = []
        for side in self.sides():
            heard = side.driver(do="statistics", endpoint=f"ipc://{side.folder}/stats", seconds=2.5)
            found.append(sorted({
                json.dumps([watcher, "some" if subtopic else None, shape(payload)])
                for watcher, subtopic, payload in heard if payload.get("name") != "circusd-stats"}))
        self.assertEqual(len(found[0]), 8)
        self.compare([("statistics", *found)])

    def top(self) -> None:
        """circus-top shows every watcher and its processes."""
        found = []
        for side in self.sides():
            text = frame([str(SCRIPTS / "circus-top"), "--endpoint", f"ipc://{side.folder}/stats"], "solo")
            found.append([word for word in ("Circus Top", "one", "solo", "sleep", "circusd") if word in text])
        self.assertIn("solo", found[0])
        self.compare([("circus-top", *found)])

    def asynchronous(self) -> None:
        """C{AsyncCircusClient} is answered too."""
        self.compare([("asynchronous", *(
            normal(side.driver(do="asynchronous", command="status", properties={"name": "one"}))
            for side in self.sides()))])


def shape(value: Any) -> Any:
    """An answer with the kinds of its values in their place."""
    if isinstance(value, dict):
        kept = {key: one for key, one in sorted(value.items()) if key not in ("time", "id", "tb")}
        return {"PID" if key.isdecimal() else key: shape(one) for key, one in kept.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, str) and value.startswith("python"):
        return "python"
    if isinstance(value, str) and any(char.isdigit() for char in value):
        return "text with a number"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else value


def frame(argv: list[str], until: str) -> str:
    """What a program shows on a terminal until it shows a text."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(argv[0], argv)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shown, deadline = b"", time.monotonic() + TIMEOUT
    try:
        while until.encode() not in shown and time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 65536)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown.decode("utf-8", "replace")


def said(run: dict[str, Any]) -> dict[str, Any]:
    """What a run of circusctl comes to; JSON as what it means, since its keys have no order."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", run["out"])
    try:
        out = normal(json.loads(plain))
    except ValueError:
        out = words(plain)
    return {"code": run["code"], "out": out, "err": words(run["err"])}
