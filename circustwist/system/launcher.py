"""
The second road: a small program that applies a plan and becomes the worker.

It is run as C{python -I -S launcher.py STATUSFD PLAN...} and imports nothing
that is not built in, but for C{resource} when a limit is to be set.  It does
what its plan says, step by step in the order of the plan; whoever writes the
plan answers for that order.

The plan is a list of steps, each with a name and words; the first word is
what a step is about, for people.  The worker's environment is its own, each
name with L{MARK} before it, so that nothing in it means anything to the
loader or to Python before the worker is its own user.

The status pipe gets L{READY} just before the last execve(2), which closes it.
If a step fails it gets the step's name, the error number and what it was
about, and the program ends with 127.  If it closes without a byte, the
launcher itself was killed.
"""

from __future__ import annotations

import os
import posix
import sys

MARK = "+"
"""Stands before each name of the worker's environment in the launcher's."""
READY = b"+"
"""Everything is done but the execve."""
FAILED = 127
"""The exit code after a failed step."""

TYPE_CHECKING = False  # typing is an import
if TYPE_CHECKING:
    from collections.abc import Mapping

Step = tuple[str, list[bytes]]


class Failed(Exception):
    """
    A step was not possible although no system call failed.

    @ivar detail: why.
    """

    def __init__(self, detail: bytes) -> None:
        super().__init__(detail)
        self.detail = detail


def encode(steps: list[Step]) -> list[bytes]:
    """A plan as words of a command line."""
    return [word for name, given in steps for word in (name.encode(), b"%d" % len(given), *given)]


def decode(plan: list[bytes]) -> list[Step]:
    """The plan that L{encode} made words of."""
    words = iter(plan)
    return [(name.decode(), [next(words) for _ in range(int(next(words)))]) for name in words]


def environment(names: Mapping[str, str]) -> dict[str, str]:
    """What the launcher's environment is, so that a program gets this one."""
    return {MARK + name: value for name, value in names.items()}


def report(step: str, number: int, detail: bytes) -> bytes:
    """A failure as bytes for the status pipe."""
    return b"\0".join((step.encode(), b"%d" % number, detail))


def parse(data: bytes) -> tuple[str, int, bytes] | None:
    """
    What the status pipe said before it closed: the step, the error number
    and what it was about.

    @return: None if the program runs.
    """
    if data == READY:
        return None
    fields = data.removeprefix(READY).split(b"\0", 2)
    if len(fields) != 3:
        return "launcher", 0, b"it was killed before it was done"
    return fields[0].decode(), int(fields[1]), fields[2]


def keep(words: list[bytes]) -> None:
    """Close every descriptor that is not listed."""
    wanted = set(map(int, words))
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in wanted:
            try:  # noqa: SIM105 - contextlib is an import
                os.close(fd)
            except OSError:
                pass  # the listing's own descriptor


def setrlimit(words: list[bytes]) -> None:
    """Set a resource limit, soft and hard: what to call it, its number, and the value or nothing for no limit."""
    import resource

    which, value = int(words[1]), int(words[2]) if words[2] else resource.RLIM_INFINITY
    try:
        resource.setrlimit(which, (value, value))
    except (OSError, ValueError):  # the latter is what resource makes of EPERM
        # Descriptors end at fs.nr_open, for root too.
        if words[2] or which != resource.RLIMIT_NOFILE:
            raise PermissionError(1, "not permitted") from None
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (hard, hard))


def setuid(words: list[bytes]) -> None:
    """Become a user for good, and make sure of it."""
    uid = int(words[0])
    os.setresuid(uid, uid, uid)
    if uid:
        try:
            os.setuid(0)
        except PermissionError:
            return
        raise Failed(b"the privileges of root could be had again")


def setgid(words: list[bytes]) -> None:
    """Take a group as real, effective and saved one."""
    gid = int(words[0])
    os.setresgid(gid, gid, gid)


def execve(words: list[bytes]) -> None:
    """
    Become a program: its path, whether C{LISTEN_PID} is wanted, the arguments.
    """
    import _signal  # type: ignore[import-not-found]  # built in, unlike signal, which imports enum

    # Python ignores both, and what is ignored stays so over an execve.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    path, listen, *arguments = words
    mark = MARK.encode()
    given = {name[1:]: value for name, value in posix.environ.items() if name.startswith(mark)}
    if listen == b"1":
        given[b"LISTEN_PID"] = b"%d" % os.getpid()
    os.execve(path, arguments, given)


def cgroup(words: list[bytes]) -> None:
    """Go into a control group, by its folder."""
    fd = os.open(words[0] + b"/cgroup.procs", os.O_WRONLY)
    os.write(fd, b"0")
    os.close(fd)


STEPS = {
    "keep": keep,
    "cgroup": cgroup,
    "setrlimit": setrlimit,
    "nice": lambda words: os.nice(int(words[0])),
    "setgroups": lambda words: os.setgroups([int(group) for group in words[0].split(b",") if group]),
    "setgid": setgid,
    "setuid": setuid,
    "chdir": lambda words: os.chdir(words[0]),
    "execve": execve,
}


def perform(plan: list[Step], status: int) -> None:
    """
    Do every step.

    @param status: the status pipe.
    @return: only if a step failed, which the status pipe was told.
    """
    step, words = "plan", [b""]
    try:
        for step, words in plan:
            if step == "execve":
                os.write(status, READY)
            STEPS[step](words)
    except (OSError, Failed, ValueError, OverflowError) as error:
        number = error.errno or 0 if isinstance(error, OSError) else 0
        detail = error.detail if isinstance(error, Failed) else str(error).encode("utf-8", "replace")
        # With the number the error's own text says nothing more than the step's first word does.
        os.write(status, report(step, number, words[0][:1024] if number else detail))


def main(status: int, plan: list[str]) -> None:
    """
    Perform a plan; does not return.

    @param status: the status pipe.
    """
    os.set_inheritable(status, False)
    perform(decode([os.fsencode(word) for word in plan]), status)
    os._exit(FAILED)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
