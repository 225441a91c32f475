"""Deploys and changed configurations on a real supervisor."""

from __future__ import annotations

import os
import signal

from .stack import HELLO, PYTHON, Control, ControlError, StackCase
from .test_life import get

WEB = f"""
[circus]
name = reload

[socket:web]
host = 127.0.0.1
port = 0

[watcher:web]
cmd = {PYTHON} app.py --fd $(circus.sockets.web)
use_sockets = True
numprocesses = 2
min_ready = 0.3
ready_timeout = 20
"""


class ReloadTests(StackCase):
    """New code."""

    def setUp(self) -> None:
        self.web = self.daemon(WEB)
        self.app = self.web.folder / "app.py"
        self.app.write_text((HELLO / "web.py").read_text())
        self.web.start()
        self.web.wait("watcher")

    def test_good(self) -> None:
        """Every worker is replaced, one after the other."""
        before = self.web.pids("web")
        with Control(self.web.where, timeout=30) as control:
            answer = control.call("reload", name="web", waiting=True)
        self.assertEqual(answer["watchers"]["web"]["stopped"], sorted(before))
        self.assertEqual(len(self.web.pids("web")), 2)
        self.assertIn("hello from", get(self.web.port()))

    def test_raises(self) -> None:
        """Code that fails at import replaces nobody: the same pids serve on and the reason is told."""
        before = self.web.pids("web")
        self.app.write_text("raise SystemExit('a bad deploy')\n")
        with self.assertRaises(ControlError) as caught, Control(self.web.where, timeout=30) as control:
            control.call("reload", name="web", waiting=True)
        self.assertRegex(
            caught.exception.text, r"web/(\d) exited 1 after .* s; 0 of 2 replaced.*; web/\1 wrote: a bad deploy")
        self.assertEqual(self.web.pids("web"), before)
        self.assertIn("hello from", get(self.web.port()))
        done = self.web.cli("reload", "web")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("what is on disk", self.web.detail("web")["problem"])
        self.assertIn("what is on disk", self.web.cli("status").stdout)


    def test_neverReady(self) -> None:
        """Code that runs but does not listen replaces nobody."""
        before = self.web.pids("web")
        self.app.write_text("import time\ntime.sleep(1000)\n")
        self.web.ini.write_text(WEB.replace("ready_timeout = 20", "ready_timeout = 0.5"))
        self.web.call("reloadconfig", waiting=True)
        with self.assertRaises(ControlError) as caught, Control(self.web.where, timeout=30) as control:
            control.call("reload", name="web", waiting=True)
        self.assertIn("was not ready: listening", caught.exception.text)
        self.web.until(lambda: self.web.pids("web") == before, ("watcher.web.reap",))


class LogTests(StackCase):
    """Workers whose output tells that they are ready."""

    def test_line(self) -> None:
        """A worker is ready when the line was seen, also on its way into a file."""
        script = "echo booting; read x < go; echo ready to serve; sleep 1000"
        daemon = self.daemon(
            f"[circus]\nname = log\n[watcher:w]\ncmd = sh -c '{script.replace(';', chr(10) + '  ')}'\n"
            "ready = log:^ready\nstdout_stream.filename = out.log\n")
        os.mkfifo(daemon.folder / "go")
        daemon.start()
        with open(daemon.folder / "go", "w") as go:
            self.assertEqual(daemon.call("status", name="w")["status"], "starting")
            go.write("now\n")
        daemon.until(lambda: daemon.call("status", name="w")["status"] == "active")
        self.assertEqual((daemon.folder / "out.log").read_text(), "booting\nready to serve\n")
        self.assertEqual(daemon.stop(), 0)


class ApplyTests(StackCase):
    """A changed ini."""

    INI = "[circus]\nname = apply\n[watcher:a]\ncmd = sleep 1000\n[watcher:b]\ncmd = sleep 1000\n"

    def test_hup(self) -> None:
        """SIGHUP applies the file, and reloads what it leaves alone."""
        daemon = self.run_(self.INI + "min_ready = 0.1\n")
        before = daemon.pids("b")
        with Control(daemon.where, timeout=30) as control:
            events = control.events(["watcher.b.reload", "watcher.c.start"])
            daemon.ini.write_text(self.INI + "min_ready = 0.1\n[watcher:c]\ncmd = sleep 1000\n")
            daemon.process.send_signal(signal.SIGHUP)
            self.assertEqual({next(events)["event"], next(events)["event"]}, {"reload", "start"})
        self.assertNotEqual(daemon.pids("b"), before)

    def test_apply(self) -> None:
        """Only what changed is touched; sockets come and go."""
        daemon = self.run_(self.INI)
        before = daemon.pids("a"), daemon.pids("b")
        daemon.ini.write_text(self.INI + "numprocesses = 3\n[socket:s]\nport = 0\n[watcher:c]\ncmd = sleep 1000\n")
        items = {(i["kind"], i["name"]): i["action"] for i in daemon.call("plan")["items"]}
        self.assertEqual(items, {("socket", "s"): "add", ("watcher", "b"): "now", ("watcher", "c"): "add"})
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual((daemon.pids("a"), daemon.pids("b")[:1]), before)
        self.assertEqual((len(daemon.pids("b")), len(daemon.pids("c"))), (3, 1))
        self.assertEqual([s["name"] for s in daemon.call("listsockets")["sockets"]], ["s"])
        daemon.ini.write_text(self.INI)
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual((daemon.pids("a"), daemon.call("listsockets")["sockets"]), (before[0], []))
        self.assertEqual(sorted(daemon.call("status")["statuses"]), ["a", "b"])
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.strays(), [])

    def test_broken(self) -> None:
        """A file with errors changes nothing and is told with its lines, by the command and by SIGHUP."""
        daemon = self.run_(self.INI)
        before = daemon.pids("a"), daemon.pids("b")
        daemon.ini.write_text(self.INI + "numprocesses = many\n")
        with self.assertRaises(ControlError) as caught:
            daemon.call("reloadconfig", waiting=True)
        self.assertIn("stack.ini:7: [watcher:b] numprocesses: 'many' is not a whole number", caught.exception.text)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait("is not a whole number")
        self.assertEqual((daemon.pids("a"), daemon.pids("b")), before)
        self.assertEqual(daemon.stop(), 0)
