"""What is measured of a running stack: its processes and its sockets together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime

from .logic import answers
from .logic.arbiter import Arbiter
from .model.samples import SocketSample
from .system.observatory import Observatory


def observatory(clock: IReactorTime, arbiter: Arbiter, about: answers.About) -> Observatory:
    """
    Who takes samples of a stack.

    @param about: knows the sockets.
    """

    def sockets(period: float) -> tuple[SocketSample, ...]:
        return tuple(map(_socket, answers.sockets(arbiter.stack, about)))

    return Observatory(clock, lambda: answers.running(arbiter), sockets)


def _socket(known: Mapping[str, Any]) -> SocketSample:
    return SocketSample(
        known["name"], known["fd"], known["address"], queue=known["queue"], limit=known["limit"],
        seats=tuple(known.get("seats", ())))
