"""What nothing that does the same can be much better than."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from ..functional.stack import PYTHON, SCRIPTS
from .proc import Bell

LOOP = """
import os, sys
import twisted.internet.epollreactor
twisted.internet.epollreactor.install()
from twisted.internet import reactor
program, count = sys.argv[1], int(sys.argv[2])
for n in range(count):
    os.posix_spawn(program, [program, "100000"], {}, setsid=True)
print(flush=True)
"""
EMPTY = "from twisted.application.service import Application\napplication = Application('empty')\n"


def spawnLoop(count: int) -> float:
    """From exec of an interpreter that imports the reactor until its loop has spawned so many sleepers, seconds."""
    began = time.monotonic()
    with subprocess.Popen(
        [PYTHON, "-c", LOOP + "sys.stdin.read()", "/bin/sleep", str(count)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        took = time.monotonic() - began
        end(process.pid)
    return took


def end(pid: int) -> None:
    """Kill the children of a process of ours, then let it end."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


def ringers(bell: Bell, count: int) -> float:
    """From the first of so many posix_spawn(3) in a row until all of the programs run, seconds."""
    began = time.monotonic()
    pids = [os.posix_spawn("/bin/sh", ["sh", str(bell.script)], {}, setsid=True) for _ in range(count)]
    took = bell.wait(count)[0] - began
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    return took


def emptyDaemon(folder: Path) -> subprocess.Popen[bytes]:
    """A twistd that runs nothing."""
    (folder / "empty.tac").write_text(EMPTY)
    return subprocess.Popen(
        [str(SCRIPTS / "twistd"), "-n", "--pidfile=", "-y", "empty.tac"], cwd=folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL)
