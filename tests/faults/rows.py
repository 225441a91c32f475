"""
The catalogue of faults: its parts, and the rows that the tests declare.

Rows are read from the sources of the tests, so that nothing is imported for it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

PARTS = {
    "A": ("The child", 1, 22),
    "B": ("Spawning", 23, 34),
    "C": ("Logs and pipes", 35, 46),
    "D": ("Sockets", 47, 55),
    "E": ("Configuration", 56, 64),
    "F": ("The control plane", 65, 76),
    "G": ("Clock, signals, host", 77, 88),
    "H": ("The supervisor itself", 89, 97),
    "I": ("Hooks, plugins, web", 98, 102),
}
"""The title, the first and the last number of each part."""


@attrs.frozen
class Row:
    """
    One row.

    @ivar id: the part's letter and the fault's number, e.g. A1.
    @ivar fault: what goes wrong.
    @ivar expected: what happens then.
    @ivar test: the module and the name of the test that shows it.
    """

    id: str
    fault: str
    expected: str
    test: str


def row(id: str, fault: str, expected: str) -> Callable[[Any], Any]:
    """Declare that a test is a row of the catalogue; the words are all its documentation."""

    def declared(test: Any) -> Any:
        assert test.__name__.startswith(f"test_{id}_"), test.__name__
        test.__doc__ = f"{id} {fault}: {expected}"
        return test

    return declared


def identifiers() -> list[str]:
    """Every id, in order."""
    return [f"{part}{number}" for part, (_, first, last) in PARTS.items() for number in range(first, last + 1)]


def rows() -> list[Row]:
    """Every row that a test declares, in the catalogue's order."""
    found = [each for path in Path(__file__).parent.glob("test_*.py") for each in _declared(path)]
    return sorted(found, key=lambda each: int(each.id[1:]))


def _declared(path: Path) -> Iterator[Row]:
    for node in ast.walk(ast.parse(path.read_text())):
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "row":
                words = [ast.literal_eval(argument) for argument in decorator.args]
                yield Row(*words, test=f"{path.stem}.{node.name}")


MISSING: dict[str, str] = {
    "A17": "pids_max takes a control group of version 2; tests/functional/test_cgroups.py has it where there is one",
    "A18": "memory_max takes a control group of version 2; tests/functional/test_cgroups.py has it where there is one",
    "H92": "nothing watches the reactor from inside; hooks, checks and name servers do not run in it",
}
"""Rows of the catalogue that no test shows yet, and why."""
