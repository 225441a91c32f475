"""Circus's statistics: what C{circus-top}, C{StatsClient} and circus-web hear each second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..logic import figures
from ..model.samples import ProcessSample, Sample, SocketSample, WatcherSample

Message = tuple[str, dict[str, Any]]


class Statistics:
    """
    From samples to messages, each a topic and a payload.

    A watcher has one topic, in lower case and with C{_} for each blank; in
    Circus its later processes have another one than its first.
    """

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}

    def messages(self, sample: Sample) -> Iterator[Message]:
        """What is to be told of a sample."""
        for watcher in sample.watchers:
            if watcher.workers:
                yield from self._watcher(watcher)
        yield from self._supervisor(sample.supervisor)
        if sample.sockets:
            yield from self._sockets(sample.sockets)

    def _watcher(self, watcher: WatcherSample) -> Iterator[Message]:
        topic = f"stat.{watcher.name.lower().replace(' ', '_')}"
        for worker in watcher.workers:
            yield f"{topic}.{worker.process.pid}", figures.info(worker.process)
        yield topic, figures.summed(watcher)

    def _supervisor(self, process: ProcessSample) -> Iterator[Message]:
        info = figures.info(process, "circusd")
        yield f"stat.circus.{process.pid}", info
        yield "stat.circus", {"pid": [process.pid], **{key: info[key] for key in ("cpu", "mem", "age")}}

    def _sockets(self, sockets: Iterable[SocketSample]) -> Iterator[Message]:
        """Connections since the last message are what Circus calls reads; it counts how often one was waiting."""
        addresses, total = [], 0
        for socket in sockets:
            now = socket.hits.total or 0
            reads = max(0, now - self._totals.get(socket.name, now))
            self._totals[socket.name] = now
            addresses.append(socket.address)
            total += reads
            yield f"stat.sockets.{socket.number}", {
                "fd": socket.number, "subtopic": socket.number, "address": socket.address, "reads": reads}
        yield "stat.sockets", {"addresses": addresses, "reads": total}
