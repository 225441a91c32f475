"""
What all plugins have in common.

A plugin reaches the stack as a face does.  The logic never lets it undo what
somebody else did; see L{circustwist.logic.plugged}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..logic.requests import Steering
from ..model.errors import RequestError
from ..model.events import Occurrence
from ..model.inputs import Who


@attrs.frozen
class Kit:
    """
    What a plugin works with.

    @ivar name: its own, as in the title of its section.
    """

    name: str
    reactor: Any
    clock: IReactorTime
    steering: Steering


class Plugin:
    """
    One plugin.

    @ivar settings: its options.
    @ivar kit: what it works with.
    @ivar who: as whom it gives commands.
    @ivar stopped: whether it has ended.
    """

    log = Logger(namespace="circustwist.plugins")

    def __init__(self, kit: Kit, settings: Any) -> None:
        self.kit = kit
        self.settings = settings
        self.who = Who(f"plugin {kit.name}", "operator", plugin=True)
        self.stopped = False
        self._unsubscribe: Callable[[], None] = lambda: None
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """
        Begin.

        @raise OSError: if something that it needs cannot be had.
        """
        self._unsubscribe = self.kit.steering.subscribe(self.hear)

    def stop(self) -> None:
        """End."""
        self.stopped = True
        self._unsubscribe()
        self.at(None)

    def hear(self, occurrence: Occurrence) -> None:
        """One event."""

    def look(self) -> None:
        """The time that C{at} was told has come."""

    def at(self, seconds: float | None) -> None:
        """Look after so many seconds, instead of whenever it was going to be; None is never."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if seconds is None else self.kit.clock.callLater(max(0.0, seconds), self.look)

    def ask(self, command: str, who: Who | None = None, **given: Any) -> Deferred[Mapping[str, Any]]:
        """
        Give a command.

        @return: its answer; nothing in it if it was refused, which is logged.
        """
        asked: Deferred[Any] = maybeDeferred(self.kit.steering.ask, command, given, who or self.who)
        return asked.addErrback(self._refused, command)

    def _refused(self, failure: Failure, command: str) -> Mapping[str, Any]:
        failure.trap(RequestError)
        self.log.info("plugin {name}: {command} was refused: {error}", name=self.kit.name, command=command,
                      error=failure.getErrorMessage())
        return {}

    def act(self, command: str, watcher: str, who: Who | None = None, **given: Any) -> Deferred[Mapping[str, Any]]:
        """Give a command about one watcher."""
        if command in ("start", "stop", "restart", "reload"):
            given["match"] = "simple"
        return self.ask(command, who, name=watcher, **given)
