"""Supervisors that are measured, and what is done to them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..functional.stack import Daemon
from .proc import Bell, children

SLEEP = "sleep 100000"
HEALTHY = 1.3
"""Seconds after which the end of a worker does not count as a failed start."""


def ini(count: int, cmd: str = SLEEP, **options: str) -> str:
    """A stack of one watcher."""
    more = {"capture": "False", **options}
    lines = "".join(f"{name} = {value}\n" for name, value in more.items())
    return f"[watcher:w]\ncmd = {cmd}\nnumprocesses = {count}\n{lines}"


@contextmanager
def running(count: int, **options: str) -> Iterator[tuple[Daemon, float]]:
    """A supervisor all of whose workers run, and the seconds that took from its exec on."""
    daemon = Daemon(ini(count, **options))
    daemon.folder.chmod(0o755)
    try:
        began = time.monotonic()
        daemon.start().wait("watcher")
        took = time.monotonic() - began
        found = len(children(daemon.process.pid))
        if found != count:
            raise AssertionError(f"{found} workers run, not {count}")
        yield daemon, took
    finally:
        daemon.clean()


@contextmanager
def ringing(count: int, **options: str) -> Iterator[tuple[Bell, list[int]]]:
    """A supervisor whose workers have all rung and are healthy, and their pids."""
    daemon = Daemon("")
    daemon.folder.chmod(0o755)
    bell = Bell(daemon.folder)
    daemon.ini.write_text(ini(count, f"sh {bell.script}", **options))
    try:
        daemon.start()
        pids = bell.wait(count)[1]
        time.sleep(HEALTHY)
        yield bell, pids
    finally:
        daemon.clean()
        bell.close()


def respawns(bell: Bell, pids: list[int]) -> list[float]:
    """Kill one after the other; the milliseconds until each was replaced."""
    found = []
    for pid in pids:
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        found.append(1000 * (bell.wait(1)[0] - began))
        time.sleep(0.02)
    return found


def burst(bell: Bell, pids: list[int]) -> float:
    """Kill all of these; the seconds until the last was replaced."""
    began = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return bell.wait(len(pids))[0] - began


def stopping(daemon: Daemon) -> float:
    """Stop it in order; the seconds until it has ended."""
    began = time.monotonic()
    os.kill(daemon.process.pid, signal.SIGTERM)
    daemon.process.wait(60)
    return time.monotonic() - began
