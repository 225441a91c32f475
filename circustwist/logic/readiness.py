"""
Which looks tell whether a worker is ready, and whether it still lives.
"""

from __future__ import annotations

import attrs

from ..model.effects import Probe
from ..model.launch import Names
from ..model.stack import Stack, Watcher

GUESS = 10.0
"""So many seconds at most are spent on finding out whether a program can be seen waiting for connections."""


@attrs.define(eq=False)
class Sight:
    """
    What is known of how a watcher's workers can be looked at.

    @ivar handed: whether they are handed a socket on which connections are accepted.
    @ivar seen: whether one was ever seen waiting on it; None as long as nobody knows.
    """

    handed: bool = False
    seen: bool | None = None

    def guessed(self, spec: Watcher) -> bool:
        """Whether nobody said how they show that they are ready, so that C{listening} is a guess."""
        return not spec.ready and self.handed

    def shown(self, spec: Watcher) -> bool:
        """Whether workers that count as ready have shown it, and were not only executed."""
        return spec.ready not in ("", "after") or (self.guessed(spec) and bool(self.seen))

    def ready(self, spec: Watcher, names: Names) -> Probe | None:
        """The look that tells whether a worker is ready; None if it is as soon as it was executed."""
        what = spec.ready or ("listening" if self.handed and self.seen is not False else "after")
        if what == "after":
            return None
        timeout = spec.ready_timeout
        if self.guessed(spec) and self.seen is None:
            timeout = min(timeout, GUESS)
        return Probe(names, "ready", what, spec.ready_interval, timeout)

    def first(self, spec: Watcher, names: Names) -> Probe | None:
        """The look that tells whether the workers can be seen, for one that is known to be ready."""
        return self.ready(spec, names) if self.guessed(spec) and self.seen is None else None


def live(spec: Watcher, names: Names) -> Probe | None:
    """The look that tells whether a worker still does its work; None if nobody looks."""
    if not spec.live:
        return None
    return Probe(names, "live", spec.live, spec.live_interval, spec.live_timeout, max(1, spec.live_threshold))


def handed(stack: Stack, spec: Watcher) -> tuple[str, ...]:
    """The names of the sockets handed to a watcher's workers on which connections are accepted."""
    return tuple(
        socket.name for socket in stack.sockets
        if socket.stream and (spec.use_sockets or socket.name in (*spec.listen_fds, spec.stdin_socket))
    )
