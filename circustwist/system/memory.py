"""
How much memory workers use: read now and then of those that are to use no more than a limit.

There is one timer for all of them, and none while there are none.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..model.launch import Names

INTERVAL = 10.0
"""Seconds between two looks."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """
    How much of a process is in memory, in bytes, without that of its children; proc_pid_statm(5).

    @return: 0 if there is no such process.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


class Meter:
    """Those whose memory is limited."""

    def __init__(self, clock: IReactorTime, told: Callable[[Names, int], None]) -> None:
        """
        @param told: called with whoever is at its limit or above it, and the bytes that it uses.
        """
        self._clock = clock
        self._told = told
        self._limits: dict[int, tuple[Names, int, int]] = {}
        self._call: IDelayedCall | None = None

    def limit(self, names: Names, pid: int, limit: int) -> None:
        """
        Look at a worker from now on.

        @param limit: in bytes; 0 is none.
        """
        if not limit:
            self.forget(names.id)
            return
        self._limits[names.id] = (names, pid, limit)
        if self._call is None:
            self._call = self._clock.callLater(INTERVAL, self._look)

    def forget(self, id: int) -> None:
        """Do not look at a worker any more; harmless if nobody did."""
        self._limits.pop(id, None)
        if not self._limits:
            self.close()

    def close(self) -> None:
        """Look at nobody any more."""
        self._limits.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = self._clock.callLater(INTERVAL, self._look)
        for names, pid, limit in list(self._limits.values()):
            size = resident(pid)
            if size >= limit:
                self._told(names, size)
