"""
What looks like a secret in a configuration, and is not told.
"""

from __future__ import annotations

import re

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
