"""
From an ini to a stack, and to everything that is wrong with it at once.

L{read} never raises for what the files say.  Whatever can be used goes into
the stack; an option that cannot is told of and keeps its default.  Files are
read through callables, so nothing here does I/O.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

import attrs

from . import expand, hooking, launch, plugging, rules, values
from .convert import COMMAND, INCLUDES, NO_VARIABLE, RLIMITS, Converter, isFree
from .errors import Place, Problem
from .naming import stackName
from .plugins import Plugin
from .reading import Entry, Environments, Findings, ListFiles, OpenFile, Scope, Section, collect, shown
from .settings import Settings
from .stack import Socket, Stack, Watcher
from .streaming import stream
from .streams import OUTPUTS
from .users import User

LONGEST_COMMAND = 128 * 1024
"""Characters; execve(2) takes no word that is longer."""

_PLAIN_HEADS = ("circus", "env")
_NAMED_HEADS = ("watcher", "socket", "env", "plugin", "user")
_QUOTE = re.compile(r"['\"\\]")


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
        self._converter = Converter(sections, findings)

    def strangers(self) -> None:
        """Tell of the sections that are not read."""
        for title, section in self._sections.items():
            head, colon, rest = title.partition(":")
            if title not in _PLAIN_HEADS and not (head in _NAMED_HEADS and colon):
                near = self._findings.near(head, (*_PLAIN_HEADS, *_NAMED_HEADS))
                title = near if near == "circus" or (near == "env" and not rest) else f"{near}:{rest or 'NAME'}"
                meant = f"; did you mean [{title}]?" if near else ""
                self._findings.strict(section.at(""), f"unknown section{meant}")

    def settings(self, path: str) -> Settings:
        """The C{[circus]} section."""
        section = self._sections.get("circus")
        if section is None:
            return Settings()
        for key in INCLUDES:
            if key in section.entries and section.entries[key].place.file != path:
                self._findings.warn(section.entries[key], f"has no effect: only {path} includes other files")
        self._converter.unknown(section, Settings, (e for e in section.entries.values() if e.option not in INCLUDES))
        settings = Settings(**self._converter.given(section, Settings, self._environments.common))
        self._converter.obey(section, settings, rules.SETTINGS)
        return settings

    def sockets(self) -> dict[str, Socket]:
        """The C{[socket:NAME]} sections by lower-cased name."""
        found = {}
        for section, name in self._converter.named("socket"):
            given = self._converter.given(section, Socket, self._environments.common)
            if given.get("path"):
                given["family"] = "af_unix"
            socket = found[name.lower()] = Socket(name.lower(), section.place, **given)
            self._converter.unknown(section, Socket, section.entries.values())
            self._converter.obey(section, socket, rules.SOCKET)
        return found

    def users(self) -> tuple[User, ...]:
        """The C{[user:NAME]} sections."""
        found = []
        for section, name in self._converter.named("user"):
            user = User(name, section.place, **self._converter.given(section, User, self._environments.common))
            self._converter.unknown(section, User, section.entries.values())
            self._converter.obey(section, user, rules.USER)
            found.append(user)
        rules.users(found, self._sections, self._findings)
        return tuple(found)

    def plugins(self, watchers: Iterable[Watcher]) -> tuple[Plugin, ...]:
        """The C{[plugin:NAME]} sections."""
        return plugging.plugins(self._converter, self._environments.common, watchers)

    def watchers(self, sockets: Mapping[str, Socket]) -> list[Watcher]:
        """The C{[watcher:NAME]} sections."""
        found = []
        for section, name in self._converter.named("watcher"):
            scope = self._environments.of(name)
            free = [entry for entry in section.entries.values() if isFree(entry.option)]
            self._converter.unknown(section, Watcher, free)
            given = self._converter.given(section, Watcher, scope)
            given.update((output, stream(self._converter, section, output, scope)) for output in OUTPUTS)
            rlimits, hooks = self._rlimits(section, scope), hooking.hooks(self._converter, section)
            extra = {entry.option: scope.expand(entry) for entry in free}
            watcher = Watcher(name, section.place, scope.env, rlimits, hooks, extra, **given)
            self._converter.obey(section, watcher, rules.WATCHER)
            self._handed(section, watcher, sockets)
            self._command(section, watcher, sockets)
            found.append(watcher)
        rules.dependencies(found, self._sections, self._findings)
        return found

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
        for option in COMMAND:
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
            # Hooks may set variables before a process is started.
            late = watcher.env_file or watcher.virtualenv or watcher.copy_path or watcher.hooks
            return "" if late else NO_VARIABLE
        known = launch.variables(watcher, launch.Names(0, watcher.name, 1), {}, {})
        return "" if name in known else f"there is no such variable{self._findings.meant(name, known)}"


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
    return assembled(path, collect(path, openFile, listFiles, environ, findings), environ, findings, absolute)


def assembled(
    path: str, sections: Mapping[str, Section], environ: Mapping[str, str], findings: Findings, absolute: str = ""
) -> Reading:
    """
    What sections say, wherever they come from; see L{read}.

    @param findings: what is wrong with them so far.
    """
    reader = _Reader(sections, environ, findings)
    reader.strangers()
    settings = reader.settings(path)
    sockets = reader.sockets()
    watchers, users = reader.watchers(sockets), reader.users()
    if path in findings.files and not watchers:
        findings.warn(Entry("", "", "", Place(path)), "there is no watcher; e.g. [watcher:web]")
    stack = Stack(
        stackName(absolute or path, settings.name), absolute or path, settings,
        tuple(sorted(watchers, key=lambda watcher: watcher.name)),
        tuple(sorted(sockets.values(), key=lambda socket: socket.name)),
        {(title, key): entry.place for title, section in sections.items() for key, entry in section.entries.items()},
        users, reader.plugins(watchers),
    )
    return Reading(stack, findings.problems)
