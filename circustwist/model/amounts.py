"""
Converters of what plugins are told: shares, limits and regular expressions.
"""

from __future__ import annotations

import math
import re

from . import values


def fraction(value: str) -> float:
    """A number above 0, at most 1."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise ValueError("is no share; above 0, at most 1, e.g. 0.1")
    return number


def percent(value: str) -> float:
    """Percent, with or without the sign; several processors may be more than 100."""
    try:
        number = float(value.strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    if number < 0 or not math.isfinite(number):
        raise ValueError("is no percentage; e.g. 90")
    return number


def share(value: str) -> float | int:
    """Percent as a number with a fraction, or a size in bytes as a whole one: C{250M}."""
    try:
        return percent(value)
    except ValueError:
        return values.size(value)


def pattern(value: str) -> str:
    """A regular expression."""
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return value
