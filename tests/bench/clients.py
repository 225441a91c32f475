"""Circus's own protocol: answers and statistics, of ours and of circusd in the same run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import zmq

from ..functional.conformance import Side, circusd, ours
from .ours import SLEEP
from .proc import children, until
from .rows import Row

ASKED = 500
LONG = 6.0
"""Seconds for which the use of a processor is measured."""

Start = Callable[..., Side]


def _watchers(watchers: int, each: int = 1) -> str:
    return "".join(
        f"[watcher:w{number}]\ncmd = {SLEEP}\ncopy_env = True\nnumprocesses = {each}\n" for number in range(watchers))


@contextmanager
def _running(start: Start, watchers: int, each: int = 1, circus: str = "") -> Iterator[tuple[Side, zmq.Socket[bytes]]]:
    """A supervisor with so many processes, and a client of it."""
    side = start(_watchers(watchers, each), circus=circus)
    client = zmq.Context.instance().socket(zmq.DEALER)
    client.linger = 0
    try:
        until(lambda: len(children(side.process.pid)) >= watchers * each)
        time.sleep(2)
        client.connect(side.endpoint)
        _ask(client, "numprocesses")
        yield side, client
    finally:
        client.close()
        side.clean()


def _ask(client: zmq.Socket[bytes], command: str, **properties: Any) -> Any:
    client.send(json.dumps({"command": command, "properties": properties}).encode())
    return json.loads(client.recv())


def _took(client: zmq.Socket[bytes], times: int, pause: float, command: str, **properties: Any) -> float:
    """The median of the milliseconds that an answer takes, asked again after a pause."""
    found = []
    for _ in range(times):
        time.sleep(pause)
        began = time.perf_counter()
        _ask(client, command, **properties)
        found.append(1000 * (time.perf_counter() - began))
    return median(found)


def _used(pids: list[int], seconds: float) -> float:
    """The share of a processor that these processes use, with all of their threads, in percent."""

    def ticks() -> int:
        return sum(sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
                   for pid in pids)

    before = ticks()
    time.sleep(seconds)
    return 100 * (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def answers() -> list[Row]:
    """C{status} of one and C{stats} of all 200 watchers; circusd's are the floor."""
    found = []
    for start in (circusd, ours):
        with _running(start, 200) as (_, client):
            found.append((_took(client, ASKED, 0, "status", name="w7"), _took(client, 5, 0.5, "stats")))
    (theirStatus, theirStats), (status, stats) = found
    return [
        Row("ZeroMQ: status of one of 200", status, "ms", theirStatus, 1.0),
        Row("ZeroMQ: stats of all 200", stats, "ms", theirStats, 0.02),
    ]


def statistics() -> list[Row]:
    """What it costs to publish the statistics of 500 processes each second, with and without a subscriber."""
    circus = "stats_endpoint = ipc://{folder}/stats"
    rows = []
    for start in (circusd, ours):
        with _running(start, 50, 10, circus) as (side, _):
            who = "circusd-stats" if start is circusd else "statistics"
            pids = [side.process.pid] if start is ours else [
                pid for pid in children(side.process.pid) if b"circus" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            alone = _used(pids, LONG)
            subscriber = zmq.Context.instance().socket(zmq.SUB)
            subscriber.subscribe(b"stat.")
            subscriber.connect(f"ipc://{side.folder}/stats")
            time.sleep(2)
            heard = _used(pids, LONG)
            subscriber.close()
            limit = 1.5 if start is ours else None
            rows.append(Row(f"{who} of 500 processes each second, of a core", heard, "%", limit=limit))
            rows.append(Row(f"{who} of 500 processes, nobody listening", alone, "%", limit=0.1 if limit else None))
    return rows
