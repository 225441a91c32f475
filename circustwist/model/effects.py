"""Everything the logic may ask for, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from .errors import RequestError
from .events import Event
from .launch import Names


@attrs.frozen
class Timer:
    """
    The name of a timer: setting it again replaces it.

    @ivar kind: what it is for.
    @ivar key: whose it is: a worker's id, a watcher's name, ...
    """

    kind: str
    key: int | str = ""


@attrs.frozen
class Spawn:
    """Start a worker; answered by C{Spawned} or C{Refused}."""

    names: Names


@attrs.frozen
class Signal:
    """
    Signal a worker.

    @ivar whom: only the process, or its whole group and all descendants.
    """

    id: int
    signum: int
    whom: Literal["process", "tree", "children"] = "process"


@attrs.frozen
class Wake:
    """Say C{Woken} at this time of the monotonic clock."""

    timer: Timer
    at: float


@attrs.frozen
class Forget:
    """Do not say C{Woken} for this timer; harmless if it was not set."""

    timer: Timer


@attrs.frozen
class Publish:
    """Tell everybody who listens."""

    event: Event


@attrs.frozen
class Record:
    """
    Append to the state journal, before any effect that follows.

    @ivar entry: JSON types only; its C{kind} says what it is.
    """

    entry: Mapping[str, Any] = attrs.field(hash=False)


@attrs.frozen
class Answer:
    """
    The answer to a command.

    @ivar value: JSON types only, or why there is none.
    """

    call: int
    value: Mapping[str, Any] | RequestError = attrs.field(hash=False)


@attrs.frozen
class Quit:
    """
    Everything has stopped: end the supervisor.

    @ivar code: its exit code.
    """

    code: int = 0


Effect: TypeAlias = Spawn | Signal | Wake | Forget | Publish | Record | Answer | Quit
Effects: TypeAlias = tuple[Effect, ...]
NOTHING: Effects = ()
