"""Columns of text, aligned."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def width(text: str) -> int:
    """How many columns of a terminal it takes; colours take none."""
    plain = _COLOUR.sub("", text)
    if plain.isascii():
        return len(plain)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in plain
    )


def aligned(rows: Sequence[Sequence[str]], gaps: Sequence[int] = (2,)) -> list[str]:
    """
    One line for each row.

    @param gaps: spaces after the first column, the second, ...; the last number
        is for all further ones.
    """
    columns = max(map(len, rows), default=0)
    widths = [max((width(row[at]) for row in rows if at < len(row)), default=0) for at in range(columns)]
    return [_line(row, widths, gaps) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int], gaps: Sequence[int]) -> str:
    parts = []
    for at, cell in enumerate(row):
        gap = gaps[min(at, len(gaps) - 1)]
        parts.append(cell + " " * (widths[at] - width(cell) + gap))
    return "".join(parts).rstrip()
