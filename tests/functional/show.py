"""Writes down what a process finds about itself, into the file named first; then sleeps."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
import sys
import time


def kind(fd: int) -> str:
    """What a descriptor is."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return "closed"
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(fd)) as found:
            listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            return f"{found.family.name} {found.type.name} {'listening' if listens else ''} {found.getblocking()}"
    if stat.S_ISCHR(mode):
        return os.readlink(f"/proc/self/fd/{fd}")
    return "pipe" if stat.S_ISFIFO(mode) else "file"


def main() -> None:
    """Write it, then stay."""
    umask = os.umask(0o077)
    os.umask(umask)
    words = sys.argv[2:]
    fds = [int(word[3:]) for word in words if word.startswith("fd=") and word[3:].isdecimal()]
    found = {
        "argv": ["fd=N" if word.startswith("fd=") and word[3:].isdecimal() else word for word in words],
        "env": {key: value for key, value in os.environ.items() if key != "CIRCUSTWIST_ID"},
        "cwd": os.getcwd(), "umask": umask, "leads": os.getsid(0) == os.getpid() == os.getpgrp(),
        "ids": [os.getuid(), os.getgid(), sorted(os.getgroups())], "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "stdin": kind(0), "sockets": [kind(fd) for fd in fds],
        "ignored": [int(n) for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN
                    and n not in (signal.SIGPIPE, signal.SIGXFSZ)],
    }
    with open(sys.argv[1] + ".new", "w") as file:
        json.dump(found, file)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    print("a line")
    sys.stdout.flush()
    time.sleep(1000)


if __name__ == "__main__":
    main()
