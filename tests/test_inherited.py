"""Tests of the endpoint for workers: circus:web."""

from __future__ import annotations

import os
import socket
import tempfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from circustwist.system.inherited import names, number


class Greeter(Protocol):
    """Says one thing."""

    def connectionMade(self) -> None:
        self.transport.write(b"here\n")  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]


class NumberTests(SynchronousTestCase):
    """Which descriptor is meant."""

    def environ(self, **more: str) -> dict[str, str]:
        """Two sockets for process 7."""
        return {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:api", **more}

    def wrong(self, *given: Any) -> str:
        """The error about one."""
        return str(self.assertRaises(ValueError, number, *given))

    def test_names(self) -> None:
        """A name in any case, or a number."""
        self.assertEqual(names(self.environ(), 7), {"web": 3, "api": 4})
        self.assertEqual(number(self.environ(), 7, "API", ""), 4)
        self.assertEqual(number({}, 7, "", "9"), 9)

    def test_others(self) -> None:
        """What is meant for another process, or makes no sense, is not there."""
        for more in ({"LISTEN_PID": "8"}, {"LISTEN_FDS": "x"}, {"LISTEN_FDS": ""}, {"LISTEN_FDS": "0"}):
            self.assertEqual(names(self.environ(**more), 7), {})
        self.assertEqual(names(self.environ(LISTEN_FDS="9", LISTEN_FDNAMES="a:a"), 7), {"a": 3})

    def test_wrong(self) -> None:
        """Errors say what there is."""
        self.assertIn("there are web, api", self.wrong(self.environ(), 7, "wbe", ""))
        self.assertIn("nothing was handed over by listen_fds", self.wrong({}, 7, "web", ""))
        self.assertIn("circus:fd=x: is no number", self.wrong({}, 7, "", "x"))
        for given in (("", ""), ("web", "3")):
            self.assertIn("a name or a number", self.wrong({}, 7, *given))


class EndpointTests(TestCase):
    """Twisted finds the endpoint by its name."""

    timeout = 20.0

    def wrong(self, fd: int) -> str:
        """The error about a descriptor."""
        return str(self.assertRaises(ValueError, serverFromString, reactor, f"circus:fd={fd}"))

    async def test_serve(self) -> None:
        """It serves on the socket, which others go on to hold."""
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = await serverFromString(
                reactor, f"circus:fd={os.dup(held.fileno())}").listen(Factory.forProtocol(Greeter))
            self.addCleanup(port.stopListening)
            self.assertEqual(port.getHost().port, held.getsockname()[1])
            self.assertFalse(held.getblocking() and os.get_blocking(held.fileno()))

    def test_wrong(self) -> None:
        """A file, a datagram socket, a UNIX socket and nothing at all are told apart."""
        with tempfile.TemporaryFile() as file:
            self.assertIn("is no socket", self.wrong(file.fileno()))
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            self.assertIn("no connections are accepted", self.wrong(datagrams.fileno()))
        with socket.socket(socket.AF_UNIX) as local:
            self.assertIn("is a UNIX socket", self.wrong(local.fileno()))
        self.assertIn("is not open; does the watcher have use_sockets = True?", self.wrong(900))
