"""Everything the logic may be told, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from .effects import Timer
from .errors import SpawnProblem
from .launch import Names


@attrs.frozen
class Spawned:
    """A worker's program runs: its exec has succeeded."""

    names: Names
    pid: int


@attrs.frozen
class Refused:
    """A worker could not be started; there is no process."""

    names: Names
    problem: SpawnProblem


@attrs.frozen
class Exited:
    """
    A worker has ended, and whatever it left behind is killed.

    @ivar status: as waitpid(2) gives it.
    """

    names: Names
    status: int


@attrs.frozen
class Probed:
    """
    What a probe has found.

    @ivar detail: why not, in words.
    """

    names: Names
    what: str
    ok: bool
    detail: str = ""


@attrs.frozen
class Woken:
    """A timer that was asked for is due."""

    timer: Timer


@attrs.frozen
class Who:
    """
    Somebody who gives commands.

    @ivar name: as it is shown and logged, e.g. C{ann (uid 1000, amp)}.
    @ivar role: C{viewer}, C{operator}, C{admin}, or empty for none.
    """

    name: str
    role: str = ""


@attrs.frozen
class Asked:
    """
    A command.

    @ivar call: under which its answer is expected; see L{effects.Answer}.
    """

    call: int
    command: str
    arguments: Mapping[str, Any] = attrs.field(hash=False)
    who: Who


@attrs.frozen
class Adopted:
    """
    A worker of an earlier supervisor that still runs.

    @ivar age: for how long it has run, in seconds.
    """

    names: Names
    pid: int
    age: float


@attrs.frozen
class Begun:
    """
    The supervisor is ready to work: start what should run.

    @ivar wanted: for each watcher that an earlier supervisor left: whether it
        should run, and with how many processes.
    """

    wanted: Mapping[str, tuple[bool, int]] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Ended:
    """Everything must stop: a signal or the host asked for it."""

    by: str
    now: bool = False


Input: TypeAlias = Spawned | Refused | Exited | Probed | Woken | Asked | Adopted | Begun | Ended
