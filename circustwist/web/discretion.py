"""
What a viewer is not told: the last words of a worker, which stand behind the way in which it ended.
"""

from __future__ import annotations

import re
from typing import Any

_WORDS = re.compile(r"( after \d+\.\d s): .+", re.S)


def discreet(value: Any) -> Any:
    """JSON without what workers have written."""
    if isinstance(value, str):
        return _WORDS.sub(r"\1", value) if " after " in value else value
    if isinstance(value, dict):
        return {key: discreet(each) for key, each in value.items()}
    return [discreet(each) for each in value] if isinstance(value, list) else value


def fitting(value: Any, role: str) -> Any:
    """What somebody of that role may be told of it."""
    return discreet(value) if role in ("", "viewer") else value
