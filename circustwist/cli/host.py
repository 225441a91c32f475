"""
What a stack names, compared with what the host has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..model.errors import Place, Problem, Unstartable

if TYPE_CHECKING:
    from ..model.stack import Stack, Watcher


def missing(stack: Stack, environ: Mapping[str, str]) -> Iterator[Problem]:
    """What the watchers name and the host does not have."""
    for watcher in stack.watchers:
        for option, text in _lacks(watcher, stack, environ):
            title = f"watcher:{watcher.name}"
            yield Problem(stack.origins.get((title, option), watcher.place), title, option, text)


def strangers(stack: Stack) -> Iterator[Problem]:
    """Users and groups that the host does not know, by whom people are recognised or to whom sockets are to belong."""
    import grp
    import pwd

    named = [(f"user:{user.name}", user.place, "uid", user.uid, user.group) for user in stack.users]
    named += [(f"socket:{socket.name}", socket.place, "user", socket.user, socket.group) for socket in stack.sockets]
    for title, section, uid, user, group in named:
        for option, what, text, known in ((uid, "user", user, pwd.getpwnam), ("group", "group", group, grp.getgrnam)):
            if text and not text.isdigit() and not _known(known, text):
                yield Problem(stack.origins.get((title, option), section), title, option, f"there is no {what} {text}")


def files(stack: Stack) -> Iterator[Problem]:
    """The files of the supervisor itself whose folders are not there."""
    for option in ("pidfile", "logoutput"):
        path = getattr(stack.settings, option) or ""
        folder = "" if path.startswith("syslog:") else os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            place = stack.origins.get(("circus", option), Place(stack.path))
            yield Problem(place, "circus", option, f"there is no folder {folder}")


def _program(watcher: Watcher, stack: Stack, environ: Mapping[str, str]) -> str:
    """Why a watcher's program cannot be found; empty if it can."""
    from ..model.launch import Names, plan, socketNumbers
    from ..system import programs

    env = {**(environ if watcher.copy_env else {}), **watcher.env}
    if watcher.virtualenv:
        env["PATH"] = ":".join(filter(None, (f"{watcher.virtualenv}/bin", env.get("PATH", ""))))
    try:
        launch = plan(watcher, Names(1, watcher.name, 1), stack.name, socketNumbers(stack), env)
        found = programs.find(launch.argv[0], env.get("PATH"), launch.cwd)
        path = os.path.join(launch.cwd, found.path)
        if not os.path.isfile(path):
            return f"there is no program {path}"
        return "" if os.access(path, os.X_OK) else f"{path} is not executable"
    except Unstartable as error:
        return error.problem.detail
    except ValueError as error:
        return str(error)
    return ""


def _lacks(watcher: Watcher, stack: Stack, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The option to blame, and why."""
    import grp
    import pwd

    if watcher.working_dir and not os.path.isdir(watcher.working_dir):
        yield "working_dir", f"there is no folder {watcher.working_dir}"
    elif watcher.cmd and not watcher.env_file and (problem := _program(watcher, stack, environ)):
        yield "cmd", problem
    if watcher.virtualenv and not os.path.isdir(watcher.virtualenv):
        yield "virtualenv", f"there is no folder {watcher.virtualenv}"
    if watcher.env_file and not os.path.isfile(watcher.env_file):
        yield "env_file", f"there is no file {watcher.env_file}"
    for option, known in (("uid", pwd.getpwnam), ("gid", grp.getgrnam)):
        name = getattr(watcher, option)
        if name and not name.isdigit() and not _known(known, name):
            yield option, f"there is no {'user' if option == 'uid' else 'group'} {name}"
    for option, stream in (("stdout_stream", watcher.stdout_stream), ("stderr_stream", watcher.stderr_stream)):
        folder = os.path.dirname(stream.settings.get("filename", "")) or "."
        if not os.path.isdir(folder):
            yield f"{option}.filename", f"there is no folder {folder}"


def limits(stack: Stack) -> Iterator[Problem]:
    """The limits that could not be kept by a supervisor that is started from here."""
    from ..system.cgroup import Cgroups, delegated

    places = {watcher.name: watcher.place for watcher in stack.watchers}
    for name, option, why in Cgroups(delegated(), "").lacks(stack):
        title = f"watcher:{name}"
        text = f"started from here no process could run with it: {why}"
        yield Problem(stack.origins.get((title, option), places[name]), title, option, text)


def _known(look: Callable[[str], object], name: str) -> bool:
    try:
        return bool(look(name))
    except KeyError:
        return False


def sockets(stack: Stack) -> Iterator[str]:
    """The ports that cannot be had, and the folders of paths that are not there; port 0 is not tried."""
    from ..model.errors import WorldError
    from ..system.sockets import Sockets

    held = Sockets()
    try:
        for socket in stack.sockets:
            folder = os.path.dirname(socket.path) or "."
            if socket.unix and socket.path and not os.path.isdir(folder):
                place = stack.origins.get((f"socket:{socket.name}", "path"), socket.place)
                yield str(Problem(place, f"socket:{socket.name}", "path", f"there is no folder {folder}"))
            if socket.port and not socket.unix:
                try:
                    held.bind(socket)
                except WorldError as error:
                    yield str(error)
    finally:
        held.close(unlink=False)
