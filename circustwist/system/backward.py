"""
The last lines of log files, read from their ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

PIECE = 65536
MOST_BYTES = 1 << 20
"""So many bytes at most are read of all files together."""


def rotated(path: str) -> list[str]:
    """A log file and those that were put aside, C{PATH.1} and so on, the youngest first."""
    found, number = [path], 1
    while os.path.lexists(f"{path}.{number}"):
        found.append(f"{path}.{number}")
        number += 1
    return found


def last(paths: Iterable[str], most: int, grep: bytes = b"", since: float = 0.0) -> list[bytes]:
    """
    The last lines that contain something, without their newlines; what cannot
    be read is left out.

    @param paths: a file and what was there before it, the youngest first.
    @param most: so many lines.
    @param since: files that were not written after this time, in seconds since
        the epoch, are not read.
    """
    found: list[bytes] = []
    room = MOST_BYTES
    for path in paths:
        if len(found) >= most or room <= 0:
            break
        try:
            text = _end(path, most - len(found), room, grep, since)
        except OSError:
            continue
        room -= len(text)
        lines = text.removesuffix(b"\n").split(b"\n") if text else []
        found = [line for line in lines if grep in line][-(most - len(found)):] + found
    return found


def _end(path: str, most: int, room: int, grep: bytes, since: float) -> bytes:
    """The end of a file with so many lines, as far as there is room."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(fd)
        at, text = status.st_size, b""
        if status.st_mtime < since:
            return b""
        while at and len(text) < room and (grep or text.count(b"\n") <= most):
            size = min(PIECE, at, room - len(text))
            at -= size
            text = os.pread(fd, size, at) + text
    finally:
        os.close(fd)
    if at and b"\n" in text:
        text = text[text.index(b"\n") + 1:]
    return text
