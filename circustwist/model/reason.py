"""
Why something failed: a text for everybody, and beside it what a process wrote, for those who may read that.
"""

from __future__ import annotations

from typing import Any

from .commands import ROLES, TABLE

LAST_WORDS = "last_words"
"""Under which name JSON has what a process wrote before something failed."""


class Reason(str):
    """
    Why something failed, as a text that everybody may read.

    What is made of the text by formatting has no last words, unless they are
    handed on on purpose.

    @ivar words: what a process wrote last, and which; empty if that is not known.
    """

    __slots__ = ("words",)

    words: str

    def __new__(cls, text: str, words: str = "") -> Reason:
        """A text, and the last words that belong to it."""
        made = super().__new__(cls, text)
        made.words = words
        return made


def words(reason: str) -> str:
    """The last words that belong to a reason; empty if there are none."""
    return reason.words if isinstance(reason, Reason) else ""


def whole(reason: str) -> str:
    """A reason with its last words, for those who may read them."""
    return "; ".join(filter(None, (reason, words(reason))))


def framed(before: str, reason: str, after: str = "") -> Reason:
    """A longer text around a reason, with the last words that belong to it."""
    return Reason(f"{before}{reason}{after}", words(reason))


def joined(first: str, second: str) -> Reason:
    """Two reasons as one; each may be empty."""
    return Reason("; ".join(filter(None, (first, second))),
                  "; ".join(filter(None, (words(first), words(second)))))


def last(reason: str) -> dict[str, Any]:
    """The last words as JSON, beside the reason that they belong to."""
    found = words(reason)
    return {LAST_WORDS: found} if found else {}


def hears(role: str) -> bool:
    """Whether somebody of that role may read what processes write."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(TABLE["tail"].role)
