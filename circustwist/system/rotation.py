"""
When a log file is put aside, under which name, and what becomes of it then.
"""

from __future__ import annotations

import gzip
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

import attrs

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FORMS = {"s": "%Y%m%d%H%M%S", "m": "%Y%m%d%H%M", "h": "%Y%m%d%H"}
_DAY = 86400

Identity: TypeAlias = tuple[int, int, int]
"""Which file it is, under whatever name: inode, time of its last change, size."""
MEMBER = 1 << 18
"""So many bytes at a time are compressed by themselves, so that the end of a file can be read without the rest."""
_ASIDE = re.compile(r"\.\d+(-\d+)?(\.gz)?")


@attrs.frozen
class Timed:
    """
    The times of C{TimedRotatingFileStream}.

    @ivar when: C{s}, C{m}, C{h}, C{d}, C{midnight} or C{w0} (Monday) to C{w6}.
    @ivar interval: so many of these.
    @ivar utc: whether days and names follow UTC.
    @ivar wall: the time of day, in seconds since the epoch.
    """

    when: str
    interval: int = 1
    utc: bool = False
    wall: Callable[[], float] = time.time

    def due(self, begun: float) -> float:
        """When a file that was begun at that time is put aside."""
        interval = max(1, self.interval)
        if self.when in _SECONDS:
            return begun + _SECONDS[self.when] * interval
        day = self._split(begun)
        ahead = interval if self.when == "midnight" else (int(self.when[1]) - day.tm_wday) % 7 + 1 + 7 * (interval - 1)
        if self.utc:
            return begun - begun % _DAY + ahead * _DAY
        # Days may have 23 or 25 hours.
        return time.mktime((day.tm_year, day.tm_mon, day.tm_mday + ahead, 0, 0, 0, 0, 0, -1))

    def suffix(self, due: float) -> str:
        """What is put after the name of a file that is put aside at that time: when it began."""
        length = _SECONDS.get(self.when, _DAY if self.when == "midnight" else 7 * _DAY) * max(1, self.interval)
        return time.strftime(_FORMS.get(self.when, "%Y%m%d"), self._split(due - length))

    def _split(self, at: float) -> time.struct_time:
        return time.gmtime(at) if self.utc else time.localtime(at)


def shift(path: str, most: int) -> None:
    """Put a file aside as C{PATH.1}, and those before it one number on; there are so many at most."""
    last = 0
    while last < most and any(os.path.lexists(f"{path}.{last + 1}{end}") for end in ("", ".gz")):
        last += 1
    for number in range(min(last, most - 1), 0, -1):
        for end, other in (("", ".gz"), (".gz", "")):
            if os.path.lexists(f"{path}.{number}{end}"):
                os.rename(f"{path}.{number}{end}", f"{path}.{number + 1}{end}")
                with suppress(FileNotFoundError):
                    os.unlink(f"{path}.{number + 1}{other}")
    os.rename(path, f"{path}.1")
    with suppress(FileNotFoundError):
        os.unlink(f"{path}.1.gz")


def date(path: str, suffix: str) -> None:
    """Put a file aside under a name of its own."""
    name, number = f"{path}.{suffix}", 0
    while os.path.lexists(name) or os.path.lexists(f"{name}.gz"):
        number += 1
        name = f"{path}.{suffix}-{number}"
    os.rename(path, name)


@attrs.frozen
class Keeping:
    """
    What becomes of the files that were put aside.

    @ivar count: so many are kept; 0 is no limit.
    @ivar age: in seconds; 0 is no limit.
    @ivar total: bytes of all of them; 0 is no limit.
    """

    count: int = 0
    age: float = 0.0
    total: int = 0
    compress: bool = False

    def __bool__(self) -> bool:
        return bool(self.count or self.age or self.total or self.compress)

    def prune(self, path: str, now: float) -> None:
        """Remove those that are too many, too old or too large."""
        size = 0
        for number, (name, status) in enumerate(aside(path)):
            size += status.st_size
            if (self.count and number >= self.count) or (self.age and now - status.st_mtime > self.age) or (
                    self.total and size > self.total):
                with suppress(OSError):
                    os.unlink(name)

    def squeezed(self, path: str) -> list[tuple[Identity, str]]:
        """
        Compress those that are not yet; to be run in a thread.

        @return: which file it was, and where its compressed content is.
        """
        found = []
        for name, status in aside(path) if self.compress else ():
            made = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{status.st_ino}.tmp")
            if not name.endswith(".gz"):
                with suppress(OSError):
                    if _squeeze(name, status, made):
                        found.append((_identity(status), made))
        return found

    def settle(self, path: str, squeezed: list[tuple[Identity, str]]) -> bool:
        """
        Let compressed files take the places of the others, which may have been renamed meanwhile.

        @return: whether there were any.
        """
        names = {_identity(status): name for name, status in aside(path)}
        for identity, made in squeezed:
            with suppress(OSError):
                if identity in names:
                    os.rename(made, f"{names[identity]}.gz")
                    os.unlink(names[identity])
                else:
                    os.unlink(made)
        return bool(squeezed)


def _identity(status: os.stat_result) -> Identity:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _squeeze(name: str, status: os.stat_result, made: str) -> bool:
    """Compress one file, if it still is the one that was meant."""
    with open(name, "rb") as source:
        if _identity(os.fstat(source.fileno())) != _identity(status):
            return False
        try:
            with open(made, "wb") as target:
                os.fchmod(target.fileno(), status.st_mode & 0o777)
                while piece := source.read(MEMBER):
                    target.write(gzip.compress(piece, 6, mtime=int(status.st_mtime)))
            os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError:
            os.unlink(made)
            raise
    return True


def aside(path: str) -> list[tuple[str, os.stat_result]]:
    """The files that were put aside, the youngest first."""
    folder, base = os.path.split(path)
    found = [(name, status) for name, status in _entries(folder) if os.path.basename(name).startswith(base) and (
        _ASIDE.fullmatch(os.path.basename(name)[len(base):]))]
    return sorted(found, key=lambda each: each[1].st_mtime, reverse=True)


def _entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with suppress(OSError):
        for entry in os.scandir(folder or "."):
            with suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False)
