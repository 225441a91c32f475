"""Stops watchers whose processes keep ending by themselves, and starts them again after a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall

from ..model.events import Event, Occurrence
from ..model.inputs import Who
from ..model.plugins import OPTIONS
from .base import Kit, Plugin

_PER_WATCHER = "flapping."


class Flapping(Plugin):
    """
    Circus's plugin C{Flapping}.

    An end counts when it was unplanned.  A watcher that it has stopped for
    good is stopped in another name, so that a later supervisor can tell.
    """

    def __init__(self, kit: Kit, settings: Any) -> None:
        super().__init__(kit, settings)
        self._forGood = Who(f"{self.who.name} (for good)", "operator", plugin=True)
        self._ends: dict[str, deque[float]] = {}
        self._tries: dict[str, int] = {}
        self._retries: dict[str, IDelayedCall] = {}
        self._known: dict[str, Any] = {}

    def start(self) -> None:
        """Begin, and go on where an earlier supervisor has left off."""
        super().start()
        self.ask("status", detail=True).addCallback(self._resume)

    def _resume(self, found: Mapping[str, Any]) -> None:
        for watcher in found.get("stack", {}).get("watchers", ()):
            if watcher["stopper"] == self.who.name:
                self.of(watcher["name"]).addCallback(self._later, watcher["name"])

    def stop(self) -> None:
        """End; what it has stopped stays so."""
        super().stop()
        for call in self._retries.values():
            call.cancel()
        self._retries.clear()

    def of(self, watcher: str) -> Any:
        """Its options for a watcher, which may have some of its own."""
        return self.act("options", watcher).addCallback(self._own, watcher)

    def _own(self, found: Mapping[str, Any], watcher: str) -> Any:
        given: dict[str, Any] = {}
        for name, (option, _) in OPTIONS["Flapping"].items():
            text = found.get("options", {}).get(_PER_WATCHER + name)
            if text:
                try:
                    given[name] = option.convert(str(text))
                except (ValueError, OverflowError) as error:
                    self.log.warn("[watcher:{watcher}] {option}: {text} {error}", watcher=watcher,
                                  option=_PER_WATCHER + name, text=repr(text), error=str(error))
        self._known[watcher] = attrs.evolve(self.settings, **given)
        return self._known[watcher]

    def hear(self, occurrence: Occurrence) -> None:
        """Count unplanned ends; begin anew with whoever somebody else has started or changed."""
        event = occurrence.event
        if event.name == "reap" and not event.planned:
            self._died(event)
        elif event.name in ("updated", "add", "remove"):
            self._known.pop(event.watcher, None)
        elif event.name == "operation" and event.data.get("command") == "reloadconfig":
            self._known.clear()
        elif event.name == "start":
            call = self._retries.pop(event.watcher, None)
            if call is not None:
                call.cancel()

    def _died(self, event: Event) -> None:
        now, watcher = self.kit.clock.seconds(), event.watcher
        known = self._known.get(watcher)
        if known is None:
            self.of(watcher).addCallback(lambda settings: self._count(watcher, settings, now))
        else:
            self._count(watcher, known, now)

    def _count(self, watcher: str, settings: Any, now: float) -> None:
        if not settings.active:
            return
        ends = self._ends.setdefault(watcher, deque())
        ends.append(now)
        while ends and ends[0] < now - settings.window:
            ends.popleft()
            self._tries.pop(watcher, None) if not ends else None
        if len(ends) < settings.attempts or watcher in self._retries:
            return
        ends.clear()
        self._flaps(watcher, settings)

    def _flaps(self, watcher: str, settings: Any) -> None:
        tries = self._tries.get(watcher, 0)
        if settings.max_retry != -1 and tries >= settings.max_retry:
            self.log.error("{watcher} is flapping: stopped for good after {tries} tries", watcher=watcher, tries=tries)
            self._tries.pop(watcher, None)
            self.act("stop", watcher, self._forGood)
            return
        self._tries[watcher] = tries + 1
        self.log.warn("{watcher} is flapping: stopped, and started again in {seconds:g} s", watcher=watcher,
                      seconds=settings.retry_in)
        self.act("stop", watcher).addCallback(lambda answer: self._later(settings, watcher) if answer else None)

    def _later(self, settings: Any, watcher: str) -> None:
        def again() -> None:
            self._retries.pop(watcher, None)
            self.act("start", watcher)

        if watcher not in self._retries:
            self._retries[watcher] = self.kit.clock.callLater(settings.retry_in, again)
