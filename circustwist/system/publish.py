"""Numbers events, keeps the last of them and tells those who listen."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

from ..model.events import Event, Occurrence

KEPT = 10_000


class Publisher:
    """
    The events of one run of the supervisor.

    @ivar start: identifies this run.
    @ivar last: the number of the last event.
    """

    _log = Logger(namespace="circustwist.events")

    def __init__(self, start: str, last: int = 0, seconds: Callable[[], float] = time.time) -> None:
        """
        @param last: the number of the last event, if an earlier image of this
            run has counted already.
        """
        self.start = start
        self.last = last
        self._seconds = seconds
        self._ring: deque[Occurrence] = deque(maxlen=KEPT)
        self._listeners: dict[object, Callable[[Occurrence], None]] = {}

    def publish(self, event: Event) -> None:
        """Number an event and tell everybody; a listener that raises is logged and keeps nobody from hearing."""
        self.last += 1
        occurrence = Occurrence(self.start, self.last, self._seconds(), event)
        self._ring.append(occurrence)
        for listener in list(self._listeners.values()):
            try:
                listener(occurrence)
            except Exception:
                self._log.failure("a listener to events failed")

    def subscribe(self, listener: Callable[[Occurrence], None]) -> Callable[[], None]:
        """
        Be told of every event from now on.

        @return: ends it; harmless when called again.
        """
        key = object()
        self._listeners[key] = listener

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def past(self, since: int) -> list[Occurrence]:
        """The events after that number, as far as they are kept."""
        return [occurrence for occurrence in self._ring if occurrence.number > since]
