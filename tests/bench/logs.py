"""How fast what workers write arrives, and what that costs."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import quantiles

from ..functional.stack import PYTHON, Daemon
from .proc import processor, until
from .rows import Row

GB = 1_000_000_000
PIECE = 65_500
"""Bytes that a worker writes at a time: 655 lines of 100."""
CHATTER = f"""
import os, sys
data = (b"x" * 99 + b"\\n") * {PIECE // 100}
with open(sys.argv[2]) as gate:
    gate.read()
for n in range(int(sys.argv[1])):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]
"""
SPLICE = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
while os.splice(0, file, 65536):
    pass
"""
WORKERS = 50


@contextmanager
def chatter() -> Iterator[tuple[Path, Path]]:
    """A folder with a program that writes when a gate is opened, and the gate."""
    with tempfile.TemporaryDirectory(prefix="ct-") as name:
        folder = Path(name)
        (folder / "chatter.py").write_text(CHATTER)
        os.mkfifo(folder / "gate")
        yield folder, folder / "gate"


def splice(size: int) -> float:
    """A bare loop of splice(2) from the same program into a file, seconds for a gigabyte."""
    with chatter() as (folder, gate):
        writer = subprocess.Popen(
            [PYTHON, "-S", folder / "chatter.py", str(size // PIECE), gate], stdout=subprocess.PIPE)
        loop = subprocess.Popen([PYTHON, "-S", "-c", SPLICE, folder / "log"], stdin=writer.stdout)
        assert writer.stdout is not None
        writer.stdout.close()
        gate.write_text("")
        began = time.monotonic()
        loop.wait()
        took = time.monotonic() - began
        writer.wait()
        return took / size * GB


def written(folder: Path) -> int:
    """How much is in the log."""
    with suppress(FileNotFoundError):
        return (folder / "log").stat().st_size
    return 0


def ours(size: int, *options: str) -> tuple[float, float]:
    """One worker's output into a file; seconds, and of the supervisor's processor time, for a gigabyte."""
    with chatter() as (folder, gate):
        lines = "".join(f"stdout_stream.{option}\n" for option in options)
        daemon = Daemon(
            f"[watcher:w]\ncmd = {PYTHON} -S {folder}/chatter.py {size // PIECE} {gate}\nrespawn = False\n"
            f"stdout_stream.filename = {folder}/log\n{lines}")
        try:
            daemon.start().wait("watcher")
            before = processor(daemon.process.pid)
            gate.write_text("")
            began = time.monotonic()
            until(lambda: written(folder) >= size // PIECE * PIECE and not daemon.pids("w"))
            took = time.monotonic() - began
            return took / size * GB, (processor(daemon.process.pid) - before) / size * GB
        finally:
            daemon.stop()
            daemon.clean()


def logs() -> list[Row]:
    """Output into a file: raw, with prefix and time, as JSON; and of 50 workers at once."""
    floor = min(splice(GB) for _ in range(2))
    raw = min(ours(GB) for _ in range(2))
    prefixed = ours(GB // 2, "prefix = %(time)s %(watcher)s/%(wid)s |")
    json = ours(GB // 4, "class = JSONStream")
    return [
        Row("raw output of one worker, a GB, to splice(2)", raw[0], "s", floor, ratio=1.11),
        Row("processor for it", raw[1], "s", limit=0.8),
        Row("lines of 100 bytes with prefix and time, a GB", prefixed[0], "s", limit=8.3),
        Row("the same as JSON", json[0], "s", limit=16.7),
        *crowd(),
    ]


def crowd() -> list[Row]:
    """50 workers that write without end for a while: how even, and how long a ping takes meanwhile."""
    with chatter() as (folder, gate):
        text = "".join(
            f"[watcher:w{number}]\ncmd = {PYTHON} -S {folder}/chatter.py 1000000 {gate}\n"
            f"stdout_stream.class = JSONStream\nstdout_stream.filename = {folder}/{number}.log\n"
            "stdout_stream.max_bytes = 50MB\nstdout_stream.backup_count = 1\n" for number in range(WORKERS))
        daemon = Daemon(text)
        # Whoever reads waits until nobody has it open to write.
        held = os.open(gate, os.O_RDWR)
        try:
            daemon.start().wait("watcher")
            until(lambda: opened(gate) > WORKERS)
            os.close(held)
            took = pings(daemon, 5.0)
            sizes = [sum(path.stat().st_size for path in folder.glob(f"{n}.log*")) for n in range(WORKERS)]
        finally:
            daemon.process.kill()
            daemon.clean()
    spread = (max(sizes) - min(sizes)) / (sum(sizes) / WORKERS) * 100
    return [Row("50 workers at once: most to least", spread, "%", limit=20),
            Row("ping meanwhile, 99th percentile", quantiles(took, n=100)[98] * 1000, "ms", limit=50)]


def opened(gate: Path) -> int:
    """How many processes have the gate open."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            found += os.readlink(path) == str(gate)
    return found


def pings(daemon: Daemon, seconds: float) -> list[float]:
    """How long each of many pings takes."""
    from circustwist.control.blocking import Control

    found = []
    with Control(daemon.where, 30) as control:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            control.call("ping")
            found.append(time.monotonic() - began)
            time.sleep(0.01)
    return found




SUPERVISOR = """[supervisord]
nodaemon = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {folder}/pid
[program:w]
command = {cmd}
autorestart = false
stdout_logfile = {folder}/log
stdout_logfile_maxbytes = 0
"""
CIRCUS = """[circus]
endpoint = ipc://{folder}/control
pubsub_endpoint = ipc://{folder}/events
[watcher:w]
cmd = {cmd}
respawn = False
stdout_stream.class = FileStream
stdout_stream.filename = {folder}/log
"""
RIVALS = {
    "supervisord": (SUPERVISOR, GB, ("-c", "conf")), "circusd": (CIRCUS, GB // 10, ("conf",)),
    "honcho": ("w: {cmd}\n", GB // 100, ("start", "-f", "conf"))}


def rivals(venv: Path) -> list[Row]:
    """The same of others: into a file, of honcho with a prefix and the time before each line."""
    return [
        Row(f"{program}: output of one worker, a GB", rival(venv / "bin" / program, *RIVALS[program]), "s")
        for program in RIVALS if (venv / "bin" / program).exists()]


def rival(program: Path, text: str, size: int, options: tuple[str, ...]) -> float:
    """Seconds for a gigabyte."""
    with chatter() as (folder, gate):
        cmd = f"{PYTHON} -S {folder}/chatter.py {size // PIECE} {gate}"
        (folder / "conf").write_text(text.format(folder=folder, cmd=cmd))
        with open(folder / ("log" if program.name == "honcho" else "out"), "wb") as out:
            process = subprocess.Popen([program, *options], cwd=folder, stdout=out, stderr=subprocess.DEVNULL)
        held = os.open(gate, os.O_RDWR)
        until(lambda: opened(gate) > 1)
        os.close(held)
        began = time.monotonic()
        until(lambda: written(folder) >= size // PIECE * PIECE)
        took = time.monotonic() - began
        process.terminate()
        process.wait()
        return took / size * GB
