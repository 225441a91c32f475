"""
What there is to tell of every option: for C{help}, the documentation and the schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from . import values
from .option import Option, options
from .plugins import KINDS
from .settings import Settings
from .stack import Socket, Watcher
from .streams import OUTPUTS, STREAMS
from .users import User

SECTIONS: Mapping[str, type] = {"watcher": Watcher, "socket": Socket, "circus": Settings, "user": User}
"""The class that declares the options, by the first word of a section's title."""

_CHANGES = {"now": "at once", "reload": "for new workers", "restart": "at the next start"}


@attrs.frozen
class Entry:
    """
    One option in one kind of section.

    @ivar section: the first word of the section's title.
    @ivar name: as it stands in the ini.
    @ivar changes: when a change of it counts, in words.
    """

    section: str
    name: str
    option: Option
    default: Any
    changes: str

    @property
    def shown(self) -> str:
        """The default as people write it; C{none} if there is none."""
        default, unit = self.default, self.option.unit
        if default is None or default in ("", ()):
            return "none"
        if self.option.convert is values.signum:
            return values.signalName(default).removeprefix("SIG")
        if isinstance(default, tuple):
            return " ".join(map(str, default))
        return f"{default:g} {unit}".rstrip() if isinstance(default, float) else f"{default} {unit}".rstrip()


def changes(cls: type, option: Option) -> str:
    """When a change of an option counts."""
    if cls is Socket and option.live != "now":
        return "by a new socket in its place"
    return _CHANGES[option.live]


def entries() -> Iterator[Entry]:
    """Every option, in the order of the reference; those of streams by their name after the dot."""
    for section, cls in SECTIONS.items():
        for name, option, default in options(cls):
            yield Entry(section, name, option, default, changes(cls, option))


def streamEntries(kind: str) -> Iterator[Entry]:
    """The options of a kind of stream; in the ini each stands after the output and a dot."""
    for name, option, default in options(STREAMS[kind]):
        yield Entry("watcher", name, option, default, _CHANGES[option.live])


def pluginEntries(kind: str) -> Iterator[Entry]:
    """The options of a kind of plugin."""
    for name, option, default in options(KINDS[kind]):
        yield Entry("plugin", name, option, default, _CHANGES[option.live])


def find(name: str) -> list[Entry]:
    """An option in every kind of section that has it; one of a stream with its output, or without."""
    output, dot, rest = name.lower().partition(".")
    if dot and output in OUTPUTS:
        every = (entry for kind in STREAMS for entry in streamEntries(kind))
        return [attrs.evolve(entry, name=name.lower()) for entry in every if entry.name == rest][:1]
    plugged = (entry for kind in KINDS for entry in pluginEntries(kind))
    return [entry for entry in (*entries(), *plugged) if entry.name == name.lower()]
