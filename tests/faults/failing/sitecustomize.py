"""
In a supervisor whose PYTHONPATH begins with this folder one call of the edges fails, when the test says so.

The file that C{FAULTS_FAIL} names has the number of the call that is to fail,
counted from when the file was written, and the place of the error among those that the call may
give.  What was failed is written beside it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

FULL = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
DISK = (errno.ENOSPC, errno.EIO, errno.EROFS)
CALLS: tuple[tuple[Any, str, tuple[int, ...]], ...] = (
    (os, "pipe2", FULL), (os, "open", (*FULL, errno.EACCES)), (os, "posix_spawn", (errno.EAGAIN, errno.ENOMEM)),
    (os, "pidfd_open", FULL), (os, "eventfd", FULL), (os, "dup", FULL), (os, "write", DISK), (os, "rename", DISK),
    (os, "unlink", DISK), (os, "splice", (errno.EIO, errno.ENOMEM, errno.ENOSPC)), (os, "fchmod", (errno.EPERM,)),
    (os, "ftruncate", DISK), (os, "listdir", FULL), (os, "read", (errno.EIO,)), (os, "mkdir", DISK),
    (os, "link", DISK), (os, "stat", (errno.ENOMEM, errno.EACCES)), (os, "fstat", (errno.EIO,)),
    (fcntl, "fcntl", (errno.EMFILE, errno.EINVAL)), (signal, "pidfd_send_signal", (errno.EPERM, errno.EINVAL)),
    (os, "kill", (errno.EPERM,)), (os, "killpg", (errno.EPERM,)), (os, "chmod", (errno.EPERM, errno.EROFS)),
)
WHERE = os.environ.get("FAULTS_FAIL", "")
EDGES = "circustwist.system."

_open, _read, _close, _fstat = os.open, os.read, os.close, os.fstat
_write, _rename = os.write, os.rename
_seen: list[int] = [0, 0]


def _armed() -> tuple[int, int]:
    """Which call is to fail, and how; 0 if none is."""
    try:
        fd = _open(WHERE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0, 0
    try:
        made = _fstat(fd).st_mtime_ns
        if made != _seen[0]:
            _seen[:] = made, 0
        number, kind = _read(fd, 100).split()
        return int(number), int(kind)
    except (OSError, ValueError):
        return 0, 0
    finally:
        _close(fd)


def _failing(name: str, real: Callable[..., Any], errors: tuple[int, ...]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        module = sys._getframe(1).f_globals.get("__name__", "")
        if module.startswith(EDGES):
            number, kind = _armed()
            if number:
                _seen[1] += 1
                if _seen[1] == number:
                    error = errors[kind % len(errors)]
                    fd = _open(f"{WHERE}.done", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
                    _write(fd, f"{name} in {module}: {errno.errorcode[error]}".encode())
                    _close(fd)
                    raise OSError(error, os.strerror(error))
        return real(*args, **kwargs)

    return call


if WHERE:
    for _module, _name, _errors in CALLS:
        setattr(_module, _name, _failing(_name, getattr(_module, _name), _errors))
