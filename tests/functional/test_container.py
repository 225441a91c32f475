"""The supervisor as the first process of a namespace, as in a container."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .stack import PYTHON, SCRIPTS, TIMEOUT, Daemon, StackCase

ORPHANS = """
import os, time
for n in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.2)
        os._exit(0)
"""
INI = """
[circus]
name = container

[watcher:web]
cmd = sleep 1000
numprocesses = 2

[watcher:orphans]
cmd = {python} orphans.py
respawn = False
"""


def possible() -> bool:
    """Whether a namespace of processes can be made here."""
    if shutil.which("unshare") is None:
        return False
    words = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


class Contained(Daemon):
    """A supervisor that is PID 1."""

    def argv(self) -> list[str]:
        """The command line."""
        words = [str(SCRIPTS / "twistd"), "-n", "--pidfile=", "circus", "-c", "stack.ini"]
        return ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *words]


class ContainerTests(StackCase):
    """PID 1."""

    if not possible():
        skip = "no PID namespace can be made here"

    def children(self, pid: int) -> list[str]:
        """The children of a process, zombies among them."""
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def test_first(self) -> None:
        """It reaps what it is left, leaves no zombie, and ends on SIGTERM with 0."""
        daemon = Contained(INI.format(python=PYTHON))
        self.addCleanup(daemon.clean)
        (daemon.folder / "orphans.py").write_text(ORPHANS)
        daemon.start()
        daemon.wait("watcher")
        self.assertEqual(daemon.call("ping")["pid"], 1)
        (first,) = map(int, self.children(daemon.process.pid))
        daemon.until(lambda: daemon.call("status")["statuses"]["orphans"] == "stopped")
        deadline = time.monotonic() + TIMEOUT
        while len(self.children(first)) != 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(len(self.children(first)), 2)
        os.kill(first, signal.SIGTERM)
        self.assertEqual(daemon.process.wait(TIMEOUT), 0)
