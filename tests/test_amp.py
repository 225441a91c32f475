"""Tests of the AMP server."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from circustwist.control import amp, boxes
from circustwist.logic.requests import Following
from circustwist.model.commands import COMMANDS, TABLE, complete
from circustwist.model.errors import NotFound, OperationFailed
from circustwist.model.events import Event, Occurrence
from circustwist.model.inputs import Who
from circustwist.model.line import Line, Selection

ADMIN = Who("ann", "admin")


def occurrence(number: int, name: str = "spawn", watcher: str = "web", **data: Any) -> Occurrence:
    """An event that happened."""
    return Occurrence("run", number, 1700000000.25, Event(name, watcher, f"{watcher}/1" if watcher else "", data=data))


@attrs.define(eq=False)
class FakeFollowing:
    """
    One who follows.

    @ivar resumed: how often it was asked to go on.
    """

    selection: Selection
    listener: Callable[[Sequence[Line], int], bool]
    resumed: int = 0
    ended: bool = False

    def __call__(self) -> None:
        """No more."""
        self.ended = True

    def resume(self) -> None:
        """Go on."""
        self.resumed += 1


class FakeSteering:
    """
    A supervisor of which the tests decide what it answers.

    @ivar answers: by command: a value, an exception or a callable of the arguments.
    @ivar asked: what has been asked, in order.
    """

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"ping": {"pid": 7, "name": "shop", "version": "1"}, **answers}
        self.asked: list[tuple[str, dict[str, Any], Who]] = []
        self.kept: list[Occurrence] = []
        self.listeners: list[Callable[[Occurrence], None]] = []
        self.followings: list[FakeFollowing] = []

    def ask(self, command: str, arguments: Mapping[str, Any], who: Who) -> Awaitable[Mapping[str, Any]]:
        """Answer as was decided."""
        self.asked.append((command, complete(TABLE[command], arguments), who))
        answer = self.answers[command]
        answer = answer(dict(arguments)) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Deferred) else succeed(answer)

    def subscribe(self, listener: Callable[[Occurrence], None]) -> Callable[[], None]:
        """Remember it until it ends."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener) if listener in self.listeners else None

    def past(self, since: int) -> Sequence[Occurrence]:
        """Those that were published."""
        return [one for one in self.kept if one.number > since]

    def follow(self, selection: Selection, listener: Callable[[Sequence[Line], int], bool]) -> Following:
        """Remember who follows."""
        self.followings.append(FakeFollowing(selection, listener))
        return self.followings[-1]

    def publish(self, *names: str, watcher: str = "web", **data: Any) -> None:
        """Let something happen."""
        for name in names:
            self.kept.append(occurrence(len(self.kept) + 1, name, watcher, **data))
            for listener in list(self.listeners):
                listener(self.kept[-1])


class Base(SynchronousTestCase):
    """A connection of a raw peer."""

    def setUp(self) -> None:
        self.steering = FakeSteering()
        self.factory = amp.ControlFactory(self.steering, lambda transport: ADMIN)
        self.server, self.transport = self.connection()
        self.parser = boxes.Parser()

    def connection(self) -> tuple[amp.Server, StringTransport]:
        """Another connection."""
        server = self.factory.buildProtocol(None)
        assert server is not None
        transport = StringTransport()
        server.makeConnection(transport)
        return server, transport

    def send(self, command: str, tag: bytes | None = b"1", **arguments: bytes) -> list[boxes.Box]:
        """Send a call; what has come back since the last one."""
        box = {b"_command": command.encode(), **{key.encode(): value for key, value in arguments.items()}}
        self.server.dataReceived(boxes.encode({**box, **({b"_ask": tag} if tag else {})}))
        return self.received()

    def received(self) -> list[boxes.Box]:
        """The boxes that have come back."""
        found = self.parser.feed(self.transport.value())
        self.transport.clear()
        return found

    def error(self, command: str, **arguments: bytes) -> tuple[str, str]:
        """Name and text of the error that a call comes to; the connection stays."""
        (box,) = self.send(command, **arguments)
        self.assertEqual(box[b"_error"], b"1")
        self.assertFalse(self.transport.disconnecting)
        self.assertEqual(boxes.gather(b"answer", self.send("ping")[0])["pid"], 7)
        return box[b"_error_code"].decode(), box[b"_error_description"].decode()


class TableTests(SynchronousTestCase):
    """Tests of the classes that are made from the table."""

    def test_everyCommand(self) -> None:
        """Each command has a class with its name and arguments; those with a default are optional."""
        for command in COMMANDS:
            made = amp.REQUESTS[command.name]
            self.assertEqual(made.commandName, command.name.encode())
            self.assertEqual(
                [(name.decode(), argument.optional) for name, argument in made.arguments],
                [(argument.name, not argument.required) for argument in command.arguments])

    def test_errors(self) -> None:
        """Each class declares every error."""
        self.assertEqual(amp.REQUESTS["stop"].allErrors[NotFound], b"NotFound")
        self.assertEqual(len(amp.REQUESTS["stop"].allErrors), len(amp.REQUEST_ERRORS))

    def test_number(self) -> None:
        """A number is finite."""
        self.assertEqual(amp.Number().fromString(amp.Number().toString(1)), 1.0)
        self.assertRaises(ValueError, amp.Number().fromString, b"nan")


class CallTests(Base):
    """Tests of calls."""

    def test_arguments(self) -> None:
        """Arguments are decoded by kind, with the rest at their defaults."""
        self.steering.answers["signal"] = {}
        self.send("signal", name="wéb".encode(), signum=b"HUP", wid=b"3", children=b"True")
        self.assertEqual(self.steering.asked, [("signal", {
            "name": "wéb", "signum": "HUP", "pid": 0, "wid": 3, "children": True, "childpid": 0,
            "recursive": False}, ADMIN)])

    def test_large(self) -> None:
        """An answer of 5 MB arrives."""
        self.steering.answers["status"] = {"statuses": {"web": "x" * 5_000_000}}
        (box,) = self.send("status")
        self.assertEqual(boxes.gather(b"answer", box), self.steering.answers["status"])

    def test_unknown(self) -> None:
        """An unknown command is an error."""
        self.assertEqual(self.error("flu\x00x"), ("UnknownCommand", "unknown command: 'flu\\x00x'"))

    def test_missing(self) -> None:
        """A missing argument is an error in Circus's words."""
        self.assertEqual(self.error("incr"), ("MessageError", "message invalid 'name' is missing"))

    def test_wrong(self) -> None:
        """An argument that cannot be decoded is an error."""
        self.assertEqual(self.error("incr", name=b"web", nb=b"five"), ("MessageError", "'nb' isn't an integer"))
        self.assertEqual(self.error("incr", name=b"\xff"), ("MessageError", "'name' isn't a string"))
        self.assertEqual(self.error("stop", waiting=b"maybe"), ("MessageError", "'waiting' isn't a valid boolean"))
        self.assertEqual(self.error("events", topics=b"[" * 60000)[1], "'topics' isn't a list of strings")

    def test_refused(self) -> None:
        """The supervisor's error arrives with its name and text."""
        self.steering.answers["stop"] = NotFound("no wéb")
        self.assertEqual(self.error("stop"), ("NotFound", "no wéb"))

    def test_unexpected(self) -> None:
        """Anything unexpected is an internal error, with its traceback in the log only."""
        self.steering.answers["stop"] = ZeroDivisionError("secret")
        self.assertEqual(self.error("stop")[1], "ZeroDivisionError: the supervisor's log has the details")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_notJson(self) -> None:
        """An answer that is no JSON is an internal error."""
        self.steering.answers["status"] = {"statuses": object()}
        self.assertEqual(self.error("status")[0], "InternalError")
        self.flushLoggedErrors(TypeError)

    def test_longError(self) -> None:
        """A text that is too long for a box is cut."""
        self.steering.answers["stop"] = OperationFailed("\udcff" * 40000)
        self.assertEqual(len(self.error("stop")[1]), amp.LONGEST_TEXT)

    def test_noAnswerWanted(self) -> None:
        """A call without a tag is obeyed and not answered."""
        self.assertEqual(self.send("ping", None), [])
        self.assertEqual(self.steering.asked[0][0], "ping")

    def test_noRole(self) -> None:
        """Whoever has no role may do nothing at all."""
        self.server.who = Who("bob")
        (box,) = self.send("ping")
        self.assertEqual((box[b"_error_code"], self.steering.asked), (b"Denied", []))

    def test_lostWhileAsking(self) -> None:
        """An answer for which nobody waits any more is dropped."""
        answer: Deferred[Any] = Deferred()
        self.steering.answers["stop"] = answer
        self.send("stop")
        self.server.connectionLost(amp.Failure(Exception("gone")))
        answer.callback({})
        self.assertEqual(self.factory.connections, {})


class LineTests(Base):
    """Tests of C{tail}."""

    def setUp(self) -> None:
        super().setUp()
        self.steering.answers["tail"] = {"lines": []}

    def test_pushed(self) -> None:
        """With C{follow} lines are pushed after the answer, until the connection ends."""
        (answer,) = self.send("tail", names=b'["Web/2"]', follow=b"True")
        self.assertEqual(boxes.gather(b"answer", answer), {"lines": []})
        (following,) = self.steering.followings
        self.assertEqual((following.selection, following.resumed), (Selection((("web", 2),)), 1))
        line = Line(1.0, "web", 2, 7, 1, b"hello")
        self.assertTrue(following.listener([line], 3))
        (box,) = self.received()
        self.assertEqual(box[b"_command"], b"Lines")
        self.assertEqual(boxes.gather(b"lines", box), {"lines": [line.json()], "missed": 3})
        self.server.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(following.ended)

    def test_slow(self) -> None:
        """A peer that does not read is told nothing more until it does."""
        self.send("tail", follow=b"True")
        (following,) = self.steering.followings
        self.server.pauseProducing()
        self.assertFalse(following.listener([], 1))
        self.server.resumeProducing()
        self.assertEqual(following.resumed, 2)
        self.assertTrue(following.listener([], 1))

    def test_again(self) -> None:
        """A connection follows once; without C{follow}, not at all."""
        self.send("tail")
        self.assertEqual(self.steering.followings, [])
        self.send("tail", follow=b"True")
        self.send("tail", follow=b"True")
        self.assertEqual([one.ended for one in self.steering.followings], [True, False])

    def test_refused(self) -> None:
        """Who is refused follows nothing."""
        self.steering.answers["tail"] = NotFound("no web")
        self.assertEqual(self.error("tail", follow=b"True")[0], "NotFound")
        self.assertEqual(self.steering.followings, [])


class LimitTests(Base):
    """Tests of what one peer may cost."""

    def test_calls(self) -> None:
        """The 65th call in flight is refused; when one is answered there is room again."""
        waiting: list[Deferred[Any]] = []
        self.steering.answers["stop"] = lambda arguments: waiting.append(Deferred()) or waiting[-1]  # type: ignore
        for number in range(64):
            self.assertEqual(self.send("stop", b"%d" % number), [])
        (box,) = self.send("ping", b"65")
        self.assertEqual((box[b"_error"], box[b"_error_code"]), (b"65", b"Conflict"))
        waiting[0].callback({})
        self.assertEqual(self.received()[0][b"_answer"], b"0")
        self.assertIn(b"_answer", self.send("ping")[0])

    def test_keys(self) -> None:
        """A box of too many keys closes the connection, even if they are all the same."""
        self.server.dataReceived(b"\0\1k\0\1v" * 65 + b"\0\1k\0\1v\0\0")
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.steering.asked, [])

    def test_bytes(self) -> None:
        """A box of too many bytes closes the connection; nothing of it is kept."""
        for number in range(17):
            self.server.dataReceived(b"\0\1%c\xff\xff" % (65 + number) + b"x" * 65535)
        self.assertTrue(self.transport.disconnected)
        self.assertIsNone(self.server._currentBox)

    def test_most(self) -> None:
        """A box at the limits is taken, and the next one too."""
        for tag in (b"1", b"2"):
            extra = {f"k{number}": b"x" * 16000 for number in range(62)}
            self.assertIn(b"_answer", self.send("ping", tag, **extra)[0])

    def test_strangers(self) -> None:
        """Boxes that are no calls close the connection."""
        for data in (b"\0\7_answer\0\0011\0\0", b"\0\0", b"GET / HTTP/1.1\r\n\r\n"):
            server, transport = self.connection()
            server.dataReceived(data)
            self.assertTrue(transport.disconnected, data)
            server.dataReceived(b"\0\0\0\0")

    @given(st.lists(st.binary(max_size=300)))
    def test_anything(self, pieces: list[bytes]) -> None:
        """Arbitrary bytes raise nothing, whatever they come to."""
        server, transport = self.connection()
        for piece in pieces:
            if not transport.disconnected:
                server.dataReceived(piece)
        server.connectionLost(amp.Failure(Exception("gone")))

    def test_connections(self) -> None:
        """There are at most 500 connections: of those on which nothing goes on the oldest makes room."""
        self.send("events")
        for _ in range(499):
            self.connection()
        first, second, *_ = self.factory.connections
        self.assertIs(first, self.server)
        self.assertIsNotNone(self.factory.buildProtocol(None))
        self.assertEqual(len(self.factory.connections), 500)
        self.assertEqual((first in self.factory.connections, second in self.factory.connections), (True, False))
        self.assertTrue(second.transport.disconnecting)
        for server in self.factory.connections:
            server.calls = 1
        self.assertIsNone(self.factory.buildProtocol(None))

    def test_descriptors(self) -> None:
        """A descriptor that a peer sends is closed."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.server.fileDescriptorReceived(write)
        self.assertRaises(OSError, os.fstat, write)

    def test_notReading(self) -> None:
        """A peer that does not read its answers is not read from."""
        self.assertIs(self.transport.producer, self.server)
        self.server.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.assertEqual(self.send("ping"), [])
        self.server.resumeProducing()
        self.assertEqual(len(self.received()), 1)

    def test_close(self) -> None:
        """The factory ends its connections when they have been written out."""
        self.factory.close()
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)


class EventTests(Base):
    """Tests of subscriptions."""

    def pushed(self) -> list[dict[str, Any]]:
        """The events that were pushed."""
        found = self.received()
        self.assertEqual({box[b"_command"] for box in found} or {b"Event"}, {b"Event"})
        return [boxes.gather(b"event", box) for box in found]

    def numbers(self) -> list[int]:
        """Their numbers."""
        return [event["n"] for event in self.pushed()]

    def test_events(self) -> None:
        """The answer tells the last number; every event from then on follows."""
        self.steering.publish("spawn", "reap")
        (box,) = self.send("events")
        self.assertEqual(boxes.gather(b"answer", box), {"n": 2, "start": "run"})
        self.steering.publish("spawn")
        self.assertEqual(self.pushed(), [self.steering.kept[2].json()])

    def test_lastWords(self) -> None:
        """A viewer is not told what a worker wrote; an operator is."""
        for role, told in (("viewer", {"reason": "r"}), ("operator", {"reason": "r", "last_words": "w"})):
            self.server.who = Who("bob", role)
            self.send("events")
            self.steering.publish("reload_failed", reason="r", last_words="w")
            self.assertEqual([event["data"] for event in self.pushed()], [told])

    def test_topics(self) -> None:
        """Only events whose topic begins with a wanted one are sent."""
        self.send("events", topics=b'["watcher.web.", "arbiter"]')
        for watcher in ("web", "webber", ""):
            self.steering.publish("spawn", watcher=watcher)
        self.assertEqual(self.numbers(), [1, 3])

    def test_since(self) -> None:
        """What happened since a number comes first, after the answer."""
        self.steering.publish("a", "b", "c")
        answer, *events = self.send("events", since=b"1")
        self.assertIn(b"_answer", answer)
        self.assertEqual([boxes.gather(b"event", box)["n"] for box in events], [2, 3])

    def test_slow(self) -> None:
        """Of a peer that does not read, 1000 events wait; it is told how many it missed."""
        self.send("events")
        self.server.pauseProducing()
        self.steering.publish(*["spawn"] * 1500)
        self.assertEqual(self.pushed(), [])
        self.server.resumeProducing()
        missed, *events = self.pushed()
        self.assertEqual(missed, {"topic": "missed", "event": "missed", "missed": 500})
        self.assertEqual([events[0]["n"], len(events)], [501, 1000])
        self.steering.publish("spawn")
        self.assertEqual(self.numbers(), [1501])

    def test_again(self) -> None:
        """A second subscription of a connection takes the place of the first."""
        self.send("events")
        self.send("events", topics=b'["arbiter"]')
        self.steering.publish("spawn")
        self.assertEqual((self.pushed(), len(self.steering.listeners)), ([], 1))

    def test_lost(self) -> None:
        """It ends with the connection."""
        self.send("events")
        self.server.connectionLost(amp.Failure(Exception("gone")))
        self.assertEqual(self.steering.listeners, [])
