"""
Calls the hooks of watchers, each in a thread.

Those of one watcher are called one after another, as Circus calls them all.
An answer comes in any case: when a hook has taken longer than C{hook_timeout}
its thread is given up, and it is not called again as long as it hangs there.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from .model.effects import RunHook
from .model.hooks import POINTS, Hook
from .model.inputs import HookDone
from .model.stack import Watcher
from .system.functions import Functions, NoFunction
from .system.threads import Threads, called

MOST_THREADS = 8

MOST_ENVIRONMENT = 40_000
"""Characters that hooks may put into the environment; an entry of the journal holds no more."""

MOST_STATISTICS = 100_000
"""Characters of JSON that the statistics of one process may take."""


class Seen(Protocol):
    """
    What hooks are shown.

    @ivar watcher: the watcher, as Circus's is used.
    @ivar arbiter: the same of the stack.
    """

    watcher: Any
    arbiter: Any

    def changes(self) -> Mapping[str, str | None]:
        """What was changed in the environment."""

    def paths(self) -> list[str]:
        """Where else its functions are looked for."""


@attrs.define(eq=False)
class Call:
    """
    One call of a hook.

    @ivar began: when it was asked for.
    @ivar late: the end of the time that it has.
    @ivar answered: whether its answer was told.
    """

    effect: RunHook
    began: float
    late: IDelayedCall | None = None
    answered: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """The same for all calls of the same hook."""
        return self.effect.spec.name, self.effect.name

    def done(self, ok: bool, error: str = "", env: Mapping[str, str | None] | None = None) -> HookDone:
        """Its answer."""
        return HookDone(self.effect.run, self.effect.spec.name, self.effect.name, ok, error, env or {})


@attrs.define(eq=False)
class Lane:
    """
    The calls of one watcher.

    @ivar current: the one that runs.
    """

    current: Call | None = None
    waiting: deque[Call] = attrs.field(factory=deque)


class Hooks:
    """Who calls them."""

    _log = Logger(namespace="circustwist.hooks")

    def __init__(
        self, reactor: Any, clock: IReactorTime, see: Callable[[RunHook], Seen], feed: Callable[[HookDone], None]
    ) -> None:
        """
        @param see: what a hook is shown.
        @param feed: told of each answer.
        """
        self._reactor = reactor
        self._clock = clock
        self._see = see
        self._feed = feed
        self._functions = Functions()
        self._threads = Threads(MOST_THREADS, "hook")
        self._lanes: dict[str, Lane] = {}
        self._hanging: dict[tuple[str, str], Call] = {}
        self._known: dict[str, Mapping[str, Hook]] = {}

    def run(self, effect: RunHook) -> None:
        """Call a hook as soon as those before it have answered."""
        call = Call(effect, self._clock.seconds())
        lane = self._lanes.setdefault(effect.spec.name, Lane())
        call.late = self._clock.callLater(effect.spec.hook_timeout, self._late, lane, call)
        lane.waiting.append(call)
        self._next(lane)

    def _renew(self, spec: Watcher) -> None:
        """Import anew what other options name, as Circus does."""
        before = self._known.get(spec.name, spec.hooks)
        self._known[spec.name] = spec.hooks
        for name, hook in spec.hooks.items():
            if before is not spec.hooks and before.get(name) != hook:
                self._functions.again(hook.target)

    def _next(self, lane: Lane) -> None:
        while lane.current is None and lane.waiting:
            call = lane.waiting.popleft()
            if call.answered:
                continue
            hanging = self._hanging.get(call.key)
            if hanging is not None:
                since = self._clock.seconds() - hanging.began
                self._answer(call, call.done(False, f"is not called, since it hangs for {since:.0f} s"))
                continue
            lane.current = call
            self._renew(call.effect.spec)
            self._threads.do(partial(self._work, lane, call, self._see(call.effect)))

    def _answer(self, call: Call, done: HookDone) -> None:
        call.answered = True
        if call.late is not None and call.late.active():
            call.late.cancel()
        self._feed(done)

    def _late(self, lane: Lane, call: Call) -> None:
        """A hook has had its time."""
        error = f"no answer within {call.effect.spec.hook_timeout:g} s"
        if lane.current is call:
            lane.current = None
            self._hanging[call.key] = call
            self._log.error("hook {name} of {watcher} hangs: {error}; its thread is given up",
                            name=call.effect.name or "modules", watcher=call.effect.spec.name, error=error)
        elif lane.current is not None:
            error += f": {lane.current.effect.name} runs"
        self._answer(call, call.done(False, error))
        self._next(lane)

    def _returned(self, lane: Lane, call: Call, done: HookDone) -> None:
        """A thread is free again."""
        if call.answered:
            self._hanging.pop(call.key, None)
            self._log.info("hook {name} of {watcher} has returned after {age:.0f} s", name=call.effect.name,
                           watcher=call.effect.spec.name, age=self._clock.seconds() - call.began)
            return
        lane.current = None
        self._answer(call, done)
        self._next(lane)

    # In a thread

    def _work(self, lane: Lane, call: Call, seen: Seen) -> None:
        done = self._load(call, seen) if not call.effect.name else self._call(call, seen)
        self._reactor.callFromThread(self._returned, lane, call, done)

    def _load(self, call: Call, seen: Seen) -> HookDone:
        """Find all hooks of a watcher."""
        for name, hook in call.effect.spec.hooks.items():
            _, error = called(self._functions.find, {"target": hook.target, "paths": seen.paths()})
            if error is not None:
                problem = f"hooks.{name} = {hook.target}: {_line(error)}"
                if isinstance(error, NoFunction):
                    self._log.error("{watcher} cannot start: {problem}", watcher=call.key[0], problem=problem)
                else:
                    self._log.failure("{watcher} cannot start: {problem}", Failure(error), watcher=call.key[0],
                                      problem=problem)
                return call.done(False, problem)
        return call.done(True)

    def _call(self, call: Call, seen: Seen) -> HookDone:
        effect = call.effect
        given = {"watcher": seen.watcher, "arbiter": seen.arbiter, "hook_name": effect.name, **effect.given}
        if "time" in POINTS[effect.name].given:
            given["time"] = time.time()
        function, error = called(
            self._functions.find, {"target": effect.spec.hooks[effect.name].target, "paths": seen.paths()})
        result = None
        if error is None:
            result, error = called(_positional(function, given) if "stats" in given else function, given)
        changes, wrong = called(_changes, {"seen": seen, "before": effect.env})
        error = error or wrong
        if error is None and "stats" in given:
            stats, error = called(_told, {"stats": given["stats"]})
            if error is None:
                return attrs.evolve(call.done(True), stats=stats)
        if error is None:
            if not result and POINTS[effect.name].decides:
                self._log.warn("hook {name} of {watcher} said no", name=effect.name, watcher=effect.spec.name)
            return call.done(bool(result), "", changes)
        self._log.failure("hook {name} of {watcher} failed", Failure(error), name=effect.name,
                          watcher=effect.spec.name)
        return call.done(False, _line(error), changes)

    def close(self) -> None:
        """Call none any more; whoever hangs goes with the process."""
        for lane in self._lanes.values():
            for call in (lane.current, *lane.waiting):
                if call is not None and call.late is not None and call.late.active():
                    call.late.cancel()
                if call is not None:
                    call.answered = True
        self._threads.close()


def _positional(function: Callable[..., Any], given: dict[str, Any]) -> Callable[..., Any]:
    """The hook of statistics is called by position, as in Circus."""
    return partial(function, *(given.pop(name) for name in ("watcher", "arbiter", "hook_name")))


def _line(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())[:1000]
    return text if isinstance(error, NoFunction) or not text else f"{type(error).__name__}: {text}"


def _changes(seen: Seen, before: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """
    What a hook has changed in the environment.

    @raise ValueError: if that cannot be.
    """
    changes = seen.changes()
    size = sum(len(key) + len(value or "") for key, value in {**before, **changes}.items())
    if size > MOST_ENVIRONMENT:
        raise ValueError(f"the environment gets {size} characters; the most is {MOST_ENVIRONMENT}")
    return changes


def _told(stats: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Statistics in JSON types.

    @raise ValueError: if they are too large.
    """
    text = json.dumps(stats, default=str)
    if len(text) > MOST_STATISTICS:
        raise ValueError(f"the statistics are {len(text)} characters; the most is {MOST_STATISTICS}")
    found: Mapping[str, Any] = json.loads(text)
    return found
