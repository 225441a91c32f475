"""
Streams of the user's own class, with the interface that Circus gives them.

Each has a thread, so that however long it takes nobody waits but its workers.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from ..model.line import OUTPUTS
from .console import LAST_CHANCE
from .drops import Drops
from .sinks import ISink, ISource
from .stores import Gate

ROOM = 65536
"""Bytes that may wait for it before reading pauses."""


def found(name: str) -> Any:
    """
    A class by its name, C{module.Class} or C{module:Class}.

    @raise ValueError: why there is none.
    """
    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        raise ValueError(f"{name} cannot be imported: {type(error).__name__}: {error}") from None


class Queue:
    """
    What C{QueueStream} is: a queue for the program in which the supervisor is
    embedded.  While it is full the workers wait.

    @ivar queue: each item is C{{"data": bytes, "pid": number, "name": "stdout"}}.
    """

    def __init__(self, room: int = 256) -> None:
        self.queue: queue.Queue[Mapping[str, Any]] = queue.Queue(room)

    def __call__(self, item: Mapping[str, Any]) -> None:
        """Put something into it."""
        self.queue.put(item)


class Own(ISink):
    """
    A stream that is called with C{{"data": bytes, "pid": number, "name": "stdout"}}.

    @ivar made: the queue, or what makes the stream.
    """

    def __init__(
        self, reactor: IReactorFromThreads, clock: IReactorTime, title: str, make: Callable[[], Any] | Queue,
        dropped: Drops,
    ) -> None:
        """
        @param title: its name, for the log.
        @param make: makes the stream; called in its thread.
        @param dropped: counts what it fails to take.
        """
        self.gate = Gate(clock, title)
        self._reactor = reactor
        self._title = title
        self.made = make
        self._queue: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._dropped = dropped

    def pull(self, source: ISource) -> int:
        data = os.read(source.fileno(), ROOM - self._waiting)
        if data:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._title, daemon=True)
                self._thread.start()
            self._waiting += len(data)
            self._queue.put({"data": data, "pid": source.pid, "name": OUTPUTS[source.output]})
            if self._waiting >= ROOM:
                self.gate.shut()
        return len(data)

    def discard(self, source: ISource) -> tuple[int, bytes]:
        data = os.read(source.fileno(), source.room)
        return len(data), data

    def finish(self, source: ISource) -> None:
        pass

    def _run(self) -> None:
        """What the thread does."""
        stream: Any = None
        while (item := self._queue.get()) is not None:
            try:
                if stream is None:
                    stream = self.made if isinstance(self.made, Queue) else self.made()
                    getattr(stream, "open", _nothing)()
                stream(item)
            except Exception as error:
                self._reactor.callFromThread(self._failed, error, item["data"])
            self._reactor.callFromThread(self._done, len(item["data"]))
        getattr(stream, "close", _nothing)()

    def _done(self, count: int) -> None:
        self._waiting -= count
        if self._waiting < ROOM:
            self.gate.open()

    def _failed(self, error: Exception, data: bytes) -> None:
        self._dropped.add(data, f"{self._title} failed: {type(error).__name__}: {error}")

    def flush(self) -> None:
        deadline = time.monotonic() + LAST_CHANCE
        while not self._queue.empty() and time.monotonic() < deadline:
            time.sleep(0.005)
        if not self._queue.empty():
            self.gate.lost(self._waiting)

    def close(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(LAST_CHANCE)
            if self._thread.is_alive():
                self.gate.lost(self._waiting)


def _nothing() -> None:
    """It has no such method."""
