"""
What a service says to its manager; sd_notify(3).

A datagram that does not get through is kept and sent again a little later, in
order.  Nothing here waits, and nobody is asked for an answer.
"""

from __future__ import annotations

import array
import os
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE")
"""They are for one process only."""
PAUSE = 0.1
"""Seconds until a datagram is tried again."""
MOST = 1000
"""So many datagrams wait at most; the oldest are dropped then."""


@attrs.frozen
class Manager:
    """
    The service manager that has started us.

    @ivar address: where its notification socket is; beginning with NUL it is an abstract one.
    @ivar watchdog: within how many seconds it wants to hear that we live; 0 if it does not.
    @ivar storing: whether it keeps descriptors for us; C{FDSTORE} in systemd.exec(5).
    """

    address: str
    watchdog: float = 0.0
    storing: bool = False

    @classmethod
    def fromEnvironment(cls, environ: Mapping[str, str], pid: int) -> Manager | None:
        """
        The manager, if there is one that wants to hear from us.

        @param pid: ours; a watchdog that is meant for another process is none.
        """
        address = environ.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@") or len(address) < 2:
            return None
        meant = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        usec, storing = environ.get("WATCHDOG_USEC", ""), environ.get("FDSTORE", "")
        return cls(
            f"\0{address[1:]}" if address[0] == "@" else address,
            int(usec) / 1e6 if meant and usec.isascii() and usec.isdecimal() else 0.0,
            storing.isascii() and storing.isdecimal() and int(storing) > 0)


class Herald:
    """Speaks to the manager."""

    _log = Logger()

    def __init__(self, manager: Manager, clock: IReactorTime) -> None:
        self._address = manager.address
        self._clock = clock
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._call: IDelayedCall | None = None
        self._failed = False

    def tell(self, *lines: str, fd: int = -1) -> None:
        """
        Send one datagram.

        @param lines: C{READY=1} and the like, in printable characters.
        @param fd: a descriptor that goes with it; a copy is sent.
        """
        if len(self._waiting) >= MOST:
            self._drop()
        self._waiting.append(("\n".join(lines).encode("utf-8", "replace"), os.dup(fd) if fd >= 0 else -1))
        if self._call is None:
            self._send()

    def _send(self) -> None:
        self._call = None
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as speaker:
            while self._waiting:
                data, fd = self._waiting[0]
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd >= 0 else []
                try:
                    speaker.sendmsg([data], rights, 0, self._address)
                except BlockingIOError:
                    self._call = self._clock.callLater(PAUSE, self._send)
                    return
                except OSError as error:
                    self._complain(error)
                self._drop()

    def _complain(self, error: OSError) -> None:
        """Once, since whoever does not hear us will not hear us later either."""
        if not self._failed:
            self._failed = True
            why = os.strerror(error.errno or 0)
            self._log.warn("the service manager cannot be told of anything: {why}", why=why)

    def _drop(self) -> None:
        _, fd = self._waiting.popleft()
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Say what waits if that can be, and nothing more."""
        if self._call is not None:
            self._call.cancel()
        self._send()
        while self._waiting:
            self._drop()
        if self._call is not None:
            with suppress(Exception):
                self._call.cancel()
