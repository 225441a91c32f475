"""
What each worker is started as, by the configuration in force.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import attrs

from .logic.readiness import handed
from .model.errors import WorldError
from .model.launch import Launch, Names, plan, socketNumbers
from .model.stack import Stack, Watcher
from .system import environment
from .system.cgroup import Cgroups, delegated
from .system.interfaces import IProber
from .system.sockets import Sockets
from .system.steps import identity


class Planner:
    """
    Plans; a watcher's environment is built anew at each spawn.

    @ivar cgroups: where workers have their control groups.
    @ivar prober: tells what a worker must find in its environment to be looked at.
    """

    prober: IProber

    def __init__(
        self, stack: Callable[[], Stack], hooked: Callable[[str], Mapping[str, str | None]], mark: str,
        environ: Mapping[str, str], sockets: Sockets,
    ) -> None:
        """
        @param stack: tells the configuration in force.
        @param hooked: tells what hooks have changed in the environment of a watcher's workers.
        @param mark: what the tokens of workers begin with.
        """
        self._mark = mark
        self._stack = stack
        self._hooked = hooked
        self._environ = environ
        self._sockets = sockets
        self.cgroups = Cgroups(delegated(), mark)

    def __call__(self, names: Names) -> Launch:
        """
        The plan for one worker that is about to be started.

        @raise WorldError: if there is no such watcher any more.
        @raise ValueError: if the command line or the environment cannot be made.
        @raise OSError: if a file it needs cannot be read or made.
        """
        launch = self.plain(names)
        self.cgroups.enable(launch.group.limits)
        launch = attrs.evolve(launch, group=attrs.evolve(launch.group, folder=self.cgroups.folder(names)))
        watcher = self._watcher(names)
        looks = tuple(filter(None, (watcher.ready, watcher.live)))
        if not looks:
            return launch
        watchdog = watcher.live_timeout if watcher.live == "notify" else 0.0
        uid = identity(watcher.uid, watcher.gid).uid if watcher.uid else None
        more = self.prober.environment(names, looks, watchdog, -1 if uid is None else uid)
        return attrs.evolve(launch, env={**launch.env, **more})

    def plain(self, names: Names) -> Launch:
        """The same without anything being made for it."""
        stack, watcher = self._stack(), self._watcher(names)
        changed = {**environment.build(watcher, self._environ), **self._hooked(watcher.name)}
        env = {key: value for key, value in changed.items() if value is not None}
        return plan(watcher, names, self._mark, socketNumbers(stack), env)

    def _watcher(self, names: Names) -> Watcher:
        watcher = self._stack().watcher(names.watcher)
        if watcher is None:
            raise WorldError(f"there is no watcher {names.watcher}")
        return watcher

    def streams(self, names: Names) -> tuple[int, ...]:
        """The inodes of the sockets handed to a worker on which connections are accepted."""
        keys = [self._sockets.seat(name, names.watcher, names.seat)[0] for name in self._handed(names)]
        return tuple(os.fstat(self._sockets.fileno(key)).st_ino for key in keys)

    def doors(self, names: Names) -> frozenset[int | str]:
        """The ports and paths of these sockets."""
        held = self._sockets.names()
        told = [self._sockets.describe(name) for name in self._handed(names) if name in held]
        return frozenset(known.get("port") or known["path"] for known in told)

    def lacks(self, stack: Stack) -> tuple[tuple[str, str, str], ...]:
        """The limits that cannot be kept: the watcher, the option and why."""
        return self.cgroups.lacks(stack)

    def _handed(self, names: Names) -> tuple[str, ...]:
        watcher = self._stack().watcher(names.watcher)
        return handed(self._stack(), watcher) if watcher is not None else ()
