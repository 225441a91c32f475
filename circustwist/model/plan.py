"""
What a changed configuration will do, process by process and why.

The same value is shown by C{plan} and done by C{reloadconfig}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

import attrs

from .option import Live, options
from .secrets import hidden
from .settings import Settings
from .stack import Socket, Stack, Watcher
from .streams import Stream
from .users import User

Action: TypeAlias = Literal["add", "remove", "now", "reload", "replace", "restart"]
"""What is done: C{now} without touching a process, C{reload} process by process,
C{replace} a socket by another one, C{restart} only with the supervisor itself."""

SECRET = frozenset(("env",))
_HIDDEN = frozenset(("password_hash",))
"""Options of which is only told that they differ."""

_DERIVED: tuple[tuple[str, Live], ...] = (
    ("env", "reload"), ("rlimits", "reload"), ("hooks", "now"), ("extra", "now"), ("stdout_stream", "now"),
    ("stderr_stream", "now"))
"""What a watcher has besides its options, and when a change of it takes effect."""


@attrs.frozen
class Change:
    """
    One option that changes.

    @ivar old: its value as text; of an environment only the names.
    @ivar new: the same, afterwards.
    @ivar live: when it takes effect.
    """

    option: str
    old: str
    new: str
    live: Live

    def json(self, full: bool = False) -> dict[str, Any]:
        """
        As every face shows it.

        @param full: whether with what looks like a secret.
        """
        old, new = (each if full else hidden(self.option, each) for each in (self.old, self.new))
        return {"option": self.option, "old": old, "new": new, "live": self.live}


@attrs.frozen
class Item:
    """
    What happens to one watcher, socket, user or setting.

    @ivar kind: C{watcher}, C{socket}, C{user} or C{circus}.
    @ivar why: what else than its own options is the reason.
    """

    kind: str
    name: str
    action: Action
    changes: tuple[Change, ...] = ()
    why: str = ""

    def json(self, full: bool = False) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "kind": self.kind, "name": self.name, "action": self.action, "why": self.why,
            "changes": [change.json(full) for change in self.changes],
        }


@attrs.frozen
class Plan:
    """
    From one configuration to another.

    @ivar items: what happens; nothing to anything that is not in it.
    """

    old: Stack
    new: Stack
    items: tuple[Item, ...] = ()

    def names(self, kind: str, *actions: str) -> list[str]:
        """Whom something happens to, e.g. C{("socket", "add", "replace")}."""
        return [item.name for item in self.items if item.kind == kind and item.action in actions]

    def json(self, full: bool = False) -> dict[str, Any]:
        """As every face shows it; see L{Change.json}."""
        return {"items": [item.json(full) for item in self.items]}


def compare(old: Stack, new: Stack) -> Plan:
    """What it takes to get from one configuration to another."""
    sockets = tuple(_sockets(old, new))
    moved = {item.name for item in sockets if item.action in ("replace", "remove")}
    others = (*_settings(old, new), *_users(old, new), *_plugins(old, new))
    return Plan(old, new, (*others, *sockets, *_watchers(old, new, moved)))


def _changes(cls: type, old: Any, new: Any) -> Iterator[Change]:
    for name, option, _ in options(cls):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            texts = ("", "") if name in _HIDDEN else (_text(before), _text(after))
            yield Change(name, *texts, option.live)


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)


def _settings(old: Stack, new: Stack) -> Iterator[Item]:
    for change in _changes(Settings, old.settings, new.settings):
        yield Item("circus", change.option, "now" if change.live == "now" else "restart", (change,))


def _users(old: Stack, new: Stack) -> Iterator[Item]:
    before, after = ({user.name: user for user in stack.users} for stack in (old, new))
    for name in sorted(before | after):
        if name not in before:
            yield Item("user", name, "add")
        elif name not in after:
            yield Item("user", name, "remove")
        elif changes := tuple(_changes(User, before[name], after[name])):
            yield Item("user", name, "now", changes)


def _sockets(old: Stack, new: Stack) -> Iterator[Item]:
    before, after = {s.name: s for s in old.sockets}, {s.name: s for s in new.sockets}
    for name in sorted(before | after):
        if name not in before:
            yield Item("socket", name, "add")
        elif name not in after:
            yield Item("socket", name, "remove")
        elif changes := tuple(_changes(Socket, before[name], after[name])):
            now = all(change.live == "now" for change in changes)
            yield Item("socket", name, "now" if now else "replace", changes)


def _plugins(old: Stack, new: Stack) -> Iterator[Item]:
    """Those inside the supervisor; any other is a watcher."""
    before, after = ({one.name: one for one in stack.plugins if one.kind} for stack in (old, new))
    for name in sorted(before | after):
        if name not in before or name not in after:
            yield Item("plugin", name, "remove" if name in before else "add")
        elif before[name].kind != after[name].kind:
            yield Item("plugin", name, "now", (Change("use", before[name].use, after[name].use, "now"),))
        elif before[name].settings != after[name].settings:
            cls = type(after[name].settings)
            yield Item("plugin", name, "now", tuple(_changes(cls, before[name].settings, after[name].settings)))


def _watchers(old: Stack, new: Stack, moved: set[str]) -> Iterator[Item]:
    before = {watcher.name.lower(): watcher for watcher in old.watchers}
    after = {watcher.name.lower(): watcher for watcher in new.watchers}
    for name in sorted(before | after):
        if name not in before:
            yield Item("watcher", after[name].name, "add")
        elif name not in after:
            yield Item("watcher", before[name].name, "remove")
        elif item := _changed(before[name], after[name], moved):
            yield item


def _changed(old: Watcher, new: Watcher, moved: set[str]) -> Item | None:
    changes = (*_changes(Watcher, old, new), *_derived(old, new))
    touched = sorted(moved & _handed(old, moved))
    why = f"socket {', '.join(touched)} changes" if touched else ""
    if not changes and not touched:
        return None
    reload = touched or any(change.live != "now" for change in changes)
    return Item("watcher", new.name, "reload" if reload else "now", changes, why)


def _handed(watcher: Watcher, every: set[str]) -> set[str]:
    """Which of these sockets a watcher's workers hold."""
    return every if watcher.use_sockets else {*watcher.listen_fds, watcher.stdin_socket} & every


def _derived(old: Watcher, new: Watcher) -> Iterator[Change]:
    for name, live in _DERIVED:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if name in SECRET:
            yield Change(name, _names(before, after), _names(after, before), live)
        else:
            yield Change(name, _pairs(before), _pairs(after), live)


def _pairs(value: Any) -> str:
    """A mapping, or where output goes, as text."""
    if isinstance(value, Stream):
        value = {"class": value.kind, **value.settings} if value else {}
    return ", ".join(f"{key}={hidden(key, str(each))}" for key, each in value.items())


def _names(env: Any, other: Any) -> str:
    """The names of an environment whose values are others in another one."""
    return " ".join(_differing(env, other))


def _differing(env: Any, other: Any) -> Iterable[str]:
    return sorted(name for name in env if name not in other or env[name] != other[name])
