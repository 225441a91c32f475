"""
What hooks see of watchers: objects that are used as Circus's own are.

They live in the thread of a hook.  What they tell of processes is asked from
the reactor when it is first needed; what they do is a command like any other,
given in the name of the hook and not waited for, since it may be that the
command itself waits for the hook.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs
from twisted.internet.threads import blockingCallFromThread

from .logic.requests import Steering
from .model.events import HOOK, Event
from .model.stack import Stack, Watcher
from .system import environment

RUNNING, DEAD = 0, 1
"""Circus's words for a process that lives, and one that does not."""


@attrs.frozen
class Inside:
    """
    How hooks reach the stack.

    @ivar detail: one watcher as a status page shows it, with C{env}; called in the reactor.
    @ivar socket: what is known of a socket, and C{fileno}; called in the reactor.
    @ivar publish: publishes an event; called in the reactor.
    """

    reactor: Any
    steering: Steering
    stack: Callable[[], Stack]
    environ: Mapping[str, str]
    detail: Callable[[str], Mapping[str, Any]]
    socket: Callable[[str], Mapping[str, Any]]
    publish: Callable[[Event], None]

    def call(self, function: Callable[..., Any], *given: Any) -> Any:
        """Call something in the reactor, and wait for it."""
        return blockingCallFromThread(self.reactor, function, *given)


class Asker(Protocol):
    """What a watcher needs of its stack."""

    @property
    def sockets(self) -> Any:
        """The sockets of the stack, by name."""

    def ask(self, command: str, **given: Any) -> Mapping[str, Any]:
        """Give a command in the name of the hook, and wait until it is taken."""


class SeenProcess:
    """One process of a watcher."""

    def __init__(self, watcher: SeenWatcher, known: Mapping[str, Any]) -> None:
        self.pid: int = known["pid"]
        self.wid: int = known["wid"]
        self.name = watcher.name
        self.started = time.time() - known["age"]
        self._watcher = watcher

    def age(self) -> float:
        """For how long it has run, in seconds."""
        return float(time.time() - self.started)

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.status == RUNNING

    @property
    def status(self) -> int:
        """Circus's number for what it does."""
        import psutil

        try:
            return DEAD if psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE else RUNNING
        except psutil.NoSuchProcess:
            return DEAD

    def children(self, recursive: bool = False) -> list[int]:
        """The pids of its children."""
        import psutil

        try:
            return [child.pid for child in psutil.Process(self.pid).children(recursive)]
        except psutil.NoSuchProcess:
            return []

    def info(self) -> Any:
        """What it uses."""
        return self._watcher.ask("stats", process=self.pid)["info"]

    def send_signal(self, sig: int) -> None:
        """Signal it."""
        self._watcher.send_signal(self.pid, sig)

    def stop(self) -> None:
        """End it; another one takes its place."""
        self._watcher.kill_process(self)


class SeenWatcher:
    """
    One watcher.

    Its options are attributes.  C{env} may be changed; what else a hook sets
    is kept for the next one.
    """

    def __init__(self, inside: Inside, spec: Watcher, arbiter: Asker, overlay: Mapping[str, str | None],
                 kept: dict[str, Any]) -> None:
        """
        @param overlay: what hooks have changed in the environment already.
        @param kept: what they have set besides.
        """
        self.__dict__.update(_inside=inside, _spec=spec, arbiter=arbiter, _overlay=overlay, _kept=kept, _env=None,
                             _known=None)

    def __getattr__(self, name: str) -> Any:
        if name in self._kept:
            return self._kept[name]
        if not name.startswith("_") and hasattr(self._spec, name):
            return shown(getattr(self._spec, name))
        raise AttributeError(f"a hook is given no watcher.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "env":
            self.__dict__["_env"] = dict(value or {})
        elif hasattr(self._spec, name) or name in SeenWatcher.__dict__:
            raise AttributeError(f"watcher.{name} cannot be set; watcher.set_opt({name!r}, ...) can")
        else:
            self._kept[name] = value

    # Reading

    @property
    def res_name(self) -> str:
        """Its name as topics have it."""
        return str(self._spec.name.lower().replace(" ", "_"))

    @property
    def env(self) -> dict[str, str]:
        """The environment of its processes; a change is for those that are started from now on."""
        if self._env is None:
            self.__dict__["_env"] = self.original()
        found: dict[str, str] = self._env
        return found

    def original(self) -> dict[str, str]:
        """The environment before the hook was called."""
        found = {**environment.build(self._spec, self._inside.environ), **self._overlay}
        return {key: value for key, value in found.items() if value is not None}

    def changes(self) -> dict[str, str | None]:
        """What the hook has changed in it."""
        if self._env is None:
            return {}
        before = self.original()
        changed = {str(key): str(value) for key, value in self._env.items() if before.get(key) != value}
        for key, value in changed.items():
            if not key or "=" in key or "\0" in key + value:
                raise ValueError(f"{key!r} can be no variable")
        return {**dict.fromkeys(before.keys() - self._env.keys()), **changed}

    def detail(self) -> Mapping[str, Any]:
        """How it is, when the hook first asked."""
        if self._known is None:
            self.__dict__["_known"] = self._inside.call(self._inside.detail, self._spec.name)
        known: Mapping[str, Any] = self._known
        return known

    @property
    def numprocesses(self) -> int:
        """How many processes should run."""
        return int(self.detail().get("wanted", self._spec.numprocesses))

    @property
    def processes(self) -> dict[int, SeenProcess]:
        """Those that run, by pid."""
        return {known["pid"]: SeenProcess(self, known) for known in self.detail().get("workers", ()) if known["pid"]}

    @property
    def pids(self) -> list[int]:
        """Their pids."""
        return list(self.processes)

    def get_active_processes(self) -> list[SeenProcess]:
        """Those that are alive."""
        return [process for process in self.processes.values() if process.is_alive()]

    def get_active_pids(self) -> list[int]:
        """The pids of those that are alive."""
        return [process.pid for process in self.get_active_processes()]

    def __len__(self) -> int:
        return len(self.processes)

    def __bool__(self) -> bool:
        return True

    def status(self) -> str:
        """C{stopped starting active stopping}."""
        status = str(self.detail().get("status", "stopped"))
        return "stopped" if status == "failed" else status

    def is_stopped(self) -> bool:
        """Whether it does not run."""
        return self.status() == "stopped"

    def is_active(self) -> bool:
        """Whether it runs."""
        return self.status() == "active"

    def is_starting(self) -> bool:
        """Whether it is being started."""
        return self.status() == "starting"

    def is_stopping(self) -> bool:
        """Whether it is being stopped."""
        return self.status() == "stopping"

    @property
    def _options(self) -> dict[str, str]:
        return dict(self._spec.extra)

    def options(self, *names: str) -> list[tuple[str, Any]]:
        """Its options, each with its value."""
        return sorted(self.ask("options")["options"].items())

    def get_opt(self, name: str) -> Any:
        """One option."""
        return self.ask("get", keys=[name])["options"][name]

    def info(self, extended: bool = False) -> Any:
        """What its processes use, by pid."""
        return self.ask("stats")["info"]

    @property
    def sockets(self) -> Any:
        """The sockets of the stack, by name."""
        return self.arbiter.sockets

    @property
    def hooks(self) -> dict[str, str]:
        """The names of its hooks' functions."""
        return {name: hook.target for name, hook in self._spec.hooks.items()}

    # Doing

    def ask(self, command: str, **given: Any) -> Mapping[str, Any]:
        """Give a command about this watcher."""
        answer: Mapping[str, Any] = self.arbiter.ask(command, name=self._spec.name, **given)
        return answer

    def notify_event(self, topic: str, msg: Mapping[str, Any]) -> None:
        """Publish an event of this watcher."""
        self._inside.call(self._inside.publish, Event(topic, self._spec.name, by=HOOK, data=dict(msg)))

    def send_signal(self, pid: int, signum: int) -> None:
        """Signal one of its processes."""
        self.ask("signal", pid=pid, signum=str(int(signum)))

    def kill_process(self, process: SeenProcess, stop_signal: int | None = None,
                     graceful_timeout: float | None = None) -> None:
        """End one of its processes; another one takes its place."""
        signum = {} if stop_signal is None else {"signum": str(int(stop_signal))}
        self.ask("kill", pid=process.pid, graceful_timeout=graceful_timeout, **signum)

    def kill_processes(self, stop_signal: int | None = None, graceful_timeout: float | None = None) -> None:
        """End all of its processes; others take their places."""
        signum = {} if stop_signal is None else {"signum": str(int(stop_signal))}
        self.ask("kill", graceful_timeout=graceful_timeout, **signum)

    def set_opt(self, name: str, value: Any) -> None:
        """Set an option."""
        self.ask("set", options={name: value})

    def start(self) -> None:
        """Start it."""
        self.ask("start")

    def stop(self, *ignored: Any) -> None:
        """Stop it."""
        self.ask("stop")

    def restart(self) -> None:
        """Stop it and start it."""
        self.ask("restart")

    def reload(self, graceful: bool = True, sequential: bool = False) -> None:
        """Replace its processes."""
        self.ask("reload", graceful=graceful)

    def incr(self, nb: int = 1) -> int:
        """Run more processes."""
        return int(self.ask("incr", nb=nb)["numprocesses"])

    def decr(self, nb: int = 1) -> int:
        """Run fewer processes."""
        return int(self.ask("decr", nb=nb)["numprocesses"])


@attrs.frozen
class SeenSocket:
    """
    One socket of the stack.

    @ivar fd: the supervisor's descriptor of it.
    """

    name: str
    host: str
    port: int
    path: str
    backlog: int
    fd: int

    def fileno(self) -> int:
        """The supervisor's descriptor of it."""
        return self.fd


def shown(value: Any) -> Any:
    """An option as Circus has it: what is not set is None."""
    return None if value in ("", ()) else value
