"""
Watchers that are started by the first connection: C{on_demand}.

Whether one waits is a state of its machine; here is at which sockets it does,
and how long it rests before, if its processes ended too soon.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ..model import expand
from ..model.effects import NOTHING, Effects, Forget, Timer, Unwatch, Wake, Watch
from ..model.stack import Stack, Watcher
from . import restart
from .readiness import handed
from .seats import Seats

_SOCKET = "circus.sockets."


def doors(stack: Stack, spec: Watcher) -> tuple[str, ...]:
    """
    The sockets at which a connection wakes a watcher: those that it names, or
    if it names none all that it is handed.
    """
    words = (spec.cmd, *((spec.args,) if isinstance(spec.args, str) else spec.args), spec.shell_args)
    variables = {name.removeprefix(_SOCKET) for word in words for name in expand.references(word)}
    named = {*variables, *spec.listen_fds, spec.stdin_socket}
    every = handed(stack, spec)
    return tuple(name for name in every if name in named) or every


@attrs.define(eq=False)
class Demand:
    """
    How a watcher waits to be needed.

    @ivar doors: the names of the sockets at which a connection wakes it.
    @ivar asleep: whether it waits.
    @ivar resting: whether it does not look at its sockets yet.
    @ivar quiet: since when no connection was seen, and how many there were
        until then; None if nobody looks. See L{circustwist.logic.idling}.
    """

    doors: tuple[str, ...] = ()
    asleep: bool = False
    resting: bool = False
    quiet: tuple[float, int] | None = None

    def sleep(self, seats: Seats, now: float, draw: Callable[[], float]) -> Effects:
        """Wait for a connection; after a pause, if those who were woken before ended too soon."""
        longest = seats.spec.restart_delay_max
        pause = max((restart.pause(seat.history, longest, draw()) for seat in seats.seats), default=0.0)
        self.asleep, self.resting = True, pause > 0
        return (Wake(_rest(seats.spec), now + pause),) if self.resting else self.listen(seats)

    def rested(self, seats: Seats) -> Effects:
        """The pause is over."""
        self.resting = False
        return self.listen(seats)

    def listen(self, seats: Seats) -> Effects:
        """Look at the sockets as they are now, if it waits."""
        if not self.asleep or self.resting:
            return NOTHING
        if not self.doors or not seats.wanted:
            return (Unwatch(seats.spec.name),)
        return (Watch(seats.spec.name, self.doors),)

    def wake(self, spec: Watcher) -> Effects:
        """Wait no more."""
        if not self.asleep:
            return NOTHING
        self.asleep = self.resting = False
        return (Forget(_rest(spec)), Unwatch(spec.name))


def _rest(spec: Watcher) -> Timer:
    return Timer("rest", spec.name)
