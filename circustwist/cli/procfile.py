"""
From a C{Procfile} to an ini.

@see: U{https://ddollar.github.io/foreman/}
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping

from ..model.errors import ConfigError, Place, Problem
from .draft import Draft

FIRST_PORT = 5000
"""The C{PORT} of the first process type,"""
STEP = 100
"""and how far apart those of two types are."""

_SIMPLE = re.compile(r"((?:[A-Za-z_]\w*=[^\s'\"$]*\s+)*)([^\s=;&|()`{}!]+(?:\s[^;&|()`{}!\n]*)?)")
"""A command that a shell need not stay for: variables, and the words of a program."""

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")


def types(path: str, text: str) -> Iterator[tuple[str, str]]:
    """
    The process types and their commands.

    @raise ConfigError: naming each line that is none.
    """
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line.strip())
        if found:
            yield found[1], found[2]
        elif line.strip() and not line.lstrip().startswith("#"):
            problems.append(Problem(Place(path, number), "", "", f"{line.strip()!r} is no NAME: COMMAND"))
    if problems:
        raise ConfigError(tuple(problems))


def command(text: str, port: int, count: int) -> str:
    """
    The command line that runs a command of a Procfile by a shell.

    @param port: of the first process; the others have the next ones.
    @param count: how many of them run.
    """
    shell = text
    if _SIMPLE.fullmatch(text) and not text.startswith("exec "):
        # Variables that are set before exec are in the environment of what it executes.
        shell = _SIMPLE.sub(r"\1exec \2", text)
    if count > 1:
        shell = f"PORT=$(({port - 1} + $(circus.wid))); export PORT; {shell}"
    # A ; after a blank begins a comment in an ini, unless it is not the first one.
    return f"sh -c {shlex.quote(f':;{shell}' if ' ;' in shell else shell)}"


def convert(path: str, formation: Mapping[str, int]) -> Draft:
    """
    The ini for a Procfile.

    @param formation: how many processes of a type run; one where nothing is said.
    @raise OSError: if it cannot be read.
    @raise ConfigError: if it makes no sense, or the formation names a type that is not there.
    """
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        found = dict(types(path, file.read()))
    unknown = sorted(formation.keys() - found.keys() - {"all"})
    if unknown:
        raise ConfigError((Problem(Place(path), "", "", f"there is no process type {unknown[0]}"),))
    draft = Draft(path)
    for index, (name, text) in enumerate(found.items()):
        _type(draft, name, text, FIRST_PORT + STEP * index, formation.get(name, formation.get("all", 1)))
    if os.path.exists(os.path.join(os.path.dirname(path), ".env")):
        for name in found:
            draft.put(f"watcher:{name}", "env_file", ".env")
    draft.lose(path, "foreman ends everything when one process ends; here it is started again, unless the watcher has "
               "essential = True and respawn = False")
    return draft


def _type(draft: Draft, name: str, text: str, port: int, count: int) -> None:
    into = f"watcher:{name}"
    draft.put(into, "cmd", command(text, port, count))
    draft.put(into, "copy_env", True)
    if count != 1:
        draft.put(into, "numprocesses", count)
    draft.put(f"env:{name}", "PORT", port)
