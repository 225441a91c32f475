"""
The supervisor as a unit of a service manager: what systemd is told of it, and
what it keeps for it.

Everything is told when something has happened, except that it lives, which is
told as often as the manager asks for it (C{WatchdogSec=}) and never otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from .model.events import Event, Occurrence
from .model.stack import Stack
from .service import Supervisor
from .system.activation import STORED
from .system.clock import Clock
from .system.herald import Herald, Manager

STATUS_PAUSE = 1.0
"""Seconds between two lines of status at least."""
SPARE = 15.0
"""Seconds that a start or stop may take beyond what its configuration says, until the manager loses patience."""
SHOWN = 10
"""So many watchers are in the line of status."""


class Unit:
    """Tells the manager what happens."""

    def __init__(self, manager: Manager, reactor: Any, supervisor: Supervisor) -> None:
        """
        @param supervisor: that runs.
        """
        self._manager = manager
        self._clock = Clock(reactor)
        self._supervisor = supervisor
        self._herald = Herald(manager, self._clock)
        self._kept: dict[str, int] = {}
        self._status = ""
        self._later: IDelayedCall | None = None
        self._beat: IDelayedCall | None = None
        self._reloading = 0
        self._unsubscribe: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Tell of everything from now on."""
        self._unsubscribe = self._supervisor.faces.steering.subscribe(self._happened)
        if self._manager.watchdog:
            self._live()
        self._keep()

    def close(self) -> None:
        """The end has come."""
        self._unsubscribe()
        for call in (self._later, self._beat):
            if call is not None:
                call.cancel()
        self._later = self._beat = None
        self._herald.close()
        self._clock.close()

    # That it lives

    def _live(self) -> None:
        self._herald.tell("WATCHDOG=1")
        self._beat = self._clock.callLater(self._manager.watchdog / 2, self._live)

    # What happens

    def _happened(self, occurrence: Occurrence) -> None:
        event = occurrence.event
        if event.name == "operation":
            self._operation(event)
        elif event.name == "quit":
            self._herald.tell("STOPPING=1", "STATUS=stopping", extended(self._longest(stopTime)))
        if event.name != "quit":
            self._tellStatus()

    def _operation(self, event: Event) -> None:
        data = event.data
        running, command = data["state"] == "running", data["command"]
        if running and command == "start" and event.by == "supervisor":
            self._herald.tell(extended(self._longest(startTime)))
        elif running and command == "quit":
            self._herald.tell(extended(self._longest(stopTime)))
        elif running and command == "reloadconfig" and self._reloading != data["id"]:
            self._reloading = data["id"]
            self._herald.tell("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.seconds() * 1e6)}")
        if running or command == "quit":
            return
        self._keep()
        if (command == "start" and event.by == "supervisor") or data["id"] == self._reloading:
            self._status = self._line()
            self._herald.tell("READY=1", f"STATUS={self._status}")

    def _longest(self, time: Callable[[Stack], float]) -> float:
        return time(self._supervisor.stack)

    # How it is

    def _tellStatus(self) -> None:
        """Tell how it is now, and a moment later if it has changed again until then."""
        if self._later is None:
            self._later = self._clock.callLater(STATUS_PAUSE, self._again)

    def _again(self) -> None:
        self._later = None
        line = self._line()
        if line != self._status:
            self._status = line
            self._herald.tell(f"STATUS={line}")

    def _line(self) -> str:
        """C{web 5/5, clock 1/1}."""
        every = sorted(self._supervisor.watchers.values(), key=lambda watcher: watcher.name)
        states = []
        for watcher in every[:SHOWN]:
            plain = watcher.status in ("active", "starting")
            state = f"{watcher.seats.active()}/{watcher.seats.wanted}" if plain else watcher.status
            states.append(f"{watcher.name} {state}")
        more = [f"and {len(every) - SHOWN} more"] if len(every) > SHOWN else []
        return ", ".join([*states, *more]) or "nothing runs"

    # What it keeps for us

    def _keep(self) -> None:
        """Let the manager keep the sockets that we hold now, and no others."""
        if not self._manager.storing:
            return
        sockets = self._supervisor.sockets
        now = {name: os.fstat(sockets.fileno(name)).st_ino for name in sockets.names() if keepable(name)}
        for name, inode in self._kept.items():
            if now.get(name) != inode:
                self._herald.tell("FDSTOREREMOVE=1", f"FDNAME={STORED}{name}")
        for name, inode in now.items():
            if self._kept.get(name) != inode:
                # A socket that is bound and does not listen looks hung up, and would be thrown away; poll(2).
                self._herald.tell("FDSTORE=1", f"FDNAME={STORED}{name}", "FDPOLL=0", fd=sockets.fileno(name))
        self._kept = now


def keepable(name: str) -> bool:
    """Whether a descriptor may have such a name; sd_notify(3)."""
    return len(STORED + name) < 256 and name.isascii() and name.isprintable() and ":" not in name


def extended(seconds: float) -> str:
    """Ask for more time."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"


def startTime(stack: Stack) -> float:
    """The longest that one watcher may take to start, in seconds."""
    each = (one.ready_timeout + one.warmup_delay * one.numprocesses for one in stack.watchers)
    return max(each, default=0.0) + stack.settings.warmup_delay + SPARE


def stopTime(stack: Stack) -> float:
    """The longest that one watcher may take to stop, in seconds."""
    limit = stack.settings.shutdown_timeout
    longest = max((one.graceful_timeout for one in stack.watchers), default=0.0)
    return (longest if limit is None else min(limit, longest)) + SPARE
