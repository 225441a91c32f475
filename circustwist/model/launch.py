"""
What one worker is started as: a pure function of its watcher.

Two roads lead to a process.  The direct one is posix_spawn(3), which can set
descriptors, a session and signals, and inherits the umask and the soft limit
of descriptors that the spawner swaps around the call.  Whatever it cannot
set, the launcher does: a small program that applies a plan and becomes the
worker.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

import attrs

from . import expand
from .stack import Stack, Watcher

FIRST_SOCKET = 3
CPU_PERIOD = 100_000
"""Microseconds over which C{cpu_max} holds."""

Source: TypeAlias = tuple[Literal["socket"], str] | tuple[Literal["null", "output", "inherit"], int]
"""Where a child's descriptor comes from: a socket by name, /dev/null, the pipe
of an output (1 or 2), or the supervisor's own descriptor."""


@attrs.frozen
class Names:
    """
    What one worker is called.

    @ivar id: a serial that is never used again; the key everywhere inside.
    @ivar watcher: its watcher's name.
    @ivar wid: the lowest number that was free in the watcher, from 1.
    @ivar seat: what a replacement inherits, from 0.
    @ivar generation: how many reloads the watcher had seen.
    """

    id: int
    watcher: str
    wid: int
    seat: int = 0
    generation: int = 0

    def __str__(self) -> str:
        return f"{self.watcher}/{self.wid}"


@attrs.frozen
class Group:
    """
    A control group, version 2.

    @ivar folder: where it is; empty is the supervisor's.
    @ivar limits: the values of its files, by their names.
    """

    folder: str = ""
    limits: Mapping[str, str] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Launch:
    """
    A process to be started.

    @ivar argv: the words; the first is still to be looked for.
    @ivar env: the whole environment.
    @ivar descriptors: what stands under each descriptor of the child; nothing
        else is open in it.
    @ivar cwd: the folder to run in; empty is the supervisor's.
    @ivar uid: user name or number; empty is unchanged.
    @ivar gid: group name or number; empty is unchanged, or the user's.
    @ivar umask: None is the supervisor's.
    @ivar nice: None is unchanged.
    @ivar rlimits: by lower-case name, None for no limit.
    @ivar listen: how many sockets from descriptor 3 on are announced by
        C{LISTEN_FDS}; C{LISTEN_PID} is added by the launcher.
    @ivar killMode: see the option C{kill_mode}.
    @ivar group: its control group.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    descriptors: Mapping[int, Source] = attrs.field(factory=dict, hash=False)
    cwd: str = ""
    uid: str = ""
    gid: str = ""
    umask: int | None = None
    nice: int | None = None
    rlimits: Mapping[str, int | None] = attrs.field(factory=dict, hash=False)
    listen: int = 0
    killMode: str = "mixed"
    group: Group = attrs.field(factory=Group)

    @property
    def road(self) -> Literal["direct", "launcher"]:
        """Which of the two roads it takes."""
        special = self.cwd or self.uid or self.gid or self.rlimits or self.listen or self.group.folder
        return "launcher" if special or self.nice is not None else "direct"


def socketNumbers(stack: Stack) -> dict[str, int]:
    """
    The descriptor under which each socket stands in every child that gets it.

    They follow the longest C{listen_fds} of any watcher, which start at 3
    whatever the order of the stack.
    """
    first = FIRST_SOCKET + max((len(w.listen_fds) for w in stack.watchers), default=0)
    return {socket.name: first + n for n, socket in enumerate(stack.sockets)}


def token(mark: str, id: int) -> str:
    """The value of C{CIRCUSTWIST_ID}, by which a worker's descendants are known; see L{naming.mark}."""
    return f"{mark}/{id}"


def variables(watcher: Watcher, names: Names, env: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, str]:
    """What C{$(circus.NAME)} stands for in a command line; names in lower case."""
    found = {f"circus.{key}": _shown(getattr(watcher, key)) for key in _ATTRIBUTES}
    found.update({f"circus.rlimits.{key}": _shown(value) for key, value in watcher.rlimits.items()})
    found.update({f"circus.env.{key.lower()}": value for key, value in env.items()})
    found.update({f"circus.sockets.{name}": str(number) for name, number in numbers.items()})
    found["circus.wid"] = str(names.wid)
    return found


_ATTRIBUTES = (
    "working_dir", "uid", "gid", "shell", "args", "numprocesses", "warmup_delay", "max_age", "max_retry",
    "graceful_timeout", "priority", "singleton", "stop_signal", "use_sockets",
)


def _shown(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


@lru_cache(maxsize=64)
def _words(text: str) -> tuple[str, ...]:
    """
    The words of a command line.

    @raise ValueError: if it cannot be split.
    """
    return tuple(shlex.split(text))


def _argv(watcher: Watcher, names: dict[str, str]) -> tuple[str, ...]:
    """
    The words of the command line.

    @raise ValueError: if it cannot be split, e.g. for a quote that is not closed.
    """
    words = list(_words(expand.worker(watcher.cmd, names)))
    if isinstance(watcher.args, str):
        words += _words(expand.worker(watcher.args, names))
    else:
        words += [expand.worker(word, names) for word in watcher.args]
    if watcher.shell:
        more = _words(expand.worker(watcher.shell_args, names))
        return ("/bin/sh", "-c", shlex.join(words), *more)
    return tuple(words)


def _descriptors(watcher: Watcher, numbers: Mapping[str, int]) -> dict[int, Source]:
    found: dict[int, Source] = {}
    if watcher.stdin_socket:
        found[0] = ("socket", watcher.stdin_socket)
    else:
        found[0] = ("null", 0) if watcher.close_child_stdin else ("inherit", 0)
    for fd, closed, stream in (
        (1, watcher.close_child_stdout, watcher.stdout_stream),
        (2, watcher.close_child_stderr, watcher.stderr_stream),
    ):
        if closed:
            found[fd] = ("null", fd)
        else:
            found[fd] = ("output", fd) if stream or watcher.capture else ("inherit", fd)
    if watcher.redirect_stderr:
        found[2] = found[1]
    found.update({FIRST_SOCKET + n: ("socket", name) for n, name in enumerate(watcher.listen_fds)})
    if watcher.use_sockets:
        found.update({number: ("socket", name) for name, number in numbers.items()})
    return found


def plan(watcher: Watcher, names: Names, mark: str, numbers: Mapping[str, int], env: Mapping[str, str]) -> Launch:
    """
    How one worker is to be started.

    @param mark: what its token begins with.
    @param numbers: see L{socketNumbers}.
    @param env: the worker's environment, without the token.
    @raise ValueError: if the command line cannot be split.
    """
    env = {**env, "CIRCUSTWIST_ID": token(mark, names.id)}
    if not watcher.use_sockets:
        numbers = {**numbers, **{name: FIRST_SOCKET + n for n, name in enumerate(watcher.listen_fds)}}
    if watcher.listen_fds:
        env |= {"LISTEN_FDS": str(len(watcher.listen_fds)), "LISTEN_FDNAMES": ":".join(watcher.listen_fds)}
    expands = any("$" in text or "((" in text for text in (watcher.cmd, str(watcher.args), watcher.shell_args))
    return Launch(
        argv=_argv(watcher, variables(watcher, names, env, numbers) if expands else {}),
        env=env,
        descriptors=_descriptors(watcher, numbers),
        cwd=watcher.working_dir,
        uid=watcher.uid,
        gid=watcher.gid,
        umask=watcher.umask,
        nice=watcher.nice,
        rlimits=watcher.rlimits,
        listen=len(watcher.listen_fds),
        killMode=watcher.killMode,
        group=Group(limits=groupLimits(watcher)),
    )


def groupLimits(watcher: Watcher) -> dict[str, str]:
    """The values of a control group's files; cgroup-v2.rst of the kernel's documentation."""
    found: dict[str, str] = {}
    if watcher.memory_max:
        # What is killed is the whole of it, as if it had been one process.
        found = {"memory.max": str(watcher.memory_max), "memory.oom.group": "1"}
    if watcher.cpu_weight:
        found["cpu.weight"] = str(watcher.cpu_weight)
    if watcher.cpu_max:
        found["cpu.max"] = f"{max(1000, int(watcher.cpu_max * CPU_PERIOD))} {CPU_PERIOD}"
    if watcher.pids_max:
        found["pids.max"] = str(watcher.pids_max)
    return found
