"""
Tells somebody that a watcher has failed: the option C{on_failure}.

A command is run, or the event is posted as JSON; one at a time for a watcher,
one a minute at most, each for ten seconds at most.  Nothing waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from .model.events import Occurrence
from .model.launch import Launch, Names
from .model.reason import whole
from .model.stack import Watcher
from .system.errand import Errand, launched
from .system.interfaces import ISpawner

PAUSE = 60.0
"""Seconds between two alarms of one watcher."""
LONGEST = 10.0
"""Seconds that one may take."""


class Alarm:
    """Listens to the events for watchers that fail."""

    _log = Logger(namespace="circustwist")

    def __init__(
        self, reactor: Any, clock: IReactorTime, spawner: ISpawner, plan: Callable[[Names], Launch],
        find: Callable[[str], Watcher | None],
    ) -> None:
        """
        @param plan: what a worker is started as; a command runs like one, without its sockets.
        @param find: the options in force of a watcher.
        """
        self._reactor = reactor
        self._clock = clock
        self._spawner = spawner
        self._plan = plan
        self._find = find
        self._last: dict[str, float] = {}
        self._running: dict[str, tuple[Callable[[], None], IDelayedCall]] = {}

    def hear(self, occurrence: Occurrence) -> None:
        """One event."""
        event = occurrence.event
        spec = self._find(event.watcher) if event.name == "failed" else None
        if spec is None or not spec.on_failure or spec.name in self._running:
            return
        now = self._clock.seconds()
        if now - self._last.get(spec.name, -PAUSE) >= PAUSE:
            self._last[spec.name] = now
            self._sound(spec, occurrence)

    def _sound(self, spec: Watcher, occurrence: Occurrence) -> None:
        done = self._done(spec.name)
        kind, _, rest = spec.on_failure.partition(":")
        if kind == "exec":
            run = Errand(self._reactor, self._spawner, done)
            self._begun(spec.name, run.close, done)
            run.start(lambda: self._command(spec, rest, occurrence))
        else:
            asked = self._post(spec.on_failure, occurrence)
            self._begun(spec.name, asked.cancel, done)
            asked.addCallbacks(done, lambda failure: done(failure.getErrorMessage()))

    def _command(self, spec: Watcher, command: str, occurrence: Occurrence) -> Launch:
        plain = launched(command, self._plan(Names(0, spec.name, 1)))
        told = {"CIRCUSTWIST_WATCHER": spec.name, "CIRCUSTWIST_REASON": str(occurrence.event.data.get("reason", ""))}
        return attrs.evolve(plain, env={**plain.env, **told})

    def _post(self, url: str, occurrence: Occurrence) -> Deferred[str]:
        """Post the event; what is wrong, empty if it was taken."""
        from .system.post import post

        return post(self._reactor, url, json.dumps(occurrence.json("admin")).encode(), LONGEST)

    def _begun(self, name: str, end: Callable[[], None], done: Callable[[str], None]) -> None:
        def late() -> None:
            end()
            done(f"took longer than {LONGEST:g} s")

        self._running[name] = (end, self._clock.callLater(LONGEST, late))

    def _done(self, name: str) -> Callable[[str], None]:
        def done(problem: str) -> None:
            running = self._running.pop(name, None)
            if running is None:
                return
            if running[1].active():
                running[1].cancel()
            if problem:
                self._log.error("on_failure of {watcher}: {problem}", watcher=name, problem=whole(problem))

        return done

    def close(self) -> None:
        """End those that run."""
        for name, (end, _) in list(self._running.items()):
            self._done(name)("")
            end()
