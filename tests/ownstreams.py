"""Streams of one's own, as users of Circus write them."""

from __future__ import annotations

import threading
from typing import Any


class Keep:
    """
    Keeps what it is called with.

    @cvar made: every one that was made.
    """

    made: list[Keep] = []

    def __init__(self, **settings: str) -> None:
        self.settings = settings
        self.items: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.threads: set[int] = set()
        Keep.made.append(self)

    def open(self) -> None:
        """It begins."""
        self.calls.append("open")

    def close(self) -> None:
        """It ends."""
        self.calls.append("close")

    def __call__(self, item: dict[str, Any]) -> None:
        """Something was written."""
        self.threads.add(threading.get_ident())
        self.items.append(item)


class Fail:
    """Fails each time."""

    def __call__(self, item: dict[str, Any]) -> None:
        """Something was written."""
        raise ValueError("no")


class Slow:
    """
    Waits for permission.

    @cvar go: the permission.
    """

    go = threading.Event()

    def __call__(self, item: dict[str, Any]) -> None:
        """Something was written."""
        self.go.wait(20)
