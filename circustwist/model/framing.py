"""
From the text of the ini to values: what only streams have.
"""

from __future__ import annotations

from .values import size


def rate(value: str) -> float:
    """Bytes a second: a size, C{/s} or not after it."""
    try:
        return float(size(value.strip().removesuffix("/s")))
    except ValueError:
        raise ValueError("is not a rate; e.g. 1MB/s") from None


def lineLength(value: str) -> int:
    """The longest line: 1 to 65536 bytes."""
    number = size(value)
    if not 1 <= number <= 65536:
        raise ValueError("is not a length of 1 to 65536 bytes; e.g. 8KB")
    return number


PREFIX = ("watcher", "wid", "pid", "stream", "time")
"""What may stand in a prefix as C{%(NAME)s}."""


def prefix(value: str) -> str:
    """What stands before a line."""
    try:
        value % dict.fromkeys(PREFIX, "")
    except (KeyError, TypeError, ValueError):
        names = ", ".join(f"%({name})s" for name in PREFIX)
        raise ValueError(f"has something else after % than {names} or another %") from None
    return value
