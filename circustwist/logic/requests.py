"""
Authorise and run a command: what every face uses.

A face knows nothing but L{Steering}: it turns bytes into a command and
arguments, says who asks, and turns the answer back into bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from ..model.events import Occurrence
from ..model.inputs import Who


class Steering(Protocol):
    """How a face reaches the supervisor."""

    def ask(self, command: str, arguments: Mapping[str, Any], who: Who) -> Awaitable[Mapping[str, Any]]:
        """
        Give a command.

        @param arguments: JSON types, by the names in the table of commands.
        @return: its answer (a Deferred); fails with
            L{RequestError<circustwist.model.errors.RequestError>} only.
        """

    def subscribe(self, listener: Callable[[Occurrence], None]) -> Callable[[], None]:
        """
        Be told of every event from now on.

        @return: ends it; harmless when called again.
        """

    def past(self, since: int) -> Sequence[Occurrence]:
        """The events after that number, as far as they are kept."""
