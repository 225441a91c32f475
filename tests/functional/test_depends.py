"""Watchers that depend on each other, with real processes."""

from __future__ import annotations

import os
import sys

from .inside import Inside, InsideCase
from .stack import Control

STACK = """
[watcher:app]
cmd = sh -c 'echo app sees $(cat FOLDER/done); exec sleep 1000'
depends_on = db:ready, migrate:completed
[watcher:db]
cmd = sh -c 'read go <FOLDER/go; echo ready to serve; exec sleep 1000'
ready = log:ready to serve
[watcher:migrate]
cmd = sh -c 'echo migrate is there; read go <FOLDER/go2; echo it >FOLDER/done; exit CODE'
respawn = False
"""


class DependsTests(InsideCase):
    """An application, its database, and a migration; the last two wait for a word each."""

    def begin(self, code: int = 0) -> Inside:
        """The stack, of which the application waits."""
        daemon = self.inside(STACK.replace("CODE", str(code)))
        for name in ("go", "go2"):
            os.mkfifo(daemon.folder / name)
        daemon.start()
        daemon.wait("migrate is there")
        daemon.until(lambda: daemon.detail("app")["waits"] == "db:ready, migrate:completed")
        return daemon

    def say(self, daemon: Inside, name: str) -> None:
        """Let somebody go on."""
        (daemon.folder / name).write_text("go\n")

    def test_start(self) -> None:
        """The application is started when both are done, and stops first."""
        daemon = self.begin()
        self.say(daemon, "go")
        daemon.until(lambda: daemon.detail("app")["waits"] == "migrate:completed")
        self.assertIn("waits for migrate:completed", daemon.cli("status").stdout)
        self.assertEqual(daemon.call("status")["statuses"]["app"], "stopped")
        self.say(daemon, "go2")
        daemon.wait("app sees it")
        self.assertRegex(daemon.cli("status").stdout, r"(?m)^migrate  stopped 0/1   completed$")
        self.assertEqual([line for line in daemon.lines if line.startswith("warning: migrate/1")], [])
        app, db = daemon.pids("app"), daemon.pids("db")
        daemon.call("stop", waiting=True)
        with Control(daemon.where) as control:
            events = control.events(["watcher."], since=0)
            ends = [next(event["pid"] for event in events if event["event"] == "kill") for _ in range(2)]
        self.assertEqual(ends, [*app, *db])

    def test_failed(self) -> None:
        """If the migration fails, the application is not started, and that is said."""
        daemon = self.begin(3)
        self.say(daemon, "go2")
        daemon.wait("app was not started: migrate:completed does not hold: migrate is stopped: migrate/1 exited 3")
        self.assertEqual(daemon.call("status")["statuses"]["app"], "stopped")

    def test_killed(self) -> None:
        """What waited when the supervisor was killed waits again, and what had completed has."""
        daemon = self.begin()
        self.say(daemon, "go2")
        daemon.until(lambda: daemon.detail("app")["waits"] == "db:ready")
        (db,) = daemon.pids("db")
        daemon.kill()
        daemon.start()
        daemon.wait("app sees it")
        self.assertEqual((daemon.pids("db"), daemon.pids("migrate")), ([db], []))


class LimitTests(InsideCase):
    """Workers that are replaced for their size and for the requests that they have answered."""

    def test_limits(self) -> None:
        """A worker that says that it has answered enough is replaced, and so is one that is too large."""
        daemon = self.inside("""
[watcher:busy]
cmd = PYTHON -S FOLDER/busy.py
ready = notify
max_requests = 5
min_ready = 100ms
[watcher:large]
cmd = sleep 1000
max_memory = 4k
min_ready = 100ms
""".replace("PYTHON", sys.executable))
        (daemon.folder / "busy.py").write_text(BUSY)
        daemon.start()
        daemon.wait("2 watchers")
        with Control(daemon.where) as control:
            events = control.events(["watcher."], since=0, timeout=30)
            reasons: dict[str, str] = {}
            while len(reasons) < 2:
                event = next(events)
                if event["event"] == "replace":
                    reasons[event["watcher"]] = event["data"]["reason"]
        self.assertEqual(reasons["busy"], "max_requests of 5")
        self.assertTrue(reasons["large"].startswith("max_memory of 4096 bytes, it has "), reasons)
        self.assertIn("has done its work", {worker["said"] for worker in daemon.detail("busy")["workers"]})


BUSY = '''import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"].replace("@", chr(0)))
s.send(b"READY=1")
s.send(b"STATUS=has done its work" + chr(10).encode() + b"X_REQUESTS=5")
time.sleep(1000)
'''
