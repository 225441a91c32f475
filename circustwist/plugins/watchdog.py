"""Ends processes that do not send datagrams in time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.protocol import DatagramProtocol

from ..model.events import Occurrence
from .base import Kit, Plugin


class Ear(DatagramProtocol):
    """Hears datagrams."""

    def __init__(self, dog: WatchDog) -> None:
        self._dog = dog

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """One process lives."""
        self._dog.heard(datagram)


class WatchDog(Plugin):
    """
    Circus's plugin C{WatchDog}.

    One timer runs, until the first process could be late.

    @ivar port: where datagrams are heard; None before the start.
    """

    port: Any = None

    def __init__(self, kit: Kit, settings: Any) -> None:
        super().__init__(kit, settings)
        self._names = re.compile(settings.watchers_regex)
        self._message = re.compile(settings.msg_regex)
        self._last: dict[int, tuple[str, float]] = {}

    @property
    def patience(self) -> float:
        """So long a process may be silent."""
        return float(self.settings.loop_rate * max(1, self.settings.max_count))

    def start(self) -> None:
        """Begin, with those that run already."""
        self.port = self.kit.reactor.listenUDP(self.settings.port, Ear(self), interface=self.settings.ip)
        super().start()
        self.ask("status", detail=True).addCallback(self._running)

    def _running(self, found: Mapping[str, Any]) -> None:
        for watcher in found.get("stack", {}).get("watchers", ()):
            for worker in watcher["workers"]:
                self._add(watcher["name"], worker["pid"])
        self._next()

    def stop(self) -> None:
        """End."""
        super().stop()
        if self.port is not None:
            self.port.stopListening()

    def _add(self, watcher: str, pid: int) -> None:
        if pid and self._names.match(watcher):
            self._last[pid] = watcher, self.kit.clock.seconds()

    def hear(self, occurrence: Occurrence) -> None:
        """Processes come and go."""
        event = occurrence.event
        if event.name in ("spawn", "adopted"):
            self._add(event.watcher, event.pid)
            self._next()
        elif event.name in ("reap", "kill"):
            self._last.pop(event.pid, None)

    def heard(self, datagram: bytes) -> None:
        """A datagram."""
        match = self._message.match(datagram.decode("utf-8", "replace"))
        pid = 0
        with suppress(ValueError, TypeError, IndexError):
            pid = int(match["pid"]) if match else 0
        if pid in self._last:
            self._last[pid] = self._last[pid][0], self.kit.clock.seconds()

    def _next(self) -> None:
        """Look when the first one could be late."""
        first = min((heard for _, heard in self._last.values()), default=None)
        self.at(None if first is None else first + self.patience - self.kit.clock.seconds())

    def look(self) -> None:
        """End those who are late."""
        now = self.kit.clock.seconds()
        late = [(pid, watcher) for pid, (watcher, heard) in self._last.items() if heard + self.patience <= now]
        for pid, watcher in late:
            del self._last[pid]
            self.log.warn("process {pid} of {watcher} was silent for {seconds:g} s and is ended", pid=pid,
                          watcher=watcher, seconds=self.patience)
            signum = self.settings.watchers_stop_signal
            self.act("kill", watcher, pid=pid, signum="" if signum is None else str(signum),
                     graceful_timeout=self.settings.watchers_graceful_timeout)
        self._next()
