"""
Regular expressions of strangers: only those that cannot take long.

Python's matching tries one way after the other, and some expressions have more
ways than there is time.  How many there are at most follows from their form
and the length of what they are held against, so it is counted first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from re import _parser  # type: ignore[attr-defined]  # nothing else tells the form of an expression
from typing import Any

LONGEST = 200
"""Characters of an expression."""
MOST = 100_000
"""So many ways at most are tried, for all that an expression is held against."""


def matcher(expression: str, longest: int, count: int) -> Callable[[str], bool]:
    """
    How text is matched from its beginning, in any case of letters.

    @param longest: how long the text is at most.
    @param count: how often it is going to be done.
    @raise ValueError: if the expression cannot be read, or could take too long.
    """
    if len(expression) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    try:
        if _ways(_parser.parse(expression), longest) * count > MOST:
            raise ValueError("it could take too long; repeat single characters only, and fewer of them")
        pattern = re.compile(expression, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None
    return lambda text: pattern.match(text) is not None


def _ways(steps: Any, longest: int) -> float:
    """In how many ways some steps in a row may match, at most."""
    found = 1.0
    for kind, value in steps:
        found *= _choices(str(kind), value, longest)
    return found


def _choices(kind: str, value: Any, longest: int) -> float:
    """In how many ways one step may match, at most."""
    if kind == "BRANCH":
        return sum(_ways(steps, longest) for steps in value[1])
    if kind == "SUBPATTERN":
        return _ways(value[-1], longest)
    if kind in ("ASSERT", "ASSERT_NOT"):
        return _ways(value[1], longest)
    if kind == "ATOMIC_GROUP":
        return _ways(value, longest)
    if kind == "GROUPREF_EXISTS":
        return sum(_ways(steps, longest) for steps in value[1:] if steps)
    if kind.endswith("REPEAT"):
        least, most, steps = value
        return _repeated(_ways(steps, longest), int(least), min(int(most), longest + int(least)))
    return 1.0


def _repeated(ways: float, least: int, most: int) -> float:
    """In how many ways something is repeated that itself may match in several."""
    if ways == 1:
        return float(max(1, most - least + 1))
    return ways if ways > MOST else ways ** min(most + 1, 64)
