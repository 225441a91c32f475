"""The plugins that C{[plugin:NAME]} sections name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .convert import OPTIONS as declared
from .convert import Converter
from .plugins import KINDS, NATIVE, OPTIONS, PREFIX, Plugin
from .reading import DEFAULT, Scope, Section, shown
from .stack import Watcher
from .values import name as checked

_CLASS = re.compile(r"[^\W\d]\w*([.:][^\W\d]\w*)+")
_WATCHED = (("watcher", "ResourceWatcher"), ("service", "ResourceWatcher"), ("restart_on_error", "HttpObserver"),
            ("restart_on_timeout", "RedisObserver"))
"""The options that name a watcher."""

PROCESS = frozenset((
    "autostart", "graceful_timeout", "priority", "respawn", "restart_delay_max", "stop_signal", "working_dir"))
"""The options of a watcher that a plugin's section may give for its process."""


def plugins(converter: Converter, scope: Scope, watchers: Iterable[Watcher]) -> tuple[Plugin, ...]:
    """All plugins, sorted by name as Circus does; whatever is wrong with them is told."""
    known = {watcher.name.lower() for watcher in watchers}
    found = [_plugin(converter, section, name, scope, known) for section, name in converter.named("plugin")]
    return tuple(sorted((plugin for plugin in found if plugin), key=lambda plugin: plugin.name))


def _plugin(converter: Converter, section: Section, name: str, scope: Scope, known: set[str]) -> Plugin | None:
    findings = converter.findings
    entry = section.entries.get("use")
    use = scope.expand(entry) if entry else ""
    if not use or not _CLASS.fullmatch(use):
        findings.fatal(section.at("use"), f"{shown(use)} is no class; e.g. circus.plugins.flapping.Flapping")
        return None
    try:
        checked(PREFIX + name)
    except ValueError as error:
        findings.fatal(section.at(""), f"{shown(PREFIX + name)} {error}")
        return None
    kind = NATIVE.get(use, "")
    if not kind:
        config = {key: scope.expand(each) for key, each in section.entries.items() if key != "use"}
        return Plugin(name, section.place, use, None, config, _options(converter, section, scope))
    return Plugin(name, section.place, use, _settings(converter, section, kind, scope, known))


def _options(converter: Converter, section: Section, scope: Scope) -> dict[str, Any]:
    """What is meant for the process of a plugin."""
    found = {}
    for key in PROCESS & section.entries.keys():
        value = converter.converted(section.entries[key], declared[Watcher][key][0].convert, scope)
        if value is not None:
            found[key] = value
    return found


def _settings(converter: Converter, section: Section, kind: str, scope: Scope, known: set[str]) -> Any:
    """The options of a plugin that runs inside the supervisor."""
    table, found = OPTIONS[kind], {}
    for entry in section.entries.values():
        if entry.option in table:
            option, default = table[entry.option]
            value = converter.converted(entry, option.convert, scope)
            found[entry.option] = default if value is None else value
        elif entry.option != "use" and entry.section != DEFAULT:
            meant = converter.findings.meant(entry.option, table)
            converter.findings.warn(entry, f"has no effect: {kind} runs inside the supervisor and has no such option"
                                           f"{meant}")
    settings = KINDS[kind](**found)
    for key, of in _WATCHED:
        name = getattr(settings, key) if of == kind else ""
        if name and name.lower() not in known:
            meant = converter.findings.meant(name, known)
            converter.findings.fatal(section.at(key), f"there is no [watcher:{name}]{meant}")
    if kind == "ResourceWatcher" and not (settings.watcher or settings.service):
        converter.findings.fatal(section.at("watcher"), "is missing; e.g. watcher = web")
    if kind == "WatchDog" and "(?P<pid>" not in settings.msg_regex:
        converter.findings.fatal(section.at("msg_regex"), "has no group named pid; e.g. (?P<pid>[0-9]+)")
    return settings
