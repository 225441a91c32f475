"""
The lines of workers that one browser follows.

What it does not read in time stays where it is, and is told of as missed if it is
gone by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from ..model.commands import TABLE, complete
from ..model.errors import REQUEST_ERRORS
from ..model.line import Line, selected
from .stream import Viewer, message

if TYPE_CHECKING:
    from ..logic.requests import Following, Steering

BEFORE = 400
"""So many lines that are there already are told first."""

LONGEST = 10_000
"""Characters of a line; the rest is cut off."""


class Tail:
    """Tells one browser of lines."""

    _log = Logger(namespace="circustwist")

    def __init__(self, steering: Steering, viewer: Viewer, arguments: Mapping[str, Any]) -> None:
        """
        @param arguments: of the command C{tail}, as the browser gives them.
        """
        self._steering = steering
        self._viewer = viewer
        self._arguments = {**arguments, "lines": BEFORE}
        self._following: Following | None = None

    def begin(self) -> None:
        """Tell what is there already, and every line from now on."""
        ensureDeferred(self._begin()).addErrback(
            lambda failure: self._log.failure("lines cannot be followed", failure))

    async def _begin(self) -> None:
        try:
            selection = selected(complete(TABLE["tail"], self._arguments))
            # Before anything is asked, so that no line falls between what was and what comes.
            self._following = self._steering.follow(selection, self._told)
            found = await self._steering.ask("tail", self._arguments, self._viewer.who)
        except REQUEST_ERRORS as error:
            self.end()
            self._viewer.send(message("log", {"first": True, "lines": [], "missed": 0, "problem": str(error)}))
            return
        rows = [
            [line["time"], line["watcher"], line["wid"], 2 if line["stream"] == "stderr" else 1, line["text"][:LONGEST]]
            for line in found["lines"]]
        self._viewer.send(message("log", {"first": True, "lines": rows, "missed": 0}))
        self._following.resume()

    def _told(self, lines: Sequence[Line], missed: int) -> bool:
        rows = [[round(line.time, 3), line.watcher, line.wid, line.output,
                 line.data[:LONGEST].decode("utf-8", "backslashreplace")] for line in lines]
        self._viewer.send(message("log", {"lines": rows, "missed": missed}))
        return self._viewer.reads

    def resume(self) -> None:
        """The browser reads again."""
        if self._following is not None:
            self._following.resume()

    def end(self) -> None:
        """The browser is gone."""
        if self._following is not None:
            self._following()
            self._following = None
