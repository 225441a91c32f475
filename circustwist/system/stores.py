"""
What sinks write to, and how nobody reads while it takes no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from .files import LogFile, reason

RETRY = 1.0
"""Seconds between two tries to write to a store that failed."""
TELL_EVERY = 10.0
"""Seconds between two messages about a store that keeps failing."""


class IWaiting(Protocol):
    """Who waits at a gate."""

    def resume(self) -> None:
        """The gate has opened."""


class Gate:
    """
    Whether a store takes more.  While it does not, nobody reads: the bytes
    stay in the pipes, and workers wait once those are full.

    @ivar ready: whether it does.
    @ivar waiting: who is to be told when it does.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, title: str) -> None:
        """
        @param title: the store's name, for the log.
        """
        self.ready = True
        self.waiting: set[IWaiting] = set()
        self._clock = clock
        self._title = title
        self._tries = 0
        self._told = 0.0
        self._timer: IDelayedCall | None = None

    def shut(self) -> None:
        """Let whoever wants to read wait."""
        self.ready = False

    def open(self) -> None:
        """Let everybody read."""
        if self.ready:
            return
        self.ready = True
        waiting, self.waiting = self.waiting, set()
        for source in waiting:
            source.resume()

    def failed(self, error: OSError, again: Callable[[], object]) -> None:
        """
        The store could not be written: shut, say so, and try again later.

        @param again: called in L{RETRY} seconds.
        """
        self.shut()
        self._tries += 1
        now = self._clock.seconds()
        if self._tries == 1:
            self._tell("it is tried again every second", error, now)
        elif now - self._told >= TELL_EVERY:
            self._tell(f"tried {self._tries} times, {len(self.waiting)} outputs wait", error, now)
        if self._timer is None:
            self._timer = self._clock.callLater(RETRY, self._again, again)

    def _tell(self, state: str, error: OSError, now: float) -> None:
        self._told = now
        self.log.warn(
            "{title} cannot be written: {reason}; {state}", title=self._title, reason=reason(error), state=state)

    def _again(self, again: Callable[[], object]) -> None:
        self._timer = None
        again()

    def succeeded(self) -> None:
        """The store was written."""
        if self._tries:
            self.log.info("{title} is written again, after {tries} failures", title=self._title, tries=self._tries)
            self._tries = 0

    def lost(self, count: int) -> None:
        """So many bytes could not be written before the end."""
        self.log.warn("{title}: {count} bytes of output are lost", title=self._title, count=count)

    def close(self) -> None:
        """Stop trying."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class IWritable(Protocol):
    """Something that L{Store} can write to."""

    def write(self, data: bytes) -> int:
        """
        Write at least one byte.

        @return: how many bytes were written.
        @raise OSError: if none could be.
        """

    def close(self) -> None:
        """Close it."""


class Store:
    """
    What is written at once: a file.

    @ivar gate: whether it takes more.
    @ivar gone: whether it will never take anything any more.
    """

    gone = False

    def __init__(self, gate: Gate, file: IWritable) -> None:
        self.gate = gate
        self._file = file
        self._pending = b""

    @property
    def pending(self) -> bytes:
        """What could not be written yet."""
        return self._pending

    def write(self, data: bytes, again: bool = False) -> None:
        """
        Write it all, now or when that is possible again.

        @param again: find out whether it is.
        """
        self._pending += data
        if self.gate.ready or again:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[self._file.write(self._pending):]
                self.gate.succeeded()
        except OSError as error:
            self.gate.failed(error, self._flush)
        else:
            self.gate.open()

    def close(self) -> None:
        """Write what is pending, if that is possible, and close."""
        self._flush()
        self.gate.close()
        self._file.close()
        if self._pending:
            self.gate.lost(len(self._pending))


class FileStore(Store):
    """
    A log file, which whole pipes can be emptied into too.

    @ivar file: the file itself.
    """

    def __init__(self, gate: Gate, file: LogFile) -> None:
        super().__init__(gate, file)
        self.file = file

    def splice(self, pipe: int) -> int:
        """
        Move bytes from a pipe into the file.

        @return: how many; 0 when nobody can write to the pipe any more.
        @raise BlockingIOError: if none were moved.
        """
        try:
            count = self.file.splice(pipe)
        except BlockingIOError:
            raise
        except OSError as error:
            self.gate.failed(error, self._flush)
            raise BlockingIOError from error
        self.gate.succeeded()
        return count

    def reopen(self) -> None:
        """Open the file again, which may have been moved."""
        try:
            self.file.open()
        except OSError as error:
            self.gate.failed(error, self._flush)

    def refused(self, error: OSError) -> None:
        """The file could not be opened: try again later."""
        self.gate.failed(error, self._flush)

    def rotate(self) -> None:
        """Put the file aside."""
        try:
            self.file.rotate()
        except OSError as error:
            self.gate.failed(error, self._flush)
