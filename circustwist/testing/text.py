"""A stack in memory from the text of its ini."""

from __future__ import annotations

from ..embedding import fromText
from ..model.stack import Stack
from .memory import MemoryStack


def memoryStack(source: str | Stack) -> MemoryStack:
    """
    A stack in memory.

    @param source: the text of an ini, or a stack.
    @raise ConfigError: with everything that is wrong with the text.
    """
    return MemoryStack(fromText(source, environ={}) if isinstance(source, str) else source)
