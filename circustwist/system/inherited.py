"""
A worker's side: the sockets that its supervisor has handed to it.

C{circus:web} is the one called C{web} of those that C{listen_fds} names, as
C{LISTEN_FDNAMES} says; sd_listen_fds(3).  With C{use_sockets} a worker has no
names, but the number on its command line: C{circus:fd=$(circus.sockets.web)}.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from typing import Any

from twisted.internet.endpoints import AdoptedStreamServerEndpoint

_FIRST = 3


def names(environ: Mapping[str, str], pid: int) -> dict[str, int]:
    """
    The descriptors that were handed to a process, by name; of two the first counts.

    @param pid: its own.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return {}
    found: dict[str, int] = {}
    for number, name in enumerate(environ.get("LISTEN_FDNAMES", "").split(":")[:int(count)]):
        found.setdefault(name.lower(), _FIRST + number)
    return found


def number(environ: Mapping[str, str], pid: int, name: str, fd: str) -> int:
    """
    The descriptor that is meant.

    @raise ValueError: in one line, if there is none.
    """
    if bool(name) == bool(fd):
        raise ValueError("circus: needs a name or a number; e.g. circus:web or circus:fd=3")
    if fd:
        if not (fd.isascii() and fd.isdecimal()):
            raise ValueError(f"circus:fd={fd}: is no number; e.g. circus:fd=$(circus.sockets.web)")
        return int(fd)
    known = names(environ, pid)
    if name.lower() not in known:
        there = f"there are {', '.join(known)}" if known else "nothing was handed over by listen_fds"
        raise ValueError(f"circus:{name}: no socket of this name was handed to this process; {there}")
    return known[name.lower()]


def executedWith() -> dict[str, str]:
    """The environment that this process was executed with: Twisted takes these variables out when it is imported."""
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = os.fsdecode(file.read()).split("\0")
    except OSError:
        return dict(os.environ)
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def endpoint(reactor: Any, name: str, fd: str) -> AdoptedStreamServerEndpoint:
    """
    The endpoint that listens on a socket which was handed to this process.

    @raise ValueError: in one line, if there is none on which connections are accepted.
    """
    meant = f"circus:{name}" if name else f"circus:fd={fd}"
    found = number(executedWith(), os.getpid(), name, fd)
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise ValueError(f"{meant}: descriptor {found} is no socket")
    except OSError:
        text = f"{meant}: descriptor {found} is not open; does the watcher have use_sockets = True?"
        raise ValueError(text) from None
    with socket.socket(fileno=os.dup(found)) as handed:
        if handed.type != socket.SOCK_STREAM:
            raise ValueError(f"{meant}: no connections are accepted on it")
        if handed.family == socket.AF_UNIX:
            # twisted.internet.unix.Port gives its file mode 0666, and removes it at the end.
            raise ValueError(f"{meant}: is a UNIX socket, whose file Twisted would take for its own; use a TCP one")
        return AdoptedStreamServerEndpoint(reactor, found, handed.family)
