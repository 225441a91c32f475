"""
A few threads for what may take long, made when they are first needed.

They are daemons: one that never returns keeps nobody from exiting, and is gone
when the process becomes another image.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias

Work: TypeAlias = Callable[[], None]


class Threads:
    """
    At most so many threads, which do what they are given in the order in which it came.

    @ivar size: how many there are now.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self.size = 0
        self._free = 0
        self._lock = threading.Lock()
        self._work: SimpleQueue[Work | None] = SimpleQueue()

    def do(self, work: Work) -> None:
        """Do something as soon as a thread is free; it must not raise."""
        with self._lock:
            self._free -= 1
            more = self._free < 0 and self.size < self._most
            if more:
                self.size += 1
                self._free += 1
        if more:
            threading.Thread(target=self._run, name=f"{self._name}-{self.size}", daemon=True).start()
        self._work.put(work)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._free += 1

    def close(self) -> None:
        """Let every thread end when it has done what it does; nobody waits for that."""
        for _ in range(self.size):
            self._work.put(None)


def called(function: Callable[..., Any], given: dict[str, Any]) -> tuple[Any, BaseException | None]:
    """What a function of somebody else returns, or what it raises, whatever that is."""
    try:
        return function(**given), None
    except BaseException as error:
        return None, error
