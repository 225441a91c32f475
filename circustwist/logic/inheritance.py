"""
Whose seats stay vacant when a supervisor goes on where another was.
"""

from __future__ import annotations

from ..model.effects import Effects
from ..model.inputs import Begun
from . import restart
from .past import Death
from .seats import joined
from .watcher import Watcher

_HARMLESS = frozenset(("start", "upgrade"))
"""Operations that ask no process to end; who died during another may have been asked to."""


def spend(watcher: Watcher, input: Begun, now: float) -> Effects:
    """Leave those seats vacant whose processes have ended for good, be it while no supervisor ran."""
    seats, past = watcher.seats, watcher.past
    for seat, success in input.spent.get(watcher.name, {}).items():
        seats.spend(seat, success)
        past.completed = success and past.completed is not False
    effects: list[Effects] = []
    asked = any(command not in _HARMLESS for _, command, _ in input.interrupted)
    for names, status in input.dead if not asked else ():
        if names.watcher == watcher.name and not seats.isHeld(names.seat) and _over(watcher, status):
            known = -1 if status is None else status
            past.last = Death(str(names), restart.reason(known), known, now)
            effects.append(watcher.over(names.seat, known))
    return joined(effects)


def _over(watcher: Watcher, status: int | None) -> bool:
    """Whether nobody is to follow a process that ended so; what is not known may have been a failure."""
    if status is None:
        return watcher.spec.respawn == "never"
    return not restart.wantedAgain(watcher.spec, status)
