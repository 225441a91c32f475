"""
Output that is dropped, and counted, because its stream says so.
"""

from __future__ import annotations

from .drops import Drops
from .sinks import ISink, ISource


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
        self._at = dropped.clock.seconds()

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
        count, thrown = self.sink.discard(source)
        self.dropped.add(thrown, why)
        return count

    def _allowed(self) -> bool:
        """Whether anything is left of what may come within a second."""
        now = self.dropped.clock.seconds()
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left > 0

    def discard(self, source: ISource) -> tuple[int, bytes]:
        return self.sink.discard(source)

    def finish(self, source: ISource) -> None:
        self.sink.finish(source)

    def flush(self) -> None:
        self.sink.flush()

    def close(self) -> None:
        self.dropped.close()
        self.sink.close()
