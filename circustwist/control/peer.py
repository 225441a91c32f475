"""
Who is at the other end of a UNIX socket.
"""

from __future__ import annotations

import grp
import pwd
import socket
import struct
from collections.abc import Callable, Collection, Sequence
from typing import Any

import attrs

from ..model.commands import ROLES
from ..model.inputs import Who
from ..model.users import User

_SO_PEERGROUPS = 59


@attrs.frozen
class _Known:
    """
    The users of a stack by the numbers that the kernel knows.

    @ivar users: from which this was made.
    """

    users: Sequence[User]
    byUid: dict[int, User]
    byGroup: dict[int, User]

    @classmethod
    def of(cls, users: Sequence[User]) -> _Known:
        """Look their names up; who is not in the host's databases is not recognised."""
        known = cls(users, {}, {})
        for user in users:
            for text, look, found in ((user.uid, _uid, known.byUid), (user.group, _gid, known.byGroup)):
                number = look(text)
                if number is not None and (number not in found or _rank(found[number]) < _rank(user)):
                    found[number] = user
        return known


def _uid(text: str) -> int | None:
    try:
        return int(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid if text else None
    except KeyError:
        return None


def _gid(text: str) -> int | None:
    try:
        return int(text) if text.isdecimal() else grp.getgrnam(text).gr_gid if text else None
    except KeyError:
        return None


def _rank(user: User) -> int:
    return ROLES.index(user.role)


def peer(
    uid: int, groups: Collection[int] = (), users: Callable[[], Sequence[User]] = tuple
) -> Callable[[Any], Who]:
    """
    Who is at the other end of a UNIX socket, by the kernel's word at the time
    of connect(2); SO_PEERCRED and SO_PEERGROUPS, unix(7).

    @param uid: whose supervisor this is; it and root are admins.
    @param groups: whose members are operators.
    @param users: the C{[user:NAME]} sections as they are in force.
    @return: from a transport to who it is.
    """
    known = _Known.of(())

    def identify(transport: Any) -> Who:
        nonlocal known
        handle = transport.getHandle()
        _, peerUid, gid = struct.unpack("iII", handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if users() != known.users:
            known = _Known.of(users())
        return _recognised(known, peerUid, peerUid in (0, uid), lambda: {gid, *_groups(handle)}, groups)

    return identify


def _recognised(
    known: _Known, uid: int, owner: bool, mine: Callable[[], set[int]], groups: Collection[int]
) -> Who:
    user = known.byUid.get(uid)
    if user is None and not owner and (known.byGroup or groups):
        members = mine()
        user = max((known.byGroup[gid] for gid in members & known.byGroup.keys()), key=_rank, default=None)
        if user is None or user.role == "viewer":
            owner, user = False, user if members.isdisjoint(groups) else User("", role="operator")
    role = "admin" if owner else user.role if user else ""
    return Who(f"{user.name} (uid {uid}, amp)" if user and user.name else f"uid {uid} (amp)", role)


def _groups(handle: socket.socket) -> tuple[int, ...]:
    """The peer's supplementary groups."""
    # NGROUPS_MAX is 65536 on Linux; getsockopt(2) of Python takes at most 1024 bytes.
    try:
        found = handle.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)
    except OSError:
        return ()
    return struct.unpack(f"{len(found) // 4}I", found)
