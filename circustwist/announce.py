"""
What the supervisor says of itself: one line for what people want to know.

Events become lines of the log; on a terminal the start of a big stack shows
its progress in place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from twisted.logger import Logger

from .logic.arbiter import Arbiter
from .model.events import Event, Occurrence

BIG = 20
"""From so many workers on the progress of a start or stop is shown."""


def plural(number: int, noun: str) -> str:
    """C{1 socket}, C{2 sockets}."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary(arbiter: Arbiter) -> str:
    """C{hello: 1 socket, 2 watchers, 6 workers}."""
    stack = arbiter.stack
    workers = sum(watcher.seats.wanted for watcher in arbiter.watchers.values() if watcher.spec.autostart)
    counts = (plural(len(stack.sockets), "socket"), plural(len(stack.watchers), "watcher"), plural(workers, "worker"))
    return f"{stack.name}: {', '.join(counts)}"


class Announcer:
    """
    Listens to the events and says what matters.

    @ivar addresses: what to show of the sockets after the start.
    """

    _log = Logger(namespace="circustwist")

    def __init__(self, arbiter: Arbiter, seconds: Callable[[], float], features: str, addresses: list[str]) -> None:
        self._arbiter = arbiter
        self._seconds = seconds
        self._features = features
        self.addresses = addresses
        self._began = seconds()
        self._stopped: list[str] = []
        self._shown = False

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
            self._end(f"stopping: {', '.join(self._stopped)}, done in {self._took()} s")
        elif data["id"] == 1:
            self._end(self._started())
        elif data["state"] == "failed":
            self._log.error("{text}", text=data["text"])

    def _progress(self, event: Event) -> None:
        data = event.data
        if data["command"] == "quit" and data["done"] == data["total"] and data["total"]:
            self._stopped.append(f"{data['watcher']} {data['done']}/{data['total']}")
        if data["total"] >= BIG and sys.stderr.isatty():
            self._shown = True
            sys.stderr.write(f"\r\x1b[K{data['command']}: {data['text']}")
            sys.stderr.flush()

    def _end(self, line: str) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            self._shown = False
        self._log.info("{line}", line=line)

    def _took(self) -> str:
        return f"{self._seconds() - self._began:.1f}"

    def _started(self) -> str:
        states = []
        for watcher in self._arbiter.watchers.values():
            state = f"{watcher.name} {watcher.seats.active()}/{watcher.seats.wanted}"
            states.append(state if watcher.status == "active" else f"{state} {watcher.status}")
        told = (summary(self._arbiter), self._features, f"{', '.join(states) or 'nothing to run'} ({self._took()} s)")
        lines = [" · ".join(told)]
        lines += [f"  {address}" for address in self.addresses]
        return "\n".join(lines)

    def _quit(self, event: Event) -> None:
        self._began = self._seconds()
        self._stopped.clear()

    def _reap(self, event: Event) -> None:
        if not event.planned:
            self._log.warn("{worker} (pid {pid}) {reason} after {age:.1f} s", worker=event.worker, pid=event.pid,
                           reason=event.data["reason"], age=event.data["age"])

    def _spawn_failure(self, event: Event) -> None:
        self._log.error("{worker} could not be started: {error}", worker=event.worker, error=event.data["error"])

    def _failed(self, event: Event) -> None:
        self._log.error("{watcher} has failed: {reason}", watcher=event.watcher, reason=event.data["reason"])

    def _adopted(self, event: Event) -> None:
        self._log.info("{worker} (pid {pid}) goes on, adopted", worker=event.worker, pid=event.pid)
