"""
The last lines of log files, read from their ends.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator

from .rotation import MEMBER, aside

PIECE = 65536
MOST_BYTES = 1 << 20
"""So many bytes at most are read of all files together."""

MOST_TRIES = 16
"""In so many places a member of a compressed file is looked for."""
_MEMBER = b"\x1f\x8b\x08"
"""How a member of a compressed file begins, and sometimes other bytes in it."""


def rotated(path: str) -> Iterator[str]:
    """A log file and those that were put aside, C{PATH.1} and so on or those with a date, the youngest first."""
    yield path
    number = 1
    while found := [name for name in (f"{path}.{number}", f"{path}.{number}.gz") if os.path.lexists(name)]:
        yield found[0]
        number += 1
    if number == 1:
        yield from (name for name, _ in aside(path))


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
        if path.endswith(".gz"):
            at, text = _unpacked(fd, at, most, room, grep)
            return _whole(at, text)
        while at and len(text) < room and (grep or text.count(b"\n") <= most):
            size = min(PIECE, at, room - len(text))
            at -= size
            text = os.pread(fd, size, at) + text
    finally:
        os.close(fd)
    return _whole(at, text)


def _whole(at: int, text: bytes) -> bytes:
    """Without the first line, of which only the end may be there, unless the text is from the beginning."""
    return text[text.index(b"\n") + 1:] if at and b"\n" in text else text


def _unpacked(fd: int, size: int, most: int, room: int, grep: bytes) -> tuple[int, bytes]:
    """
    The end of a compressed file: as many of its last members as are wanted, of
    those that are no longer than ours.

    @return: where it begins in the file, and the text.
    @see: RFC 1952, 2.2: a file is a series of members.
    """
    begin = max(0, size - MOST_BYTES)
    packed = os.pread(fd, size - begin, begin)
    at, text, look = len(packed), b"", len(packed)
    for _ in range(MOST_TRIES):
        if len(text) >= room or (not grep and text.count(b"\n") > most):
            break
        look = packed.rfind(_MEMBER, 0, look)
        if look < 0:
            break
        piece = _member(packed[look:at])
        if piece is not None:
            at, text = look, piece + text
    return begin + at, text


def _member(packed: bytes) -> bytes | None:
    """What a whole member contains; None if it is none, or a longer one."""
    reading = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        text = reading.decompress(packed, 4 * MEMBER)
    except zlib.error:
        return None
    return text if reading.eof and not reading.unused_data else None
