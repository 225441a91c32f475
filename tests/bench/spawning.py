"""How long one start through the launcher keeps the reactor; measured in a process of its own, for its descriptors."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from ..functional.stack import PYTHON
from .rows import Row

RUNS = 3
SPAWNS = 40
APART = 0.04
"""Seconds between two starts, so that none is disturbed by the one before."""
OPEN = (10, 10_000)


def blocked() -> list[Row]:
    """The reactor's time for one start through the launcher, with few and with many descriptors open."""
    return [_row(count) for count in OPEN]


def _row(count: int) -> Row:
    found = min(_median(count) for _ in range(RUNS))
    return Row(f"reactor kept by a start through the launcher, {count} descriptors", found, "ms", limit=0.5)


def _median(count: int) -> float:
    """The milliseconds in the middle of one run."""
    argv = [PYTHON, "-m", "tests.bench.spawning", str(count)]
    return float(subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout)


class Started:
    """
    Whom a spawner tells.

    @ivar running: the pids of those whose program runs.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self.running: list[int] = []
        self._done = done

    def spawned(self, process: Any) -> None:
        """Its program runs."""
        self.running.append(process.pid)
        if len(self.running) == SPAWNS:
            self._done()

    def refused(self, problem: object) -> None:
        """It could not be started."""
        raise AssertionError(problem)

    def exited(self, status: int) -> None:
        """It has ended."""


def timed(call: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    """The same, with the milliseconds that each call takes."""

    def around(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            times.append(1000 * (time.perf_counter() - began))

    return around


def crowd(count: int) -> tuple[int, int]:
    """Open so many descriptors; the soft limit that there was, and one of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, max(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(count))


def main(count: int) -> None:
    """Start some processes with so many descriptors open, and print the milliseconds that each kept the reactor."""
    from twisted.internet import reactor

    from circustwist.model.launch import Launch
    from circustwist.system.spawner import Spawner

    soft, null = crowd(count)
    who = "65534" if os.geteuid() == 0 else ""
    launch = Launch(("/bin/sleep", "100000"), cwd="/", uid=who, rlimits={"nofile": 512})
    starts: list[float] = []
    reports: list[float] = []
    loop: Any = reactor
    spawner: Any = Spawner(loop, soft)
    protocol = Started(loop.stop)
    spawn, spawner.reported = timed(spawner.spawn, starts), timed(spawner.reported, reports)
    for n in range(SPAWNS):
        loop.callLater(APART * n, spawn, protocol, launch, dict.fromkeys(range(3), null))
    loop.run()
    for pid in protocol.running:
        os.kill(pid, signal.SIGKILL)
    print(median(starts) + median(reports))


if __name__ == "__main__":
    main(int(sys.argv[1]))
