"""The plugins of a stack, as the configuration in force has them: those inside, and the ways in for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .foreign import listen
from .logic.requests import Steering
from .model.events import Occurrence
from .model.plugins import PREFIX
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
    @ivar outlets: the endpoints of those that are processes, by the name of the plugin.
    """

    _log = Logger(namespace="circustwist.plugins")

    def __init__(
        self, reactor: Any, clock: IReactorTime, steering: Steering, stack: Callable[[], Stack], folder: str
    ) -> None:
        """
        @param stack: the configuration in force.
        @param folder: where endpoints for plugins that are not ours are; empty if there is none.
        """
        self._folder = folder
        self._reactor = reactor
        self._clock = clock
        self._steering = steering
        self._stack = stack
        self._unsubscribe: Callable[[], None] = lambda: None
        self.running: dict[str, tuple[Spec, Plugin]] = {}
        self.outlets: dict[str, Any] = {}

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
        self._serve()

    def _serve(self) -> None:
        """Have endpoints for those that are processes."""
        stack = self._stack()
        wanted = {spec.name for spec in stack.plugins if not spec.kind and stack.watcher(PREFIX + spec.name)}
        for name in self.outlets.keys() - wanted:
            outlet = self.outlets.pop(name)
            if outlet is not None:
                outlet.close()
        for name in wanted - self.outlets.keys():
            self.outlets[name] = listen(self._reactor, self._steering, self._folder, name)

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
        for outlet in self.outlets.values():
            if outlet is not None:
                outlet.close()
        self.outlets.clear()
