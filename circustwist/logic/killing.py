"""
Ending single processes of a watcher on request: each seat is filled again when its process is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..model.effects import NOTHING, Effects
from . import restart
from .seats import joined
from .worker import Ending, Worker

if TYPE_CHECKING:
    from .watcher import Watcher


def kill(watcher: Watcher, workers: Iterable[Worker], now: float, ending: Ending) -> Effects:
    """End these processes."""
    effects = []
    for worker in workers:
        seat = watcher.seats.seatOf(worker)
        if seat is not None:
            watcher.due.killed[worker.names.id] = seat
        effects.append(watcher.seats.retire(worker, now, ending))
    return joined(effects)


def gone(watcher: Watcher, worker: Worker, now: float, status: int) -> Effects:
    """A process has ended: if it was killed, let another one come."""
    seat = watcher.due.killed.pop(worker.names.id, None)
    if seat is None or seat.holder or not watcher.running:
        return NOTHING
    if not restart.wantedAgain(watcher.spec, status):
        return watcher.seats.spend(seat.number, restart.succeeded(watcher.spec, status))
    return watcher.inputs.vacant(now, seat, now)
