"""
What both machines are declared with.

Automat 25.4 walks over all transitions of a machine at each input, which is
most of the cost of one.  A machine that is built does not change any more, so
what was found for a state and an input is found again.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from ..model.effects import NOTHING

T = TypeVar("T")


def remembering(machine: T) -> T:
    """The same machine, which remembers what it has looked for."""
    automaton: Any = getattr(machine, "__automat_automaton__", None)
    if automaton is not None:
        automaton.outputForInput = cache(automaton.outputForInput)
    return machine


def others(inputs: tuple[Any, ...], *without: Any) -> tuple[Any, ...]:
    """These inputs without some."""
    return tuple(input for input in inputs if input not in without)


def ignore(state: Any, *inputs: Any) -> None:
    """Decide that these inputs change nothing in a state."""
    for input in inputs:
        state.upon(input).loop().returns(NOTHING)
