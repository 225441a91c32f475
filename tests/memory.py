"""A world in memory: effects are kept, processes are numbers, time stands still until it is moved."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

import attrs

from circustwist.logic.answers import About
from circustwist.logic.arbiter import Arbiter
from circustwist.logic.requests import Requests
from circustwist.model.effects import (
    Answer,
    Effect,
    Forget,
    Probe,
    Publish,
    Quit,
    Record,
    Signal,
    Spawn,
    Timer,
    Unwatch,
    Wake,
    Watch,
)
from circustwist.model.errors import RequestError, SpawnProblem
from circustwist.model.events import Event
from circustwist.model.inputs import Asked, Begun, Exited, Input, Knocked, Probed, Refused, Spawned, Who, Woken
from circustwist.model.launch import Names
from circustwist.model.settings import Settings
from circustwist.model.stack import Socket, Stack, Watcher

ADMIN = Who("ann", "admin")


class Memory:
    """
    A supervisor without a world.

    @ivar spawning: workers that were asked for and not answered yet, by id.
    @ivar running: the pid of each process that runs, by worker id.
    @ivar names: of every worker that was ever asked for, by id.
    @ivar timers: when each is due.
    @ivar probes: that are not answered yet, by worker and what they tell.
    @ivar watched: the sockets at which each watcher waits for a connection.
    @ivar events: all that were published.
    @ivar journal: all records.
    @ivar others: effects of no other kind.
    @ivar answers: by call.
    """

    def __init__(
        self, *watchers: Watcher, settings: Settings | None = None, sockets: tuple[Socket, ...] = ()
    ) -> None:
        stack = Stack("test", "/test.ini", settings or Settings(), tuple(watchers), sockets)
        self.arbiter = Arbiter(stack, draw=lambda: 0.0)
        self.requests = Requests(self.arbiter, About(1, "0", 0.0, lambda name: {}))
        self.now = 100.0
        self.spawning: dict[int, Names] = {}
        self.running: dict[int, int] = {}
        self.names: dict[int, Names] = {}
        self.signals: list[tuple[int, int]] = []
        self.timers: dict[Timer, float] = {}
        self.probes: dict[tuple[int, str], Probe] = {}
        self.watched: dict[str, tuple[str, ...]] = {}
        self.events: list[Event] = []
        self.others: list[Effect] = []
        self.journal: list[Mapping[str, Any]] = []
        self.answers: dict[int, Any] = {}
        self.quit: int | None = None
        self._pid = 1000
        self._call = 0
        self.auto = True

    def feed(self, input: Input) -> None:
        """Tell the logic, and keep what it asks for."""
        for effect in self.requests.handle(input, self.now):
            self._perform(effect)
        if self.auto:
            while self.spawning:
                self.spawned(next(iter(self.spawning)))

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Spawn):
            assert effect.names.id not in self.names, "an id was used twice"
            self.names[effect.names.id] = self.spawning[effect.names.id] = effect.names
        elif isinstance(effect, Signal):
            self.signals.append((effect.id, effect.signum))
        elif isinstance(effect, Probe):
            self.probes[effect.names.id, effect.what] = effect
        elif isinstance(effect, Wake):
            self.timers[effect.timer] = effect.at
        elif isinstance(effect, Forget):
            self.timers.pop(effect.timer, None)
        elif isinstance(effect, Watch):
            self.watched[effect.watcher] = effect.sockets
        elif isinstance(effect, Unwatch):
            self.watched.pop(effect.watcher, None)
        elif isinstance(effect, Publish):
            self.events.append(effect.event)
        elif isinstance(effect, Record):
            self.journal.append(effect.entry)
        elif isinstance(effect, Answer):
            assert effect.call not in self.answers, "a call was answered twice"
            self.answers[effect.call] = effect.value
        elif isinstance(effect, Quit):
            self.quit = effect.code
        else:
            self.others.append(effect)

    def begin(self, *completed: str, **wanted: tuple[bool, int]) -> Memory:
        """Start what should run."""
        self.feed(Begun(wanted, completed=frozenset(completed)))
        return self

    def spawned(self, id: int) -> None:
        """The program of a worker that was asked for runs."""
        names = self.spawning.pop(id)
        self._pid += 1
        self.running[id] = self._pid
        self.feed(Spawned(names, self._pid))

    def refuse(self, id: int, errno: int = 2) -> None:
        """A worker that was asked for cannot be started."""
        self.feed(Refused(self.spawning.pop(id), SpawnProblem("execve", errno)))

    def probed(self, id: int, ok: bool = True, what: str = "ready") -> None:
        """A probe is answered."""
        probe = self.probes.pop((id, what))
        self.feed(Probed(probe.names, what, ok, "" if ok else "said no"))

    def knock(self, socket: str) -> None:
        """A connection comes, and stays until somebody accepts it; only who waits there is told, once."""
        for watcher in [name for name, sockets in self.watched.items() if socket in sockets]:
            del self.watched[watcher]
            self.feed(Knocked(watcher))

    def exit(self, id: int, status: int = 0) -> None:
        """A process ends."""
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
        Give a command as an administrator.

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
        return sorted(worker.names.wid for worker in self.arbiter.watchers[name].seats.workers.values())

    def status(self, name: str) -> str:
        """A watcher's status."""
        return self.arbiter.watchers[name].status

    def topics(self) -> list[str]:
        """The names of all events so far, except those of operations."""
        return [event.name for event in self.events if event.name != "operation"]
