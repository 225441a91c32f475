"""Tests of who is at the other end of a UNIX socket."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from circustwist.control import peer
from circustwist.model.inputs import Who
from circustwist.model.users import User


class Handle:
    """A socket whose peer has uid 1001 and groups 50, 60 and 61; it is its own transport."""

    credentials = {socket.SO_PEERCRED: struct.pack("iII", 7, 1001, 50), 59: struct.pack("II", 60, 61)}

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """What the kernel would say."""
        return self.credentials[option]

    def getHandle(self) -> Handle:
        """The socket."""
        return self


def who(*users: User, uid: int = 1000, groups: Sequence[int] = ()) -> Who:
    """Who that peer is."""
    return peer.peer(uid, groups, lambda: users)(Handle())


class PeerTests(SynchronousTestCase):
    """Tests of a supervisor of uid 1000."""

    def test_owner(self) -> None:
        """The owner of the supervisor is an admin."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)

        class Transport:
            """A transport of that socket."""

            def getHandle(self) -> socket.socket:
                """The socket."""
                return ours

        uid = os.getuid()
        self.assertEqual(peer.peer(uid)(Transport()), Who(f"uid {uid} (amp)", "admin"))
        self.assertEqual(set(peer._groups(ours)), set(os.getgroups()))

    def test_others(self) -> None:
        """A member of the control group is an operator; anybody else has no role."""
        roles = [who(groups=groups).role for groups in ((50,), (9, 61), (9,), ())]
        self.assertEqual(roles, ["operator", "operator", "", ""])

    def test_user(self) -> None:
        """Who has a section is called by its name and has its role, whatever the control group says."""
        self.assertEqual(who(User("ann", uid="1001", role="admin")), Who("ann (uid 1001, amp)", "admin"))
        self.assertEqual(who(User("ann", uid="1001"), groups=(50,)).role, "viewer")
        self.assertEqual(who(User("bob", uid="1002", role="admin")), Who("uid 1001 (amp)", ""))

    def test_group(self) -> None:
        """Of the groups that somebody is in, the greatest role counts."""
        users = (
            User("watch", group="60"), User("ops", group="61", role="operator"), User("x", group="9", role="admin"))
        self.assertEqual(who(*users), Who("ops (uid 1001, amp)", "operator"))
        self.assertEqual(who(users[0], groups=(50,)), Who("uid 1001 (amp)", "operator"))

    def test_ownerStays(self) -> None:
        """A section gives the owner a name, and takes nothing from him."""
        self.assertEqual(who(User("ann", uid="1001"), uid=1001), Who("ann (uid 1001, amp)", "admin"))

    def test_unknown(self) -> None:
        """A name that the host does not know recognises nobody."""
        self.assertEqual(who(User("ann", uid="no-such-user-here", group="no-such-group-here")).role, "")

    def test_changes(self) -> None:
        """A changed configuration counts from the next connection on."""
        users = [User("ann", uid="1001")]
        identify = peer.peer(1000, (), lambda: tuple(users))
        self.assertEqual(identify(Handle()).role, "viewer")
        users[0] = User("ann", uid="1001", role="operator")
        self.assertEqual(identify(Handle()).role, "operator")
