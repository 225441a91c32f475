"""
Control groups, version 2: a folder for each worker, below our own one.

Whatever a worker starts stays in its folder, so that nothing of it survives
its end, and what it may use can be limited.  Used where a part of the
hierarchy was delegated to us, e.g. by C{Delegate=yes} of systemd, or because a
container has its own.

@see: cgroups(7), and C{cgroup-v2.rst} of the kernel's documentation
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..model.errors import SpawnProblem, Unstartable
from ..model.launch import Names, groupLimits
from ..model.stack import Stack

PREFIX = "circustwist"
OURS = f"{PREFIX}.supervisor"
"""The folder that we go into, so that our own may have limits below it: no folder may have both."""
ROUNDS = 16
"""So often at most processes are killed that were started meanwhile, where the kernel cannot do it at once."""
PAUSE = 0.1
"""Seconds after which it is tried again to remove a folder whose processes are still ending."""
TRIES = 50

_log = Logger(namespace="circustwist.cgroup")


def located(mountinfo: str, own: str) -> str:
    """
    The folder of a process.

    @param mountinfo: C{/proc/self/mountinfo}.
    @param own: C{/proc/PID/cgroup}.
    @return: empty if it cannot be told.
    """
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::")), "")
    for line in mountinfo.splitlines():
        fields, _, kind = line.partition(" - ")
        if not kind.startswith("cgroup2 ") or not path.startswith("/") or "/../" in f"{path}/":
            continue
        root, mount = (_unescaped(field).rstrip("/") for field in fields.split(" ")[3:5])
        if f"{path}/".startswith(f"{root}/"):
            return mount + path.removeprefix(root).rstrip("/")
    return ""


def _unescaped(field: str) -> str:
    r"""A field of mountinfo, where a space is C{\040}."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def of(pid: int | str) -> str:
    """The folder of a process; empty if it cannot be told."""
    try:
        with open("/proc/self/mountinfo", errors="surrogateescape") as mounts, \
                open(f"/proc/{pid}/cgroup", errors="surrogateescape") as own:
            return located(mounts.read(), own.read())
    except OSError:
        return ""


def delegated() -> str:
    """The folder below which we may make others; empty if there is none."""
    folder = of("self")
    if os.path.basename(folder) == OURS:
        folder = os.path.dirname(folder)
    # The root of the hierarchy has no events; it is nobody's to delegate.
    if not folder or not os.path.exists(f"{folder}/cgroup.events"):
        return ""
    if not all(os.access(path, os.W_OK) for path in (folder, f"{folder}/cgroup.procs")):
        return ""
    # Root may write everywhere; where systemd rules it says what is ours.
    ruled = os.geteuid() == 0 and os.path.exists("/run/systemd/system")
    return folder if not ruled or _granted(folder) else ""


def _granted(folder: str) -> bool:
    while len(folder) > 1:
        for name in ("trusted.delegate", "user.delegate"):
            with suppress(OSError):
                if os.getxattr(folder, name) == b"1":
                    return True
        folder = os.path.dirname(folder)
    return False


# One worker's


def make(folder: str, limits: Mapping[str, str]) -> None:
    """
    Make a worker's folder.

    @param limits: the values of its files by their names, e.g. C{memory.max}.
    @raise Unstartable: if that is not possible; there is none then.
    """
    try:
        os.mkdir(folder)
    except OSError as error:
        raise Unstartable(SpawnProblem("cgroup", error.errno or 0, folder)) from None
    for name, value in limits.items():
        try:
            _write(f"{folder}/{name}", value)
        except OSError as error:
            os.rmdir(folder)
            raise Unstartable(SpawnProblem("cgroup", error.errno or 0, f"{name} = {value}")) from None


def members(folder: str) -> list[int]:
    """The processes in a folder; none if there is no such folder."""
    with suppress(OSError), open(f"{folder}/cgroup.procs") as file:
        return [int(pid) for pid in file.read().split()]
    return []


def kill(folder: str) -> None:
    """
    Kill everyone in a folder.

    @see: C{cgroup.kill}, Linux 5.14
    """
    try:
        _write(f"{folder}/cgroup.kill", "1")
    except OSError:
        send(folder, signal.SIGKILL)


def send(folder: str, signum: int) -> None:
    """Signal everyone in a folder, and who is started meanwhile."""
    done: set[int] = set()
    for _ in range(ROUNDS):
        new = set(members(folder)) - done
        if not new:
            return
        for pid in new:
            _signal(pid, folder, signum)
        done |= new


def _signal(pid: int, folder: str, signum: int) -> None:
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if of(pid) == folder:
                signal.pidfd_send_signal(pidfd, signum)
        finally:
            os.close(pidfd)


def starved(folder: str) -> bool:
    """Whether the kernel has killed anyone in a folder for want of memory."""
    with suppress(OSError), open(f"{folder}/memory.events") as file:
        return any(int(value) for name, value in map(str.split, file) if name == "oom_kill")
    return False


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


class Remover:
    """Removes folders when nobody is in them any more."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._waiting: dict[str, int] = {}

    def remove(self, folder: str) -> None:
        """Remove one, now or as soon as it can be."""
        if not _removed(folder):
            self._waiting[folder] = 0
            if len(self._waiting) == 1:
                self._reactor.callLater(PAUSE, self._again)

    def _again(self) -> None:
        for folder, tries in list(self._waiting.items()):
            self._waiting[folder] += 1
            if _removed(folder) or tries >= TRIES:
                del self._waiting[folder]
        if self._waiting:
            self._reactor.callLater(PAUSE, self._again)

    def close(self) -> None:
        """Try it for the last time; who comes later removes what is left."""
        for folder in self._waiting:
            _removed(folder)
        self._waiting.clear()


def _removed(folder: str) -> bool:
    """Remove a folder and those that a worker made below it; whether there is none any more."""
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(FileNotFoundError):
            try:
                os.rmdir(path)
            except OSError:
                return False
    return True


# All of them


class Cgroups:
    """The folders of all workers of a supervisor."""

    def __init__(self, base: str, mark: str) -> None:
        """
        @param base: the folder that is delegated to us; empty if there is none.
        @param mark: what tells this stack's workers from those of others.
        """
        self._base = base
        self._name = f"{PREFIX}.{mark}".replace("/", "_")
        self._on: set[str] = set()

    def folder(self, names: Names) -> str:
        """Where a worker is to be; empty if nothing is delegated to us."""
        return f"{self._base}/{self._name}.{names.id}" if self._base else ""

    def of(self, pid: int, names: Names) -> str:
        """The folder of a worker that runs already; empty if it has none of its own."""
        with suppress(OSError), open(f"/proc/{pid}/cgroup", errors="surrogateescape") as own:
            # Most have none, and where groups are is only looked up for those that have.
            if f"/{self._name}.{names.id}\n" in own.read():
                return of(pid)
        return ""

    def enable(self, limits: Collection[str]) -> None:
        """
        Have what these limits need.

        @param limits: names of files, e.g. C{memory.max}.
        @raise Unstartable: if it is not to be had.
        """
        needed = {name.partition(".")[0] for name in limits} - self._on
        for controller in sorted(needed):
            option = next(name for name in limits if name.startswith(f"{controller}."))
            self._enable(controller, option.replace(".", "_"))
            self._on.add(controller)

    def _enable(self, controller: str, option: str) -> None:
        lack = self._lack(controller)
        if lack:
            raise Unstartable(SpawnProblem(option, 0, lack))
        if controller in _words(f"{self._base}/cgroup.subtree_control"):
            return
        try:
            self._control(controller)
        except OSError as error:
            others = [pid for pid in members(self._base) if pid != os.getpid()]
            detail = f"{self._base}" + (f", in which other processes are: {_shown(others)}" if others else "")
            raise Unstartable(SpawnProblem(option, error.errno or 0, detail)) from None

    def _lack(self, controller: str) -> str:
        """Why a controller is not to be had; empty if it is."""
        if not self._base:
            return "no control group is delegated to this supervisor"
        if controller not in _words(f"{self._base}/cgroup.controllers"):
            return f"the controller {controller} is not delegated to {self._base}"
        return ""

    def lacks(self, stack: Stack) -> tuple[tuple[str, str, str], ...]:
        """The limits that are not to be had: the watcher, the option and why."""
        found = []
        for watcher in stack.watchers:
            for name in groupLimits(watcher):
                controller, option = name.partition(".")[0], name.replace(".", "_")
                lack = "" if controller in self._on else self._lack(controller)
                if lack and hasattr(watcher, option):
                    found.append((watcher.name, option, lack))
        return tuple(found)

    def _control(self, controller: str) -> None:
        control = f"{self._base}/cgroup.subtree_control"
        try:
            _write(control, f"+{controller}")
        except OSError:
            # No folder may have both processes and limits below it.
            with suppress(FileExistsError):
                os.mkdir(f"{self._base}/{OURS}")
            _write(f"{self._base}/{OURS}/cgroup.procs", "0")
            _write(control, f"+{controller}")

    def clear(self, stays: Callable[[int], bool]) -> None:
        """
        Kill and remove what an earlier supervisor left.

        @param stays: whether the folder of a worker of that id does.
        """
        for folder, id in list(self._left()):
            if not stays(id):
                if members(folder):
                    _log.warn("what is left in {folder} of an earlier supervisor is killed", folder=folder)
                    kill(folder)
                _removed(folder)

    def _left(self) -> Iterable[tuple[str, int]]:
        with suppress(OSError):
            for name in os.listdir(self._base) if self._base else ():
                start, _, id = name.rpartition(".")
                if start == self._name and id.isdecimal():
                    yield f"{self._base}/{name}", int(id)


def _words(path: str) -> list[str]:
    with suppress(OSError), open(path) as file:
        return file.read().split()
    return []


def _shown(pids: list[int]) -> str:
    return ", ".join(map(str, pids[:5])) + (" ..." if len(pids) > 5 else "")
