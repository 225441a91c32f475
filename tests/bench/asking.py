"""How long answers over the control socket take."""

from __future__ import annotations

import time
from typing import Any

from circustwist.control.blocking import Control

from .ours import running
from .rows import Row

CALLS = 500


def _slowest(control: Control, command: str, calls: int, **arguments: Any) -> float:
    """The 99th percentile of the milliseconds that an answer takes."""
    found = []
    for _ in range(calls):
        began = time.perf_counter()
        control.call(command, **arguments)
        found.append(1000 * (time.perf_counter() - began))
    return sorted(found)[int(0.99 * calls)]


def ask() -> list[Row]:
    """C{status} and C{list} with 1000 workers."""
    with running(1000) as (daemon, _), Control(daemon.where) as control:
        return [
            Row("status of one of 1000, 99th percentile", _slowest(control, "status", CALLS, name="w"), "ms", limit=5),
            Row("list of 1000, 99th percentile", _slowest(control, "list", CALLS, name="w"), "ms", limit=25),
            Row("status with details of 1000, 99th percentile", _slowest(control, "status", 50, detail=True), "ms"),
        ]
