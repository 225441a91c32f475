"""The command that shows numbers again every second; what it takes is loaded when it is given."""

from __future__ import annotations

from .find import Session
from .local import added
from .outcome import USAGE


@added()
def top(session: Session) -> int:
    """Watchers, workers and sockets in this terminal, again every second; needs circustwist[top]."""
    try:
        from .top import run
    except ImportError:
        session.complain("UsageError", "top needs textual: pip install 'circustwist[top]'")
        return USAGE
    return run(session)
