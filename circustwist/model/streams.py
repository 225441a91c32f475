"""
Where the output of a watcher's workers goes, and the table of every option of a stream.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from . import values
from .option import option as _option


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


@attrs.frozen
class StdoutStream:
    """The options of C{StdoutStream}: the supervisor's own standard output."""

    time_format: str = _option(
        values.text, "", "Accepted for Circus's sake; what stands before each line is the worker's name.", live="now",
        example="%H:%M:%S")


@attrs.frozen
class FileStream:
    """The options of C{FileStream}: a file."""

    filename: str = _option(
        values.text, "", "The file, to whose end is written; without a class, giving it means FileStream.", live="now",
        example="/var/log/web.log")
    max_bytes: int = _option(
        values.size, 0, "Size at which the file is put aside and a new one begun; 0 is never.", live="now", unit="B",
        example="10MB")
    backup_count: int = _option(
        values.natural, 0, "How many files that were put aside are kept; with 0 the file is never put aside.",
        live="now", example="5")
    time_format: str = _option(
        values.text, "", "What stands before each line: a time in the form of strftime(3), and the pid.", live="now",
        example="%H:%M:%S")


STREAMS: Mapping[str, type] = {"FileStream": FileStream, "StdoutStream": StdoutStream}
"""The kinds of streams, by the name of Circus's class."""
OUTPUTS = ("stdout_stream", "stderr_stream")
"""The outputs of a watcher, each of which may have a stream: C{stdout_stream.class = FileStream}."""
