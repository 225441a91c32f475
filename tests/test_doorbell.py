"""Readers of listening sockets that never accept, on a real reactor."""

from __future__ import annotations

import os
import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from circustwist.system.doorbell import Doorbell, _Bell


class DoorbellTests(TestCase):
    """Who is told of a connection."""

    timeout = 30.0

    def setUp(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.doorbell = Doorbell(reactor)
        self.addCleanup(self.doorbell.close)

    def connect(self) -> None:
        """A connection that nobody accepts."""
        self.addCleanup(socket.create_connection(self.server.getsockname()).close)

    def test_interface(self) -> None:
        """A bell is a reader."""
        bell = _Bell(self.server.fileno(), lambda: None)
        verifyObject(IReadDescriptor, bell)
        os.close(bell.fileno())

    @inlineCallbacks
    def test_once(self):  # type: ignore[no-untyped-def]
        """Everybody who waits is told once; the connection stays for whoever accepts it, and nothing stays open."""
        rung: list[str] = []
        both: Deferred[None] = Deferred()

        def ring(name: str) -> None:
            rung.append(name)
            if len(rung) == 2:
                both.callback(None)

        for name in ("a", "b"):
            self.doorbell.watch(name, [self.server.fileno()], lambda name=name: ring(name))  # type: ignore[misc]
        self.connect()
        yield both
        yield deferLater(reactor, 0.01)
        self.assertEqual(sorted(rung), ["a", "b"])
        self.server.setblocking(False)
        self.server.accept()[0].close()
        self.assertEqual([r for r in reactor.getReaders() if isinstance(r, _Bell)], [])

    @inlineCallbacks
    def test_early(self):  # type: ignore[no-untyped-def]
        """A connection that came before counts."""
        self.connect()
        told: Deferred[None] = Deferred()
        self.doorbell.watch("a", [self.server.fileno()], lambda: told.callback(None))
        yield told

    @inlineCallbacks
    def test_unwatch(self):  # type: ignore[no-untyped-def]
        """Who does not wait any more, or waits elsewhere now, is not told; descriptors are given back."""
        other = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(other.close)
        yield deferLater(reactor, 0)
        before = len(os.listdir("/proc/self/fd"))
        self.doorbell.watch("a", [self.server.fileno()], self.fail)
        self.doorbell.watch("b", [self.server.fileno(), other.fileno()], self.fail)
        self.doorbell.watch("a", [other.fileno()], self.fail)
        self.doorbell.unwatch("b")
        self.doorbell.unwatch("b")
        self.connect()
        yield deferLater(reactor, 0.01)
        self.doorbell.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
