"""
A log file: appended to, rotated by size or time, and followed when it is moved away.

One L{LogFile} must be the only one of its path in the process: its bytes go
where its end was a moment ago, not where O_APPEND would put them, because
splice(2) refuses descriptors with O_APPEND.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from array import array
from collections.abc import Callable
from fcntl import ioctl
from functools import partial
from termios import FIONREAD

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .rotation import Timed, date, shift

CHUNK = 65536
CHECK_EVERY = 1.0
"""Seconds between two looks at whether the path still leads to our file."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_REASONS = {errno.ELOOP: "is a symbolic link", errno.ENXIO: "is a fifo or a socket", errno.EISDIR: "is a directory"}


class LogFile:
    """
    A regular file that is written at its end.

    @ivar path: absolute.
    @ivar maxBytes: size at which it is rotated; 0 is never.
    @ivar backups: how many rotated files C{PATH.1} (the youngest) and so on
        are kept; with 0 it is not rotated (Circus).
    @ivar timed: when it is put aside for the time.
    @ivar rotated: called when a file was put aside.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, path: str) -> None:
        self.path = path
        self.maxBytes = 0
        self.backups = 0
        self.timed: Timed | None = None
        self.rotated: Callable[[], None] = lambda: None
        self._due = 0.0
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
        fd = _opened(self.path)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "is not a regular file", self.path)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        self._identity = (status.st_dev, status.st_ino)
        self._checked = self._clock.seconds()
        if self.timed is not None:
            self._due = self.timed.due(status.st_mtime if status.st_size else self.timed.wall())

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
        rotates = (self.maxBytes and self.backups) or self.timed is not None
        room = self._room(min(1, available(pipe)) if rotates else 1)
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
        if self.timed is not None and self.timed.wall() >= self._due:
            if size == 0:
                self._due = self.timed.due(self.timed.wall())
            elif self._rotated(partial(date, self.path, self.timed.suffix(self._due))):
                size = 0
        if not (self.maxBytes and self.backups):
            return CHUNK
        if size and size + wanted > self.maxBytes and self._rotated(partial(shift, self.path, self.backups)):
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

    def rotate(self) -> None:
        """Put it aside now, if there is anything in it."""
        if self._fd >= 0 and os.lseek(self._fd, 0, os.SEEK_END):
            suffix = time.strftime("%Y%m%d%H%M%S")
            self._stuck = False
            self._rotated(
                partial(shift, self.path, self.backups) if self.backups and self.timed is None
                else partial(date, self.path, suffix))

    def _rotated(self, move: Callable[[], None]) -> bool:
        """
        Whether the file could be put aside; if not, it grows on.

        @raise OSError: if no new file can be made.
        """
        if self._stuck:
            return False
        try:
            move()
        except OSError as error:
            self._stuck = True
            self.log.warn("{path} cannot be rotated: {reason}", path=self.path, reason=error.strerror)
            return False
        self.open()
        self.rotated()
        return True


def _opened(path: str) -> int:
    """
    A descriptor to write to a file; root follows no symbolic link on the way,
    which somebody else may have put there since the path was resolved.
    """
    if os.geteuid():
        return os.open(path, _FLAGS, 0o644)
    *folders, name = path.strip("/").split("/")
    folder = os.open("/", _FOLDER)
    try:
        for each in folders:
            inner = os.open(each, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FLAGS, 0o644, dir_fd=folder)
    finally:
        os.close(folder)


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


def unwritable(path: str) -> str:
    """Why a file could not be written, as far as that can be told without making it; empty if nothing is known."""
    path = realPath(path)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"{path}: {os.strerror(errno.ENOTDIR if os.path.lexists(folder) else errno.ENOENT)}"
    if os.path.lexists(path) and not os.path.isfile(path):
        return f"{path}: is not a regular file"
    allowed = os.access(path if os.path.lexists(path) else folder, os.W_OK, effective_ids=True)
    return "" if allowed else f"{path}: {os.strerror(errno.EACCES)}"


def reason(error: OSError) -> str:
    """Why a file cannot be opened, to go after its path."""
    if error.errno in _REASONS:
        return _REASONS[error.errno]
    return error.strerror or str(error)
