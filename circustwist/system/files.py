"""
A log file: appended to, rotated by size, followed when it is moved away, and
tried again while it cannot be written.

One L{LogFile} must be the only one of its path in the process: its bytes go
where its end was a moment ago, not where O_APPEND would put them, because
splice(2) refuses descriptors with O_APPEND.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Callable
from fcntl import ioctl
from itertools import pairwise
from termios import FIONREAD
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

CHUNK = 65536
CHECK_EVERY = 1.0
"""Seconds between two looks at whether the path still leads to our file."""
RETRY = 1.0
"""Seconds between two tries to write to a store that failed."""
TELL_EVERY = 10.0
"""Seconds between two messages about a store that keeps failing."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_REASONS = {errno.ELOOP: "is a symbolic link", errno.ENXIO: "is a fifo or a socket", errno.EISDIR: "is a directory"}


class LogFile:
    """
    A regular file that is written at its end.

    @ivar path: absolute.
    @ivar maxBytes: size at which it is rotated; 0 is never.
    @ivar backups: how many rotated files C{PATH.1} (the youngest) and so on
        are kept; with 0 it is not rotated (Circus).
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, path: str) -> None:
        self.path = path
        self.maxBytes = 0
        self.backups = 0
        self._clock = clock
        self._fd = -1
        self._identity = (0, 0)
        self._checked = 0.0
        self._stuck = False

    def open(self) -> None:
        """
        Open it, again if it is open already.

        @raise OSError: if it cannot be opened or is not a regular file; then
            it is closed.
        """
        self.close()
        fd = os.open(self.path, _FLAGS, 0o644)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "is not a regular file", self.path)
        self._fd = fd
        self._identity = (status.st_dev, status.st_ino)
        self._checked = self._clock.seconds()

    def close(self) -> None:
        """Close it; writing opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def splice(self, pipe: int) -> int:
        """
        Move bytes from a pipe to the end of the file without ever having
        them in memory, so that a killed supervisor loses none.

        @return: how many; 0 when nobody can write to the pipe any more.
        @raise BlockingIOError: if the pipe is empty.
        @raise OSError: if the file cannot be written; the bytes stay in the pipe.
        @see: splice(2).
        """
        room = self._room(min(1, available(pipe)))
        return os.splice(pipe, self._fd, min(CHUNK, room), flags=os.SPLICE_F_NONBLOCK)

    def last(self, count: int) -> bytes:
        """The last bytes of the file, as far as we may read it."""
        try:
            reading = os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(reading, count, max(0, os.fstat(reading).st_size - count))
        finally:
            os.close(reading)

    def write(self, data: bytes) -> int:
        """
        Write whole lines; each into one file if it is not longer than
        C{maxBytes}.

        @return: how many bytes were written, at least one.
        @raise OSError: if the file cannot be written.
        """
        first = data.find(b"\n") + 1 or len(data)
        room = self._room(first)
        if len(data) > room:
            data = data[:max(data.rfind(b"\n", 0, room) + 1, first)]
        return os.write(self._fd, data)

    def _room(self, wanted: int) -> int:
        """How many bytes fit, after a rotation if fewer than wanted did."""
        if self._fd < 0 or self._lost():
            self.open()
        size = os.lseek(self._fd, 0, os.SEEK_END)
        if not (self.maxBytes and self.backups):
            return CHUNK
        if size and size + wanted > self.maxBytes and self._rotated():
            size = 0
        rest = self.maxBytes - size
        return rest if rest > 0 else CHUNK

    def _lost(self) -> bool:
        """Whether the path leads elsewhere by now; looked at once a second at most."""
        now = self._clock.seconds()
        if now - self._checked < CHECK_EVERY:
            return False
        self._checked = now
        self._stuck = False
        try:
            status = os.lstat(self.path)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def _rotated(self) -> bool:
        """
        Whether the file could be put aside; if not, it grows on.

        @raise OSError: if no new file can be made.
        """
        if self._stuck:
            return False
        try:
            self._shift()
        except OSError as error:
            self._stuck = True
            self.log.warn("{path} cannot be rotated: {reason}", path=self.path, reason=error.strerror)
            return False
        self.open()
        return True

    def _shift(self) -> None:
        names = [self.path, *(f"{self.path}.{n}" for n in range(1, self.backups + 1))]
        for old, new in reversed(list(pairwise(names))):
            if os.path.lexists(old):
                os.rename(old, new)


def available(pipe: int) -> int:
    """How many bytes a pipe holds; FIONREAD in pipe(7)."""
    count = array("i", [0])
    ioctl(pipe, FIONREAD, count)
    return count[0]


def realPath(path: str) -> str:
    """
    The one name under which a file is known: absolute, with the links on the
    way to it resolved; the file itself must not be a link.
    """
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def reason(error: OSError) -> str:
    """Why a file cannot be opened, to go after its path."""
    if error.errno in _REASONS:
        return _REASONS[error.errno]
    return error.strerror or str(error)


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
    """

    def __init__(self, gate: Gate, file: IWritable) -> None:
        self.gate = gate
        self._file = file
        self._pending = b""

    def write(self, data: bytes) -> None:
        """Write it all, now or when that is possible again."""
        self._pending += data
        if self.gate.ready:
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
