"""Everything the logic may be told, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from .effects import Look, Timer
from .errors import SpawnProblem
from .launch import Names
from .stack import Stack

if TYPE_CHECKING:
    from .samples import Sample


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
    @ivar last: the last lines that it wrote; empty if they are not known.
    @ivar cause: what is known of its end besides the status, in words; empty if nothing is.
    """

    names: Names
    status: int
    last: str = ""
    cause: str = ""


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
class Measured:
    """
    A worker uses more memory than C{Measure} allows.

    @ivar size: in bytes.
    """

    names: Names
    size: int


@attrs.frozen
class Noticed:
    """
    What a worker says of itself by its notification socket; sd_notify(3).

    @ivar requests: C{X_REQUESTS=}: how many it has answered; None if it does not say.
    @ivar status: C{STATUS=}, one line for people; None if it does not say.
    """

    names: Names
    requests: int | None = None
    status: str | None = None


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
    @ivar defines: whether they may, as admins, also say what is run.
    @ivar plugin: whether it is a plugin, which never undoes what somebody else did.
    """

    name: str
    role: str = ""
    defines: bool = True
    plugin: bool = False


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
    @ivar lost: how many bytes of its outputs, by name, are lost at most with that supervisor.
    """

    names: Names
    pid: int
    age: float
    lost: Mapping[str, int] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Begun:
    """
    The supervisor is ready to work: start what should run.

    @ivar wanted: for each watcher that an earlier supervisor left: whether it
        should run, and with how many processes.
    @ivar interrupted: what it was doing: id, command and asker of each operation.
    @ivar completed: the watchers that had ended by themselves with success.
    @ivar hooked: what hooks had changed in the environment of each watcher's processes.
    @ivar resized: who gave a watcher another number of processes than the configuration does, and when.
    @ivar generations: how many reloads each watcher had seen.
    @ivar stoppers: who had stopped those that do not run.
    @ivar spent: the seats of each watcher whose processes had ended for good, and whether with success.
    @ivar dead: who has ended while no supervisor ran, each with its status; None if that is not known.
    """

    wanted: Mapping[str, tuple[bool, int]] = attrs.field(factory=dict, hash=False)
    interrupted: tuple[tuple[int, str, str], ...] = ()
    completed: frozenset[str] = frozenset()
    hooked: Mapping[str, Mapping[str, str | None]] = attrs.field(factory=dict, hash=False)
    resized: Mapping[str, tuple[str, float]] = attrs.field(factory=dict, hash=False)
    generations: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    stoppers: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    spent: Mapping[str, Mapping[int, bool]] = attrs.field(factory=dict, hash=False)
    dead: tuple[tuple[Names, int | None], ...] = ()


@attrs.frozen
class Ended:
    """Everything must stop: a signal or the host asked for it."""

    by: str
    now: bool = False


@attrs.frozen
class StackRead:
    """
    The configuration was read again.

    @ivar stack: None if it cannot be used.
    @ivar problem: why not, in one line.
    @ivar lacks: the limits in it that cannot be kept: the watcher, the option and why.
    """

    operation: int
    stack: Stack | None
    problem: str = ""
    lacks: tuple[tuple[str, str, str], ...] = ()


@attrs.frozen
class SocketsChanged:
    """
    New sockets were bound beside the old ones.

    @ivar problem: why they were not, and nothing was changed; empty if all is well.
    """

    operation: int
    problem: str = ""


@attrs.frozen
class Knocked:
    """A connection waits for a watcher that does not run."""

    watcher: str


@attrs.frozen
class Drained:
    """Nothing waits at the sockets of a worker's seat, or it was waited for long enough."""

    names: Names


@attrs.frozen
class NotUpgraded:
    """The installed version failed its rehearsal, or could not be executed."""

    operation: int
    problem: str


@attrs.frozen
class Restored:
    """
    What an earlier image of this program knew; before C{Begun}.

    @ivar operation: the operation that replaced it, as JSON types.
    @ivar restarts: how often processes were restarted, by watcher.
    """

    operation: Mapping[str, Any] = attrs.field(hash=False)
    restarts: Mapping[str, int] = attrs.field(hash=False)


@attrs.frozen
class Counted:
    """
    The connections of the sockets of a watcher.

    @ivar total: how many there were so far.
    @ivar open: how many stand or wait.
    """

    watcher: str
    total: int
    open: int


@attrs.frozen
class Looked:
    """Everything was measured for a command."""

    look: Look
    sample: Sample


@attrs.frozen
class HookDone:
    """
    A hook has answered, or will not.

    @ivar run: see C{RunHook}.
    @ivar watcher: the watcher's name.
    @ivar name: which hook.
    @ivar ok: whether its answer was true.
    @ivar error: why there is no answer, in one line; empty if there is one.
    @ivar env: what it has changed in the environment; None is removed.
    @ivar stats: the statistics that it was given, with what it has added; JSON types.
    """

    run: int
    watcher: str
    name: str
    ok: bool
    error: str = ""
    env: Mapping[str, str | None] = attrs.field(factory=dict, hash=False)
    stats: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


Input: TypeAlias = (
    Spawned | Refused | Exited | Probed | Woken | Asked | Adopted | Begun | Ended | StackRead | SocketsChanged
    | Knocked | Drained | NotUpgraded | Restored | Measured | Noticed | Looked | Counted | HookDone
)
