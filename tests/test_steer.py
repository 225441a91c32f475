"""Tests of connections that are led around sockets: real sockets of one port."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from circustwist.system import steer
from circustwist.system.steer import Groups

CONNECTIONS = 40


class GroupsTests(SynchronousTestCase):
    """Who is given connections."""

    def setUp(self) -> None:
        """Four sockets that share a port."""
        self.groups = Groups()
        self.port = 0
        self.members = [self.listener() for _ in range(4)]
        for member in self.members:
            self.groups.join(member)

    def listener(self) -> socket.socket:
        """One more socket at the port."""
        made = socket.socket()
        self.addCleanup(made.close)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", self.port))
        made.listen(CONNECTIONS)
        made.setblocking(False)
        self.port = made.getsockname()[1]
        return made

    def given(self, *others: socket.socket) -> list[bool]:
        """Whether each is given any of many connections."""
        for _ in range(CONNECTIONS):
            socket.create_connection(("127.0.0.1", self.port)).close()
        return [member.fileno() >= 0 and self.took(member) for member in (*self.members, *others)]

    def took(self, member: socket.socket) -> bool:
        """Whether any connection waits at one; none does afterwards."""
        some = False
        try:
            while True:
                member.accept()[0].close()
                some = True
        except BlockingIOError:
            return some

    def test_all(self) -> None:
        """Unless somebody says otherwise all are given some."""
        self.assertEqual(self.given(), [True] * 4)

    def test_avoid(self) -> None:
        """One that is avoided is given none until it is not avoided any more."""
        self.groups.avoid([self.members[1]], [])
        self.assertEqual(self.given(), [True, False, True, True])
        self.assertTrue(self.groups.avoids(self.members[1]))
        self.groups.avoid([self.members[0]], [self.members[1]])
        self.assertEqual(self.given(), [False, True, True, True])
        self.groups.avoid([], [self.members[0]])
        self.assertEqual(self.given(), [True] * 4)

    def test_nobodyLeft(self) -> None:
        """If all are avoided none is."""
        self.groups.avoid(self.members, [])
        self.assertEqual(self.given(), [True] * 4)
        self.assertFalse(self.groups.avoids(self.members[0]))

    def test_places(self) -> None:
        """When one ends the last one has its place, and a new one comes last."""
        self.groups.avoid([self.members[3]], [])
        self.groups.leave(self.members[0])
        self.assertEqual(self.given(), [False, True, True, False])
        new = self.listener()
        self.groups.join(new)
        self.assertEqual(self.given(new), [False, True, True, False, True])
        self.groups.avoid([new], [self.members[3]])
        self.assertEqual(self.given(new), [False, True, True, True, False])

    def test_leave(self) -> None:
        """One that ends does so although somebody else holds it too."""
        copy = self.members[0].dup()
        self.addCleanup(copy.close)
        self.groups.leave(self.members[0])
        self.assertEqual(self.given(), [False, True, True, True])

    def test_last(self) -> None:
        """When all have ended nothing is left of them."""
        for member in self.members:
            self.groups.leave(member)
        self.assertEqual(self.groups.ordered(), [])

    def test_found(self) -> None:
        """Another supervisor finds them by their places, one that has ended in between included."""
        self.groups.leave(self.members[1])
        there = [self.members[0], self.members[3], self.members[2]]
        self.assertEqual(self.groups.ordered(), there)
        there[0].shutdown(socket.SHUT_RDWR)
        later = Groups()
        for member in there[1:]:
            later.join(member)
        self.assertTrue(later.move([None, *there[1:]]))
        later.avoid([self.members[2]], [])
        self.members[0].close()
        self.assertEqual(self.given(), [False, False, False, True])

    def test_tail(self) -> None:
        """If the last ones have ended the others are where they were."""
        first, second = self.members[:2]
        self.assertTrue(self.groups.move([first, second, None, None]))
        self.assertEqual(self.groups.ordered(), [first, second])
        self.assertTrue(self.groups.move([first, None]))
        self.assertEqual(self.groups.ordered(), [first])

    def test_unknown(self) -> None:
        """If several have ended nobody knows where the others are, and all of them are given connections."""
        first, second, _, fourth = self.members
        self.assertFalse(self.groups.move([None, second, None, fourth]))
        self.groups.avoid([fourth], [])
        self.groups.forget(first)
        self.assertEqual(self.given(), [True] * 4)

    def test_stranger(self) -> None:
        """With somebody else's socket at the same port the kernel chooses."""
        stranger = self.listener()
        self.groups.avoid([self.members[0]], [])
        self.assertEqual(self.given(stranger), [True] * 5)

    def test_many(self) -> None:
        """More than a program has room for are left to the kernel."""
        self.patch(steer, "MOST", 2)
        self.groups.avoid([self.members[0]], [])
        self.assertTrue(self.given()[0])
