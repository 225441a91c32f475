"""
Pictures of the code, drawn from the code itself as SVG: who imports whom, and the states of the machines.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "circustwist"
FLOORS: Sequence[Mapping[str, int]] = (
    {"roof": 400}, {"control": 120, "web": 400, "cli": 680}, {"system": 230}, {"logic": 570}, {"model": 400},
)
"""The packages from the roof down, each with its place across; modules that lie in none are the roof."""

WIDE, HIGH = 150, 44
"""The size of a box."""
_HEAD = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}" '
         'style="max-width: {width}px; width: 100%; font: 13px sans-serif">'
         '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
         '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>')


def box(x: float, y: float, text: str, more: str = "") -> str:
    """A box around its middle."""
    small = f'<tspan x="{x}" dy="15" font-size="11" opacity=".7">{escape(more)}</tspan>' if more else ""
    return (f'<rect x="{x - WIDE / 2}" y="{y - HIGH / 2}" width="{WIDE}" height="{HIGH}" rx="6" '
            f'fill="var(--color-background-primary, white)" '
            f'stroke="currentColor"/><text x="{x}" y="{y + (-2 if more else 4)}" text-anchor="middle" '
            f'fill="currentColor">{escape(text)}{small}</text>')


def arrow(path: str, width: float = 1.0) -> str:
    """An arrow along a path."""
    return (f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="{width:.1f}" opacity=".55" '
            'marker-end="url(#tip)"/>')


def picture(title: str, width: float, height: float, parts: Iterable[str]) -> str:
    """A whole picture, as a line of HTML."""
    return _HEAD.format(title=escape(title), width=width, height=height) + "".join(parts) + "</svg>"


# Imports


def part(path: Path) -> str:
    """The package of a module."""
    inside = path.relative_to(PACKAGE).parts
    return inside[0] if len(inside) > 1 and any(inside[0] in floor for floor in FLOORS) else "roof"


def imports() -> Counter[tuple[str, str]]:
    """How many modules of one package import one of another."""
    found: Counter[tuple[str, str]] = Counter()
    for path in PACKAGE.rglob("*.py"):
        here = [PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1]]
        meant = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = here[: len(here) - node.level + 1]
                names = [*base[1:], *(node.module or node.names[0].name).split(".")]
                meant.add(names[0] if any(names[0] in floor for floor in FLOORS) else "roof")
        # The package itself holds nothing but its version.
        found.update((part(path), other) for other in meant - {part(path), "roof"})
    return found


def house() -> str:
    """The floors, with an arrow from each package to those that it imports."""
    sizes = Counter(part(path) for path in PACKAGE.rglob("*.py"))
    places = {name: (x, 40 + 105 * level) for level, floor in enumerate(FLOORS) for name, x in floor.items()}
    boxes = [box(*places[name], name, f"{sizes[name]} modules") for name in places]
    arrows = []
    for (source, target), count in sorted(imports().items()):
        (x, y), (u, v) = places[source], places[target]
        start = x + (u - x) / 12
        arrows.append(arrow(f"M{start} {y + HIGH / 2}C{start} {y + 60} {u + (x - u) / 8} {v - 70} "
                            f"{u + (x - u) / 8} {v - HIGH / 2}", 1 + count / 12))
    return picture("who imports whom", 800, 510, [*arrows, *boxes])


# States


def machine(title: str, transitions: Iterable[tuple[str, str, str]]) -> str:
    """
    States in columns, by how many steps they are from the first one.

    @param transitions: state, input and next state, those of the first state first.
    """
    every = list(transitions)
    columns = _columns(every)
    places = {state: (90 + column * 230, 60 + row * 110)
              for column, states in enumerate(columns) for row, state in enumerate(states)}
    labels: dict[tuple[str, str], list[str]] = {}
    for state, input, target in every:
        if state != target:
            labels.setdefault((state, target), []).append(input)
    deep = max(map(len, columns))
    edges = [_edge(places[a], places[b], ", ".join(names), deep) for (a, b), names in labels.items()]
    boxes = [box(x, y, state) for state, (x, y) in places.items()]
    return picture(title, 230 * len(columns) - 50, 60 + 110 * deep + 60, [*edges, *boxes])


def _columns(transitions: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    left = {state for state, _, _ in transitions}
    last = list(dict.fromkeys(target for _, _, target in transitions if target not in left))
    columns = [[transitions[0][0]]]
    seen = {transitions[0][0], *last}
    while columns[-1]:
        following = [target for state, _, target in transitions if state in columns[-1] and target not in seen]
        columns.append(list(dict.fromkeys(following)))
        seen.update(following)
    return [*columns[:-1], last] if last else columns[:-1]


def _edge(start: tuple[float, float], end: tuple[float, float], label: str, deep: int) -> str:
    (x, y), (u, v) = start, end
    if u > x:
        path, at = f"M{x + WIDE / 2} {y}C{x + 115} {y} {u - 115} {v} {u - WIDE / 2} {v}", ((x + u) / 2, (y + v) / 2 - 6)
        if u - x > 240:
            over = 110 * deep + 40
            path = f"M{x} {y + HIGH / 2}C{x} {over} {u} {over} {u} {v + HIGH / 2}"
            at = ((x + u) / 2, over - 20)
    elif u == x:
        side = WIDE / 2 - 20 if v > y else -WIDE / 2 + 20
        half = HIGH / 2 if v > y else -HIGH / 2
        path, at = f"M{x + side} {y + half}L{u + side} {v - half}", (x + side, (y + v) / 2 + 4)
    else:
        path, at = f"M{x} {y - HIGH / 2}C{x} {y - 50} {u} {v - 50} {u} {v - HIGH / 2}", ((x + u) / 2, min(y, v) - 36)
    return arrow(path) + (f'<text x="{at[0]}" y="{at[1]}" text-anchor="middle" font-size="11" fill="currentColor" '
                          f'opacity=".8">{escape(label)}</text>')


