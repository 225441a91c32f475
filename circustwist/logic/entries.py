"""
What may stand in an entry of the journal: each look gives the value as it is,
or says that the entry cannot be ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LONGEST_NAME = 256
MOST = 100_000
"""How many workers, watchers or sockets may be; more than that is no state of ours."""


class Nonsense(ValueError):
    """An entry cannot be ours."""


def whole(value: object, least: int, most: int) -> int:
    """A whole number in these bounds."""
    if type(value) is not int or not least <= value <= most:
        raise Nonsense
    return value


def named(value: object) -> str:
    """A name."""
    if type(value) is not str or not 0 < len(value) <= LONGEST_NAME:
        raise Nonsense
    return value


def mapped(value: object) -> Mapping[Any, Any]:
    """A mapping, whatever is in it."""
    if not isinstance(value, Mapping) or len(value) > MOST:
        raise Nonsense
    return value


def timed(value: object) -> float:
    """A number of seconds."""
    if type(value) not in (int, float):
        raise Nonsense
    try:
        seconds = float(value)  # type: ignore[arg-type]  # mypy does not narrow by type()
    except OverflowError:
        raise Nonsense from None
    if not math.isfinite(seconds) or seconds < 0:
        raise Nonsense
    return seconds
