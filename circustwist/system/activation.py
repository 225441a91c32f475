"""
Sockets that our own parent hands to us, e.g. systemd: sd_listen_fds(3).

They are taken by name: the descriptor called C{web}, or C{web.socket} as
systemd does by default, is the C{[socket:web]}.  What it has kept for us since
an earlier run is called C{store.web}: sd_pid_notify_with_fds(3).
"""

from __future__ import annotations

import os
import socket as net
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from twisted.logger import Logger

from ..model.errors import Problem, WorldError
from ..model.stack import Socket
from .sockets import Sockets, fits, sectionOf

_FIRST = 3
STORED = "store."
"""What the names of kept descriptors begin with."""
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_log = Logger()


def take(sockets: Sockets, sections: Iterable[Socket], environ: Mapping[str, str], pid: int) -> dict[str, str]:
    """
    Hold what was handed to us for these sections, and close the rest of it.

    The file of a UNIX socket stays where it is in the end: it belongs to
    whoever made it.

    @param pid: ours; what is meant for another process is not taken.
    @return: the environment without these variables, which are for one
        process only.
    @raise WorldError: one line for each section for which another socket was
        handed over than it asks for.
    """
    left, lines = {fd: name for fd, name in handed(environ, pid).items() if not name.startswith(STORED)}, []
    for section in sections:
        named = [fd for fd, name in left.items() if name.removesuffix(".socket") == section.name]
        fd = next((fd for fd in named if fits(section, fd)), None)
        if fd is not None:
            del left[fd]
            sockets.adopt(section, fd, ours=False)
        elif named:
            text = f"descriptor {named[0]} of LISTEN_FDS has this name, but is {_shown(named[0])}"
            lines.append(str(Problem(section.place, f"socket:{section.name}", "", text)))
    _close(left)
    if lines:
        raise WorldError("\n".join(lines))
    return {name: value for name, value in environ.items() if name not in VARIABLES}


def kept(environ: Mapping[str, str], pid: int, wanted: Collection[str]) -> dict[str, int]:
    """
    The descriptors that were kept for us, by the names that we gave them; others are closed.

    @param wanted: the sections of which there is any use for one.
    """
    found: dict[str, int] = {}
    for fd, name in handed(environ, pid).items():
        if name.startswith(STORED):
            own = name.removeprefix(STORED)
            if sectionOf(own) not in wanted or found.setdefault(own, fd) != fd:
                os.close(fd)
    return found


def handed(environ: Mapping[str, str], pid: int) -> dict[int, str]:
    """The descriptors that are handed over, each with its name in lower case."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return {}
    names = environ.get("LISTEN_FDNAMES", "").lower().split(":")
    return {_FIRST + n: name for n, name in enumerate(names) if n < int(count)}


def _close(left: Mapping[int, str]) -> None:
    for fd, name in left.items():
        with suppress(OSError):
            os.close(fd)
            _log.warn("descriptor {fd} of LISTEN_FDS, called {name}, is not used", fd=fd, name=name)


def _shown(fd: int) -> str:
    """What a descriptor is, in words."""
    try:
        with net.socket(fileno=os.dup(fd)) as copy:
            name = copy.getsockname()
            where = f"{name[0]} port {name[1]}" if isinstance(name, tuple) else name
            return f"{net.AddressFamily(copy.family).name} {net.SocketKind(copy.type).name} {where!s}"
    except (OSError, ValueError):
        return "no socket"
