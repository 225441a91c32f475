"""
Output that is dropped, and counted, because its stream says so.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.logger import Logger

from .sinks import ISink, ISource
from .stores import TELL_EVERY


@attrs.define
class Drops:
    """
    How much of one output was dropped.

    @ivar title: whose it is, for the log.
    @ivar seconds: the time, in seconds.
    @ivar total: bytes.
    """

    log = Logger()

    title: str
    seconds: Callable[[], float]
    total: int = 0
    _untold: int = 0
    _told: float = float("-inf")

    def add(self, count: int, why: str) -> None:
        """So many bytes more; said at once, then every L{TELL_EVERY} seconds."""
        self.total += count
        self._untold += count
        if self._untold and self.seconds() - self._told >= TELL_EVERY:
            self._tell(f"because {why}")

    def over(self) -> None:
        """Output is taken again."""
        if self._untold and self.seconds() - self._told >= TELL_EVERY:
            self._tell("; it is taken again")

    def close(self) -> None:
        """Nothing comes any more: say what was not said yet."""
        if self._untold:
            self._tell("until its end")

    def _tell(self, state: str) -> None:
        self.log.warn(
            "{title}: {count} bytes of output were dropped {state} ({total} so far)",
            title=self.title, count=self._untold, state=state, total=self.total)
        self._untold, self._told = 0, self.seconds()


class Limited(ISink):
    """
    A sink that drops what is too much for it, so that workers need not wait.

    @ivar sink: the sink.
    @ivar drops: whether it does while the sink takes no more.
    @ivar dropped: how much it was.
    """

    def __init__(self, sink: ISink, drops: bool, rate: float, dropped: Drops) -> None:
        """
        @param rate: bytes a second; 0 is no limit.
        """
        self.sink = sink
        self.gate = sink.gate
        self.drops = drops
        self.held = sink.held
        self.dropped = dropped
        self._rate = rate
        self._left = rate
        self._at = dropped.seconds()

    def pull(self, source: ISource) -> int:
        if not self.gate.ready:
            return self._thrown(source, "it cannot be written")
        if self._rate and not self._allowed():
            return self._thrown(source, f"it is more than {self._rate:g} bytes a second")
        try:
            count = self.sink.pull(source)
        except BlockingIOError:
            if self.drops and not self.gate.ready:
                return self._thrown(source, "it cannot be written")
            raise
        self._left -= count
        if count:
            self.dropped.over()
        return count

    def _thrown(self, source: ISource, why: str) -> int:
        count, lost = self.sink.discard(source)
        self.dropped.add(lost, why)
        return count

    def _allowed(self) -> bool:
        """Whether anything is left of what may come within a second."""
        now = self.dropped.seconds()
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left > 0

    def discard(self, source: ISource) -> tuple[int, int]:
        return self.sink.discard(source)

    def finish(self, source: ISource) -> None:
        self.sink.finish(source)

    def flush(self) -> None:
        self.sink.flush()

    def close(self) -> None:
        self.dropped.close()
        self.sink.close()
