"""
What the supervisor says of itself: one line for what people want to know.

Events become lines of the log; on a terminal the start of a big stack shows
its progress in place.
"""

from __future__ import annotations

import os
import sys
from shutil import which
from typing import TextIO

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from .logic.answers import inFile
from .logic.arbiter import Arbiter
from .model.events import Event, Occurrence
from .preparation import Prepared
from .system import cgroup, kernel
from .system.rundir import running

BIG = 20
"""From so many workers on the progress of a start or stop is shown."""

PATIENCE = 1.0
"""After so many seconds it is said whom a stop waits for."""

NAMED = 3
"""So many of them are named."""


def plural(number: int, noun: str) -> str:
    """C{1 socket}, C{2 sockets}."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary(arbiter: Arbiter) -> str:
    """C{hello: 1 socket, 2 watchers, 6 workers}."""
    stack = arbiter.stack
    workers = sum(watcher.seats.wanted for watcher in arbiter.watchers.values() if watcher.spec.autostart)
    counts = (plural(len(stack.sockets), "socket"), plural(len(stack.watchers), "watcher"), plural(workers, "worker"))
    return f"{stack.name}: {', '.join(counts)}"


@attrs.frozen
class Guide:
    """
    What people are told at the start.

    @ivar features: what the kernel offers.
    @ivar addresses: of the sockets, by name.
    @ivar command: how C{circustwist} is called from anywhere.
    @ivar screen: the terminal in whose foreground this runs; None if there is none.
    """

    features: str
    addresses: dict[str, str]
    command: str = "circustwist"
    screen: TextIO | None = None

    def lines(self, first: str) -> list[str]:
        """
        Where the stack is and how it is steered.

        @param first: a watcher, for an example.
        """
        found = [f"{name} {address}" for name, address in self.addresses.items()]
        if len(found) == 1:
            found = [f"app {address}" for address in self.addresses.values()]
        where = "  ".join(found)
        if self.screen is None:
            return [f"  {where}"] if where else []
        return [
            f"  {where}    Ctrl-C stops all" if where else "  Ctrl-C stops all",
            f"  other terminal, same user, any directory:  {self.command} status | events | restart {first}".rstrip()]


class Announcer:
    """Listens to the events and says what matters."""

    _log = Logger(namespace="circustwist")

    def __init__(self, arbiter: Arbiter, clock: IReactorTime, guide: Guide) -> None:
        self._arbiter = arbiter
        self._clock = clock
        self._guide = guide
        self._began = clock.seconds()
        self._stopped: dict[str, str] = {}
        self._shown = False
        self._patience: IDelayedCall | None = None
        self._taken = 0

    def hear(self, occurrence: Occurrence) -> None:
        """One event."""
        event = occurrence.event
        say = getattr(self, f"_{event.name}", None)
        if say is not None:
            say(event)

    def _operation(self, event: Event) -> None:
        data = event.data
        if data["state"] == "running":
            if data["command"] in ("start", "quit"):
                self._progress(event)
        elif data["command"] == "quit":
            self._over(event.by)
        elif data["command"] == "start" and event.by == "supervisor":
            self._end(*self._started())
        elif data["state"] in ("failed", "interrupted"):
            self._log.error("{text}", text=data["text"])

    def _progress(self, event: Event) -> None:
        data = event.data
        if data["command"] == "quit" and data["done"] == data["total"] and data["total"]:
            self._stopped[data["watcher"]] = f"{data['done']}/{data['total']}"
        if data["total"] >= BIG and self._guide.screen is not None:
            self._shown = True
            self._draw(f"{data['command']}: {data['text']}")

    def _draw(self, text: str) -> None:
        """Show something in place of the line that the cursor is on."""
        if self._guide.screen is not None:
            self._guide.screen.write(f"\r\x1b[K{text}")
            self._guide.screen.flush()

    def _end(self, *lines: str) -> None:
        if self._shown:
            self._shown = False
            self._draw("")
        for line in lines:
            self._log.info("{line}", line=line)

    def _took(self) -> str:
        return f"{self._clock.seconds() - self._began:.1f} s"

    def _started(self) -> list[str]:
        watchers = inFile(self._arbiter)
        states = []
        for watcher in watchers:
            state = f"{watcher.name} {watcher.seats.active()}/{watcher.seats.wanted}"
            status = "on demand" if watcher.demand.asleep else watcher.status
            if status == "active":
                status = "ready" if watcher.sight.shown(watcher.spec) else ""
            states.append(f"{state} {status}".rstrip())
        told = (summary(self._arbiter), self._guide.features, f"{', '.join(states) or 'nothing runs'} ({self._took()})")
        taken = [f"  {plural(self._taken, 'worker')} of an earlier supervisor adopted"] if self._taken else []
        return [" · ".join(told), *taken, *self._guide.lines(watchers[0].name if watchers else "")]

    def _quit(self, event: Event) -> None:
        self._began = self._clock.seconds()
        self._stopped.clear()
        self._patience = self._clock.callLater(PATIENCE, self._waiting)

    def _waiting(self) -> None:
        """Say who takes long to end."""
        self._patience = None
        left = [str(worker.names) for watcher in inFile(self._arbiter) for worker in watcher.seats.workers.values()]
        more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
        again = "; Ctrl-C again kills" if self._guide.screen is not None else ""
        self._end(f"waiting for {', '.join(left[:NAMED])}{more} to end{again}")

    def _over(self, by: str) -> None:
        """Everything has stopped, the last watcher first."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        names = [watcher.name for watcher in reversed(inFile(self._arbiter)) if watcher.name in self._stopped]
        parts = [*(f"{name} {self._stopped[name]}" for name in names), f"done in {self._took()}"]
        # The terminal has shown ^C on this line.
        space = " " if self._guide.screen is not None and by == "SIGINT" and not self._shown else ""
        self._end(f"{space}stopping: {', '.join(parts)}")

    def _reap(self, event: Event) -> None:
        if not event.planned:
            tell = self._log.warn if self._isLoss(event) else self._log.info
            tell("{worker} (pid {pid}) {reason} after {age:.1f} s", worker=event.worker, pid=event.pid,
                 reason=event.data["reason"], age=event.data["age"])

    def _isLoss(self, event: Event) -> bool:
        """Whether a process that ended was to go on, or has failed."""
        watcher = self._arbiter.watchers.get(event.watcher.lower())
        return watcher is None or watcher.spec.respawn == "always" or (
            event.data["exit_code"] not in watcher.spec.success_exit_codes)

    def _spawn_failure(self, event: Event) -> None:
        self._log.error("{worker} could not be started: {error}", worker=event.worker, error=event.data["error"])

    def _failed(self, event: Event) -> None:
        self._log.error("{watcher} has failed: {reason}", watcher=event.watcher, reason=event.data["reason"])

    def _unmet(self, event: Event) -> None:
        self._log.error("{watcher} was not started: {reason}", watcher=event.watcher, reason=event.data["reason"])

    def _adopted(self, event: Event) -> None:
        self._taken += 1


def guide(prepared: Prepared, screen: TextIO | None) -> Guide:
    """What people are told at the start of a stack."""
    return Guide(str(kernel.features(cgroup.delegated())), _addresses(prepared), _command(prepared), screen)


def _addresses(prepared: Prepared) -> dict[str, str]:
    """What a person may open, by the sockets' names."""
    described = [(s.name, prepared.sockets.describe(s.name)) for s in prepared.stack.sockets if s.stream]
    return {
        name: f"http://[{known['host']}]:{known['port']}" if ":" in known["host"]
        else f"http://{known['host']}:{known['port']}"
        for name, known in described if "port" in known}


def _command(prepared: Prepared) -> str:
    """How this stack is steered from another terminal, whatever its folder."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "circustwist")
    command = beside if which("circustwist") is None and os.path.exists(beside) else "circustwist"
    rundir = prepared.rundir
    every = [found.directory for found in running(os.getuid(), prepared.environ)]
    if rundir.directory in every:
        return command if len(every) == 1 else f"{command} -s {rundir.name}"
    return f"{command} -s {rundir.directory or rundir.controlPath.replace(chr(0), '@')}"
