"""
What stands before lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..model.line import OUTPUTS
from .sinks import ISource

STAMP = "%(time)s [%(pid)s] | "
"""What Circus writes before each line of a file with C{time_format}."""
NAMED = "%(watcher)s/%(wid)s | "
"""What stands before each line on the standard output."""
TIME = "%Y-%m-%d %H:%M:%S"


class Prefix:
    """
    Makes what stands before lines of a worker.
    """

    def __init__(self, template: str, timeFormat: str, wall: Callable[[], float]) -> None:
        """
        @param template: see the option C{prefix}.
        @param timeFormat: as in strftime(3).
        @param wall: the time of day, in seconds since the epoch.
        """
        self._template = template
        self._format = timeFormat or TIME
        self._wall = wall
        self._timed = "%(time)" in template

    def __call__(self, source: ISource) -> bytes:
        """Before lines that come now."""
        names = source.names
        return (self._template % {
            "watcher": names.watcher, "wid": names.wid, "pid": source.pid or "-", "stream": OUTPUTS[source.output],
            "time": time.strftime(self._format, time.localtime(self._wall())) if self._timed else "",
        }).encode("utf-8", "surrogateescape")
