"""
What is measured, as values: processes, watchers, sockets and the supervisor at one moment.

Sizes are in bytes, times in seconds, shares of a processor or of the memory in
percent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from .launch import Names


@attrs.frozen
class Facts:
    """
    What seldom changes of a process.

    @ivar name: of its program, without the folder.
    @ivar user: the name of whoever it runs as.
    @ivar created: when it was started, in seconds since the epoch.
    """

    name: str = ""
    user: str = ""
    nice: int = 0
    created: float = 0.0


@attrs.frozen
class ProcessSample:
    """
    One process.

    @ivar cpu: of one processor since the previous sample, with what its
        children used that have ended since; 0 in its first sample.
    @ivar seconds: processor time so far, with that of children that have ended.
    @ivar memory: how much of it is in memory.
    @ivar virtual: how much is mapped.
    @ivar share: its memory of all that the host has.
    @ivar fds: open descriptors; None where that may not be seen.
    @ivar children: how many direct children it has.
    """

    pid: int
    cpu: float = 0.0
    seconds: float = 0.0
    memory: int = 0
    virtual: int = 0
    share: float = 0.0
    age: float = 0.0
    threads: int = 0
    fds: int | None = None
    children: int = 0
    facts: Facts = Facts()

    def json(self) -> dict[str, Any]:
        """As every face sends it."""
        return {
            "pid": self.pid, "cpu": round(self.cpu, 1), "cpu_seconds": round(self.seconds, 2), "memory": self.memory,
            "virtual": self.virtual, "share": round(self.share, 3), "age": round(self.age, 2), "threads": self.threads,
            "fds": self.fds, "children": self.children, **attrs.asdict(self.facts),
        }


@attrs.frozen
class WorkerSample:
    """
    One worker.

    @ivar offspring: its direct children, where they were asked for.
    """

    names: Names
    process: ProcessSample
    offspring: tuple[ProcessSample, ...] = ()

    def json(self) -> dict[str, Any]:
        """As every face sends it."""
        return {"id": self.names.id, "wid": self.names.wid, "generation": self.names.generation, **self.process.json()}


@attrs.frozen
class WatcherSample:
    """
    The processes of one watcher.

    @ivar seconds: processor time since the watcher was seen first, with that of
        workers that have ended as far as it was seen; it never becomes less.
    """

    name: str
    workers: tuple[WorkerSample, ...] = ()
    seconds: float = 0.0

    def total(self, of: Callable[[ProcessSample], float | None]) -> float:
        """The sum of something over all of them."""
        return sum(of(worker.process) or 0 for worker in self.workers)

    @property
    def age(self) -> float:
        """Of the oldest."""
        return max((worker.process.age for worker in self.workers), default=0.0)

    def json(self) -> dict[str, Any]:
        """As every face sends it."""
        return {
            "name": self.name, "processes": len(self.workers), "cpu": round(self.total(lambda p: p.cpu), 1),
            "cpu_seconds": round(self.total(lambda p: p.seconds), 2), "memory": self.total(lambda p: p.memory),
            "share": round(self.total(lambda p: p.share), 3), "threads": self.total(lambda p: p.threads),
            "fds": self.total(lambda p: p.fds), "children": self.total(lambda p: p.children),
            "age": round(self.age, 2), "workers": [worker.json() for worker in self.workers],
        }


@attrs.frozen
class Hits:
    """
    The connections of one socket.

    @ivar total: since the socket was first bound; None where they cannot be counted.
    @ivar exact: whether it is that many; otherwise it is at least that many.
    @ivar method: how they are counted, in a word; empty if they are not.
    @ivar rate: a second, since the previous sample; None in the first one.
    @ivar open: how many stand now; None where that cannot be seen.
    @ivar received: bytes from clients, of connections that have ended; None where that cannot be seen.
    @ivar sent: bytes to clients, likewise.
    """

    total: int | None = None
    exact: bool = True
    method: str = ""
    rate: float | None = None
    open: int | None = None
    received: int | None = None
    sent: int | None = None

    def json(self) -> dict[str, Any]:
        """As every face sends it."""
        return {
            "connections": self.total, "exact": self.exact, "method": self.method,
            "rate": None if self.rate is None else round(self.rate, 2), "open": self.open, "received": self.received,
            "sent": self.sent,
        }


UNCOUNTED = Hits()


@attrs.frozen
class SocketSample:
    """
    One socket.

    @ivar number: its descriptor in the workers.
    @ivar queue: how many connections wait to be accepted; None where the
        kernel does not say.
    @ivar limit: how many may.
    @ivar drops: how many were refused because the queue was full.
    @ivar seats: where each seat has a socket of its own: name, queue and
        drops of each.
    """

    name: str
    number: int
    address: str
    hits: Hits = UNCOUNTED
    queue: int | None = None
    limit: int | None = None
    drops: int | None = None
    seats: tuple[Mapping[str, Any], ...] = attrs.field(default=(), hash=False)

    def json(self) -> dict[str, Any]:
        """As every face sends it."""
        seats = {"seats": [dict(seat) for seat in self.seats]} if self.seats else {}
        return {
            "name": self.name, "fd": self.number, "address": self.address, **self.hits.json(), "queue": self.queue,
            "limit": self.limit, "drops": self.drops, **seats,
        }


@attrs.frozen
class Sample:
    """
    Everything that is measured, at one moment.

    @ivar time: time of day, in seconds since the epoch.
    @ivar period: seconds since the sample before it, 0 if it is the first.
    @ivar supervisor: the supervisor's own process, without what its workers used.
    @ivar lag: seconds by which the supervisor was late to take it: how long
        others have to wait for it.
    @ivar dropped: how much output was dropped: C{bytes} and C{lines} by watcher and C{stdout} or C{stderr}.
    """

    time: float
    period: float
    supervisor: ProcessSample
    lag: float
    watchers: tuple[WatcherSample, ...] = ()
    sockets: tuple[SocketSample, ...] = ()
    dropped: Mapping[str, Mapping[str, Mapping[str, int]]] = attrs.field(factory=dict, hash=False)

    def watcher(self, name: str) -> WatcherSample | None:
        """A watcher by its name, in any case."""
        return next((one for one in self.watchers if one.name.lower() == name.lower()), None)

    def json(self) -> dict[str, Any]:
        """As every face sends it."""
        return {
            "time": round(self.time, 3), "period": round(self.period, 3),
            "supervisor": {**self.supervisor.json(), "lag": round(self.lag, 4)},
            "watchers": [watcher.json() for watcher in self.watchers],
            "sockets": [socket.json() for socket in self.sockets],
            "dropped": {watcher: dict(outputs) for watcher, outputs in self.dropped.items()},
        }
