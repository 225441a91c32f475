"""What must not be written to as a pidfile, since somebody else may have put it there."""

from __future__ import annotations

import os
import stat

from twisted.logger import Logger

from ..model.errors import WorldError

_log = Logger(namespace="circustwist")


def usable(path: str, running: bool) -> str:
    """
    The path at which a pidfile may be written; nothing if there is to be none.

    @param running: whether the supervisor runs already, which nothing here is to end.
    @raise WorldError: one line, if it may not.
    """
    why = objection(path) if path else ""
    if why and not running:
        raise WorldError(why)
    if why:
        _log.warn("{why}; there is none now", why=why)
    return "" if why else path


def objection(path: str) -> str:
    """
    Why no pidfile may be written at a path.

    @return: one line; empty if it may.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        mode = stat.S_IFREG
    if stat.S_ISLNK(mode):
        return f"pidfile {path} is a link, and what it leads to would be overwritten; remove it"
    if not stat.S_ISREG(mode):
        return f"pidfile {path} is there and no file"
    folder = os.path.dirname(os.path.abspath(path))
    try:
        mode = os.stat(folder).st_mode
    except OSError:
        return ""  # whoever opens it says so
    if os.geteuid() == 0 and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return f"pidfile {path}: everybody may put links into {folder}, which root would follow; chmod o-w it"
    return ""
