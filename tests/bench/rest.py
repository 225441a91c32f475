"""What it costs to have workers and to do nothing."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from .floors import emptyDaemon
from .ours import running
from .proc import processor, pss, wakes
from .rows import Row

WATCHED = 30.0
SETTLED = 2.0
"""Seconds after which nothing of a start is left to be done."""


def idle() -> list[Row]:
    """Wake-ups with 500 workers."""
    with running(500) as (daemon, _):
        pid = daemon.process.pid
        time.sleep(SETTLED)
        before = wakes(pid), processor(pid)
        time.sleep(WATCHED)
        after = wakes(pid), processor(pid)
    return [
        Row(f"wake-ups in {WATCHED:g} s with 500 workers", after[0] - before[0], "", limit=0),
        Row(f"processor time in {WATCHED:g} s with 500 workers", 1000 * (after[1] - before[1]), "ms"),
    ]


def memory() -> list[Row]:
    """The proportional share of memory, beside a twistd that runs nothing; all at the same time."""
    with tempfile.TemporaryDirectory() as folder, running(1) as (one, _), running(1000) as (ours, _):
        empty = emptyDaemon(Path(folder))
        try:
            time.sleep(SETTLED)
            bare, single, all_ = (pss(each) / 1e6 for each in (empty.pid, one.process.pid, ours.process.pid))
        finally:
            empty.kill()
            empty.wait()
    return [
        Row("memory with 1000 workers, to an empty twistd", all_, "MB", bare),
        Row("memory with 1000 workers, more than an empty twistd", all_ - bare, "MB", limit=10),
        Row("memory with 1 worker, more than an empty twistd", single - bare, "MB"),
        Row("memory per worker", 1e6 * (all_ - single) / 999, "B"),
    ]
