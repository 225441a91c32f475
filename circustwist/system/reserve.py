"""
The last descriptors that this process may open are kept for what must go on:
the journal, the clients, the start of one more process.
"""

from __future__ import annotations

import errno
import os
import resource

KEPT = 16


def files() -> int:
    """How many descriptors there may be at once."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def spare() -> None:
    """
    Make sure that something may be opened that stays open.

    @raise OSError: EMFILE, if only what is kept is left.
    """
    # The lowest free number is the one that is given out.
    lowest = os.eventfd(0, os.EFD_CLOEXEC)
    os.close(lowest)
    if lowest >= files() - KEPT:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
