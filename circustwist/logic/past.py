"""
What is told of a watcher's past.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Death:
    """
    The last end of a process that nobody had asked for.

    @ivar worker: as people type it.
    @ivar reason: in words.
    @ivar status: as waitpid(2) gives it.
    @ivar at: when.
    @ivar back: seconds until the seat was taken again; None as long as it is not.
    """

    worker: str
    reason: str
    status: int
    at: float
    back: float | None = None


@attrs.define(eq=False)
class Past:
    """
    What is told of what was.

    @ivar restarts: how often a process was started in place of one that ended by itself.
    @ivar last: the last unplanned end; None if there was none.
    @ivar problem: why a process could not be started, or the watcher failed, see L{circustwist.model.reason};
        empty if all is well.
    @ivar stale: why the code on disk is not what runs, since a reload failed; empty if none did.
    @ivar completed: whether all processes that ended for good did so with success; None if none has ended for good
        since the watcher was started.
    @ivar resized: who gave it a number of processes that the configuration does not, and when; None if it does.
    @ivar stopper: who stopped the watcher; empty if it was started since, or nobody did.
    @ivar ends: the times of unplanned ends that C{start_limit_burst} counts.
    """

    restarts: int = 0
    last: Death | None = None
    problem: str = ""
    stale: str = ""
    completed: bool | None = None
    resized: tuple[str, float] | None = None
    stopper: str = ""
    ends: list[float] = attrs.field(factory=list)
