"""
What clients at full speed see of deploys, upgrades and kills: failed requests,
and how much longer than in quiet the slowest took.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..functional.apps import APP, PATH, SERVERS, TALKS, Load, Seen, Site, counted
from ..functional.stack import HELLO, PYTHON, Control
from .proc import children, until
from .rows import Row

BOOT = 2.0
STEADY = 3.0
UPGRADES = 20
KILLS = 20
WEB = f"{PYTHON} {HELLO / 'web.py'} --fd $(circus.sockets.web)"
MANY = TALKS + "stdout_stream.max_bytes = 20000\nstdout_stream.backup_count = 900\n" + (
    "[watcher:many]\ncmd = sleep 100000\nnumprocesses = {count}\n")
CIRCUS = """[circus]
endpoint = ipc://{folder}/control
pubsub_endpoint = ipc://{folder}/events
[socket:web]
host = 127.0.0.1
port = {port}
[watcher:web]
cmd = {cmd}
use_sockets = True
numprocesses = {count}
copy_env = True
stdout_stream.class = FileStream
stdout_stream.filename = web.log
stderr_stream.class = FileStream
stderr_stream.filename = web.log
"""


def _rows(what: str, steady: Seen, seen: Seen, limit: float) -> list[Row]:
    """What clients saw."""
    return [Row(f"{what}: failed of {seen.requests} requests", len(seen.failed), "", limit=0),
            Row(f"{what}: slowest request, above steady", 1000 * (seen.slowest - steady.slowest), "ms", limit=limit)]


@contextmanager
def site(cmd: str, count: int, more: str = "") -> Iterator[Site]:
    """A site that runs."""
    made = Site(cmd, count, more)
    try:
        made.start().wait("watcher")
        yield made
    finally:
        made.clean()


def deploys() -> list[Row]:
    """An application that takes 2 s to boot, with each server, four workers and one, and no option of ours."""
    rows: list[Row] = []
    for server, cmd in SERVERS.items():
        for count in 4, 1:
            with site(cmd, count) as made, Load(made.port()) as load:
                steady = load.steady(STEADY)
                made.deploy(BOOT)
                with Control(made.where, timeout=120) as control:
                    control.call("reload", name="web", waiting=True)
                rows += _rows(f"deploy, {count} x {server}", steady, load.seen(), 100)
    return rows


def upgrades() -> list[Row]:
    """Twenty in a row with 200 workers."""
    with site(WEB, 4, MANY.format(count=195)) as made, Load(made.port()) as load:
        steady, before, away = load.steady(STEADY), made.strays(), 0.0
        for _ in range(UPGRADES):
            with Control(made.where, timeout=60) as control:
                control.call("upgrade")
                control.gone(60)
            away = max(away, _back(made))
        rows = _rows(f"{UPGRADES} upgrades", steady, load.seen(), 50)
        changed = len(set(before) ^ set(made.strays()))
    return [*rows, Row(f"{UPGRADES} upgrades: pids changed of {len(before)}", changed, "", limit=0),
            Row(f"{UPGRADES} upgrades: longest without control", away, "s", limit=1)]


def _back(made: Site) -> float:
    """Seconds until the supervisor answers again."""
    began = time.monotonic()

    def answers() -> bool:
        with suppress(OSError):
            made.call("ping")
            return True
        return False

    return until(answers) - began


def kills() -> list[Row]:
    """The supervisor killed at random moments of what it does."""
    chance = random.Random(4)
    with site(WEB, 4, "min_ready = 0.1\n" + MANY.format(count=20)) as made, Load(made.port()) as load:
        steady, lost, took = load.steady(STEADY), 0, 0.0
        for _ in range(KILLS):
            command, arguments = chance.choice((
                ("incr", {"name": "many"}), ("decr", {"name": "many"}), ("reload", {"name": "web"}),
                ("restart", {"name": "many"}), ("ping", {})))
            made.call(command, **arguments)
            time.sleep(chance.random() * 0.3)
            made.kill()
            began = time.monotonic()
            made.start().wait("adopted")
            took = max(took, time.monotonic() - began)
            try:
                until(made.settled, 20)
            except TimeoutError:
                lost += 1
        rows = _rows(f"{KILLS} kills", steady, load.seen(), 100)
        made.stop()
        whole = counted(made.said())
    return [*rows, Row(f"{KILLS} kills: not every worker there once", lost, "", limit=0),
            Row(f"{KILLS} kills: lines lost, doubled or out of order", int(not whole), "", limit=0),
            Row(f"{KILLS} kills: longest until all are adopted", took, "s", limit=1)]


# The same deploy with others


@contextmanager
def _other(argv: list[str], files: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], Path, int]]:
    """Another supervisor, on a port that was free."""
    folder = Path(tempfile.mkdtemp(prefix="ct-"))
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = int(holder.getsockname()[1])
    words = {"folder": str(folder), "port": port}
    (folder / "app.py").write_text(APP.format(boot=0))
    for name, text in files.items():
        (folder / name).write_text(text.format(**words))
    process = subprocess.Popen(
        [word.format(**words) for word in argv], cwd=folder, env={**os.environ, **PATH}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _connects(port))
        time.sleep(2)
        yield process, folder, port
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _connects(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def others(venv: Path) -> list[Row]:
    """circus and gunicorn."""
    rows: list[Row] = []
    for count in 4, 1:
        text = CIRCUS.replace("{cmd}", SERVERS["chaussette"]).replace("{count}", str(count))
        circusctl = [str(venv / "bin" / "circusctl"), "--endpoint", "ipc://{folder}/control", "reload", "web"]
        rows += _compared(
            f"circus: deploy, {count} x chaussette", [str(venv / "bin" / "circusd"), "conf.ini"], {"conf.ini": text},
            lambda process, folder, ctl=circusctl: subprocess.run(
                [word.format(folder=folder) for word in ctl], check=False, capture_output=True))
        argv = [str(venv / "bin" / "gunicorn"), "-w", str(count), "--no-control-socket", "-b", "127.0.0.1:{port}",
                "app:application"]
        rows += _compared(
            f"gunicorn by itself: deploy, {count} workers", argv, {},
            lambda process, folder: process.send_signal(signal.SIGHUP))
    return rows


def _compared(
    what: str, argv: list[str], files: dict[str, str], deploy: Callable[[subprocess.Popen[bytes], Path], object]
) -> list[Row]:
    with _other(argv, files) as (process, folder, port), Load(port) as load:
        steady, before = load.steady(STEADY), set(children(process.pid))
        (folder / "app.py").write_text(APP.format(boot=BOOT))
        deploy(process, folder)
        with suppress(TimeoutError):
            until(lambda: not before & set(children(process.pid)), 30)
        time.sleep(BOOT + 2)
        return _rows(what, steady, load.seen(), 100)
