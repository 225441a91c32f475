"""What a benchmark finds, and the table it is shown in."""

from __future__ import annotations

from collections.abc import Iterable

import attrs


@attrs.frozen
class Row:
    """
    One figure.

    @ivar what: what was measured.
    @ivar value: how much it was.
    @ivar unit: of C{value} and C{floor}.
    @ivar floor: what it is compared with; None if it stands for itself.
    @ivar ratio: the most that C{value} may be of the floor, or None.
    @ivar limit: the most that C{value} may be by itself, or None.
    """

    what: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    limit: float | None = None

    @property
    def goal(self) -> str:
        """The figure to reach, in words."""
        if self.ratio is not None:
            return f"≤ {self.ratio:g} x floor"
        return "" if self.limit is None else f"≤ {self.limit:g} {self.unit}"

    @property
    def reached(self) -> str:
        """Whether the figure was reached; empty if there is none."""
        if self.ratio is not None and self.floor:
            return _yes(self.value <= self.ratio * self.floor)
        return "" if self.limit is None else _yes(self.value <= self.limit)

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        floor = "" if self.floor is None else f"{_number(self.floor)} {self.unit}"
        ratio = f"{self.value / self.floor:.2f}" if self.floor else ""
        return self.what, f"{_number(self.value)} {self.unit}", floor, ratio, self.goal, self.reached


HEAD = ("what", "measured", "floor", "ratio", "to reach", "reached")


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= 1000 else f"{value:.3g}"


def table(rows: Iterable[Row]) -> str:
    """The rows as a table in reStructuredText."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEAD))]
    rule = "  ".join("=" * width for width in widths)
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join((rule, shown[0], rule, *shown[1:], rule))
