"""
The state journal: one line of JSON per change, appended, never synced.

It need not outlive the host, only the supervisor, and what write(2) has taken
outlives that.  What is read is not trusted; what its entries mean is
L{circustwist.logic.durable}'s business.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from ..model.errors import WorldError
from .interfaces import IJournal

VERSION = 1
GROWTH = 2**20
"""Bytes that are appended before everything is replaced by its snapshot."""
LARGEST = 64 * 2**20
LONGEST_LINE = 64 * 2**10
_log = Logger()


def bootId() -> str:
    """What tells this boot of the host from others; empty if it cannot be told. @see: random(4)"""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


@implementer(IJournal)
class Journal:
    """
    The journal in a file.

    An entry is appended after the compaction that is due, never before it:
    the snapshot need not know of it yet.

    @ivar skipped: how many lines made no sense, after C{entries}.
    """

    def __init__(self, path: str, boot: str | None = None) -> None:
        """
        @param path: where it is; a file that is there is kept until C{compact}.
        @param boot: L{bootId}, or what a test says.
        """
        self.skipped = 0
        self._path = path
        self._boot = bootId() if boot is None else boot
        self._fd = -1
        self._grown = 0
        self._failed = False
        self._snapshot: Callable[[], list[Mapping[str, Any]]] | None = None

    def append(self, entry: Mapping[str, Any]) -> None:
        line = _line(entry)
        if len(line) > LONGEST_LINE:
            _log.error("an entry {kind} of {size} bytes is too long for the state journal", kind=entry.get("kind"),
                       size=len(line))
            return
        try:
            if self._snapshot is not None and (self._failed or self._grown > GROWTH):
                self._compact(self._snapshot())
            elif self._fd < 0 or self._failed:
                self._open()
            self._write(line)
        except OSError as error:
            self._fail(error)
        else:
            self._recover()

    def entries(self) -> list[Mapping[str, Any]]:
        data = _contents(self._path)
        found: list[Mapping[str, Any]] = []
        self.skipped, boot = 0, ""
        for line in data.split(b"\n")[:-1]:
            entry = _parsed(line)
            if entry is None:
                self.skipped += 1
            elif entry.get("kind") == "journal":
                boot = str(entry.get("boot", ""))
                _checkVersion(entry.get("version"), self._path)
            else:
                found.append(entry)
        if self.skipped:
            _log.warn("{path}: {n} lines make no sense and are left out", path=self._path, n=self.skipped)
        return found if boot in ("", self._boot) else []

    def compact(self, entries: Callable[[], list[Mapping[str, Any]]]) -> None:
        self._snapshot = entries
        try:
            self._compact(entries())
        except OSError as error:
            self._fail(error)
        else:
            self._recover()

    def close(self, remove: bool) -> None:
        self._forget()
        if remove:
            with suppress(OSError):
                os.unlink(self._path)

    def _header(self) -> bytes:
        return _line({"kind": "journal", "version": VERSION, "boot": self._boot})

    def _open(self) -> None:
        """Go on with the file that is there, or begin one."""
        self._forget()
        self._fd = os.open(
            self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "is no file of ours")
        if found.st_size == 0:
            self._write(self._header())
        elif os.pread(self._fd, 1, found.st_size - 1) != b"\n":
            self._write(b"\n")

    def _compact(self, entries: Iterable[Mapping[str, Any]]) -> None:
        new = f"{self._path}.new"
        with suppress(FileNotFoundError):
            os.unlink(new)
        fd = os.open(new, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _writeAll(fd, self._header() + b"".join(map(_line, entries)))
            os.rename(new, self._path)
        except OSError:
            os.close(fd)
            with suppress(OSError):
                os.unlink(new)
            raise
        self._forget()
        self._fd, self._grown = fd, 0

    def _write(self, data: bytes) -> None:
        if os.write(self._fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._grown += len(data)

    def _forget(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            _log.error("{path}: the state journal cannot be written ({error}); it is tried again at the next change",
                       path=self._path, error=error.strerror)
        self._failed = True

    def _recover(self) -> None:
        if self._failed:
            _log.info("{path}: the state journal is written again", path=self._path)
        self._failed = False


@implementer(IJournal)
class MemoryJournal:
    """
    A journal for tests, and for a supervisor without a runtime directory.

    @ivar written: its entries.
    """

    skipped = 0

    def __init__(self, written: Iterable[Mapping[str, Any]] = ()) -> None:
        self.written = list(written)
        self._grown = 0
        self._snapshot: Callable[[], list[Mapping[str, Any]]] | None = None

    def append(self, entry: Mapping[str, Any]) -> None:
        if self._snapshot is not None and self._grown > 10_000:
            self.compact(self._snapshot)
        self.written.append(entry)
        self._grown += 1

    def entries(self) -> list[Mapping[str, Any]]:
        return list(self.written)

    def compact(self, entries: Callable[[], list[Mapping[str, Any]]]) -> None:
        self._snapshot = entries
        self.written, self._grown = list(entries()), 0

    def close(self, remove: bool) -> None:
        if remove:
            self.written = []


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n"


def _writeAll(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object on a line, if there is one."""
    if len(line) >= LONGEST_LINE:
        return None
    try:
        entry = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _checkVersion(version: object, path: str) -> None:
    if isinstance(version, int) and version > VERSION:
        raise WorldError(
            f"{path} was written by a newer circustwist (version {version} of the journal, this one knows {VERSION}): "
            "start that one, or stop what it left running and remove the file")


def _contents(path: str) -> bytes:
    """
    What is in the file, if it is one of ours.

    @raise WorldError: one line, if it is not, or cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _unusable(path, os.strerror(error.errno or 0)) from None
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _unusable(path, "it is no regular file")
        if found.st_uid != os.geteuid():
            raise _unusable(path, f"it belongs to uid {found.st_uid}")
        if found.st_size > LARGEST:
            raise _unusable(path, f"it is larger than {LARGEST} bytes")
        return file.read(LARGEST)


def _unusable(path: str, reason: str) -> WorldError:
    return WorldError(
        f"the state journal {path} cannot be used: {reason}; remove it once nothing of the stack is left running")
