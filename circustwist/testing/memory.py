"""
A stack in memory: effects are kept, processes are numbers, time stands still until it is moved.

Nothing is started, opened or waited for, so that a test of how a stack
behaves takes a millisecond and always ends the same way.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from errno import ENOENT
from functools import singledispatchmethod
from typing import Any, Self

import attrs

from ..logic.answers import About
from ..logic.arbiter import Arbiter
from ..logic.requests import Requests
from ..model.effects import (
    Answer,
    Effect,
    Forget,
    Probe,
    Publish,
    Quit,
    Record,
    RunHook,
    Signal,
    Spawn,
    Timer,
    Unwatch,
    Wake,
    Watch,
)
from ..model.errors import NotFound, RequestError, SpawnProblem
from ..model.events import Event
from ..model.inputs import Asked, Begun, Exited, HookDone, Input, Knocked, Probed, Refused, Spawned, Who, Woken
from ..model.launch import Names
from ..model.stack import Stack

ADMIN = Who("ann", "admin")


class MemoryWorld:
    """
    Where effects go.

    @ivar spawning: workers that were asked for and not answered yet, by id.
    @ivar running: the pid of each process that runs, by worker id.
    @ivar names: of every worker that was ever asked for, by id.
    @ivar signals: that were sent and not obeyed: worker id and number.
    @ivar timers: when each is due.
    @ivar probes: that are not answered yet, by worker id and what they tell.
    @ivar watched: the sockets at which each watcher waits for a connection.
    @ivar events: all that were published.
    @ivar effects: all that were asked for, in order.
    @ivar journal: all records.
    @ivar answers: by call.
    @ivar quit: the exit code, once it has ended.
    """

    def __init__(self) -> None:
        self.spawning: dict[int, Names] = {}
        self.running: dict[int, int] = {}
        self.names: dict[int, Names] = {}
        self.signals: list[tuple[int, int]] = []
        self.timers: dict[Timer, float] = {}
        self.probes: dict[tuple[int, str], Probe] = {}
        self.watched: dict[str, tuple[str, ...]] = {}
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.journal: list[Mapping[str, Any]] = []
        self.answers: dict[int, Any] = {}
        self.quit: int | None = None

    def perform(self, effect: Effect) -> None:
        """Keep an effect."""
        self.effects.append(effect)
        self._keep(effect)

    @singledispatchmethod
    def _keep(self, effect: Effect) -> None:
        """What is only kept."""

    @_keep.register
    def _(self, effect: Spawn) -> None:
        assert effect.names.id not in self.names, "an id was used twice"
        self.names[effect.names.id] = self.spawning[effect.names.id] = effect.names

    @_keep.register
    def _(self, effect: Signal) -> None:
        self.signals.append((effect.id, effect.signum))

    @_keep.register
    def _(self, effect: Probe) -> None:
        self.probes[effect.names.id, effect.what] = effect

    @_keep.register
    def _(self, effect: Wake) -> None:
        self.timers[effect.timer] = effect.at

    @_keep.register
    def _(self, effect: Forget) -> None:
        self.timers.pop(effect.timer, None)

    @_keep.register
    def _(self, effect: Watch) -> None:
        self.watched[effect.watcher] = effect.sockets

    @_keep.register
    def _(self, effect: Unwatch) -> None:
        self.watched.pop(effect.watcher, None)

    @_keep.register
    def _(self, effect: Publish) -> None:
        self.events.append(effect.event)

    @_keep.register
    def _(self, effect: Record) -> None:
        self.journal.append(effect.entry)

    @_keep.register
    def _(self, effect: Answer) -> None:
        assert effect.call not in self.answers, "a call was answered twice"
        self.answers[effect.call] = effect.value

    @_keep.register
    def _(self, effect: Quit) -> None:
        self.quit = effect.code


class MemoryStack(MemoryWorld):
    """
    A supervisor without a world.

    A worker is meant by its watcher and number, C{web/1}, or by its id.

    @ivar now: the time, in seconds.
    @ivar auto: whether every program that is asked for runs at once; without
        it, see L{spawned} and L{refuse}.
    @ivar agrees: whether every hook says yes at once; without it, see L{answer}.
    @ivar hooks: that were called and have not answered, by the number of the call.
    @ivar arbiter: all watchers.
    @ivar requests: the logic as a whole.
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.arbiter = Arbiter(stack, draw=lambda: 0.0)
        self.requests = Requests(self.arbiter, About(1, "0", 0.0, lambda name: {}))
        self.now = 100.0
        self.auto = self.agrees = True
        self.hooks: dict[int, RunHook] = {}
        self._pid = 1000
        self._call = 0

    def feed(self, input: Input) -> None:
        """Tell the logic, and keep what it asks for."""
        for effect in self.requests.handle(input, self.now):
            self.perform(effect)
        while self.auto and self.spawning:
            self.spawned(next(iter(self.spawning)))
        while self.agrees and self.hooks:
            self.hookDone(next(iter(self.hooks)))

    def perform(self, effect: Effect) -> None:
        """Keep an effect."""
        super().perform(effect)
        if isinstance(effect, RunHook):
            self.hooks[effect.run] = effect

    def id(self, worker: int | str) -> int:
        """
        The id of a worker that runs, or is asked for.

        @raise NotFound: if there is none.
        """
        if isinstance(worker, int):
            return worker
        for id in (*self.running, *self.spawning):
            if str(self.names[id]) == worker:
                return id
        raise NotFound(f"{worker} does not run")

    def begin(self, *completed: str, **wanted: tuple[bool, int]) -> Self:
        """
        Start what should run.

        @param completed: watchers that an earlier supervisor had seen end with success.
        @param wanted: for each watcher that it left: whether it should run, and with how many processes.
        """
        resized = dict.fromkeys(wanted, ("ann", self.now))
        self.feed(Begun(wanted, completed=frozenset(completed), resized=resized))
        return self

    def spawned(self, worker: int | str) -> None:
        """The program of a worker that was asked for runs."""
        id = self.id(worker)
        names = self.spawning.pop(id)
        self._pid += 1
        self.running[id] = self._pid
        self.feed(Spawned(names, self._pid))

    def refuse(self, worker: int | str, errno: int = ENOENT) -> None:
        """A worker that was asked for cannot be started."""
        self.feed(Refused(self.spawning.pop(self.id(worker)), SpawnProblem("execve", errno)))

    def probed(self, worker: int | str, ok: bool = True, what: str = "ready") -> None:
        """
        A probe is answered.

        @param what: C{ready} or C{live}.
        """
        probe = self.probes.pop((self.id(worker), what))
        self.feed(Probed(probe.names, what, ok, "" if ok else "said no"))

    def answer(self, *names: str, ok: bool = True, error: str = "", **env: str | None) -> None:
        """
        Hooks answer, one after another; the empty name is the look whether all can be called.

        @param env: what they change in the environment.
        """
        for name in names:
            run = next((run for run, hook in self.hooks.items() if hook.name == name), None)
            assert run is not None, (name, self.pending())
            self.hookDone(run, ok, error, **env)

    def hookDone(self, run: int, ok: bool = True, error: str = "", **env: str | None) -> None:
        """One call of a hook is over."""
        hook = self.hooks.pop(run)
        self.feed(HookDone(run, hook.spec.name, hook.name, ok, error, env))

    def pending(self) -> list[str]:
        """The names of the hooks that have not answered."""
        return [hook.name for hook in self.hooks.values()]

    def knock(self, socket: str) -> None:
        """A connection comes, and stays until somebody accepts it; only who waits there is told, once."""
        for watcher in [name for name, sockets in self.watched.items() if socket in sockets]:
            del self.watched[watcher]
            self.feed(Knocked(watcher))

    def exit(self, worker: int | str, status: int = 0) -> None:
        """
        A process ends.

        @param status: as waitpid(2) gives it: a signal's number, or 256 times the exit code.
        """
        id = self.id(worker)
        del self.running[id]
        self.feed(Exited(self.names[id], status))

    def obey(self) -> None:
        """Everyone who was asked to end does so."""
        asked, self.signals = self.signals, []
        for id, signum in asked:
            if id in self.running and signum != signal.SIGCONT:
                self.exit(id, signum)

    def advance(self, seconds: float) -> None:
        """Let time pass; timers fire in order."""
        until = self.now + seconds
        while due := sorted((at, attrs.astuple(timer)) for timer, at in self.timers.items() if at <= until):
            at, timer = due[0][0], Timer(*due[0][1])
            self.now = max(self.now, at)
            del self.timers[timer]
            self.feed(Woken(timer))
        self.now = until

    def ask(self, command: str, **arguments: Any) -> Any:
        """
        Give a command as an administrator, as C{circustwist} does.

        @return: its answer; None as long as there is none.
        """
        self._call += 1
        self.feed(Asked(self._call, command, arguments, ADMIN))
        return self.answers.get(self._call)

    def fails(self, command: str, **arguments: Any) -> RequestError:
        """The error that a command is answered with."""
        answer = self.ask(command, **arguments)
        assert isinstance(answer, RequestError), answer
        return answer

    def wids(self, name: str) -> list[int]:
        """The numbers of a watcher's workers."""
        return sorted(worker.names.wid for worker in self.arbiter.watchers[name.lower()].seats.workers.values())

    def status(self, name: str) -> str:
        """A watcher's status."""
        return self.arbiter.watchers[name.lower()].status

    def topics(self) -> list[str]:
        """The names of all events so far, except those of operations."""
        return [event.name for event in self.events if event.name != "operation"]
