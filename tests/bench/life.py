"""
How long it takes to start, to replace and to stop processes.

Of whole starts the least of some runs is taken, because whatever else the
machine does only adds to them; of replacements the median.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from .floors import ringers, spawnLoop
from .ours import burst, respawns, ringing, running, stopping
from .proc import Bell
from .rows import Row

RUNS = 4
KILLS = 15
LAUNCHED = {"working_dir": "/", "uid": "65534", "rlimit_nofile": "512"}
"""Options that need the launcher; those of a user only as root."""


def _up(count: int, **options: str) -> float:
    with running(count, **options) as (_, took):
        return took


def start() -> list[Row]:
    """1000 sleepers, and 5000."""
    both = [(spawnLoop(1000), _up(1000)) for _ in range(RUNS)]
    floor, ours = (min(each) for each in zip(*both, strict=True))
    floorLong, oursLong = (min(each) for each in zip(*[(spawnLoop(5000), _up(5000)) for _ in range(2)], strict=True))
    return [
        Row("start of 1000", ours, "s", floor, ratio=1.5),
        Row("start of 5000", oursLong, "s", floorLong, ratio=1.5),
        Row("start of 5000, per worker, to that of 1000", oursLong / 5, "s", ours, ratio=1.1),
    ]


def captured() -> list[Row]:
    """1000 sleepers with captured output."""
    both = [(_up(1000), _up(1000, capture="True")) for _ in range(RUNS)]
    plain, ours = (min(each) for each in zip(*both, strict=True))
    return [Row("start of 1000 with captured output, to plain", ours, "s", plain, ratio=1.3)]


def stop() -> list[Row]:
    """The orderly end of 1000 sleepers."""
    found = []
    for _ in range(RUNS):
        with running(1000) as (daemon, _took):
            found.append(stopping(daemon))
    return [Row("stop of 1000", median(found), "s", limit=0.5)]


def respawn() -> list[Row]:
    """kill -9 until the program of the replacement runs."""
    rows = []
    for count in (20, 1000):
        with ringing(count) as (bell, pids):
            rows.append(Row(f"respawn of one of {count}", median(respawns(bell, pids[:KILLS])), "ms", limit=10))
    with ringing(20, **LAUNCHED) as (bell, pids):
        rows.append(Row("respawn through the launcher", median(respawns(bell, pids[:KILLS])), "ms", limit=25))
    return rows


def many() -> list[Row]:
    """300 of 1000 killed at once, against a bare loop that starts the same 300 programs."""
    with tempfile.TemporaryDirectory() as folder:
        bell = Bell(Path(folder))
        floor = median(ringers(bell, 300) for _ in range(RUNS))
        bell.close()
    with ringing(1000) as (bell, pids):
        found = [burst(bell, pids[300 * n:300 * (n + 1)]) for n in range(3)]
    return [Row("300 killed at once, until all are back", median(found), "s", floor, ratio=2)]
