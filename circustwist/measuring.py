"""What is measured of a running stack: its processes and its sockets together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime

from . import __version__
from .logic import answers
from .logic.arbiter import Arbiter
from .model.line import Line, Selection
from .model.samples import Hits, SocketSample
from .preparation import Prepared
from .system.hits import Counter, Listener
from .system.observatory import Observatory


class Measuring:
    """
    Everything that is measured.

    @ivar about: what the logic is told when somebody asks.
    @ivar counter: counts connections.
    @ivar observatory: takes samples.
    """

    def __init__(
        self, reactor: Any, clock: IReactorTime, arbiter: Arbiter, prepared: Prepared,
        tail: Callable[[Selection, int], Sequence[Line]],
    ) -> None:
        """
        @param tail: see L{answers.About}.
        """
        since = prepared.handover.since if prepared.handover else clock.seconds()
        self.about = answers.About(os.getpid(), __version__, since, self._describe, tail)
        self.counter = Counter(reactor, clock)
        self.observatory = Observatory(clock, lambda: answers.running(arbiter), self._sample)
        self._arbiter = arbiter
        self._prepared = prepared
        self._before: Mapping[str, int | None] = {}

    def open(self) -> None:
        """Count from now on; whether somebody looks or not."""
        prepared = self._prepared
        earlier = prepared.handover.hits if prepared.handover else {}
        self.counter.open(earlier, () if prepared.handover else prepared.survivors.sockets)
        self._listen()
        prepared.sockets.changed = self._listen

    def _listen(self) -> None:
        found = {name: Listener.of(socket) for name, socket in self._prepared.sockets.sections().items()}
        self.counter.watch({name: listener for name, listener in found.items() if listener is not None})

    def _describe(self, name: str) -> Mapping[str, Any]:
        return {**self._prepared.sockets.describe(name), "hits": self.counter.hits(name).json()}

    def _sample(self, period: float) -> tuple[SocketSample, ...]:
        """All sockets, so many seconds after they were asked for last."""
        found = tuple(self._socket(known, period) for known in answers.sockets(self._arbiter.stack, self.about))
        self._before = {socket.name: socket.hits.total for socket in found}
        return found

    def _socket(self, known: Mapping[str, Any], period: float) -> SocketSample:
        name = known["name"]
        return SocketSample(
            name, known["fd"], known["address"], self._rated(self.counter.hits(name), self._before.get(name), period),
            known["queue"], known["limit"], known["drops"], tuple(known.get("seats", ())))

    def _rated(self, hits: Hits, before: int | None, period: float) -> Hits:
        if hits.total is None or before is None or period <= 0:
            return hits
        return attrs.evolve(hits, rate=(hits.total - before) / period)

    def close(self) -> None:
        """Measure nothing any more."""
        self._prepared.sockets.changed = lambda: None
        self.observatory.close()
        self.counter.close()
