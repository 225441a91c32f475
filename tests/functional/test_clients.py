"""Those who steer a stack: the example clients, and the command line."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .stack import HELLO, SCRIPTS, TIMEOUT, Daemon, StackCase
from .terminal import Terminal

CLIENTS = HELLO.parent / "clients"
STACK = "[circus]\nname = {name}\n[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n"
CLOCK = "[watcher:clock]\ncmd = sleep 1000\n"
BAD = "[watcher:bad]\ncmd = no\x1b[31msuch\nmax_retry = 1\nautostart = False\n"
SLOW = "[watcher:slow]\ncmd = sh -c 'trap \"\" TERM; echo up; while :; do sleep 1000; done'\ngraceful_timeout = 60\n"


class ExampleTests(StackCase):
    """The scripts of C{docs/examples/clients}."""

    def test_run(self) -> None:
        """Both restart a watcher and see it happen, with the control socket given or in the environment."""
        daemon = self.run_(STACK.format(name="clients"))
        for script in "blocking_client.py", "deferred_client.py":
            for arguments, env in ([daemon.where, "web"], {}), ([], {"CIRCUSTWIST_CONTROL": daemon.where}):
                before = daemon.pids("web")
                done = subprocess.run(
                    [sys.executable, str(CLIENTS / script), *arguments], env={**os.environ, **env}, text=True,
                    capture_output=True, timeout=TIMEOUT, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""), script)
                self.assertRegex(done.stdout, (
                    r"^status: \{'web': 'active'\}\n"
                    r"restarted: \{.*'operation': \d+.*\}\n"
                    r"event: watcher\.web\.\w+ web/\d\n$"))
                self.assertEqual(set(before) & set(daemon.pids("web")), set())


class CommandTests(StackCase):
    """What C{circustwist} answers and how it ends."""

    def setUp(self) -> None:
        self.running = self.run_(STACK.format(name="clients") + CLOCK + BAD + SLOW)
        if "slow/1 | up" not in self.running.lines:
            self.running.wait("slow/1 | up")

    def says(self, code: int, *arguments: str) -> str:
        """Run a command that ends with this code; what it printed."""
        done = self.running.cli(*arguments)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def test_codes(self) -> None:
        """The exit code says what happened."""
        self.assertEqual(self.says(0, "stop", "clock"), "stop done: clock 1 stopped\n")
        self.assertEqual(self.says(0, "start", "clock"), "start done: clock 1 started\n")
        self.assertRegex(self.says(1, "start", "bad"), "^start failed: bad/1 could not be started: ")
        self.assertRegex(self.says(1, "restart", "nosuch"), "^circustwist: ")
        self.says(2, "nosuchcommand")
        self.assertIn("is not a worker", self.says(2, "pid", "web/x"))
        self.assertIn("--nosuchoption", self.says(2, "status", "--nosuchoption"))
        self.says(3, "status")
        self.says(0, "status", "web")
        self.says(3, "pid", "web/7")
        self.assertIn("no stack nosuch runs", self.says(4, "-s", "nosuch", "status"))
        self.assertRegex(self.says(124, "--timeout", "0.3", "stop", "slow"), r"operation \d+ --wait")
        self.running.process.kill()
        self.running.process.wait()
        self.assertIn("no supervisor answers at", self.says(4, "status"))

    def test_escaped(self) -> None:
        """Control characters that come from files and workers are shown as what they are."""
        self.says(1, "start", "bad")
        for arguments in ("status",), ("status", "bad"), ("options", "bad"):
            done = self.running.cli(*arguments)
            self.assertIn(r"no\x1b[31msuch", done.stdout)
            self.assertNotIn("\x1b", done.stdout)

    def test_waiting(self) -> None:
        """A change is waited for unless that is not wanted."""
        (old,) = self.running.pids("clock")
        for flag in [], ["--wait"], ["--waiting"]:
            self.assertEqual(self.says(0, "restart", *flag, "clock"), "restart done: clock 1 started and 1 stopped\n")
        self.assertNotIn(old, self.running.pids("clock"))
        said = self.says(0, "stop", "--no-wait", "slow")
        number = re.fullmatch(r"operation (\d+)\n", said)
        assert number is not None
        self.assertIn("stop running", self.says(0, "operation", number[1]))
        self.says(0, "signal", "slow", "KILL")
        self.assertIn("stop done: slow 1 stopped", self.says(0, "operation", "--wait", number[1]))

    def test_numbers(self) -> None:
        """What a change reports is what it did, also right after another."""
        self.says(0, "restart", "web")
        self.assertEqual(self.says(0, "incr", "web", "2"), "incr done: web 2 started\n")
        self.assertEqual(self.says(0, "decr", "web"), "decr done: web 1 stopped\n")
        self.assertEqual(self.says(0, "numprocesses", "web"), "3\n")

    def test_json(self) -> None:
        """With C{--json} every command prints JSON, whatever becomes of it."""
        for arguments in (
            ["ping"], ["status"], ["status", "web"], ["status", "web/1"], ["list"], ["list", "web"], ["numprocesses"],
            ["numwatchers"], ["options", "web"], ["options", "web", "cmd"], ["listsockets"], ["sockets"], ["pid"],
            ["pid", "web"], ["ls"], ["operation"], ["check", "stack.ini"], ["help", "cmd"], ["restart", "clock"],
            ["incr", "clock"], ["decr", "clock"], ["restart", "--no-wait", "clock"], ["restart", "nosuch"],
            ["start", "bad"], ["nosuchcommand"], ["pid", "web/9"], ["-s", "nosuch", "ping"], ["signal", "web", "WINCH"],
            ["--timeout", "0.3", "stop", "slow"],
        ):
            done = self.running.cli("--json", *arguments)
            self.assertEqual(done.stderr, "", arguments)
            json.loads(done.stdout)

    def test_events(self) -> None:
        """Events are one line each, with C{--json} too, until nobody reads any more."""
        argv = [str(SCRIPTS / "circustwist"), "-s", self.running.where, "events", "--json", "clock"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                while not selector.select(0):  # it may not listen yet
                    self.says(0, "restart", "clock")
            self.assertEqual(json.loads(process.stdout.readline())["watcher"], "clock")
            process.send_signal(2)
            self.assertEqual(process.wait(TIMEOUT), 130)

    def test_progress(self) -> None:
        """On a terminal one line tells how far a change is."""
        terminal = Terminal(
            [str(SCRIPTS / "circustwist"), "-s", self.running.where, "restart", "web"], self.running.folder, os.environ)
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.end(), 0)
        self.assertRegex(terminal.text, r"\rweb \d/2")
        self.assertTrue(terminal.text.endswith("restart done: web 2 started and 2 stopped\n"), terminal.text)


class DiscoveryTests(StackCase):
    """Which supervisor is meant."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ct-"))
        self.names = [f"clients-{os.getpid()}-{which}" for which in "ab"]
        self.daemons = [self.beside(name) for name in self.names]
        for daemon in self.daemons:
            daemon.start().wait("watcher")

    def beside(self, name: str) -> Daemon:
        """One of two stacks in one folder, in the usual runtime directory."""
        daemon = self.daemon("", folder=self.folder)
        daemon.ini = self.folder / f"{name}.ini"
        daemon.ini.write_text(STACK.format(name=name))
        del daemon.env["RUNTIME_DIRECTORY"]
        daemon.env.pop("CIRCUSTWIST_CONTROL", None)
        daemon.argv = lambda: [  # type: ignore[method-assign]
            str(SCRIPTS / "twistd"), "-n", "circus", "-c", daemon.ini.name]
        return daemon

    def asked(self, *arguments: str, folder: Path | None = None, **env: str) -> tuple[int, Any]:
        """The exit code and answer of a command."""
        done = subprocess.run(
            [str(SCRIPTS / "circustwist"), "--json", *arguments], cwd=folder or "/", text=True, capture_output=True,
            env={**self.daemons[0].env, **env}, timeout=TIMEOUT, stdin=subprocess.DEVNULL, check=False)
        return done.returncode, json.loads(done.stdout)

    def test_two(self) -> None:
        """Two stacks run side by side from one folder and are told apart; the folder stays as it was."""
        listed = {row["name"]: row for row in self.asked("ls")[1]}
        for name, daemon in zip(self.names, self.daemons, strict=True):
            self.assertEqual((listed[name]["pid"], listed[name]["ini"]), (daemon.process.pid, str(daemon.ini)))
            where = f"{listed[name]['directory']}/private/control"
            expected = (0, {"pids": [daemon.process.pid]})
            self.assertEqual(self.asked("-s", name, "pid"), expected)
            self.assertEqual(self.asked("-s", listed[name]["directory"], "pid"), expected)
            self.assertEqual(self.asked("-s", where, "pid"), expected)
            self.assertEqual(self.asked("-s", str(daemon.ini), "pid"), expected)
            self.assertEqual(self.asked("-c", daemon.ini.name, "pid", folder=self.folder), expected)
            self.assertEqual(self.asked("pid", CIRCUSTWIST_CONTROL=where), expected)
        code, answer = self.asked("pid")
        self.assertEqual(code, 4)
        for name in self.names:
            self.assertIn(name, answer["error"]["text"])
        for daemon in self.daemons:
            self.assertEqual(daemon.stop(), 0)
        self.assertEqual(sorted(self.folder.iterdir()), sorted(daemon.ini for daemon in self.daemons))
        self.assertEqual([row for row in self.asked("ls")[1] if row["name"] in self.names], [])

    def test_here(self) -> None:
        """The ini in the current folder is the one that is meant."""
        here = self.folder / "here"
        here.mkdir()
        (here / "stack.ini").symlink_to(self.daemons[1].ini)
        self.assertEqual(self.asked("pid", folder=here), (0, {"pids": [self.daemons[1].process.pid]}))
