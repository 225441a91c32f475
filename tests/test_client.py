"""Tests of the server and the Deferred client, in memory and over a real UNIX socket."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ConnectionClosed
from twisted.internet.utils import getProcessOutputAndValue
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase, TestCase

from circustwist.control.amp import ControlFactory
from circustwist.control.client import Client, connect
from circustwist.control.peer import peer
from circustwist.model.errors import Conflict, InternalError, MessageError, NotFound

from .test_amp import ADMIN, FakeSteering

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = os.path.join(ROOT, "docs", "examples", "clients")


class ServedTestCase(TestCase):
    """A server on a UNIX socket."""

    timeout = 20

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.steering = FakeSteering(status={"statuses": {"web": "active"}})
        self.where = os.path.join(self.mktemp(), "c")
        os.makedirs(os.path.dirname(self.where))
        self.where = os.path.relpath(self.where)
        self.factory = ControlFactory(self.steering, peer(os.getuid()))
        port = self.reactor.listenUNIX(self.where, self.factory, mode=0o600)
        self.addCleanup(port.stopListening)
        self.addCleanup(self.factory.close)

    def connected(self) -> Deferred[Client]:
        """A client."""
        return connect(self.reactor, self.where)


class ClientTests(ServedTestCase):
    """Tests of L{Client}."""

    @inlineCallbacks
    def test_calls(self) -> Generator[Deferred[Any], Any, None]:
        """Answers and errors arrive, whatever their size; the kernel tells who asks."""
        client = yield self.connected()
        self.assertEqual((yield client.call("ping")), self.steering.answers["ping"])
        self.assertEqual(self.steering.asked[0][2].role, "admin")
        self.steering.answers["status"] = {"statuses": {"x": "é" * 2_000_000}}
        self.assertEqual((yield client.call("status", name=None)), self.steering.answers["status"])
        self.steering.answers["stop"] = NotFound("no web")
        yield self.assertFailure(client.call("stop", name="web"), NotFound)
        yield client.call("ping")
        yield self.end(client)

    @inlineCallbacks
    def test_slow(self) -> Generator[Deferred[Any], Any, None]:
        """A subscriber that does not read costs no memory, and learns how many events it missed."""
        client = yield self.connected()
        seen: list[dict[str, Any]] = []
        yield client.events(seen.append)
        client.transport.pauseProducing()
        (server,) = self.factory.connections
        for _ in range(20):
            self.steering.publish(*["spawn"] * 300, text="x" * 300)
            yield self.turn()
        self.assertLess(len(server.transport.dataBuffer) + server.transport._tempDataLen, 1 << 20)
        client.transport.resumeProducing()
        while not seen or seen[-1].get("n") != 6000:
            yield self.turn()
        missed = [event["missed"] for event in seen if event["event"] == "missed"]
        self.assertEqual(sum(missed) + len(seen) - len(missed), 6000)
        self.assertTrue(missed)
        yield self.end(client)

    @inlineCallbacks
    def test_lost(self) -> Generator[Deferred[Any], Any, None]:
        """A call whose connection is lost fails."""
        client = yield self.connected()
        self.steering.answers["stop"] = Deferred()
        called = client.call("stop")
        yield self.turn()
        self.factory.close()
        yield self.assertFailure(called, ConnectionClosed)

    @inlineCallbacks
    def test_abstract(self) -> Generator[Deferred[Any], Any, None]:
        """An abstract socket is written with @."""
        name = f"circustwist-test-{os.getpid()}"
        port = self.reactor.listenUNIX("\0" + name, self.factory)
        self.addCleanup(port.stopListening)
        client = yield connect(self.reactor, "@" + name)
        self.assertEqual((yield client.call("ping"))["pid"], 7)
        yield self.end(client)

    @inlineCallbacks
    def test_examples(self) -> Generator[Deferred[Any], Any, None]:
        """Both example scripts restart a watcher and print what happened."""
        def restart(arguments: dict[str, Any]) -> dict[str, Any]:
            self.steering.publish("reap")
            return {"operation": 1}

        self.steering.answers["restart"] = restart
        for name in ("deferred_client.py", "blocking_client.py"):
            output, errors, code = yield getProcessOutputAndValue(
                sys.executable, [os.path.join(EXAMPLES, name)],
                {**os.environ, "PYTHONPATH": ROOT, "CIRCUSTWIST_CONTROL": os.path.abspath(self.where)})
            self.assertEqual((errors, code), (b"", 0))
            self.assertEqual(output.decode(), (
                "status: {'web': 'active'}\nrestarted: {'operation': 1}\nevent: watcher.web.reap web/1\n"))

    def turn(self) -> Deferred[None]:
        """Let the reactor turn."""
        done: Deferred[None] = Deferred()
        self.reactor.callLater(0, done.callback, None)
        return done

    @inlineCallbacks
    def end(self, client: Client) -> Generator[Deferred[Any], Any, None]:
        """Close a client and wait until the server knows."""
        client.close()
        while self.factory.connections:
            yield self.turn()


class PairTests(SynchronousTestCase):
    """Tests of the server with the Deferred client, without a socket."""

    def setUp(self) -> None:
        self.steering = FakeSteering()
        factory = ControlFactory(self.steering, lambda transport: ADMIN)
        self.client, _, self.pump = iosim.connectedServerAndClient(lambda: factory.buildProtocol(None), Client)

    def call(self, command: str, **arguments: Any) -> Deferred[dict[str, Any]]:
        """A call, and everything that follows from it."""
        called = self.client.call(command, **arguments)
        self.pump.flush()
        return called

    def test_answer(self) -> None:
        """An answer arrives as it was given."""
        self.assertEqual(self.successResultOf(self.call("ping")), self.steering.answers["ping"])

    def test_errors(self) -> None:
        """Each error arrives as its own class."""
        for error in (NotFound("no web"), Conflict("busy"), InternalError("ours")):
            self.steering.answers["stop"] = error
            failure = self.failureResultOf(self.call("stop", name="web"), type(error))
            self.assertEqual(str(failure.value), str(error))

    def test_arguments(self) -> None:
        """Arguments that cannot be sent are refused by the client, in the same way."""
        self.failureResultOf(self.call("incr"), MessageError)
        self.failureResultOf(self.call("incr", name=3), MessageError)
        self.failureResultOf(self.call("incr", name="x" * 70000), MessageError)
        self.failureResultOf(self.call("ping", colour="red"), MessageError)
        self.successResultOf(self.call("ping"))

    def test_events(self) -> None:
        """Events arrive at the listener; one that raises does not end it."""
        seen: list[str] = []

        def listen(event: dict[str, Any]) -> None:
            seen.append(event["event"])
            json.dumps(event)
            raise ZeroDivisionError

        self.successResultOf(self.subscribed(listen))
        self.steering.publish("spawn", "reap", text="x" * 200_000)
        self.pump.flush()
        self.assertEqual(seen, ["spawn", "reap"])
        self.flushLoggedErrors(ZeroDivisionError)

    def subscribed(self, listener: Callable[[dict[str, Any]], None]) -> Deferred[dict[str, Any]]:
        """Subscribe."""
        called = self.client.events(listener, ["watcher"])
        self.pump.flush()
        return called
