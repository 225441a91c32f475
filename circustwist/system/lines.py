"""
From bytes to whole lines, and what is put before them.

Nothing here reads or writes: functions of bytes only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

MAX_LINE = 65536
"""Bytes, without the newline, after which a line is cut."""

_HARMFUL = re.compile(r"(\x1b\[[0-9;:]*m)|[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_RESET = "\x1b[0m"


def cut(rest: bytes, data: bytes) -> tuple[list[bytes], bytes]:
    """
    The whole lines in what has come so far.  However the bytes were cut by
    reading, the lines are the same.

    @param rest: what the previous call left over.
    @param data: what has come since.
    @return: the lines without their newlines, none longer than L{MAX_LINE},
        and the beginning of the next one.
    """
    *whole, rest = (rest + data).split(b"\n")
    if len(rest) <= MAX_LINE and all(len(line) <= MAX_LINE for line in whole):
        return whole, rest
    lines = [piece for line in whole for piece in _pieces(line)]
    *more, rest = _pieces(rest)
    return lines + more, rest


def _pieces(line: bytes) -> list[bytes]:
    return [line[n:n + MAX_LINE] for n in range(0, len(line), MAX_LINE)] or [b""]


def joined(prefix: bytes, lines: Iterable[bytes]) -> bytes:
    """The lines, each after the prefix and with a newline."""
    return b"".join([prefix + line + b"\n" for line in lines])


def stamp(timeFormat: str, pid: int, now: float) -> bytes:
    """
    What stands before a line in a file, as Circus writes it: C{TIME [PID] | }.

    @param timeFormat: as in strftime(3).
    @param pid: the worker's; 0 is not known.
    @param now: seconds since the epoch, shown in local time.
    """
    time = datetime.fromtimestamp(now).strftime(timeFormat)
    return f"{time} [{pid or '-'}] | ".encode("utf-8", "surrogateescape")


def shown(line: bytes) -> str:
    r"""
    A line as text that cannot harm a terminal: colours pass and end with the
    line; other control characters, and bytes that are not UTF-8, are shown
    as C{\x1b}.

    @see: ECMA-48, 8.3.117 (SGR).
    """
    text = line.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    text = _HARMFUL.sub(lambda found: found[1] or f"\\x{ord(found[0]):02x}", text)
    return text + _RESET if "\x1b" in text else text
