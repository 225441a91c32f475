"""Tells a statsd of events and of what processes use."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import DatagramProtocol

from ..model.events import Occurrence
from ..model.plugins import PREFIX
from ..model.samples import Sample, WatcherSample
from .base import Kit, Plugin

EVENTS = frozenset((
    "spawn", "reap", "kill", "start", "stop", "reload", "updated", "add", "remove", "hook_success", "hook_failure"))
"""The events that Circus has."""


class Emitter(DatagramProtocol):
    """
    Sends figures to a statsd, as soon as its address is known; what comes before is lost.
    """

    transport: Any

    def __init__(self, reactor: Any, settings: Any) -> None:
        self._reactor = reactor
        self._settings = settings
        self._address: tuple[str, int] | None = None
        self._port: Any = None

    def open(self) -> Deferred[Any]:
        """
        Find the address.

        @return: fires when it is found, or could not be.
        """
        self._port = self._reactor.listenUDP(0, self)
        found = maybeDeferred(self._reactor.resolve, self._settings.host)
        return found.addCallbacks(self._found, lambda failure: Plugin.log.error(
            "statsd at {host} is not found: {error}", host=self._settings.host, error=failure.getErrorMessage()))

    def _found(self, host: str) -> None:
        self._address = (host, self._settings.port)

    def close(self) -> None:
        """Send nothing any more."""
        if self._port is not None:
            self._port.stopListening()
            self._port = self._address = None

    def count(self, name: str, number: int = 1) -> None:
        """So many more."""
        self._send(name, f"{number}|c")

    def gauge(self, name: str, value: float) -> None:
        """So much now."""
        self._send(name, f"{value:.10g}|g")

    def time(self, name: str, milliseconds: float) -> None:
        """So long did it take."""
        self._send(name, f"{milliseconds:.0f}|ms")

    def _send(self, name: str, value: str) -> None:
        settings = self._settings
        if self._address is None or (settings.sample_rate < 1 and random.random() >= settings.sample_rate):
            return
        rate = f"|@{settings.sample_rate:g}" if settings.sample_rate < 1 else ""
        text = f"circus.{settings.application_name}.{name}:{value}{rate}"
        try:
            self.transport.write(text.encode(), self._address)
        except OSError as error:
            Plugin.log.debug("statsd: {error}", error=str(error))


class Telling(Plugin):
    """
    A plugin that tells a statsd.

    @ivar statsd: sends to it.
    """

    def __init__(self, kit: Kit, settings: Any) -> None:
        super().__init__(kit, settings)
        self.statsd = Emitter(kit.reactor, settings)

    def start(self) -> None:
        """Begin as soon as the address is known."""
        super().start()
        self.statsd.open().addCallback(lambda _: self.ready())

    def ready(self) -> None:
        """The address is known."""

    def stop(self) -> None:
        """End."""
        super().stop()
        self.statsd.close()


class StatsdEmitter(Telling):
    """Circus's plugin C{StatsdEmitter}: counts events."""

    def hear(self, occurrence: Occurrence) -> None:
        """Count it."""
        event = occurrence.event
        if event.watcher and event.name in EVENTS:
            self.statsd.count(f"watcher.{event.watcher.lower().replace(' ', '_')}.{event.name}")


class Observing(Telling):
    """A plugin that is told what processes use, every C{loop_rate} seconds."""

    def __init__(self, kit: Kit, settings: Any) -> None:
        super().__init__(kit, settings)
        self._end: Callable[[], None] = lambda: None

    def ready(self) -> None:
        """Observe from now on."""
        if not self.stopped:
            self._end = self.kit.steering.observe(self.observed, self.settings.loop_rate)

    def stop(self) -> None:
        """End."""
        super().stop()
        self._end()

    def observed(self, sample: Sample) -> None:
        """What everything uses."""


class FullStats(Observing):
    """Circus's plugin C{FullStats}: gauges of each watcher."""

    def observed(self, sample: Sample) -> None:
        """Tell them."""
        for watcher in sample.watchers:
            if watcher.workers and not watcher.name.startswith(PREFIX):
                for name, value in figures(watcher):
                    self.statsd.gauge(f"watcher._stats.{watcher.name}.{name}", value)


def figures(watcher: WatcherSample) -> Iterable[tuple[str, float]]:
    """What is told of a watcher."""
    processes = [worker.process for worker in watcher.workers]
    yield "watchers_num", len(processes)
    for name, values in (
        ("cpu", [process.cpu for process in processes]), ("mem_pct", [process.share for process in processes]),
        ("mem", [process.memory for process in processes]),
    ):
        yield f"{name}_max", max(values)
        yield f"{name}_sum", sum(values)
