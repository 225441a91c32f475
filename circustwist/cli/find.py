"""Which supervisor, watcher and worker are meant; and what a stack finds on the host."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import attrs
import click

from ..control.blocking import TLS, VARIABLE, Control
from ..model.commands import Command
from ..model.naming import abstractControl, controlPath, runtimeDirs, stackName
from . import host, show

if TYPE_CHECKING:
    from ..model.ini import Reading
    from ..model.stack import Stack
    from ..system.rundir import Found

ANSWERED_WITHIN = 5.0
"""Seconds for an answer, unless C{--timeout} says otherwise; the end of a change is waited for without limit."""

PIPE_CLOSED = 141
"""The exit code of a program that SIGPIPE ends, as a shell gives it; signal(7)."""

Given = dict[str, Any]
DEFAULT_INIS = ("stack.ini", "circus.ini")


class NoSupervisor(Exception):
    """None runs that could be meant, or several do; its text says which."""


@attrs.define
class Session:
    """
    What the options that every command has say.

    @ivar stack: C{-s}.
    @ivar config: C{-c}.
    @ivar json: whether answers are shown as they are.
    @ivar timeout: in seconds; None if it was not given.
    """

    stack: str = ""
    config: str = ""
    json: bool = False
    timeout: float | None = None

    def open(self) -> Control:
        """
        Connect to the supervisor that is meant.

        @raise NoSupervisor: if there is none.
        """
        where = control(self.stack, self.config, os.environ)
        try:
            return Control(where, self.timeout or ANSWERED_WITHIN)
        except TimeoutError:
            raise
        except OSError as error:
            raise NoSupervisor(f"no supervisor answers at {where}: {error.strerror or error}") from None

    def ask(self, command: str, **arguments: Any) -> Given:
        """The answer to one command."""
        with self.open() as connection:
            return connection.call(command, **arguments)

    def show(self, answer: object, lines: Callable[[], Sequence[str]]) -> None:
        """Print an answer: as JSON, or as these lines."""
        say(*([json.dumps(answer)] if self.json else lines()))

    def complain(self, name: str, text: str) -> None:
        """Print what went wrong."""
        if self.json:
            say(json.dumps({"error": {"name": name, "text": text}}))
        else:
            say(f"circustwist: {show.safe(text)}", file=sys.stderr)


def say(*lines: str, file: TextIO | None = None) -> None:
    """
    Print lines and see to it that they arrive; end quietly if nobody reads any more.

    @param file: where to; without it, the standard output.
    """
    stream = file or sys.stdout
    try:
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()
    except BrokenPipeError:
        unread(stream)


def unread(stream: TextIO) -> NoReturn:
    """End quietly: nobody reads any more."""
    # The interpreter flushes once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise click.exceptions.Exit(PIPE_CLOSED) from None


def stacks(environ: Mapping[str, str]) -> list[Found]:
    """My stacks that run, sorted by name."""
    from ..system.rundir import running

    return sorted(running(os.getuid(), environ), key=lambda found: found.name)


def control(stack: str, config: str, environ: Mapping[str, str]) -> str:
    """
    Where the control socket is.

    @param stack: a name, or the path of a control socket, a runtime directory
        or an ini; or nothing.
    @param config: the path of an ini, or nothing.
    @return: its path, or C{@name} of an abstract one.
    @raise NoSupervisor: if none is meant, or more than one.
    """
    if stack.startswith(("@", TLS)):
        return stack
    if "/" in stack:
        return _atPath(stack, environ)
    if stack:
        return _named(stack, environ)
    if config:
        return _ofIni(config, environ)
    return environ.get(VARIABLE) or _obvious(environ)


def _atPath(path: str, environ: Mapping[str, str]) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise NoSupervisor(f"{path}: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        return controlPath(path)
    return path if stat.S_ISSOCK(mode) else _ofIni(path, environ)


def _named(name: str, environ: Mapping[str, str]) -> str:
    """A stack by its name, or by the stem of its ini if only one stack has it."""
    every = stacks(environ)
    found = [one for one in every if one.name == name] or [one for one in every if _stem(one.ini) == name]
    if len(found) == 1:
        return _where(found[0])
    raise NoSupervisor(_choice(found) if found else f"no stack {name} runs" + _instead(every))


def _ofIni(path: str, environ: Mapping[str, str]) -> str:
    absolute = os.path.abspath(path)
    for found in stacks(environ):
        if found.ini == absolute or _same(found.ini, absolute):
            return _where(found)
    directories = runtimeDirs(*_titles(absolute), os.getuid(), environ)
    where = next((at for at in map(controlPath, directories) if os.path.exists(at)), "")
    if not where:
        raise NoSupervisor(f"the stack of {path} does not run")
    return where


def _titles(path: str) -> tuple[str, str]:
    """The name and the runtime directory that an ini configures."""
    from configparser import Error, RawConfigParser

    parser = RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read(path, encoding="utf-8")
        name, directory = (parser.get("circus", key, fallback="") or "" for key in ("name", "runtime_dir"))
    except (Error, ValueError):
        name = directory = ""
    return stackName(path, name), directory


def _obvious(environ: Mapping[str, str]) -> str:
    """That of the ini in the current folder, or the only one that runs."""
    every = stacks(environ)
    here = [found for ini in inisHere() for found in every if found.ini == ini or _same(found.ini, ini)]
    found = here[:1] or every
    if len(found) == 1:
        return _where(found[0])
    raise NoSupervisor(_choice(every) if every else "no stack of yours runs")


def inisHere() -> list[str]:
    """The ini in the current folder that a command without -c could mean, with its absolute path."""
    names = [name for name in DEFAULT_INIS if os.path.isfile(name)]
    if not names:
        every = [name for name in os.listdir() if name.endswith(".ini") and os.path.isfile(name)]
        names = every if len(every) == 1 else []
    return [os.path.abspath(name) for name in names]


def _where(found: Found) -> str:
    return controlPath(found.directory) if found.directory else "@" + abstractControl(found.name, os.getuid())[1:]


def _choice(found: Iterable[Found]) -> str:
    return "several stacks run; choose one with -s: " + ", ".join(sorted(one.name for one in found))


def _instead(found: Iterable[Found]) -> str:
    names = ", ".join(one.name for one in found)
    return f"; there is {names}" if names else ""


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


# Which watcher and worker


def watcherOf(name: str | None) -> tuple[str, int]:
    """
    A watcher and the number of a worker in it, 0 if none is meant.

    @param name: as people type it: C{web} or C{web/3}.
    """
    watcher, slash, number = (name or "").partition("/")
    if slash and not (number.isascii() and number.isdigit() and watcher):
        raise click.UsageError(f"{name!r} is not a worker; e.g. web/3")
    return watcher, int(number or 0)


def onlyWatcher(name: str | None, command: str) -> str:
    """
    A watcher that is meant as a whole.

    @raise click.UsageError: if a worker in it was named.
    """
    watcher, wid = watcherOf(name)
    if wid:
        raise click.UsageError(f"{command} takes a watcher, not one of its workers: {watcher}")
    return watcher


def topic(typed: str) -> str:
    """The topic of events that is meant: C{web} is short for C{watcher.web}."""
    return typed if "." in typed or typed in ("watcher", "arbiter", "missed") else f"watcher.{typed.lower()}."


def targeted(command: Command, given: Given) -> Given:
    """The arguments of a command: C{web/3} is its C{name} and C{wid}; what was not given is left out."""
    found = {key: value for key, value in given.items() if value is not None and value != ()}
    names = {argument.name for argument in command.arguments}
    if "name" in found:
        watcher, wid = watcherOf(found["name"])
        found["name"] = watcher if "wid" in names else onlyWatcher(found["name"], command.name)
        if wid and "wid" in names:
            found["wid"] = wid
    for argument in command.arguments:
        if argument.kind == "object" and isinstance(found.get(argument.name), str):
            try:
                found[argument.name] = json.loads(found[argument.name])
            except ValueError as error:
                raise click.UsageError(f"{argument.name} is not JSON: {error}") from None
    return found


# What a stack finds on the host


def _read(path: str, environ: Mapping[str, str]) -> Reading:
    from glob import glob

    from ..model.ini import read

    def content(name: str) -> bytes:
        with open(name, "rb") as file:
            return file.read()

    return read(path, content, lambda pattern: sorted(glob(pattern)), environ, os.path.abspath(path))


def readable(path: str, environ: Mapping[str, str]) -> tuple[Stack, list[str]]:
    """
    Read an ini.

    @return: the stack, and what keeps it from starting, one line for each.
    """
    reading = _read(path, environ)
    return reading.stack, [str(problem) for problem in reading.fatal]


def examined(path: str, environ: Mapping[str, str]) -> tuple[Stack, list[str], list[str]]:
    """
    Read an ini and compare it with the host.

    @return: the stack, what keeps it from starting, and what is only worth a
        look; one line for each.
    """
    reading = _read(path, environ)
    errors = [str(problem) for problem in reading.errors]
    runs = any(found.ini == reading.stack.path for found in stacks(environ))
    told = {(problem.section, problem.option) for problem in reading.errors}
    missing = [each for each in host.missing(reading.stack, environ) if (each.section, each.option) not in told]
    errors += map(str, missing)
    errors += map(str, (*host.strangers(reading.stack), *host.files(reading.stack)))
    errors += [] if runs else list(host.sockets(reading.stack))
    warnings = [*reading.warnings, *host.limits(reading.stack)]
    return reading.stack, errors, [f"{problem} (warning)" for problem in warnings]
