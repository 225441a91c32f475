"""
From the entries of a section to the values that the table of options declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import expand, rules, values
from .circus import UNUSED
from .hooks import POINTS
from .option import Option, options
from .reading import DEFAULT, Entry, Findings, Scope, Section, shown
from .settings import Settings
from .stack import Socket, Watcher
from .streams import OUTPUTS, STREAMS, UserStream
from .users import User

_DECLARING = (Settings, Socket, Watcher, User, *STREAMS.values(), UserStream)
OPTIONS: Mapping[type, Mapping[str, tuple[Option, Any]]] = {
    cls: {name: (option, default) for name, option, default in options(cls)} for cls in _DECLARING
}
"""Each option and its default, by class and name."""

RLIMITS = (
    "as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
)
"""The resource limits of Linux; getrlimit(2)."""

INCLUDES = ("include", "include_dir")
"""The options that name other files."""

COMMAND = ("cmd", "args", "shell_args")
"""The options in which variables stand for something of a worker."""

_SOCKET_NAMES = ("stdin_socket", "listen_fds")
NO_VARIABLE = "there is no such variable in the environment"
_CANDIDATES: Mapping[type, tuple[str, ...]] = {
    Settings: (*OPTIONS[Settings], *UNUSED[Settings], *INCLUDES),
    Socket: tuple(OPTIONS[Socket]),
    User: tuple(OPTIONS[User]),
    Watcher: (
        *OPTIONS[Watcher],
        *(f"rlimit_{name}" for name in RLIMITS),
        *(f"hooks.{name}" for name in POINTS),
        *(f"{output}.{name}" for output in OUTPUTS
          for name in ("class", *dict.fromkeys(name for cls in STREAMS.values() for name in OPTIONS[cls]))),
    ),
}


class Converter:
    """
    Reads the options of sections.

    @ivar sections: by title.
    @ivar findings: where everything that is wrong is told.
    """

    def __init__(self, sections: Mapping[str, Section], findings: Findings) -> None:
        self.sections = sections
        self.findings = findings

    def named(self, head: str) -> Iterator[tuple[Section, str]]:
        """The sections C{[head:NAME]} that have a good name, and options, with this name."""
        first: dict[str, str] = {}
        for title, section in self.sections.items():
            kind, colon, name = title.partition(":")
            if kind != head or not colon:
                continue
            try:
                values.name(name)
            except ValueError as error:
                self.findings.fatal(section.at(""), f"{shown(name)} {error}")
                continue
            if not section.entries:
                self.findings.warn(section.at(""), "is empty, so it counts as not there")
            elif first.setdefault(name.lower(), title) != title:
                self.findings.fatal(section.at(""), f"differs from [{first[name.lower()]}] only in case")
            else:
                yield section, name

    def given(self, section: Section, cls: type, scope: Scope) -> dict[str, Any]:
        """The options that C{cls} declares and the section gives; an empty one means its default."""
        found = {}
        for entry in section.entries.values():
            if entry.option in OPTIONS[cls]:
                option, default = OPTIONS[cls][entry.option]
                value = self.converted(entry, option.convert, scope)
                found[entry.option] = default if value is None else value
        return found

    def converted(self, entry: Entry, convert: values.Converter, scope: Scope) -> object:
        """An entry's value; None if it is empty or, which is told of, wrong."""
        text = scope.expand(entry, convert)
        if not text:
            return None
        if entry.option in _SOCKET_NAMES:
            text = text.lower()
        if convert is values.text and entry.option not in COMMAND:
            for name in expand.references(text):
                why = NO_VARIABLE if name.startswith("circus.env.") else "is only replaced in cmd, args and shell_args"
                self.findings.strict(entry, f"$({name}): {why}")
        try:
            return convert(text)
        except (ValueError, OverflowError) as error:
            self.findings.fatal(entry, f"{shown(text)} {error}")
            return None

    def unknown(self, section: Section, cls: type, entries: Iterable[Entry]) -> None:
        """Tell of options that C{cls} does not declare; a watcher may have some of its own."""
        for entry in entries:
            if entry.option in OPTIONS[cls]:
                continue
            reason = UNUSED[cls].get(entry.option)
            if reason:
                self.findings.warn(entry, f"has no effect: {reason}")
            elif cls is Watcher or entry.section != DEFAULT:
                near = self.findings.near(entry.option, _CANDIDATES[cls], 0.75)
                tell = self.findings.strict if near and cls is not Watcher else self.findings.warn
                if near:
                    tell(entry, f"unknown option; did you mean {near}?{_now(section, cls, near)}")
                elif cls is not Watcher:
                    tell(entry, "unknown option; it has no effect")

    def obey(self, section: Section, value: Any, obeyed: Iterable[rules.Rule]) -> None:
        """Tell of what options together must not say."""
        for option, broken, text in obeyed:
            if broken(value):
                self.findings.fatal(section.at(option), text)


def _now(section: Section, cls: type, option: str) -> str:
    """What an option is set to, for people who meant it and wrote another."""
    if option not in OPTIONS[cls]:
        return ""
    default = OPTIONS[cls][option][1]
    text = section.at(option).text or ("" if default in (None, ()) else str(default))
    return f" ({option} is now {text})" if text else f" ({option} is not set)"


def isFree(option: str) -> bool:
    """Whether a watcher's option is neither declared nor a limit, nor a stream's nor a hook."""
    head = option.partition(".")[0]
    return option not in OPTIONS[Watcher] and not option.startswith("rlimit_") and head not in (*OUTPUTS, "hooks")
