"""
What hooks see of a stack: an arbiter that is used as Circus's own is.

It lives in the thread of a hook.  What it does is a command like any other,
given in the name of the hook and not waited for, since it may be that the
command itself waits for the hook.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from .model.effects import RunHook
from .model.inputs import Who
from .model.stack import Watcher
from .seen import Inside, SeenSocket, SeenWatcher, shown

__all__ = ["Inside", "SeenArbiter", "View", "Views"]


class SeenArbiter:
    """The stack."""

    def __init__(self, inside: Inside, by: str) -> None:
        self._inside = inside
        self._by = by

    def __getattr__(self, name: str) -> Any:
        settings = self.__dict__["_inside"].stack().settings
        if not name.startswith("_") and hasattr(settings, name):
            return shown(getattr(settings, name))
        raise AttributeError(f"a hook is given no arbiter.{name}")

    def _watcher(self, spec: Watcher) -> SeenWatcher:
        return SeenWatcher(self._inside, spec, self, {}, {})

    def iter_watchers(self, reverse: bool = True) -> Iterator[SeenWatcher]:
        """The watchers by their priority, the highest first."""
        every = sorted(self._inside.stack().watchers, key=lambda spec: spec.priority, reverse=reverse)
        return iter([self._watcher(spec) for spec in every])

    @property
    def watchers(self) -> list[SeenWatcher]:
        """The watchers."""
        return list(self.iter_watchers())

    def get_watcher(self, name: str) -> SeenWatcher:
        """
        A watcher.

        @raise KeyError: if there is none of that name.
        """
        spec = self._inside.stack().watcher(name)
        if spec is None:
            raise KeyError(name)
        return self._watcher(spec)

    def numwatchers(self) -> int:
        """How many watchers there are."""
        return len(self._inside.stack().watchers)

    def numprocesses(self) -> int:
        """How many processes there are."""
        return int(self.ask("numprocesses")["numprocesses"])

    def statuses(self) -> dict[str, str]:
        """The status of each watcher."""
        return dict(self.ask("status")["statuses"])

    @property
    def sockets(self) -> dict[str, SeenSocket]:
        """The sockets, by name."""
        found = {}
        for spec in self._inside.stack().sockets:
            known = self._inside.call(self._inside.socket, spec.name)
            found[spec.name] = SeenSocket(spec.name, known.get("host", spec.host), known.get("port", spec.port),
                                          spec.path, spec.backlog, known["fileno"])
        return found

    @property
    def context(self) -> Any:
        """A ZeroMQ context."""
        import zmq

        return zmq.Context.instance()

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return os.getpid()

    def ask(self, command: str, **given: Any) -> Mapping[str, Any]:
        """Give a command in the name of the hook, and wait until it is taken."""
        who = Who(self._by, "admin")
        answer: Mapping[str, Any] = self._inside.call(self._inside.steering.ask, command, given, who)
        return answer

    def add_watcher(self, name: str, cmd: str, **options: Any) -> None:
        """Add a watcher."""
        args = options.pop("args", "")
        self.ask("add", name=name, cmd=cmd, args=args, options=options)

    def rm_watcher(self, name: str) -> None:
        """Remove a watcher."""
        self.ask("rm", name=name)

    def start_watchers(self) -> None:
        """Start all watchers."""
        self.ask("start")

    def stop_watchers(self) -> None:
        """Stop all watchers."""
        self.ask("stop")

    def reload(self, graceful: bool = True, sequential: bool = False) -> None:
        """Replace all processes."""
        self.ask("reload", graceful=graceful)

    def restart(self) -> None:
        """Stop and start all watchers."""
        self.ask("restart")


class Views:
    """Makes what hooks are shown, and keeps for each watcher what they have set on it."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._kept: dict[str, dict[str, Any]] = {}

    def __call__(self, effect: RunHook) -> View:
        """What one call is shown."""
        return View(self._inside, effect, self._kept.setdefault(effect.spec.name, {}))


class View:
    """
    What one call of a hook is shown.

    @ivar watcher: its watcher.
    @ivar arbiter: the stack.
    """

    def __init__(self, inside: Inside, effect: RunHook, kept: dict[str, Any]) -> None:
        spec = effect.spec
        self.arbiter = SeenArbiter(inside, f"hook {effect.name} of {spec.name}")
        self.watcher = SeenWatcher(inside, spec, self.arbiter, effect.env, kept)
        self._folder = os.path.dirname(inside.stack().path)

    def changes(self) -> Mapping[str, str | None]:
        """What was changed in the environment."""
        return self.watcher.changes()

    def paths(self) -> list[str]:
        """Where else its functions are looked for: the PYTHONPATH of its watcher, and the folder of the ini."""
        try:
            found = self.watcher.original().get("PYTHONPATH", "")
        except OSError:
            found = ""
        return [*filter(None, found.split(os.pathsep)), self._folder]
