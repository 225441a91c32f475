"""Tests of the C{circustwist} command."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from circustwist.cli import find
from circustwist.cli.main import cli, main
from circustwist.model.commands import COMMANDS
from circustwist.model.errors import Denied, MessageError, NotFound
from circustwist.system import cgroup
from circustwist.system.rundir import Found

from .test_client import ROOT, ServedTestCase
from .test_table import STACK, WEB

DONE = {"id": 4, "command": "restart", "state": "done", "reason": "", "info": {
    "watchers": {"web": {"started": [1, 2], "kept": [], "stopped": [3]}}}}
INI = """[watcher:web]
cmd = sleep 60
numprocesses = {number}
[socket:web]
host = 127.0.0.1
port = {port}
"""


class Outcome(ProcessProtocol):
    """What a command printed and how it ended."""

    def __init__(self) -> None:
        self.out = b""
        self.err = b""
        self.ended: Deferred[int] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """The output."""
        self.out += data

    def errReceived(self, data: bytes) -> None:
        """The errors."""
        self.err += data

    def processEnded(self, reason: Failure) -> None:
        """The exit code, negative for a signal."""
        reason.trap(ProcessDone, ProcessTerminated)
        value: Any = reason.value
        self.ended.callback(-value.signal if value.signal else value.exitCode or 0)


class CommandTests(ServedTestCase):
    """Tests of whole commands against a real server."""

    def setUp(self) -> None:
        super().setUp()
        self.steering.answers |= {
            "status": {"statuses": {"web": "active", "clock": "active"}, "stack": STACK},
            "restart": {"operation": 4}, "operation": {"operations": [DONE]}}

    def spawn(self, *arguments: str, **more: Any) -> Outcome:
        """Start a command."""
        outcome = Outcome()
        env = {**os.environ, "PYTHONPATH": ROOT, "CIRCUSTWIST_CONTROL": os.path.abspath(self.where)}
        self.reactor.spawnProcess(
            outcome, sys.executable, [sys.executable, "-m", "circustwist.cli.main", *arguments], env, **more)
        return outcome

    @inlineCallbacks
    def expect(
        self, arguments: Sequence[str], code: int, out: str, err: str = ""
    ) -> Generator[Deferred[Any], Any, None]:
        """Run a command and compare what it did."""
        outcome = self.spawn(*arguments)
        found = yield outcome.ended
        self.assertEqual((outcome.out.decode(), outcome.err.decode(), found), (out, err, code))

    @inlineCallbacks
    def test_status(self) -> Generator[Deferred[Any], Any, None]:
        """The status of a stack in which all is up."""
        yield self.expect(["status"], 0, (
            "hello  pid 4711  up 3 min  /srv/docs/examples/hello/stack.ini\n"
            "web    active 5/5   1 restart: web/3 killed by SIGKILL 2 s ago, back in 6 ms\n"
            "clock  active 1/1\n"
            "socket web 127.0.0.1:8000  queue 0/2048\n"))
        yield self.expect(["status", "--json"], 0, json.dumps(self.steering.answers["status"]) + "\n")

    @inlineCallbacks
    def test_notUp(self) -> Generator[Deferred[Any], Any, None]:
        """A watcher that should run and is not fully active makes it 3; one that was stopped does not."""
        for state, active, code in (("active", 4, 3), ("failed", 0, 3), ("stopped", 0, 0)):
            web = {**WEB, "status": state, "active": active}
            self.steering.answers["status"] = {"stack": {**STACK, "watchers": [web]}}
            outcome = self.spawn("status")
            self.assertEqual((yield outcome.ended), code)

    @inlineCallbacks
    def test_worker(self) -> Generator[Deferred[Any], Any, None]:
        """A worker is written web/3."""
        self.steering.answers["signal"] = {}
        yield self.expect(["pid", "web/3"], 0, "4720\n")
        yield self.expect(["pid", "web/7"], 3, "", "circustwist: web/7 does not run\n")
        yield self.expect(["pid"], 0, "7\n")
        yield self.expect(["status", "web/3"], 0, "  web/3  pid 4720  ready  3 min\n")
        yield self.expect(["signal", "web/3", "HUP", "--children"], 0, "")
        self.assertEqual(self.steering.asked[-1][1], {
            "name": "web", "signum": "HUP", "pid": 0, "wid": 3, "children": True, "childpid": 0, "recursive": False})

    @inlineCallbacks
    def test_change(self) -> Generator[Deferred[Any], Any, None]:
        """A change is waited for, unless that is not wanted."""
        yield self.expect(["restart", "web"], 0, "restart done: web 2 started and 1 stopped\n")
        self.assertEqual([(name, given.get("name"), given["waiting"]) for name, given, _ in self.steering.asked], [
            ("restart", "web", False), ("operation", None, True)])
        yield self.expect(["restart", "--no-wait", "web"], 0, "operation 4\n")
        yield self.expect(["--json", "restart", "--waiting", "--match", "simple", "web"], 0, (
            json.dumps({"operations": [DONE]}) + "\n"))

    @inlineCallbacks
    def test_failed(self) -> Generator[Deferred[Any], Any, None]:
        """A change that failed is told on stderr; the others are waited for all the same."""
        failed = {**DONE, "state": "failed", "reason": "web: no \x1b[31m program"}
        self.steering.answers["operation"] = {"operations": [failed]}
        yield self.expect(["restart", "web"], 1, "", "restart failed: web: no \\x1b[31m program\n")
        answers = [NotFound("program x not found"), {"operation": 4}]
        self.steering.answers |= {"restart": lambda arguments: answers.pop(0), "operation": {"operations": [DONE]}}
        yield self.expect(
            ["restart", "x", "web"], 1, "restart done: web 2 started and 1 stopped\n",
            "circustwist: program x not found\n")

    @inlineCallbacks
    def test_progress(self) -> Generator[Deferred[Any], Any, None]:
        """On a terminal, one line shows how far it is, and is gone at the end."""
        def operation(arguments: dict[str, Any]) -> Any:
            self.steering.publish("operation", watcher="", id=3, text="not ours", done=0, total=0)
            self.steering.publish("operation", watcher="", id=4, text="restart: web", done=2, total=5)
            return deferLater(self.reactor, 0.05, lambda: {"operations": [DONE]})

        self.steering.answers["operation"] = operation
        terminal, slave = pty.openpty()
        outcome = self.spawn("restart", "web", childFDs={0: "w", 1: "r", 2: slave})
        os.close(slave)
        self.assertEqual((yield outcome.ended), 0)
        self.assertEqual(os.read(terminal, 4096), b"\rrestart: web 2/5\x1b[K\r\x1b[K")
        os.close(terminal)
        self.assertEqual(outcome.out, b"restart done: web 2 started and 1 stopped\n")

    @inlineCallbacks
    def test_errors(self) -> Generator[Deferred[Any], Any, None]:
        """An error is one line, or JSON; the exit code says whose fault it is."""
        for error, code in ((Denied("not you"), 1), (MessageError("bad"), 2)):
            self.steering.answers["list"] = error
            yield self.expect(["list"], code, "", f"circustwist: {error}\n")
            yield self.expect(
                ["list", "--json"], code, json.dumps({"error": {"name": error.name, "text": str(error)}}) + "\n")

    @inlineCallbacks
    def test_timeout(self) -> Generator[Deferred[Any], Any, None]:
        """What takes too long ends with 124, and tells how to go on."""
        self.steering.answers["operation"] = lambda arguments: Deferred()
        yield self.expect(["--timeout", "0.2", "restart", "web"], 124, "", (
            "circustwist: restart goes on as operation 4: circustwist operation 4 --wait\n"))

    @inlineCallbacks
    def test_quit(self) -> Generator[Deferred[Any], Any, None]:
        """A supervisor that ends the connection while it quits has done so."""
        def operation(arguments: dict[str, Any]) -> Deferred[Any]:
            self.reactor.callLater(0, self.factory.close)
            return Deferred()

        self.steering.answers |= {"quit": {"operation": 9}, "operation": operation}
        yield self.expect(["quit"], 0, "quit done\n")

    @inlineCallbacks
    def test_events(self) -> Generator[Deferred[Any], Any, None]:
        """Events are printed as they happen, with control characters escaped; an interrupt ends it with 130."""
        outcome = self.spawn("events", "web")
        while not self.steering.listeners:
            yield deferLater(self.reactor, 0.01)
        self.steering.publish("reap", text="\x1b]0;")
        self.steering.publish("reap", watcher="other")
        while b"\n" not in outcome.out:
            yield deferLater(self.reactor, 0.01)
        assert outcome.transport is not None
        outcome.transport.signalProcess("INT")
        self.assertEqual((yield outcome.ended), 130)
        self.assertIn(b"reap web/1 text=\\x1b]0;\n", outcome.out)
        self.assertEqual((outcome.out.count(b"\n"), outcome.err), (1, b"\n"))

    @inlineCallbacks
    def test_head(self) -> Generator[Deferred[Any], Any, None]:
        """A reader that has had enough is no error."""
        read, write = os.pipe()
        os.close(read)
        outcome = self.spawn("ping", childFDs={0: "w", 1: write, 2: "r"})
        os.close(write)
        self.assertEqual(((yield outcome.ended), outcome.err), (128 + signal.SIGPIPE, b""))

    @inlineCallbacks
    def test_plain(self) -> Generator[Deferred[Any], Any, None]:
        """The other reading commands."""
        self.steering.answers |= {
            "list": {"watchers": ["clock", "web"]}, "numprocesses": {"numprocesses": 5, "watcher_name": "web"},
            "options": {"options": {"cmd": "sleep 60", "env": None}}, "listsockets": {"sockets": STACK["sockets"]}}
        yield self.expect(["list"], 0, "clock\nweb\n")
        yield self.expect(["numprocesses", "web"], 0, "5\n")
        yield self.expect(["options", "web"], 0, "cmd  sleep 60\nenv  -\n")
        yield self.expect(["options", "web", "cmd"], 0, "sleep 60\n")
        yield self.expect(["options", "web", "x"], 1, "", (
            "circustwist: there is no option x; circustwist options web lists them\n"))
        yield self.expect(["sockets"], 0, (
            "socket  address         connections  open  in  out   queue  drops\n"
            "web     127.0.0.1:8000            -     -   -    -  0/2048      -\n"))
        yield self.expect(["operation"], 0, "4 restart done: web 2 started and 1 stopped\n")


class LocalTests(SynchronousTestCase):
    """Tests of what needs no supervisor."""

    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        os.makedirs(self.folder)
        here = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, here)
        self.running: list[Found] = []
        self.patch(find, "stacks", lambda environ: sorted(self.running, key=lambda found: found.name))
        self.patch(os, "environ", {})

    def run_(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code and output of a command."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
        return code, out.getvalue(), err.getvalue()

    def stack(self, name: str, ini: str) -> str:
        """Let a stack run; its control socket."""
        self.running.append(Found(name, f"/run/{name}", os.path.abspath(ini), 7))
        return f"/run/{name}/private/control"

    def write(self, name: str, text: str = "[circus]\n") -> str:
        """Write an ini."""
        with open(name, "w") as file:
            file.write(text)
        return name

    def test_named(self) -> None:
        """-s takes a name, the stem of an ini, or a path."""
        shop, other = self.stack("shop-1a2b3c", "/x/shop.ini"), self.stack("other", "/y/other.ini")
        self.assertEqual(find.control("shop", "", {}), shop)
        self.assertEqual(find.control("other", "", {}), other)
        self.assertEqual(find.control("@x", "", {}), "@x")
        self.assertEqual(find.control(self.folder, "", {}), f"{self.folder}/private/control")
        error = self.assertRaises(find.NoSupervisor, find.control, "sop", "", {})
        self.assertEqual(str(error), "no stack sop runs; there is other, shop-1a2b3c")

    def test_config(self) -> None:
        """-c takes an ini; a stack elsewhere is found by what the ini says."""
        shop = self.stack("shop", self.write("a.ini"))
        os.symlink("a.ini", "link.ini")
        self.assertEqual(find.control("", "a.ini", {}), shop)
        self.assertEqual(find.control("./link.ini", "", {}), shop)
        os.makedirs("run/private")
        open("run/private/control", "w").close()
        self.write("b.ini", f"[circus]\nruntime_dir = {self.folder}/run\n")
        self.assertEqual(find.control("", "b.ini", {}), f"{self.folder}/run/private/control")
        self.assertRaises(find.NoSupervisor, find.control, "", self.write("c.ini", "x"), {})

    def test_obvious(self) -> None:
        """Then come the environment, the ini of the folder, and the only stack that runs."""
        self.assertRaises(find.NoSupervisor, find.control, "", "", {})
        shop = self.stack("shop", "/x/shop.ini")
        self.assertEqual(find.control("", "", {}), shop)
        here = self.stack("here", self.write("my.ini"))
        self.assertEqual(find.control("", "", {}), here)
        self.assertEqual(find.control("", "", {"CIRCUSTWIST_CONTROL": "/c"}), "/c")
        self.write("second.ini")
        error = self.assertRaises(find.NoSupervisor, find.control, "", "", {})
        self.assertEqual(str(error), "several stacks run; choose one with -s: here, shop")

    def test_noSupervisor(self) -> None:
        """Without a supervisor it is 4."""
        self.assertEqual(self.run_("status"), (4, "", "circustwist: no stack of yours runs\n"))
        code, out, _ = self.run_("status", "--json", "-s", "@circustwist-nobody")
        self.assertEqual((code, json.loads(out)["error"]["name"]), (4, "NoSupervisor"))

    def test_ls(self) -> None:
        """The stacks that run."""
        self.stack("shop", "shop.ini")
        self.stack("a", "/x/y.ini")
        self.assertEqual(self.run_("ls")[1], "a     pid 7  /x/y.ini\nshop  pid 7  shop.ini\n")
        self.assertEqual(json.loads(self.run_("ls", "--json")[1])[1]["name"], "shop")

    def test_usage(self) -> None:
        """A wrong command line is 2."""
        for arguments in (["fly"], ["incr"], ["stop", "web/3"], ["signal", "web/x", "HUP"], ["incr", "web", "x"]):
            self.assertEqual(self.run_(*arguments)[0], 2, arguments)
        self.assertEqual(json.loads(self.run_("--json", "incr")[1])["error"]["name"], "UsageError")

    def test_everyCommand(self) -> None:
        """Each command of the table is there, with its help."""
        for command in COMMANDS:
            code, out, _ = self.run_(command.name, "--help")
            self.assertEqual((code, command.help in " ".join(out.split())), (0, True), command.name)
            self.assertIn(command.name, cli.commands)

    def test_help(self) -> None:
        """Help tells of commands and of the ini's options."""
        self.assertIn("Stop watchers.", self.run_("help", "stop")[1])
        self.assertIn("[watcher] stop_signal\n", self.run_("help", "stop_signal")[1])
        self.assertIn("Commands:", self.run_("help")[1])
        self.assertEqual(self.run_("help", "colour")[0], 2)

    def test_fine(self) -> None:
        """A good ini is fine."""
        self.write("stack.ini", INI.format(number=5, port=0))
        self.assertEqual(self.run_("check"), (0, "stack.ini: 1 socket, 1 watcher, 5 workers: fine\n", ""))

    def test_problems(self) -> None:
        """Everything wrong is told with its place; the last line counts."""
        self.write("stack.ini", INI.format(number="five", port=0))
        code, out, _ = self.run_("check", "stack.ini")
        self.assertEqual((code, out), (2, (
            "stack.ini:3: [watcher:web] numprocesses: 'five' is not a whole number; e.g. 5\n"
            "1 error, nothing started\n")))

    def test_program(self) -> None:
        """A program that is nowhere to be found is told, once."""
        self.write("stack.ini", INI.format(number=1, port=0).replace("sleep 60", "no-such-program -x"))
        lines = self.run_("check")[1].splitlines()
        self.assertRegex(lines[0], r"^stack.ini:2: \[watcher:web\] cmd: no-such-program; looked in ")
        self.assertEqual(lines[1:], ["1 error, nothing started"])

    def test_paths(self) -> None:
        """A program that is given by its path, and the folder of a UNIX socket, must be there."""
        for program, text in (("/no/such x", "there is no program /no/such"),
                              (os.path.abspath("stack.ini"), f"{os.path.abspath('stack.ini')} is not executable")):
            self.write("stack.ini", INI.format(number=1, port=0).replace("sleep 60", program))
            self.assertEqual(self.run_("check")[1].splitlines()[0], f"stack.ini:2: [watcher:web] cmd: {text}")
        self.write("stack.ini", INI.format(number=1, port=0) + "[socket:local]\npath = /no/such/socket\n")
        self.assertIn("[socket:local] path: there is no folder /no/such\n", self.run_("check")[1])

    def test_lacks(self) -> None:
        """Nor are folders missed of the supervisor's own files and of an environment, nor the owner of a socket."""
        self.write("stack.ini", (
            "[circus]\npidfile = /no/pid\nlogoutput = /no/log\n[socket:local]\npath = x\nuser = nobody-such\n"
            "group = none-such\n[watcher:web]\ncmd = sleep 1\ncopy_env = True\nvirtualenv = /no\n"))
        self.assertEqual(sorted(self.run_("check")[1].splitlines()), [
            "5 errors, nothing started", "stack.ini:11: [watcher:web] virtualenv: there is no folder /no",
            "stack.ini:2: [circus] pidfile: there is no folder /no",
            "stack.ini:3: [circus] logoutput: there is no folder /no",
            "stack.ini:6: [socket:local] user: there is no user nobody-such",
            "stack.ini:7: [socket:local] group: there is no group none-such"])

    def test_quotes(self) -> None:
        """What cannot be split into words is told once."""
        self.write("stack.ini", INI.format(number=1, port=0).replace("sleep 60", "sh -c 'echo"))
        self.assertEqual(len(self.run_("check")[1].splitlines()), 2)

    def test_limits(self) -> None:
        """A limit for which no control group is delegated is a warning: the supervisor may have one, elsewhere."""
        self.patch(cgroup, "delegated", lambda: "")
        self.write("stack.ini", INI.format(number="1\npids_max = 5", port=0))
        code, out, _ = self.run_("check")
        self.assertEqual((code, out.splitlines()[0]), (0, (
            "stack.ini:4: [watcher:web] pids_max: started from here no process could run with it: "
            "no control group is delegated to this supervisor (warning)")))

    def test_world(self) -> None:
        """What the host lacks is told too."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            text = INI.format(number="1\nworking_dir = /no\nuid = nobody-such", port=taken.getsockname()[1])
            self.write("stack.ini", text)
            code, out, _ = self.run_("check", "stack.ini")
            self.running.append(Found("x", "/run/x", os.path.abspath("stack.ini"), 7))
            again = self.run_("check", "stack.ini")[1]
        lines = out.splitlines()
        self.assertEqual((code, lines[:2]), (2, [
            "stack.ini:4: [watcher:web] working_dir: there is no folder /no",
            "stack.ini:5: [watcher:web] uid: there is no user nobody-such"]))
        self.assertRegex(lines[2], r"^stack.ini:6: \[socket:web\] port: .* in use")
        self.assertNotIn("in use", again)
