"""The same of other supervisors, as far as a virtual environment has them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import attrs

from .ours import HEALTHY, SLEEP, respawns
from .proc import Bell, children, programs, until, wakes
from .rows import Row

CIRCUS = """[circus]
endpoint = ipc://{folder}/control
pubsub_endpoint = ipc://{folder}/events
[watcher:w]
cmd = {cmd}
numprocesses = {count}
"""
SUPERVISOR = """[supervisord]
nodaemon = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {folder}/pid
minfds = 15000
[program:w]
command = {cmd}
numprocs = {count}
process_name = %%(process_num)d
startsecs = 0
stdout_logfile = NONE
stderr_logfile = NONE
"""
GUNICORN = """
workers = {count}
bind = "unix:{folder}/web"
worker_tmp_dir = "{folder}"
def application(environ, start_response):
    start_response("200 OK", [])
    return [b""]
def post_worker_init(worker):
    with open("{folder}/bell", "w") as bell:
        bell.write(f"{{worker.pid}}\\n")
"""


@attrs.frozen
class Peer:
    """
    Another supervisor.

    @ivar program: which of the environment's.
    @ivar template: of its configuration.
    @ivar argv: what follows the program.
    @ivar file: the configuration's name.
    @ivar kills: how often it is measured how it replaces a worker.
    """

    program: str
    template: str
    argv: tuple[str, ...]
    file: str
    kills: int


PEERS = (
    Peer("circusd", CIRCUS, ("conf.ini",), "conf.ini", 4),
    Peer("supervisord", SUPERVISOR.replace("%%", "%"), ("-c", "conf.ini"), "conf.ini", 7),
    Peer("gunicorn", GUNICORN, ("-c", "conf.py", "conf:application"), "conf.py", 15),
)


@contextmanager
def running(venv: Path, peer: Peer, count: int, cmd: str = SLEEP) -> Iterator[tuple[int, Bell, float]]:
    """A peer with so many workers that are about to start: its pid, their bell, and when it was executed."""
    folder = Path(tempfile.mkdtemp(prefix="ct-"))
    bell = Bell(folder)
    words = {"folder": str(folder), "count": count, "cmd": cmd or f"sh {bell.script}"}
    (folder / peer.file).write_text(peer.template.format(**words))
    began = time.monotonic()
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            [str(venv / "bin" / peer.program), *peer.argv], cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output)
    try:
        yield process.pid, bell, began
    finally:
        end(process)
        bell.close()
        shutil.rmtree(folder, ignore_errors=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a peer before it can replace anybody, then its workers."""
    process.send_signal(signal.SIGSTOP)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()


def peers(venv: Path) -> list[Row]:
    """Start, replacement and idleness of those that are installed."""
    rows = []
    for peer in PEERS:
        if (venv / "bin" / peer.program).exists():
            rows += [*_started(venv, peer), *_replaced(venv, peer)]
    return rows


def _started(venv: Path, peer: Peer) -> list[Row]:
    """Start of 1000; gunicorn runs nothing but itself."""
    if peer.program == "gunicorn":
        return []
    with running(venv, peer, 1000) as (pid, _, began):
        took = until(lambda: len(children(pid)) >= 1000 and programs(pid, "sleep") >= 1000) - began
        time.sleep(1)
        before = wakes(pid)
        time.sleep(IDLE)
        return [Row(f"{peer.program}: start of 1000", took, "s"),
                Row(f"{peer.program}: wake-ups in {IDLE:g} s with 1000 workers", wakes(pid) - before, "")]


def _replaced(venv: Path, peer: Peer) -> list[Row]:
    with running(venv, peer, 20, "") as (_, bell, _began):
        pids = bell.wait(20)[1]
        time.sleep(HEALTHY)
        found = median(respawns(bell, pids[:peer.kills]))
    return [Row(f"{peer.program}: respawn of one of 20", found, "ms")]


IDLE = 10.0
