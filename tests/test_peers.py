"""Tests of looks by TCP and HTTP, at real servers."""

from __future__ import annotations

import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from circustwist.system import peers
from circustwist.system.peers import Look, Response, target

from .workers import descriptors


class TargetTests(SynchronousTestCase):
    """From the text of an option to what is connected to."""

    def test_targets(self) -> None:
        """Host, port and the request line are taken from the address."""
        self.assertEqual(target("tcp://127.0.0.1:6379"), peers.Target("127.0.0.1", 6379))
        found = target("http://[::1]:8000/a/b?c=d")
        self.assertEqual((found.host, found.port), ("::1", 8000))
        head = found.request.split(b"\r\n")
        self.assertEqual(head[:2], [b"GET /a/b?c=d HTTP/1.1", b"Host: [::1]:8000"])
        self.assertEqual(head[-2:], [b"", b""])
        self.assertIn(b"Connection: close", head)
        self.assertEqual(target("http://localhost").port, 80)
        self.assertTrue(target("http://h?x").request.startswith(b"GET /?x HTTP/1.1\r\n"))

    def test_refused(self) -> None:
        """What is no address, or would say more than one line, is refused."""
        for spec in ("https://h/", "tcp://h", "tcp://:1", "http://h:99999/", "http://h/a b", "http://h/\r\nX: y",
                     "http://u:p@h/", "http://", "ftp://h:1", "http://h/\x7f"):
            self.assertRaises(ValueError, target, spec)


class ResponseTests(SynchronousTestCase):
    """What is made of the bytes that come."""

    def problem(self, *pieces: bytes) -> str | None:
        """What is wrong after these."""
        response = Response()
        for piece in pieces:
            response.received(piece)
            if response.problem is not None:
                break
        return response.problem

    def test_good(self) -> None:
        """2xx and 3xx are good, when their end has come."""
        for pieces in (
            (b"HTTP/1.1 200 OK\r\n\r\nbody", b""), (b"HTTP/1.0 301 Moved\r\nA: b\r\n\r\n", b""),
            (b"HTTP/1.1 204 No Content\r\n\r\n",), (b"HTTP/1.1 304\r\n\r\n",),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b"c"), (b"HTTP/1.1 200 OK\n\n", b""),
            (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n",),
            (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * peers.LONGEST_BODY,),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * peers.LONGEST_BODY,),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b""),
            (b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + b"HTTP/1.1 204 x\r\n\r\n",),
        ):
            self.assertEqual(self.problem(*pieces), "", pieces[0][:60])

    def test_bad(self) -> None:
        """4xx and 5xx are bad, and their reason is told, without anything that harms a terminal."""
        for pieces, problem in (
            ((b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b""), "503 Service Unavailable"),
            ((b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",), "404"),
            ((b"HTTP/1.1 500 \x1b[2J\r\n\r\n", b""), "500 ?[2J"),
        ):
            self.assertEqual(self.problem(*pieces), problem)

    def test_nonsense(self) -> None:
        """What is no HTTP is told at once, however long it would go on."""
        no = "what answers is no HTTP"
        for pieces in (
            (b"SSH-2.0-x\r\n",), (b"\0" * 10,), (b"HTTP/2 200\r\n", b""), (b"HTTP/1.1 999 x\r\n", b""), (b"H", b""),
            (b"HTTP/1.1 200" + b" " * 300,), (b"HTTP/1.1 200 OK\r\nA: b", b""), (b"HTTP/1.", b"x" * 300),
        ):
            self.assertEqual(self.problem(*pieces), no, pieces)
        self.assertEqual(self.problem(b""), "no answer: the connection was closed")
        self.assertEqual(self.problem(b"HTTP/1.1 100 Continue\r\n\r\n", b""), "no answer: the connection was closed")
        self.assertEqual(self.problem(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 3000), "the head of the answer is too long")

    def test_unfinished(self) -> None:
        """Until its end has come, nothing is known."""
        for piece in (b"", b"HTTP", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\nxyz"):
            self.assertIsNone(self.problem(*([piece] if piece else [])))

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.binary(min_size=1, max_size=80) | st.sampled_from(
        [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 \r\n\r\n", b"\r\n", b"Content-Length: 5\r\n", b"HTTP/1.0 500 x\n\n"])))
    def test_anything(self, pieces: list[bytes]) -> None:
        """Any bytes come to an end in words or in nothing wrong."""
        problem = self.problem(*pieces, b"")
        assert problem is not None
        self.assertTrue(problem.isprintable())


class Answering(Protocol):
    """Says what its factory has to say, when a request has come."""

    factory: Any
    data = b""

    def connectionMade(self) -> None:
        self.factory.connections += 1

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.data.endswith(b"\r\n\r\n"):
            self.factory.requests.append(self.data)
            self.transport.write(self.factory.answer)
            if self.factory.closes:
                self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.connections -= 1


class Server(ServerFactory):
    """A server on a free port."""

    noisy = False
    protocol = Answering
    answer = b"HTTP/1.1 200 OK\r\n\r\nwell"
    closes = True

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0


class LookTests(TestCase):
    """Real connections."""

    timeout = 20.0

    @inlineCallbacks
    def setUp(self) -> Any:
        self.server = Server()
        self.port = reactor.listenTCP(0, self.server, interface="127.0.0.1")
        self.addCleanup(self.end)
        self.address = f"127.0.0.1:{self.port.getHost().port}"
        yield deferLater(reactor, 0)
        self.before = descriptors()

    @inlineCallbacks
    def end(self) -> Any:
        """Wait until no connection is left."""
        yield self.port.stopListening()
        while self.server.connections:
            yield deferLater(reactor, 0.001)

    def look(self, spec: str) -> tuple[Look, Deferred[str]]:
        """A look that begins."""
        done: Deferred[str] = Deferred()
        return Look(reactor, target(spec), done.callback).start(), done

    @inlineCallbacks
    def test_http(self) -> Any:
        """One request is sent, and a good answer is none wrong."""
        look, done = self.look(f"http://{self.address}/health")
        verifyObject(IReadWriteDescriptor, look)
        self.assertEqual((yield done), "")
        self.assertEqual(len(self.server.requests), 1)
        self.assertTrue(self.server.requests[0].startswith(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:"))
        self.assertEqual(look.fileno(), -1)

    @inlineCallbacks
    def test_bad(self) -> Any:
        """A bad answer is told as it is."""
        self.server.answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        self.server.closes = False
        self.assertEqual((yield self.look(f"http://{self.address}/")[1]), "503 Service Unavailable")

    @inlineCallbacks
    def test_endless(self) -> Any:
        """A body without end is not waited for."""
        self.server.answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_000_000
        self.server.closes = False
        self.assertEqual((yield self.look(f"http://{self.address}/")[1]), "")

    @inlineCallbacks
    def test_nothing(self) -> Any:
        """A connection that is closed without a word is no answer."""
        self.server.answer = b""
        self.assertEqual((yield self.look(f"http://{self.address}/")[1]), "no answer: the connection was closed")

    @inlineCallbacks
    def test_tcp(self) -> Any:
        """Being connected is enough, by a name too."""
        self.assertEqual((yield self.look(f"tcp://{self.address}")[1]), "")
        self.assertEqual((yield self.look(f"tcp://localhost:{self.port.getHost().port}")[1]), "")
        self.patch(socket, "getaddrinfo", self.known)
        self.assertEqual((yield self.look(f"tcp://db.example:{self.port.getHost().port}")[1]), "")

    @inlineCallbacks
    def test_refused(self) -> Any:
        """Where nobody listens, that is told."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            for kind in ("tcp", "http"):
                look, done = self.look(f"{kind}://127.0.0.1:{free.getsockname()[1]}")
                self.assertEqual((yield done), "Connection refused")
                self.assertEqual(look.fileno(), -1)

    @inlineCallbacks
    def test_noName(self) -> Any:
        """A name that nobody knows is told."""
        self.patch(socket, "getaddrinfo", self.unknown)
        self.assertEqual((yield self.look("tcp://no.such.host:1")[1]), "no.such.host: Name or service not known")

    def known(self, host: str, port: int, flags: int = 0, **more: Any) -> Any:
        """A resolver that takes every name for this host."""
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def unknown(self, host: str, port: int, **more: Any) -> Any:
        """A resolver that knows nothing."""
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    @inlineCallbacks
    def test_close(self) -> Any:
        """Who closes it is not told, whether or not an answer was on its way; nothing stays open."""
        self.server.answer = b""
        self.server.closes = False
        told: list[str] = []
        looks = [Look(reactor, target(f"http://{self.address}/"), told.append).start() for _ in range(3)]
        looks[0].close()
        while len(self.server.requests) < 2:
            yield deferLater(reactor, 0.001)
        for look in looks:
            look.close()
            look.close()
        while self.server.connections:
            yield deferLater(reactor, 0.001)
        self.assertEqual(told, [])
        self.assertEqual(descriptors(), self.before)

    @inlineCallbacks
    def test_noDescriptors(self) -> Any:
        """A want of our own is told as a problem."""

        def none(*arguments: Any) -> Any:
            raise OSError(24, "Too many open files")

        self.patch(socket, "socket", none)
        self.assertEqual((yield self.look(f"tcp://{self.address}")[1]), "Too many open files")
