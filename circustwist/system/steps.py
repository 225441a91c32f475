"""
What the launcher does for one worker, in order: its plan.

What needs privilege (limits, niceness, groups) comes before the user is
changed, what is to be subject to the new user's rights (the folder, the
program) after it.
"""

from __future__ import annotations

import grp
import os
import pwd
import resource
import time
from collections.abc import Iterable
from functools import lru_cache

import attrs

from ..model.errors import SpawnProblem, Unstartable
from ..model.launch import Launch
from . import launcher


@attrs.frozen
class Identity:
    """
    Who a process is to be; None is unchanged.

    @ivar groups: the supplementary groups.
    """

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None


def identity(user: str, group: str) -> Identity:
    """
    Who is meant: a user with the group given, else his own, and his
    supplementary groups; or a group alone.  A number that no user has is
    taken as it is, and without a group for the group's number too, so that
    no group of ours is kept.

    @param user: name or number; empty is unchanged.
    @param group: name or number; empty is unchanged, or the user's.
    @raise Unstartable: if there is none of that name.
    """
    # A look at them costs a tenth of a millisecond, and more if they do not come from files.
    return _identity(user, group, int(time.monotonic()))


@lru_cache(maxsize=64)
def _identity(user: str, group: str, second: int) -> Identity:
    gid = None if not group else int(group) if group.isdecimal() else _group(group)
    if not user:
        return Identity(gid=gid)
    entry = _user(user)
    if entry is None:
        uid = int(user)
        gid = uid if gid is None else gid
        return Identity(uid, gid, (gid,))
    gid = entry.pw_gid if gid is None else gid
    return Identity(entry.pw_uid, gid, tuple(os.getgrouplist(entry.pw_name, gid)))


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise Unstartable(SpawnProblem("group", 0, f"there is no group {name!r}")) from None


def _user(user: str) -> pwd.struct_passwd | None:
    """A user's entry; None if a number has none."""
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        if user.isdecimal():
            return None
        raise Unstartable(SpawnProblem("user", 0, f"there is no user {user!r}")) from None


def _become(who: Identity) -> list[launcher.Step]:
    """The steps to an identity; none to the one that an unprivileged supervisor has anyway."""
    if os.geteuid() and who.uid in (None, os.getuid()) and who.gid in (None, os.getgid()):
        return []
    found: list[launcher.Step] = []
    if who.groups is not None:
        found.append(("setgroups", [b",".join(b"%d" % group for group in who.groups)]))
    if who.gid is not None:
        found.append(("setgid", [b"%d" % who.gid]))
    if who.uid is not None:
        found.append(("setuid", [b"%d" % who.uid]))
    return found


def _limit(name: str, value: int | None) -> launcher.Step:
    number = getattr(resource, f"RLIMIT_{name.upper()}", None)
    if number is None:
        raise Unstartable(SpawnProblem("setrlimit", 0, f"there is no limit {name!r}"))
    shown = "unlimited" if value is None else str(value)
    return "setrlimit", [f"{name} {shown}".encode(), b"%d" % number, b"" if value is None else b"%d" % value]


def plan(launch: Launch, path: str, kept: Iterable[int]) -> list[bytes]:
    """
    Everything the launcher does for a worker, as words of its command line; the umask is inherited.

    @param path: the program that was found.
    @param kept: the descriptors that stay open, the status pipe's included.
    @raise Unstartable: if a user, a group or a limit does not exist.
    """
    found: list[launcher.Step] = [("keep", [b"%d" % fd for fd in kept])]
    if launch.group.folder:
        found.append(("cgroup", [os.fsencode(launch.group.folder)]))
    found += [_limit(name, value) for name, value in launch.rlimits.items()]
    if launch.nice is not None:
        found.append(("nice", [b"%d" % launch.nice]))
    found += _become(identity(launch.uid, launch.gid))
    if launch.cwd:
        found.append(("chdir", [os.fsencode(launch.cwd)]))
    words = [os.fsencode(word) for word in (path, str(int(bool(launch.listen))), *launch.argv)]
    return launcher.encode([*found, ("execve", words)])
