"""
What is told to all browsers, as somebody of a certain role may read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model.reason import LAST_WORDS, hears


def fitting(told: Any, role: str) -> Any:
    """Events, a picture, or what has changed of one, as far as somebody of that role may read it."""
    if hears(role):
        return told
    if isinstance(told, list):
        return [{**event, "data": _discreet(event["data"])} for event in told]
    found = dict(told)
    for part in ("watchers", "operations"):
        if part in told:
            found[part] = {name: _discreet(one) for name, one in told[part].items()}
    if "events" in told:
        found["events"] = fitting(told["events"], role)
    return found


def _discreet(one: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return {key: value for key, value in one.items() if key != LAST_WORDS} if one is not None else None
