"""
What looks like a secret in a configuration, and is not told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_SECRET = re.compile(r"passw|secret|token|credential|api_?key|private|hash", re.I)
_NOT_SECRET = frozenset(("curve_secret_key_file",))
_WORD = r"[\w-]*(?:passw(?:or)?d?|secret|token|credential|api[-_]?key)[\w-]*"
_TOLD = re.compile(
    rf"(--?{_WORD}(?:=|\s+)|{_WORD}[=:])([^\s'\"]+)|(://[^\s/:@]*:)([^\s/@]+)(?=@)",
    re.I)


def hidden(name: str, value: str) -> str:
    """The value of an option without what looks like a secret."""
    if value and _SECRET.search(name) and name not in _NOT_SECRET:
        return MASK
    return _TOLD.sub(lambda found: f"{found[1] or found[3]}{MASK}", value)


def masked(name: str, value: Any) -> Any:
    """The same for the value of an option as JSON."""
    if isinstance(value, str):
        return hidden(name, value)
    if isinstance(value, Mapping):
        return {key: masked(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        # A secret may be the word after the one that tells of it.
        told = ["", *(f"{before} x" for before in value[:-1])]
        return [MASK if hidden(name, line).endswith(MASK) else hidden(name, each)
                for line, each in zip(told, value, strict=False)]
    return value
