"""
A worker that tells what it sees of itself.

C{look.py ADDRESS NAME ...} sends it as JSON to a datagram socket and waits to
be ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

LIMITS = ("AS", "CORE", "NOFILE", "NPROC", "STACK")


def descriptors() -> dict[str, str]:
    """What is open, without the listing's own descriptor."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return {fd: link for fd, link in found.items() if link != f"/proc/{os.getpid()}/fd"}


def sockets(fds: dict[str, str]) -> dict[str, Any]:
    """Family, type and address of those that are sockets."""
    found = {}
    for fd, link in fds.items():
        if link.startswith("socket:"):
            with socket.socket(fileno=os.dup(int(fd))) as copy:
                found[fd] = [copy.family.name, copy.type.name, copy.getsockname()]
    return found


def status() -> dict[str, str]:
    """The lines of /proc/self/status."""
    with open("/proc/self/status") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def environment() -> dict[str, str]:
    """As it was given to us: Python itself may add LC_CTYPE."""
    with open("/proc/self/environ", encoding="utf-8", errors="surrogateescape") as file:
        return dict(entry.split("=", 1) for entry in file.read().split("\0") if entry)


def look() -> dict[str, Any]:
    """Everything."""
    fds = descriptors()
    return {
        "name": sys.argv[2], "argv": sys.argv[3:], "env": environment(), "cwd": os.getcwd(), "pid": os.getpid(),
        "ppid": os.getppid(), "sid": os.getsid(0), "pgid": os.getpgid(0), "nice": os.nice(0), "status": status(),
        "fds": fds, "sockets": sockets(fds), "blocking": {fd: os.get_blocking(int(fd)) for fd in fds},
        "limits": {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in LIMITS},
    }


if __name__ == "__main__":
    told = json.dumps(look()).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(told, sys.argv[1])
    signal.pause()
