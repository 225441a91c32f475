"""
Asking a process to end when it serves nobody.

Many servers drop whom they are serving when they are asked to end.  A process
that shares its listening socket with others can be asked at a better moment:
it is stopped for an instant, so that it accepts nobody, and if it has no
connection just then the signal is sent.  Whoever comes meanwhile waits in the
socket's queue, for the others.  A connection that was there for a while
already is a kept one, and does not count: its end is announced to the client,
which sends its next request elsewhere.
"""

from __future__ import annotations

import os
import signal
import socket as net
import time
from collections.abc import Collection
from contextlib import suppress

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from . import kernel
from .holders import links
from .interfaces import IWorkerProcess

INTERVAL = 0.004
"""Seconds between two looks."""
PATIENCE = 1.0
"""Seconds after which the signal is sent in any case."""
KEPT = 0.25
"""Seconds after which a connection counts as a kept one."""
MOST = 200
"""A process with more descriptors is not looked at."""
_HALT = 0.002

Door = int | str
"""A port, or the path of a UNIX socket."""


class Rests:
    """Those whose rest is waited for."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._calls: dict[int, IDelayedCall] = {}

    def signal(self, process: IWorkerProcess, signum: int, doors: Collection[Door]) -> None:
        """
        Send a signal, and let the process go on, when it serves nobody.

        @param doors: where it accepts connections.
        """
        if doors:
            self._look(process, signum, doors, self._clock.seconds(), {})
        else:
            process.signal(signum, "process")
            process.signal(signal.SIGCONT, "process")

    def _look(
        self, process: IWorkerProcess, signum: int, doors: Collection[Door], since: float, seen: dict[int, float]
    ) -> None:
        self._calls.pop(process.pid, None)
        now = self._clock.seconds()
        late, stopped = now - since >= PATIENCE, _stopped(process)
        seen = {inode: seen.get(inode, now) for inode in connections(process.pid, doors)} if stopped else seen
        busy = stopped is False or any(now - first < KEPT for first in seen.values())
        if late or not busy:
            process.signal(signum, "process")
        process.signal(signal.SIGCONT, "process")
        if busy and not late:
            self._calls[process.pid] = self._clock.callLater(
                INTERVAL, self._look, process, signum, doors, since, seen)

    def close(self) -> None:
        """Wait for nobody any more."""
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()


def _stopped(process: IWorkerProcess) -> bool | None:
    """
    Stop a process.

    @return: whether it has soon; None if it cannot be, since it was stopped by somebody else or has ended.
    """
    with suppress(OSError, IndexError):
        if kernel.stat(process.pid)[0] in "TtZX":
            return None
        process.signal(signal.SIGSTOP, "process")
        until = time.monotonic() + _HALT
        while time.monotonic() < until:
            if kernel.stat(process.pid)[0] == "T":
                return True
        return False
    return None


def goOn(process: IWorkerProcess) -> None:
    """Continue an adopted process, which a supervisor that was killed may have stopped for a moment."""
    with suppress(OSError, IndexError):
        if kernel.stat(process.pid)[0] == "T":
            process.signal(signal.SIGCONT, "process")


def connections(pid: int, doors: Collection[Door]) -> list[int]:
    """
    The inodes of a process's connections that came in by these doors; none if
    we may not see them, or if there is too much to see.
    """
    found: list[int] = []
    with suppress(OSError):
        mine = [(fd, link) for fd, link in links(pid) if link.startswith("socket:[")]
        pidfd = os.pidfd_open(pid)
        try:
            for fd, link in mine if len(mine) <= MOST else ():
                with suppress(OSError), net.socket(fileno=kernel.pidfdGetFD(pidfd, fd)) as copy:
                    if _door(copy) in doors and not copy.getsockopt(net.SOL_SOCKET, net.SO_ACCEPTCONN):
                        found.append(int(link[8:-1]))
        finally:
            os.close(pidfd)
    return found


def _door(socket: net.socket) -> Door:
    """By which door a connection came in."""
    name = socket.getsockname()
    return int(name[1]) if isinstance(name, tuple) else os.fsdecode(name)
