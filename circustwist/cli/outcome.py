"""What a command comes to: its exit code, and errors told in one line."""

from __future__ import annotations

from ..control.blocking import ControlError
from ..control.boxes import BoxError
from . import find
from .find import Session

FAILED, USAGE, DOWN, NO_SUPERVISOR, TIMED_OUT, INTERRUPTED = 1, 2, 3, 4, 124, 130

_OUTCOMES: tuple[tuple[type[Exception], int], ...] = (
    (find.NoSupervisor, NO_SUPERVISOR), (TimeoutError, TIMED_OUT), (ConnectionError, NO_SUPERVISOR), (OSError, FAILED),
    (BoxError, FAILED))


def fault(session: Session, error: Exception) -> int:
    """Tell of an error, and the exit code that it means."""
    if isinstance(error, ControlError):
        session.complain(error.name, error.text)
        return USAGE if error.name in ("MessageError", "UnknownCommand") else FAILED
    session.complain(type(error).__name__, str(error))
    return next(code for kind, code in _OUTCOMES if isinstance(error, kind))
