"""
Where the output of a watcher's workers goes, and the table of every option of a stream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from . import framing, values
from .option import option as _option
from .option import options

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", *(f"local{number}" for number in range(8)))
"""The facilities of syslog(3), each at its number; RFC 5424, 6.2.1."""
LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""The levels of syslog(3), each at its number."""


@attrs.frozen
class Stream:
    """
    Where one output of a watcher's workers goes.

    @ivar kind: the class as Circus names it, e.g. C{FileStream}; empty for
        none configured.
    @ivar settings: its other options as text, by name.
    """

    kind: str = ""
    settings: Mapping[str, str] = attrs.field(factory=dict, hash=False)

    def __bool__(self) -> bool:
        return bool(self.kind)


NO_STREAM = Stream()


@attrs.frozen(slots=False)
class Common:
    """The options of every kind of stream."""

    on_full: str = _option(
        values.oneOf("block", "drop"), "block", "What happens while it takes no more: block lets the worker wait, drop "
        "throws away what it writes, and counts it.", live="now")
    rate_limit: float = _option(
        framing.rate, 0.0, "Bytes a second at most; what is more is dropped and counted. 0 is no limit.", live="now",
        unit="B/s", example="1MB/s")


@attrs.frozen(slots=False)
class Lines(Common):
    """The options of a stream that knows of lines."""

    max_line: int = _option(
        framing.lineLength, 65536, "Bytes after which a line is cut, at most 64 KiB.", live="now", unit="B",
        example="8KB")


@attrs.frozen(slots=False)
class Prefixed(Lines):
    """The options of a stream with something before each line."""

    prefix: str = _option(
        framing.prefix, "", "What stands before each line; it may contain %(watcher)s, %(wid)s, %(pid)s, %(stream)s "
        "and %(time)s, which follows time_format.", live="now", example="%(time)s %(watcher)s/%(wid)s | ")
    time_format: str = _option(
        values.text, "", "How times are written, in the form of strftime(3). Without a prefix, a time and the pid "
        "stand before each line of a file.", live="now", example="%H:%M:%S")


@attrs.frozen(slots=False)
class StdoutStream(Prefixed):
    """The options of C{StdoutStream}: the supervisor's own standard output."""


@attrs.frozen(slots=False)
class FancyStdoutStream(Prefixed):
    """The options of C{FancyStdoutStream}: the same in colours."""

    color: str = _option(
        values.oneOf("red", "green", "yellow", "blue", "magenta", "cyan", "white"), "",
        "The colour; without it each watcher has one of its own.", live="now", example="cyan")


@attrs.frozen(slots=False)
class Kept(Common):
    """The options of a stream into a file."""

    filename: str = _option(
        values.text, "", "The file, to whose end is written; without a class, giving it means FileStream.", live="now",
        example="/var/log/web.log")
    max_bytes: int = _option(
        values.size, 0, "Size at which the file is put aside and a new one begun; 0 is never.", live="now", unit="B",
        example="10MB")
    backup_count: int = _option(
        values.natural, 0, "How many files that were put aside are kept; with 0 a file is not put aside because of its "
        "size, and no number limits those that are put aside for the time.", live="now", example="5")
    compress: bool = _option(
        values.boolean, False, "Compress files that were put aside, with gzip.", live="now")
    keep_age: float = _option(
        values.seconds, 0.0, "Age at which files that were put aside are removed; 0 is never.", live="now", unit="s",
        example="30d")
    keep_bytes: int = _option(
        values.size, 0, "Size of all files that were put aside at which the oldest are removed; 0 is no limit.",
        live="now", unit="B", example="1GB")


@attrs.frozen(slots=False)
class FileStream(Prefixed, Kept):
    """The options of C{FileStream}: a file."""


@attrs.frozen(slots=False)
class WatchedFileStream(FileStream):
    """The options of C{WatchedFileStream}: a file that others move away; every file is watched."""


@attrs.frozen(slots=False)
class TimedRotatingFileStream(FileStream):
    """The options of C{TimedRotatingFileStream}: a file that is put aside at certain times."""

    rotate_when: str = _option(
        values.oneOf("s", "m", "h", "d", "midnight", *(f"w{day}" for day in range(7))), "h",
        "When: each second, minute, hour or day, at midnight, or at the end of a weekday (W0 is Monday).", live="now",
        example="midnight")
    rotate_interval: int = _option(
        values.natural, 1, "So many of these in one file.", live="now", example="6")
    utc: bool = _option(
        values.boolean, False, "Reckon in UTC, not in local time.", live="now")


@attrs.frozen(slots=False)
class JSONStream(Lines, Kept):
    """The options of C{JSONStream}: an object for each line, into a file or, without one, to the standard output."""


@attrs.frozen(slots=False)
class SyslogStream(Prefixed):
    """The options of C{SyslogStream}: a message for each line."""

    address: str = _option(
        values.text, "/dev/log", "Where syslog listens: a path, or HOST:PORT for UDP.", live="now",
        example="10.0.0.1:514")
    facility: str = _option(
        values.oneOf(*FACILITIES), "daemon", "The facility; syslog(3).", live="now", example="local0")
    level: str = _option(
        values.oneOf(*LEVELS), "info", "The level; syslog(3).", live="now", example="notice")
    ident: str = _option(
        values.text, "", "The name before each message; without it the watcher's.", live="now", example="shop")


@attrs.frozen(slots=False)
class JournalStream(Lines):
    """The options of C{JournalStream}: an entry of the journal for each line, with whose it is in fields."""

    level: str = _option(
        values.oneOf(*LEVELS), "info", "The priority; syslog(3).", live="now", example="notice")
    ident: str = _option(
        values.text, "", "The SYSLOG_IDENTIFIER; without it the watcher's name.", live="now", example="shop")


@attrs.frozen(slots=False)
class QueueStream(Common):
    """The options of C{QueueStream}: a queue for the program in which the supervisor is embedded."""


@attrs.frozen(slots=False)
class UserStream(Common):
    """The options of a class of one's own besides those that it takes."""


STREAMS: Mapping[str, type] = {cls.__name__: cls for cls in (
    FileStream, WatchedFileStream, TimedRotatingFileStream, StdoutStream, FancyStdoutStream, JSONStream, SyslogStream,
    JournalStream, QueueStream)}
"""The kinds of streams, by the name of Circus's class."""
NEED_FILE = ("FileStream", "WatchedFileStream", "TimedRotatingFileStream")
"""Those that are nothing without a filename."""
OUTPUTS = ("stdout_stream", "stderr_stream")
"""The outputs of a watcher, each of which may have a stream: C{stdout_stream.class = FileStream}."""

_OWN_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*")


def isOwn(kind: str) -> bool:
    """Whether it names a class of the user's: C{module.Class} or C{module:Class}."""
    return _OWN_CLASS.fullmatch(kind) is not None


def declaring(kind: str) -> type:
    """The class that declares the options of a kind of stream."""
    return STREAMS.get(kind, UserStream)


def configured(stream: Stream) -> Any:
    """
    The options of a stream as values, those that are not given at their
    defaults; those of a user's class that it takes itself are left out.
    """
    cls = declaring(stream.kind) if stream else StdoutStream
    given = {
        name: known.convert(text) for name, known, _ in options(cls) if (text := stream.settings.get(name, ""))}
    return cls(**given)
