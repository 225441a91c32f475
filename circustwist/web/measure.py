"""
Measurements as they are sent: short, and only of processes whose numbers have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ..model.samples import Sample, SocketSample, WorkerSample

Row: TypeAlias = tuple[int, int, int, int, int, int]
"""Of a process: tenths of a percent of a processor, KiB of memory, descriptors, threads, children, and tenths of
seconds of processor time so far; -1 is not known."""


def rows(sample: Sample) -> dict[int, Row]:
    """The numbers of each worker, by its id."""
    return {worker.names.id: _row(worker) for watcher in sample.watchers for worker in watcher.workers}


def _row(worker: WorkerSample) -> Row:
    process = worker.process
    fds = -1 if process.fds is None else process.fds
    return (round(process.cpu * 10), process.memory >> 10, fds, process.threads, process.children,
            int(process.seconds * 10))


def flat(sample: Sample, now: Mapping[int, Row], before: Mapping[int, Row]) -> dict[str, Any]:
    """
    A message about a sample.

    @param now: its L{rows}.
    @param before: those that were sent before; empty if nothing was.
    """
    found: list[int] = []
    for id, row in now.items():
        if before.get(id) != row:
            found += (id, *row)
    process = sample.supervisor
    return {
        "t": round(sample.time, 1), "p": found, "gone": [id for id in before if id not in now], "whole": not before,
        "s": {socket.name: _socket(socket) for socket in sample.sockets},
        "d": {"cpu": round(process.cpu, 1), "memory": process.memory, "fds": process.fds, "threads": process.threads,
              "lag": round(sample.lag, 4)},
    }


def _socket(socket: SocketSample) -> dict[str, Any]:
    hits = socket.hits
    return {
        "total": hits.total, "exact": hits.exact, "method": hits.method, "open": hits.open, "received": hits.received,
        "rate": None if hits.rate is None else round(hits.rate, 1), "sent": hits.sent, "queue": socket.queue,
        "limit": socket.limit, "drops": socket.drops, "seats": [dict(seat) for seat in socket.seats],
    }
