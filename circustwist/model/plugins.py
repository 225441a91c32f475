"""
Plugins: what C{[plugin:NAME]} sections say, and the table of every option of those that Circus ships.

Those run inside the supervisor.  Any other class is run by the C{circus}
package, as a process of its own; see L{circustwist.foreign}.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

import attrs

from . import amounts, values
from .errors import Place
from .option import option as _option
from .option import options

PREFIX = "plugin:"
"""What the name of the watcher of a plugin's process begins with."""


@attrs.frozen
class Flapping:
    """Stops watchers whose processes keep ending by themselves, and starts them again after a while."""

    attempts: int = _option(
        values.natural, 2, "So many ends within the window are flapping.", live="now", example="3")
    window: float = _option(values.seconds, 1.0, "The window.", live="now", unit="s", example="10")
    retry_in: float = _option(
        values.seconds, 7.0, "After so long the watcher is started again.", live="now", unit="s", example="60")
    max_retry: int = _option(
        values.retries, 5, "So often it is; then it stays stopped.  -1 is for ever.", live="now", example="-1")
    active: bool = _option(values.boolean, True, "Whether it does anything.", live="now")


@attrs.frozen
class StatsdEmitter:
    """Counts events at a statsd."""

    application_name: str = _option(
        values.text, "app", "The second part of the names of the figures.", live="now", example="shop")
    host: str = _option(values.text, "localhost", "Where statsd is.", live="now", example="10.0.0.7")
    port: int = _option(values.port, 8125, "Its UDP port.", live="now", example="9125")
    sample_rate: float = _option(
        amounts.fraction, 1.0, "Share of the figures that are sent; statsd is told.", live="now", example="0.1")


@attrs.frozen
class Loop(StatsdEmitter):
    """A plugin that looks now and then."""

    loop_rate: float = _option(values.seconds, 60.0, "Pause between two looks.", live="now", unit="s", example="10")


@attrs.frozen
class FullStats(Loop):
    """Tells a statsd what the processes of each watcher use."""


@attrs.frozen
class ResourceWatcher(Loop):
    """Restarts a watcher whose processes use too much, or too little."""

    watcher: str = _option(values.text, "", "The watcher.", live="now", example="web")
    service: str = _option(values.text, "", "The same, as it was called once.", live="now", example="web")
    max_cpu: float | None = _option(
        amounts.percent, 90.0, "Most that a process may use of a processor, in percent.", live="now", example="80")
    min_cpu: float | None = _option(
        amounts.percent, None, "Least that a process must use of a processor, in percent.", live="now", example="1")
    max_mem: float | int | None = _option(
        amounts.share, 90.0, "Most memory that a process may have: percent, or a size.", live="now", example="250M")
    min_mem: float | int | None = _option(
        amounts.share, None, "Least memory that a process must have: percent, or a size.", live="now", example="1M")
    health_threshold: float | None = _option(
        amounts.percent, 75.0, "Most that the mean of both, in percent, may be.", live="now", example="90")
    max_count: int = _option(
        values.natural, 3, "So many looks in a row may find it so.", live="now", example="1")
    process_children: bool = _option(
        values.boolean, False, "Look at the direct children too, and signal those that use too much.", live="now")
    child_signal: int = _option(
        values.signum, int(signal.SIGTERM), "The signal for them.", live="now", example="KILL")


@attrs.frozen
class WatchDog:
    """Ends processes that do not send datagrams in time; others take their places."""

    ip: str = _option(values.text, "127.0.0.1", "Address at which datagrams are heard.", live="now", example="0.0.0.0")
    port: int = _option(values.port, 1664, "UDP port.", live="now", example="1700")
    loop_rate: float = _option(values.seconds, 60.0, "Longest pause between two.", live="now", unit="s", example="5")
    max_count: int = _option(values.natural, 3, "So many in a row may be missing.", live="now", example="1")
    watchers_regex: str = _option(
        amounts.pattern, ".*", "Watchers whose processes send some: a regular expression for the name.", live="now",
        example="^web$")
    msg_regex: str = _option(
        amounts.pattern, "^(?P<pid>.*);(?P<timestamp>.*)$", "What one looks like, with the pid in it.", live="now",
        example="(?P<pid>[0-9]+)")
    watchers_stop_signal: int | None = _option(
        values.signum, None, "The signal that asks them to end; without it the watcher's.", live="now", example="KILL")
    watchers_graceful_timeout: float | None = _option(
        values.seconds, None, "Time that they have then; without it the watcher's.", live="now", unit="s", example="5")


@attrs.frozen
class CommandReloader:
    """Restarts a watcher when its program has changed on disk."""

    loop_rate: float = _option(
        values.seconds, 1.0, "Time in which further changes count as the same one.", live="now", unit="s",
        example="5")


@attrs.frozen
class HttpObserver(Loop):
    """Asks an URL, and may restart a watcher when it does not answer."""

    check_url: str = _option(
        values.text, "http://localhost/", "The URL.", live="now", example="http://127.0.0.1:8000/alive")
    timeout: float = _option(values.seconds, 10.0, "Longest time for an answer.", live="now", unit="s", example="2")
    restart_on_error: str = _option(
        values.text, "", "The watcher that is restarted when there is none, or one of 400 and above.", live="now",
        example="web")


@attrs.frozen
class RedisObserver(Loop):
    """Asks a Redis for its figures, and may restart a watcher when it does not answer."""

    redis_url: str = _option(
        values.text, "redis://localhost:6379/0", "Where it is.", live="now", example="redis://127.0.0.1:6380/0")
    timeout: float = _option(values.seconds, 5.0, "Longest time for an answer.", live="now", unit="s", example="2")
    restart_on_timeout: str = _option(
        values.text, "", "The watcher that is restarted when there is none.", live="now", example="redis")


KINDS: Mapping[str, type] = {
    cls.__name__: cls for cls in (
        Flapping, StatsdEmitter, FullStats, ResourceWatcher, WatchDog, CommandReloader, HttpObserver, RedisObserver)
}
"""Those that run inside the supervisor, by the last part of C{use}."""

NATIVE: Mapping[str, str] = {
    "circus.plugins.flapping.Flapping": "Flapping",
    **{f"circus.plugins.{module}.{kind}": kind
       for module in ("statsd", "_statsd") for kind in ("StatsdEmitter", "FullStats")},
    "circus.plugins.resource_watcher.ResourceWatcher": "ResourceWatcher",
    "circus.plugins.watchdog.WatchDog": "WatchDog",
    "circus.plugins.command_reloader.CommandReloader": "CommandReloader",
    "circus.plugins.http_observer.HttpObserver": "HttpObserver",
    "circus.plugins.redis_observer.RedisObserver": "RedisObserver",
}
"""The kind of each class of Circus's that is run so."""


@attrs.frozen
class Plugin:
    """
    A C{[plugin:NAME]} section.

    @ivar name: as in the section's title.
    @ivar place: where the section stands.
    @ivar use: the dotted name of the class.
    @ivar settings: for one that runs inside the supervisor, its options.
    @ivar config: for any other, its options as text.
    @ivar options: what of them is meant for its process, converted.
    """

    name: str
    place: Place = attrs.field(default=Place(""), eq=False)
    use: str = ""
    settings: Any = None
    config: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    options: Mapping[str, Any] = attrs.field(factory=dict, hash=False)

    @property
    def kind(self) -> str:
        """Which of L{KINDS} it is; empty if it needs a process."""
        return NATIVE.get(self.use, "") if self.settings is not None else ""


OPTIONS = {kind: {name: (option, default) for name, option, default in options(cls)} for kind, cls in KINDS.items()}
"""Each option and its default, by kind and name."""
