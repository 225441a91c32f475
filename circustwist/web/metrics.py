"""
Samples as Prometheus reads them.

@see: U{https://prometheus.io/docs/instrumenting/exposition_formats/}, version 0.0.4 of the text format
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import attrs
from twisted.internet.defer import Deferred

from ..model.samples import ProcessSample, Sample, SocketSample

if TYPE_CHECKING:
    from ..logic.requests import Steering

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

PERIOD = 60.0
"""A scrape wants one sample, and has ended long before the next."""

Labels: TypeAlias = Mapping[str, str]
Value: TypeAlias = float | None
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@attrs.frozen
class Family:
    """
    One metric with its values.

    @ivar kind: C{counter} or C{gauge}.
    @ivar values: labels and value of each; those without a value are left out.
    """

    name: str
    kind: str
    help: str
    values: Iterable[tuple[Labels, Value]]

    def lines(self) -> list[str]:
        """It as text; nothing if there is no value."""
        rows = [f"{self.name}{_labelled(labels)} {_number(value)}" for labels, value in self.values
                if value is not None]
        return [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} {self.kind}", *rows] if rows else []


def _labelled(labels: Labels) -> str:
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(round(value, 6))


def scraper(steering: Steering) -> Callable[[Mapping[str, str]], Awaitable[tuple[bytes, bytes]]]:
    """Answers scrapes: the text and its content type; C{per_process=1} tells of every process."""

    async def scrape(given: Mapping[str, str]) -> tuple[bytes, bytes]:
        taken: Deferred[Sample] = Deferred()

        def told(sample: Sample) -> None:
            if not taken.called:
                taken.callback(sample)

        end = steering.observe(told, PERIOD)
        try:
            return exposition(await taken, given.get("per_process") == "1"), CONTENT_TYPE
        finally:
            end()

    return scrape


def exposition(sample: Sample, processes: bool = False) -> bytes:
    """
    All metrics of a sample.

    @param processes: whether to tell of every process, and not only of their watchers.
    """
    families = [*_supervisor(sample), *_watchers(sample), *_dropped(sample), *_sockets(sample.sockets)]
    families += _workers(sample) if processes else []
    text = "\n".join(line for family in families for line in family.lines()) + "\n"
    return text.encode("utf-8", "backslashreplace")


_USAGE: tuple[tuple[str, str, str, Callable[[ProcessSample], Value]], ...] = (
    ("cpu_seconds_total", "counter", "Processor time, with that of children that have ended.", lambda p: p.seconds),
    ("resident_memory_bytes", "gauge", "Memory in use.", lambda p: p.memory),
    ("virtual_memory_bytes", "gauge", "Memory that is mapped.", lambda p: p.virtual),
    ("open_fds", "gauge", "Open descriptors.", lambda p: p.fds),
    ("threads", "gauge", "Threads.", lambda p: p.threads),
    ("children", "gauge", "Direct children.", lambda p: p.children),
    ("start_time_seconds", "gauge", "When it was started, since the epoch.", lambda p: p.facts.created),
)


def _supervisor(sample: Sample) -> list[Family]:
    own = sample.supervisor
    found = [Family(f"circustwist_supervisor_{name}", kind, help, [({}, of(own))]) for name, kind, help, of in _USAGE]
    lag = Family("circustwist_supervisor_lag_seconds", "gauge", "How late the supervisor came to look.",
                 [({}, float(sample.lag))])
    return [*found, lag]


def _watchers(sample: Sample) -> list[Family]:
    names = [({"watcher": one.name}, one) for one in sample.watchers]
    found = [
        Family("circustwist_watcher_processes", "gauge", "Processes that run.",
               [(labels, len(one.workers)) for labels, one in names]),
        Family("circustwist_watcher_cpu_seconds_total", "counter", "Processor time of all, since the first look.",
               [(labels, float(one.seconds)) for labels, one in names]),
    ]
    for name, kind, help, of in _USAGE:
        if kind == "gauge" and name != "start_time_seconds":
            values: list[tuple[Labels, Value]] = [(labels, one.total(of)) for labels, one in names]
            found.append(Family(f"circustwist_watcher_{name}", kind, f"{help[:-1]}, of all processes.", values))
    return found


def _dropped(sample: Sample) -> list[Family]:
    every = [({"watcher": watcher, "stream": stream}, counts)
             for watcher, outputs in sample.dropped.items() for stream, counts in outputs.items()]
    return [
        Family(f"circustwist_watcher_dropped_{unit}_total", "counter",
               f"{unit.capitalize()} of output that were dropped.",
               [(labels, counts[unit]) for labels, counts in every])
        for unit in ("bytes", "lines")]


def _workers(sample: Sample) -> list[Family]:
    every = [
        ({"watcher": one.name, "worker": str(worker.names.wid), "pid": str(worker.process.pid)}, worker.process)
        for one in sample.watchers for worker in one.workers]
    return [
        Family(f"circustwist_process_{name}", kind, help, [(labels, of(process)) for labels, process in every])
        for name, kind, help, of in _USAGE]


_SOCKET: tuple[tuple[str, str, str, Callable[[SocketSample], Value]], ...] = (
    ("connections_total", "counter", "Connections.", lambda s: s.hits.total),
    ("connections_exact", "gauge", "Whether none can have been missed; 0 is a lower bound.",
     lambda s: None if s.hits.total is None else int(s.hits.exact)),
    ("connections_open", "gauge", "Connections that stand.", lambda s: s.hits.open),
    ("received_bytes_total", "counter", "Bytes from clients, of ended connections.", lambda s: s.hits.received),
    ("sent_bytes_total", "counter", "Bytes to clients, of ended connections.", lambda s: s.hits.sent),
    ("queue_connections", "gauge", "Connections that wait to be accepted.", lambda s: s.queue),
    ("queue_limit_connections", "gauge", "How many may wait.", lambda s: s.limit),
    ("dropped_connections_total", "counter", "Connections that were refused since as many waited.", lambda s: s.drops),
)


def _sockets(sockets: Iterable[SocketSample]) -> list[Family]:
    found = [
        Family(f"circustwist_socket_{name}", kind, help, [({"socket": s.name, "address": s.address}, of(s))
                                                          for s in sockets])
        for name, kind, help, of in _SOCKET]
    seats = [({"socket": s.name, "seat": str(seat["name"])}, seat) for s in sockets for seat in s.seats]
    return [
        *found,
        Family("circustwist_socket_seat_queue_connections", "gauge", "Connections that wait, by seat.",
               [(labels, seat.get("queue")) for labels, seat in seats]),
        Family("circustwist_socket_seat_dropped_connections_total", "counter", "Refused connections, by seat.",
               [(labels, seat.get("drops")) for labels, seat in seats]),
    ]
