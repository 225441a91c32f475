"""
From an ini to a stack, and to everything that is wrong with it at once.

L{read} never raises for what the files say.  Whatever can be used goes into
the stack; an option that cannot is told of and keeps its default.  Files are
read through callables, so nothing here does I/O.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from . import expand, launch, rules, values
from .circus import UNUSED
from .errors import Place, Problem
from .naming import stackName
from .option import Option, options
from .reading import DEFAULT, Entry, Environments, Findings, ListFiles, OpenFile, Scope, Section, collect, shown
from .settings import Settings
from .stack import Socket, Stack, Watcher
from .streams import NO_STREAM, OUTPUTS, STREAMS, FileStream, Stream

_DECLARING = (Settings, Socket, Watcher, *STREAMS.values())
OPTIONS: Mapping[type, Mapping[str, tuple[Option, Any]]] = {
    cls: {name: (option, default) for name, option, default in options(cls)} for cls in _DECLARING
}
"""Each option and its default, by class and name."""

RLIMITS = (
    "as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
)
"""The resource limits of Linux; getrlimit(2)."""

LONGEST_COMMAND = 128 * 1024
"""Characters; execve(2) takes no word that is longer."""

_COMMAND = ("cmd", "args", "shell_args")
_PLAIN_HEADS = ("circus", "env")
_NAMED_HEADS = ("watcher", "socket", "env", "plugin")
_SOCKET_NAMES = ("stdin_socket", "listen_fds")
_INCLUDES = ("include", "include_dir")
_HOOKS = "hooks are not supported yet"
_NO_VARIABLE = "there is no such variable in the environment"
_QUOTE = re.compile(r"['\"\\]")
_CIRCUS_STREAM = re.compile(r"circus\.stream(\.\w+)?[.:]")
_CANDIDATES: Mapping[type, tuple[str, ...]] = {
    Settings: (*OPTIONS[Settings], *UNUSED[Settings], *_INCLUDES),
    Socket: tuple(OPTIONS[Socket]),
    Watcher: (
        *OPTIONS[Watcher],
        *(f"rlimit_{name}" for name in RLIMITS),
        *(f"{output}.{name}" for output in OUTPUTS for name in ("class", *OPTIONS[FileStream])),
    ),
}

@attrs.frozen
class Reading:
    """
    What came of reading an ini.

    @ivar stack: built from whatever could be read.
    @ivar problems: everything that is wrong, in the order of files and lines.
    """

    stack: Stack
    problems: tuple[Problem, ...] = ()

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """What keeps the stack from starting."""
        return tuple(problem for problem in self.problems if problem.fatal)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What C{check} counts as an error."""
        return tuple(problem for problem in self.problems if problem.fatal or problem.strict)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is only worth a look."""
        return tuple(problem for problem in self.problems if not problem.fatal and not problem.strict)


class _Reader:
    """Turns sections into values and tells of what is wrong."""

    def __init__(self, sections: Mapping[str, Section], environ: Mapping[str, str], findings: Findings) -> None:
        self._sections = sections
        self._findings = findings
        self._environments = Environments(sections, environ)

    def strangers(self) -> None:
        """Tell of the sections that are not read."""
        for title, section in self._sections.items():
            head, colon, rest = title.partition(":")
            if head == "plugin" and colon:
                self._findings.warn(section.at(""), "has no effect: plugins are not supported yet")
            elif title not in _PLAIN_HEADS and not (head in _NAMED_HEADS and colon):
                near = self._findings.near(head, (*_PLAIN_HEADS, *_NAMED_HEADS))
                title = near if near == "circus" or (near == "env" and not rest) else f"{near}:{rest or 'NAME'}"
                meant = f"; did you mean [{title}]?" if near else ""
                self._findings.strict(section.at(""), f"unknown section{meant}")

    def settings(self, path: str) -> Settings:
        """The C{[circus]} section."""
        section = self._sections.get("circus")
        if section is None:
            return Settings()
        for key in _INCLUDES:
            if key in section.entries and section.entries[key].place.file != path:
                self._findings.warn(section.entries[key], f"has no effect: only {path} includes other files")
        self._unknown(section, Settings, (e for e in section.entries.values() if e.option not in _INCLUDES))
        return Settings(**self._values(section, Settings, self._environments.common))

    def sockets(self) -> dict[str, Socket]:
        """The C{[socket:NAME]} sections by lower-cased name."""
        found = {}
        for section, name in self._named("socket"):
            given = self._values(section, Socket, self._environments.common)
            if given.get("path"):
                given["family"] = "af_unix"
            socket = found[name.lower()] = Socket(name.lower(), section.place, **given)
            self._unknown(section, Socket, section.entries.values())
            self._obey(section, socket, rules.SOCKET)
        return found

    def watchers(self, sockets: Mapping[str, Socket]) -> list[Watcher]:
        """The C{[watcher:NAME]} sections."""
        found = []
        for section, name in self._named("watcher"):
            scope = self._environments.of(name)
            free = [entry for entry in section.entries.values() if _free(entry.option)]
            self._unknown(section, Watcher, free)
            given = self._values(section, Watcher, scope)
            given.update((output, self._stream(section, output, scope)) for output in OUTPUTS)
            rlimits = self._rlimits(section, scope)
            extra = {entry.option: scope.expand(entry) for entry in free}
            watcher = Watcher(name, section.place, scope.env, rlimits, extra, **given)
            self._obey(section, watcher, rules.WATCHER)
            self._handed(section, watcher, sockets)
            self._command(section, watcher, sockets)
            found.append(watcher)
        rules.dependencies(found, self._sections, self._findings)
        return found

    def _named(self, head: str) -> Iterator[tuple[Section, str]]:
        """The sections C{[head:NAME]} that have a good name, and options, with this name."""
        first: dict[str, str] = {}
        for title, section in self._sections.items():
            kind, colon, name = title.partition(":")
            if kind != head or not colon:
                continue
            try:
                values.name(name)
            except ValueError as error:
                self._findings.fatal(section.at(""), f"{shown(name)} {error}")
                continue
            if not section.entries:
                self._findings.warn(section.at(""), "is empty, so it counts as not there")
            elif first.setdefault(name.lower(), title) != title:
                self._findings.fatal(section.at(""), f"differs from [{first[name.lower()]}] only in case")
            else:
                yield section, name

    def _values(self, section: Section, cls: type, scope: Scope) -> dict[str, Any]:
        """The options that C{cls} declares and the section gives; an empty one means its default."""
        found = {}
        for entry in section.entries.values():
            if entry.option in OPTIONS[cls]:
                option, default = OPTIONS[cls][entry.option]
                value = self._converted(entry, option.convert, scope)
                found[entry.option] = default if value is None else value
        return found

    def _converted(self, entry: Entry, convert: values.Converter, scope: Scope) -> object:
        """An entry's value; None if it is empty or, which is told of, wrong."""
        text = scope.expand(entry, convert)
        if not text:
            return None
        if entry.option in _SOCKET_NAMES:
            text = text.lower()
        if convert is values.text and entry.option not in _COMMAND:
            for name in expand.references(text):
                why = _NO_VARIABLE if name.startswith("circus.env.") else "is only replaced in cmd, args and shell_args"
                self._findings.strict(entry, f"$({name}): {why}")
        try:
            return convert(text)
        except (ValueError, OverflowError) as error:
            self._findings.fatal(entry, f"{shown(text)} {error}")
            return None

    def _unknown(self, section: Section, cls: type, entries: Iterable[Entry]) -> None:
        """Tell of options that C{cls} does not declare; a watcher may have some of its own."""
        for entry in entries:
            if entry.option in OPTIONS[cls]:
                continue
            reason = _HOOKS if entry.option.startswith("hooks.") else UNUSED[cls].get(entry.option)
            if reason:
                self._findings.warn(entry, f"has no effect: {reason}")
            elif cls is Watcher or entry.section != DEFAULT:
                near = self._findings.near(entry.option, _CANDIDATES[cls], 0.75)
                tell = self._findings.strict if near and cls is not Watcher else self._findings.warn
                if near:
                    tell(entry, f"unknown option; did you mean {near}?{_now(section, cls, near)}")
                elif cls is not Watcher:
                    tell(entry, "unknown option; it has no effect")

    def _rlimits(self, section: Section, scope: Scope) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for entry in section.entries.values():
            if not entry.option.startswith("rlimit_"):
                continue
            name = entry.option.removeprefix("rlimit_").lower()
            text = scope.expand(entry, values.limit)
            if name not in RLIMITS:
                meant = self._findings.meant(name, RLIMITS)
                self._findings.fatal(entry, f"there is no resource limit {name}{meant}")
                continue
            try:
                found.setdefault(name, values.limit(text))
            except ValueError as error:
                self._findings.fatal(entry, f"{shown(text)} {error}")
        return found

    def _stream(self, section: Section, output: str, scope: Scope) -> Stream:
        given = {e.option[len(output) + 1:]: e for e in section.entries.values() if e.option.split(".")[0] == output}
        if not given:
            return NO_STREAM
        entry = given.pop("class", None) or next(iter(given.values()))
        if entry.option == f"{output}.class":
            kind = _CIRCUS_STREAM.sub("", scope.expand(entry))
        else:
            kind = "FileStream" if "filename" in given else ""
        if kind not in STREAMS:
            what = f"{shown(kind)} is not supported" if kind else f"needs {output}.class or {output}.filename"
            self._findings.fatal(entry, f"{what}; supported are {' and '.join(STREAMS)}")
            return NO_STREAM
        settings = self._streamSettings(kind, given, scope)
        if kind == "FileStream" and not settings.get("filename"):
            self._findings.fatal(entry, f"{kind} needs {output}.filename; e.g. /var/log/web.log")
        return Stream(kind, settings)

    def _streamSettings(self, kind: str, given: Mapping[str, Entry], scope: Scope) -> dict[str, str]:
        known = OPTIONS[STREAMS[kind]]
        found = {}
        for name, entry in given.items():
            if name == "refresh_time":
                self._findings.warn(entry, "has no effect: output is passed on at once")
            elif name not in known:
                meant = self._findings.meant(name, known)
                tell = self._findings.strict if meant else self._findings.warn
                tell(entry, f"unknown option of {kind}{meant or '; it has no effect'}")
            elif self._converted(entry, known[name][0].convert, scope) is not None:
                found[name] = scope.expand(entry, known[name][0].convert)
        return found

    def _obey(self, section: Section, value: Any, obeyed: Iterable[rules.Rule]) -> None:
        for option, broken, text in obeyed:
            if broken(value):
                self._findings.fatal(section.at(option), text)

    def _handed(self, section: Section, watcher: Watcher, sockets: Mapping[str, Socket]) -> None:
        """Tell of sockets that are to be handed over and do not exist."""
        for option, names in (("stdin_socket", (watcher.stdin_socket,)), ("listen_fds", watcher.listen_fds)):
            for name in names:
                if name and name not in sockets:
                    meant = self._findings.meant(name, sockets)
                    self._findings.fatal(section.at(option), f"there is no [socket:{name}]{meant}")
        some = (watcher.stdin_socket, *watcher.listen_fds)
        doors = [s for s in sockets.values() if s.stream and (watcher.use_sockets or s.name in some)]
        if watcher.on_demand and not doors:
            self._findings.strict(section.at("on_demand"), "no process gets a socket at which a connection could start "
                                  "it; e.g. listen_fds = web")

    def _command(self, section: Section, watcher: Watcher, sockets: Mapping[str, Socket]) -> None:
        """Tell of command lines that cannot be split, and of variables that stand for nothing."""
        for option in _COMMAND:
            text = getattr(watcher, option)
            if len(text) > LONGEST_COMMAND:
                self._findings.fatal(section.at(option), f"is longer than {LONGEST_COMMAND} characters")
                continue
            try:
                if _QUOTE.search(text):
                    shlex.split(text)
            except ValueError as error:
                self._findings.fatal(section.at(option), f"{shown(text)} cannot be split into words: {error}")
            for name in expand.references(text):
                fault = self._fault(name, watcher, sockets)
                if fault:
                    self._findings.strict(section.at(option), f"$({name}): {fault}")

    def _fault(self, name: str, watcher: Watcher, sockets: Mapping[str, Socket]) -> str:
        """Why a variable of a command line stands for nothing; empty if it is fine."""
        kind, _, rest = name.removeprefix("circus.").partition(".")
        if kind == "sockets":
            if rest not in sockets:
                return f"there is no [socket:{rest}]{self._findings.meant(rest, sockets)}"
            handed = watcher.use_sockets or rest in watcher.listen_fds
            return "" if handed else f"no process gets this socket; e.g. use_sockets = True or listen_fds = {rest}"
        if kind == "env":
            late = watcher.env_file or watcher.virtualenv or watcher.copy_path
            return "" if late else _NO_VARIABLE
        known = launch.variables(watcher, launch.Names(0, watcher.name, 1), {}, {})
        return "" if name in known else f"there is no such variable{self._findings.meant(name, known)}"


def _free(option: str) -> bool:
    """Whether a watcher's option is neither declared nor a limit nor a stream's."""
    return option not in OPTIONS[Watcher] and not option.startswith("rlimit_") and option.split(".")[0] not in OUTPUTS


def _now(section: Section, cls: type, option: str) -> str:
    """What an option is set to, for people who meant it and wrote another."""
    if option not in OPTIONS[cls]:
        return ""
    default = OPTIONS[cls][option][1]
    text = section.at(option).text or ("" if default in (None, ()) else str(default))
    return f" ({option} is now {text})" if text else f" ({option} is not set)"


def read(
    path: str, openFile: OpenFile, listFiles: ListFiles, environ: Mapping[str, str], absolute: str = ""
) -> Reading:
    """
    Read an ini and what it includes.

    @param path: as places name it; relative includes are relative to its folder.
    @param environ: the supervisor's environment.
    @param absolute: the absolute path, by which a stack without a name is
        called, symbolic links as they are; without it, C{path}.
    """
    findings = Findings()
    sections = collect(path, openFile, listFiles, environ, findings)
    reader = _Reader(sections, environ, findings)
    reader.strangers()
    settings = reader.settings(path)
    sockets = reader.sockets()
    watchers = reader.watchers(sockets)
    if path in findings.files and not watchers:
        findings.warn(Entry("", "", "", Place(path)), "there is no watcher; e.g. [watcher:web]")
    stack = Stack(
        stackName(absolute or path, settings.name), absolute or path, settings,
        tuple(sorted(watchers, key=lambda watcher: watcher.name)),
        tuple(sorted(sockets.values(), key=lambda socket: socket.name)),
        {(title, key): entry.place for title, section in sections.items() for key, entry in section.entries.items()},
    )
    return Reading(stack, findings.problems)
