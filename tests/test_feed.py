"""Tests of what browsers are told, and of one that does not read."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.events import Event, Occurrence
from circustwist.model.inputs import Who
from circustwist.model.launch import Names
from circustwist.model.samples import ProcessSample, Sample, WatcherSample, WorkerSample
from circustwist.web.feed import GATHER, Feed
from circustwist.web.stream import HEARTBEAT, Viewer

from .test_state import stack


class Steering:
    """A stack that can be changed."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = stack()
        self.listeners: list[Callable[[Occurrence], None]] = []
        self.observers: list[Callable[[Sample], None]] = []
        self.asked = 0

    def ask(self, command: str, arguments: Mapping[str, Any], who: Who) -> Deferred[Mapping[str, Any]]:
        """Answers at once."""
        self.asked += 1
        return succeed({"stack": self.status} if command == "status" else {"operations": []})

    def subscribe(self, listener: Callable[[Occurrence], None]) -> Callable[[], None]:
        """One more listener."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def observe(self, listener: Callable[[Sample], None], period: float) -> Callable[[], None]:
        """One more who observes."""
        self.observers.append(listener)
        return lambda: self.observers.remove(listener)

    def past(self, since: int) -> Sequence[Occurrence]:
        """There was nothing."""
        return ()

    def happen(self, number: int, **data: Any) -> None:
        """An event."""
        for listener in list(self.listeners):
            listener(Occurrence("s", number, 1000.0, Event("spawn", "web", data=data)))


class Request:
    """A request whose answer is kept."""

    def __init__(self, encodings: str = "") -> None:
        self.encodings = encodings
        self.written = b""
        self.headers: dict[bytes, bytes] = {}
        self.finished: Deferred[None] = Deferred()
        self.ended = False

    def getHeader(self, name: str) -> str:
        """Only Accept-Encoding is given."""
        return self.encodings

    def setHeader(self, name: bytes, value: bytes) -> None:
        """A header of the answer."""
        self.headers[name] = value

    def notifyFinish(self) -> Deferred[None]:
        """When it is over."""
        return self.finished

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Who writes."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Nobody writes any more."""

    def write(self, data: bytes) -> None:
        """Something is written."""
        self.written += data

    def finish(self) -> None:
        """It is over."""
        self.ended = True

    def messages(self) -> list[tuple[str, Any]]:
        """What was written since the last look."""
        text, self.written = self.written.decode(), b""
        blocks = [block.split("\n") for block in text.split("\n\n") if block and not block.startswith(":")]
        return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in blocks]


class FeedTests(SynchronousTestCase):
    """Tests of the feed with browsers that read."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.steering = Steering()
        self.feed = Feed(self.steering, self.clock, lambda: {"assets": "v"}, lambda: 1000.0 + self.clock.seconds())

    def viewer(self, encodings: str = "") -> tuple[Viewer, Request]:
        """One browser more."""
        request = Request(encodings)
        viewer = Viewer(request, Who("ann", "operator"), self.feed.greet)
        viewer.begin()
        self.feed.join(viewer)
        return viewer, request

    def test_hello(self) -> None:
        """Who comes in is told everything, and who they are."""
        _, request = self.viewer()
        ((kind, hello),) = request.messages()
        self.assertEqual(kind, "hello")
        self.assertEqual(hello["you"], {"name": "ann", "role": "operator"})
        self.assertEqual((hello["assets"], hello["stack"]["name"]), ("v", "s"))
        self.assertEqual(list(hello["watchers"]), ["web"])

    def test_change(self) -> None:
        """Events are gathered, and only what changes is told."""
        _, request = self.viewer()
        request.messages()
        self.steering.status = stack(status="stopped")
        self.steering.happen(1)
        self.steering.happen(2)
        self.assertEqual(request.messages(), [])
        self.clock.advance(GATHER)
        (events, state) = request.messages()
        self.assertEqual((events[0], [each["n"] for each in events[1]]), ("events", [1, 2]))
        self.assertEqual((state[0], list(state[1])), ("state", ["watchers"]))
        self.steering.happen(3)
        self.clock.advance(GATHER)
        self.assertEqual([kind for kind, _ in request.messages()], ["events"])

    def test_measured(self) -> None:
        """Of what is measured only what has changed is told; who comes in is told all of it."""

        def sample(*cpus: float) -> Sample:
            """A sample of workers that use so much."""
            workers = tuple(
                WorkerSample(Names(id, "web", id), ProcessSample(id, cpu, memory=2048)) for id, cpu in enumerate(cpus))
            return Sample(1000.0, 1.0, ProcessSample(1), 0.0, (WatcherSample("web", workers),))

        _, request = self.viewer()
        for each in (sample(1.0, 2.0, 3.0), sample(1.0, 2.5)):
            self.steering.observers[0](each)
        _, (_, first), (_, second) = request.messages()
        self.assertEqual(first["p"], [0, 10, 2, -1, 0, 0, 0, 1, 20, 2, -1, 0, 0, 0, 2, 30, 2, -1, 0, 0, 0])
        self.assertEqual((second["p"], second["gone"], second["whole"]), ([1, 25, 2, -1, 0, 0, 0], [2], False))
        _, late = self.viewer()
        self.assertEqual([kind for kind, _ in late.messages()], ["hello", "sample"])
        self.feed.close()
        self.assertEqual(self.steering.observers, [])

    def test_discreet(self) -> None:
        """A viewer is not told what a worker wrote before it ended; an operator is."""
        self.steering.status = stack(problem="reload failed", last_words="web/3 wrote: canary")
        request = Request()
        viewer = Viewer(request, Who("anybody", "viewer"), self.feed.greet)
        viewer.begin()
        self.feed.join(viewer)
        ((_, hello),) = request.messages()
        self.assertEqual(hello["watchers"]["web"]["problem"], "reload failed")
        self.assertNotIn("canary", str(hello))
        _, other = self.viewer()
        self.assertIn("canary", str(other.messages()))
        self.steering.status = stack(problem="reload failed", last_words="web/4 wrote: canary")
        self.steering.happen(1, last_words="web/4 wrote: canary")
        self.clock.advance(GATHER)
        self.assertNotIn("canary", str(request.messages()))
        (events, state) = other.messages()
        self.assertTrue("canary" in str(events) and "canary" in str(state), (events, state))

    def test_nobody(self) -> None:
        """Without a browser nothing is listened to, asked or timed."""
        self.assertEqual((self.steering.listeners, self.clock.getDelayedCalls()), ([], []))
        viewer, _ = self.viewer()
        self.steering.happen(1)
        self.feed.leave(viewer)
        asked = self.steering.asked
        self.assertEqual((self.steering.listeners, self.clock.getDelayedCalls()), ([], []))
        self.clock.advance(100)
        self.assertEqual(self.steering.asked, asked)

    def test_heartbeat(self) -> None:
        """A stream on which nothing happens shows a sign of life."""
        _, request = self.viewer()
        request.messages()
        self.clock.pump([HEARTBEAT, HEARTBEAT])
        self.assertEqual(request.written, b": alive\n\n" * 2)

    def test_over(self) -> None:
        """A stream ends soon after the login of whoever looks on."""
        request, stands = Request(), [True]
        viewer = Viewer(request, Who("ann", "operator"), self.feed.greet, lambda: bool(stands))
        viewer.begin()
        self.feed.join(viewer)
        self.clock.advance(HEARTBEAT)
        self.assertFalse(request.ended)
        stands.clear()
        self.clock.advance(HEARTBEAT)
        self.assertTrue(request.ended)

    def test_close(self) -> None:
        """At the end every stream ends."""
        _, request = self.viewer()
        self.feed.close()
        self.assertTrue(request.ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gzip(self) -> None:
        """Each message can be unpacked as soon as it is there."""
        _, request = self.viewer("gzip, br")
        self.assertEqual(request.headers[b"Content-Encoding"], b"gzip")
        unpacker = zlib.decompressobj(31)
        self.assertTrue(unpacker.decompress(request.written).endswith(b"}\n\n"))
        request.written = b""
        self.clock.advance(HEARTBEAT)
        self.assertEqual(unpacker.decompress(request.written), b": alive\n\n")

    def test_stalled(self) -> None:
        """Nothing is kept for a browser that does not read; later it is told everything anew."""
        viewer, request = self.viewer()
        request.messages()
        viewer.pauseProducing()
        for number in range(1000):
            self.steering.happen(number)
            self.clock.advance(GATHER)
        self.assertEqual(request.written, b"")
        self.assertGreaterEqual(viewer.dropped, 1000)
        viewer.resumeProducing()
        self.assertEqual([kind for kind, _ in request.messages()], ["hello"])
        viewer.resumeProducing()
        self.assertEqual(request.messages(), [])

    def test_gone(self) -> None:
        """Nothing is written to a browser that is gone."""
        viewer, request = self.viewer()
        request.messages()
        request.finished.callback(None)
        viewer.send(b"x")
        viewer.close()
        self.assertEqual((request.written, request.ended), (b"", False))
