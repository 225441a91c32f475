"""Everything the logic may ask for, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from .errors import RequestError
from .events import Event
from .launch import Names
from .stack import Socket, Watcher

Whom: TypeAlias = Literal["process", "tree", "children", "child"]
"""Who is signalled: only the process; its group and all of its descendants; only its direct children; one of these."""


@attrs.frozen
class Timer:
    """
    The name of a timer: setting it again replaces it.

    @ivar kind: what it is for.
    @ivar watcher: the watcher whose it is; empty for the stack as a whole.
    @ivar key: which of the watcher's: a worker's id, a seat, an operation's id.
    """

    kind: str
    watcher: str = ""
    key: int = 0


@attrs.frozen
class Spawn:
    """Start a worker; answered by C{Spawned} or C{Refused}."""

    names: Names


@attrs.frozen
class Signal:
    """
    Signal a worker; nothing happens if it has ended.

    @ivar child: the pid of the child that is meant, if one is.
    @ivar rest: if given, the worker is signalled as soon as it serves nobody, if that is soon, and continued.
    """

    id: int
    signum: int
    whom: Whom = "process"
    child: int = 0
    rest: Names | None = None


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


@attrs.frozen
class Probe:
    """
    Find out whether a worker is ready, or still alive; answered by one C{Probed}.

    @ivar what: C{ready}: answered when it is, or when C{timeout} has passed;
        C{live}: answered when C{threshold} looks in a row have failed.
    @ivar spec: what to look at: C{listening}, C{notify}, C{http://...},
        C{tcp://...}, C{exec:COMMAND}, C{log:REGEX}.
    @ivar interval: seconds between two looks.
    @ivar timeout: see C{what}; for C{live} the longest that one look may take.
    @ivar threshold: how many looks in a row must fail.
    """

    names: Names
    what: Literal["ready", "live"]
    spec: str
    interval: float
    timeout: float
    threshold: int = 1


@attrs.frozen
class Measure:
    """
    Say C{Measured} whenever a worker is seen to use so much memory, or more.

    @ivar limit: in bytes; 0 to say nothing any more.
    """

    names: Names
    limit: int


@attrs.frozen
class ReadStack:
    """
    Read the configuration again; answered by C{StackRead}.

    @ivar operation: for which operation.
    """

    operation: int


@attrs.frozen
class ChangeSockets:
    """
    Bind new sockets beside the old ones; answered by C{SocketsChanged}.

    @ivar make: new ones, and those that take the place of one of the same name.
    @ivar update: those of which only the backlog changes.
    """

    operation: int
    make: tuple[Socket, ...]
    update: tuple[Socket, ...]


@attrs.frozen
class KeepSockets:
    """
    Decide after C{ChangeSockets} whether the new or the old ones are kept.

    @ivar names: those that the stack has; all others are closed.
    """

    new: bool
    names: tuple[str, ...]


@attrs.frozen
class KeepSeats:
    """
    Close the sockets that belong to other seats of a watcher, where each seat has its own.

    @ivar seats: the numbers of those that stay.
    @ivar sockets: the sockets that the watcher is handed; those of others are
        closed too.  None if nothing has changed there.
    """

    watcher: str
    seats: tuple[int, ...]
    sockets: tuple[str, ...] | None = None


@attrs.frozen
class Avoid:
    """
    Give no connections to the sockets of some seats of a watcher, as long as others at the same port take them.

    @ivar seats: their numbers; all other seats are given connections.
    """

    watcher: str
    seats: tuple[int, ...]


@attrs.frozen
class Drain:
    """Say C{Drained} when no connection waits any more at the sockets of a worker's seat, or after a while."""

    names: Names


@attrs.frozen
class Upgrade:
    """
    Rehearse the installed version and become it; answered by C{NotUpgraded},
    or by nothing, since then there is another program.

    @ivar operation: the operation, as JSON types; the next image knows it too.
    @ivar restarts: how often processes were restarted, by watcher.
    """

    operation: Mapping[str, Any] = attrs.field(hash=False)
    restarts: Mapping[str, int] = attrs.field(hash=False)


@attrs.frozen
class Watch:
    """
    Say C{Knocked} once, when a connection waits at one of these sockets.

    @ivar watcher: for whom; what it waited for before is forgotten.
    """

    watcher: str
    sockets: tuple[str, ...]


@attrs.frozen
class Unwatch:
    """Do not say C{Knocked} for this watcher; harmless if it does not wait."""

    watcher: str


@attrs.frozen
class Look:
    """
    Measure everything; answered by C{Looked}.

    @ivar call: the command that is answered by it.
    @ivar arguments: its arguments.
    """

    call: int
    command: str
    arguments: Mapping[str, Any] = attrs.field(hash=False)


@attrs.frozen
class RunHook:
    """
    Call a hook; answered by one C{HookDone}, at the latest after the watcher's C{hook_timeout}.

    @ivar run: a number that no other run has.
    @ivar spec: the options of the watcher whose hook it is.
    @ivar name: which one; empty to find only out whether all of them can be called.
    @ivar given: what it is given besides the watcher.
    @ivar env: what hooks have changed in the environment; None is removed.
    """

    run: int
    spec: Watcher
    name: str
    given: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    env: Mapping[str, str | None] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Count:
    """Count the connections of some sockets; answered by C{Counted}."""

    watcher: str
    sockets: tuple[str, ...]


@attrs.frozen
class Recall:
    """
    Answer a call with what was measured in the past.

    @ivar kind: of what: C{watcher}, C{socket} or C{supervisor}.
    @ivar name: in lower case, if it is a watcher.
    @ivar length: how far back, in seconds.
    """

    call: int
    kind: str
    name: str
    length: float


@attrs.frozen
class OpenStreams:
    """Open the streams of a watcher, whose options have changed."""

    spec: Watcher


@attrs.frozen
class Aside:
    """
    Put log files aside, and answer with their paths.

    @ivar call: the command that is answered.
    @ivar watchers: the names of those whose files they are; empty to only open every log file again.
    """

    call: int
    watchers: tuple[str, ...]


Effect: TypeAlias = (
    Spawn | Probe | Signal | Wake | Forget | Publish | Record | Answer | Quit | ReadStack | ChangeSockets | KeepSockets
    | KeepSeats | Avoid | Drain | OpenStreams | Upgrade | Measure | Watch | Unwatch | Look | Recall | Count
    | RunHook | Aside
)
Effects: TypeAlias = tuple[Effect, ...]
NOTHING: Effects = ()
