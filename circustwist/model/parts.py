"""
From values that a program has made to a stack.

They go the way of an ini's sections: the same converters say what an option
may be, and the same rules what options together must not say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from . import values
from .errors import ConfigError, Place
from .ini import Reading, assembled
from .option import Option, options
from .reading import Entry, Findings, Section
from .settings import Settings
from .stack import Socket, Stack, Watcher
from .streams import OUTPUTS
from .users import User

Part: TypeAlias = Settings | Watcher | Socket | User

_HEADS: Mapping[type, str] = {Watcher: "watcher", Socket: "socket", User: "user"}


def written(option: Option, value: Any) -> str:
    """A value as an ini would have it."""
    if option.convert is values.octal and not isinstance(value, str):
        return f"{value:03o}"
    if option.convert is values.surge and value == 0:
        return "all"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, tuple | list):
        words = (values.signalName(-each) if isinstance(each, int) and each < 0 else str(each) for each in value)
        return ", ".join(words)
    return str(value)


def _options(part: Part) -> Iterator[tuple[str, str]]:
    """The options of a part that differ from their defaults, as an ini would have them."""
    for name, option, default in options(type(part)):
        value = getattr(part, name)
        if value != default and name != "args":
            yield name, written(option, value)
    if isinstance(part, Watcher):
        yield from part.extra.items()
        yield from ((f"rlimit_{name}", "infinity" if limit is None else str(limit))
                    for name, limit in part.rlimits.items())
        for output in OUTPUTS:
            stream = getattr(part, output)
            if stream:
                yield f"{output}.class", stream.kind
                yield from ((f"{output}.{name}", text) for name, text in stream.settings.items())


def _section(part: Part, path: str) -> Section:
    head = _HEADS.get(type(part))
    place = Place(path)
    title = f"{head}:{getattr(part, 'name', '')}" if head else "circus"
    given = dict(_options(part))
    if not given:
        name, option, default = next(options(type(part)))
        given = {name: written(option, default)}
    return Section(title, place, {name: Entry(title, name, text, place) for name, text in given.items()})


def reading(parts: Iterable[Part], environ: Mapping[str, str], path: str = "stack") -> Reading:
    """
    Everything that such parts say, and that is wrong with it.

    @param environ: the supervisor's environment.
    @param path: what stands in the place of a file in problems.
    """
    findings, sections, every = Findings(), dict[str, Section](), list(parts)
    findings.files.append(path)
    for part in every:
        section = _section(part, path)
        if section.title in sections:
            findings.fatal(section.at(""), "is given twice")
        sections[section.title] = section
    if not any(isinstance(part, Settings) and part.name for part in every):
        findings.fatal(Entry("circus", "name", "", Place(path)), "is missing; e.g. Settings(name='shop')")
    found = assembled(path, sections, environ, findings)
    given = {part.name: part for part in every if isinstance(part, Watcher)}
    watchers = tuple(_whole(watcher, given[watcher.name]) for watcher in found.stack.watchers)
    return Reading(attrs.evolve(found.stack, watchers=watchers), found.problems)


def _whole(read: Watcher, given: Watcher) -> Watcher:
    """A watcher with what has no words in its section: its environment, and arguments that are words already."""
    return attrs.evolve(read, env={**read.env, **given.env}, args=given.args)


def stack(*parts: Part, environ: Mapping[str, str] | None = None) -> Stack:
    """
    A stack of such parts.

    @param environ: the supervisor's environment, for C{$(circus.env.X)}.
    @raise ConfigError: with everything that is wrong with it.
    """
    found = reading(parts, environ or {})
    if found.errors:
        raise ConfigError(found.errors)
    return found.stack
