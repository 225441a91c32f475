"""
Where programs are: the search of a bare name, and why one could not be run.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator

import attrs

from ..model.errors import SpawnProblem, Unstartable

DEFAULT_PATH = "/bin:/usr/bin"
"""The last resort; what execvp(3) of the C library takes without a PATH."""

# Looked at once, because a daemon leaves the folder that argv[0] may be relative to.
_BESIDE = tuple(dict.fromkeys(os.path.dirname(os.path.abspath(each)) for each in (sys.executable, sys.argv[0]) if each))


@attrs.frozen
class Found:
    """
    A program to be executed.

    @ivar path: for execve(2), relative to the folder to run in if not absolute.
    @ivar where: which fallback it was found by, as words; empty if it is a
        path itself or on the worker's PATH.
    """

    path: str
    where: str = ""

    def __str__(self) -> str:
        return f"found {self.where}: {self.path}" if self.where else self.path


def find(
    program: str, path: str | None, cwd: str = "",
    beside: tuple[str, ...] = _BESIDE, daemonPath: str | None = None,
) -> Found:
    """
    Look for a program: a name without a slash on the worker's PATH, beside
    the running twistd, on the daemon's PATH and in the default path.

    @param path: the worker's PATH; None if it has none.
    @param cwd: the folder it is going to run in; empty is ours.
    @param beside: the folders of the running twistd.
    @param daemonPath: our PATH; None is the one of our environment.
    @raise Unstartable: says where was looked.
    """
    if "/" in program:
        return Found(program)
    if daemonPath is None:
        daemonPath = os.environ.get("PATH", "")
    looked: dict[str, None] = {}
    refused = ""
    for folder, where in _folders(path, beside, daemonPath) if program else ():
        if folder in looked:
            continue
        looked[folder] = None
        candidate = os.path.join(folder or ".", program)
        full = os.path.join(cwd, candidate)
        if os.path.isfile(full):
            if os.access(full, os.X_OK):
                return Found(candidate, where)
            refused = refused or full
    raise Unstartable(_problem(program, refused, looked))


def _folders(path: str | None, beside: tuple[str, ...], daemonPath: str) -> Iterator[tuple[str, str]]:
    if path is not None:
        yield from ((folder, "") for folder in path.split(":"))
    yield from ((folder, "beside twistd") for folder in beside)
    if daemonPath:
        yield from ((folder, "on the daemon's PATH") for folder in daemonPath.split(":"))
    yield from ((folder, "in the default path") for folder in DEFAULT_PATH.split(":"))


def _problem(program: str, refused: str, looked: dict[str, None]) -> SpawnProblem:
    if refused:
        return SpawnProblem("find", errno.EACCES, f"{refused} is not executable")
    places = ", ".join(folder or "." for folder in looked)
    return SpawnProblem("find", errno.ENOENT, f"{program or 'no program given'}; looked in {places or 'no folder'}")


def explain(path: str, number: int, cwd: str = "") -> str:
    """
    What execve(2) failed about, in words for a message.

    @param path: the program that was to be executed.
    @param number: the error number.
    @param cwd: the folder that the path is relative to; empty is ours.
    """
    full = os.path.join(cwd, path)
    if number == errno.ENOEXEC:
        return f"{path}: neither a binary of this machine nor a script that starts with #!"
    if number == errno.E2BIG:
        return f"{path}: its arguments and environment are too long"
    if number == errno.ENOENT and os.path.isfile(full):
        interpreter = _interpreter(full)
        return f"{path}: its interpreter {interpreter or '(of the binary)'} is missing"
    if number == errno.EACCES and os.path.isdir(full):
        return f"{path}: it is a folder"
    return path


def _interpreter(path: str) -> str:
    """The program named by a script's first line; empty for a binary."""
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except OSError:
        return ""
    words = head[2:].splitlines()[0].split() if head.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""
