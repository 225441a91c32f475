"""
Plugins that are not ours: each is a process of the package C{circus}, and a watcher C{plugin:NAME}.

It speaks ZeroMQ to endpoints of its own, so that what it asks for is known to
be asked by a plugin, and by which.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import attrs
from twisted.logger import Logger

from .logic.requests import Steering
from .model.errors import WorldError
from .model.inputs import Who
from .model.plugins import PREFIX, Plugin
from .model.stack import Stack, Watcher

if TYPE_CHECKING:
    from .control.circus import Call

_CODE = "from circus import plugins;plugins.main()"
_log = Logger(namespace="circustwist.plugins")


def ways(folder: str, name: str) -> tuple[str, str]:
    """
    The endpoints of a plugin, for commands and for events.

    @param folder: where only the supervisor's user may be.
    """
    short = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"ipc://{folder}/plugin-{short}", f"ipc://{folder}/plugin-{short}-events"


def withProcesses(stack: Stack, folder: str) -> Stack:
    """
    A stack with a watcher for each plugin that needs a process.

    What keeps one from being run is logged.

    @param folder: see L{ways}; empty if there is none.
    """
    foreign = [plugin for plugin in stack.plugins if not plugin.kind]
    if not foreign:
        return stack
    missing = next((name for name in ("circus", "zmq") if find_spec(name) is None), "")
    if missing or not folder:
        why = f"the package {missing} is not installed for {sys.executable}" if missing else "there is no directory"
        _log.error("plugins that are not started: {names}: {why}", why=why,
                   names=", ".join(f"{plugin.name} ({plugin.use})" for plugin in foreign))
        return stack
    known = {watcher.name.lower() for watcher in stack.watchers}
    added = [_watcher(plugin, stack, folder) for plugin in foreign if (PREFIX + plugin.name).lower() not in known]
    return attrs.evolve(stack, watchers=tuple(sorted((*stack.watchers, *added), key=lambda watcher: watcher.name)))


def _watcher(plugin: Plugin, stack: Stack, folder: str) -> Watcher:
    control, events = ways(folder, plugin.name)
    config = {**plugin.config, "name": PREFIX + plugin.name}
    settings = stack.settings
    args = ("-c", _CODE, "--endpoint", control, "--pubsub", events, "--check-delay", f"{settings.check_delay:g}",
            "--config", ":::".join(f"{key}:{value}" for key, value in sorted(config.items())),
            "--log-level", "debug" if settings.debug else "info", plugin.use)
    options = {
        "cmd": shlex.quote(sys.executable), "args": args, "singleton": True, "copy_env": True, "copy_path": True,
        "priority": 1, "working_dir": os.path.dirname(stack.path), **plugin.options}
    return Watcher(PREFIX + plugin.name, plugin.place, **options)


@attrs.frozen
class PluginGuard:
    """
    Whoever comes in by the endpoints of a plugin is that plugin.

    @ivar name: the plugin's.
    """

    name: str

    def who(self, key: str, call: Call) -> Who:
        """Who has sent a request."""
        return Who(f"plugin {self.name}", "admin", True, True)

    def knows(self, key: str) -> bool:
        """Nobody needs a key."""
        return False


def listen(reactor: Any, steering: Steering, folder: str, name: str) -> Any:
    """
    Open the endpoints of a plugin.

    @return: closes them; None, and a line in the log, if they cannot be opened.
    """
    from .control import zmq

    control, events = ways(folder, name)
    guard: Any = PluginGuard(name)
    try:
        return zmq.listen(reactor, steering, zmq.Ways(control, events, "", guard))
    except WorldError as error:
        _log.error("[plugin:{name}]: {error}", name=name, error=str(error))
        return None
