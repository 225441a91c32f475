"""The plugins that run inside the supervisor, as the configuration in force has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .logic.requests import Steering
from .model.events import Occurrence
from .model.plugins import Plugin as Spec
from .model.stack import Stack
from .plugins.base import Kit, Plugin

MODULES: Mapping[str, str] = {
    "Flapping": "flapping", "StatsdEmitter": "statsd", "FullStats": "statsd", "ResourceWatcher": "resources",
    "WatchDog": "watchdog", "CommandReloader": "reloader", "HttpObserver": "observers", "RedisObserver": "observers",
}
"""Where each kind is; imported when a stack has one."""


class Plugins:
    """
    Those of a running stack.

    @ivar running: by name, with the section that it was made from.
    """

    _log = Logger(namespace="circustwist.plugins")

    def __init__(self, reactor: Any, clock: IReactorTime, steering: Steering, stack: Callable[[], Stack]) -> None:
        """
        @param stack: the configuration in force.
        """
        self._reactor = reactor
        self._clock = clock
        self._steering = steering
        self._stack = stack
        self._unsubscribe: Callable[[], None] = lambda: None
        self.running: dict[str, tuple[Spec, Plugin]] = {}

    def open(self) -> None:
        """Start them; from now on they follow the configuration."""
        self._unsubscribe = self._steering.subscribe(self._happened)
        self._follow()

    def _happened(self, occurrence: Occurrence) -> None:
        event = occurrence.event
        if event.name == "operation" and event.data.get("command") == "reloadconfig":
            self._follow()

    def _follow(self) -> None:
        """End those that the configuration has no more, or otherwise, and start those that it has."""
        wanted = {spec.name: spec for spec in self._stack().plugins if spec.kind}
        for name, (spec, plugin) in list(self.running.items()):
            if wanted.get(name) != spec:
                del self.running[name]
                plugin.stop()
        for name, spec in wanted.items():
            if name not in self.running:
                self._start(spec)

    def _start(self, spec: Spec) -> None:
        module = import_module(f"circustwist.plugins.{MODULES[spec.kind]}")
        kit = Kit(spec.name, self._reactor, self._clock, self._steering)
        plugin: Plugin = getattr(module, spec.kind)(kit, spec.settings)
        self.running[spec.name] = spec, plugin
        try:
            plugin.start()
        except Exception as error:
            self._log.error("[plugin:{name}] cannot start: {error}", name=spec.name, error=str(error))
            plugin.stop()

    def close(self) -> None:
        """End them all."""
        self._unsubscribe()
        for _, plugin in self.running.values():
            plugin.stop()
        self.running.clear()
