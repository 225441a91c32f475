"""Circus's statistics: what C{circus-top}, C{StatsClient} and circus-web hear each second."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..logic import figures
from ..model.samples import ProcessSample, Sample, SocketSample, WatcherSample

Message = tuple[str, str]
"""A topic, and a payload as JSON."""


class Statistics:
    """
    From samples to messages.

    A watcher has one topic, in lower case and with C{_} for each blank; in
    Circus its later processes have another one than its first.  Of a process
    of which nothing changed but its age, the text of the last report is used
    again.
    """

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}
        self._before: dict[int, tuple[tuple[Any, ...], str]] = {}
        self._texts: dict[int, tuple[tuple[Any, ...], str]] = {}

    def messages(self, sample: Sample) -> Iterator[Message]:
        """What is to be told of a sample."""
        self._before, self._texts = self._texts, {}
        for watcher in sample.watchers:
            if watcher.workers:
                yield from self._watcher(watcher)
        yield from self._supervisor(sample.supervisor)
        if sample.sockets:
            yield from self._sockets(sample.sockets)

    def _watcher(self, watcher: WatcherSample) -> Iterator[Message]:
        topic = f"stat.{watcher.name.lower().replace(' ', '_')}"
        for worker in watcher.workers:
            yield f"{topic}.{worker.process.pid}", self._process(worker.process)
        yield topic, json.dumps(figures.summed(watcher))

    def _process(self, process: ProcessSample, name: str | None = None) -> str:
        """One process; C{age} comes last."""
        state = (process.cpu, process.seconds, process.memory, process.virtual, process.facts)
        known = self._before.get(process.pid)
        if known is None or known[0] != state:
            info = figures.info(process, name)
            del info["age"]
            known = state, json.dumps(info)[:-1]
        self._texts[process.pid] = known
        return f'{known[1]}, "age": {process.age:.2f}}}'

    def _supervisor(self, process: ProcessSample) -> Iterator[Message]:
        info = figures.info(process, "circusd")
        yield f"stat.circus.{process.pid}", self._process(process, "circusd")
        total = {"pid": [process.pid], **{key: info[key] for key in ("cpu", "mem", "age")}}
        yield "stat.circus", json.dumps(total)

    def _sockets(self, sockets: Iterable[SocketSample]) -> Iterator[Message]:
        """Connections since the last message are what Circus calls reads; it counts how often one was waiting."""
        addresses, total = [], 0
        for socket in sockets:
            now = socket.hits.total or 0
            reads = max(0, now - self._totals.get(socket.name, now))
            self._totals[socket.name] = now
            addresses.append(socket.address)
            total += reads
            yield f"stat.sockets.{socket.number}", json.dumps(
                {"fd": socket.number, "subtopic": socket.number, "address": socket.address, "reads": reads})
        yield "stat.sockets", json.dumps({"addresses": addresses, "reads": total})
