"""
Circus's endpoints over ZeroMQ: commands, events and statistics for its own clients.

Imported only when a stack has an endpoint.  Requests are read for a few
milliseconds at a time, queues are bounded, and a peer that does not read loses
what does not fit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
import zmq
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from txzmq import ZmqEndpoint, ZmqEndpointType, ZmqFactory
from zmq.utils import z85

from ..model.commands import ROLES
from ..model.errors import Conflict, Denied, InternalError, RequestError, WorldError
from ..model.events import Occurrence
from ..model.samples import Sample
from . import circus
from .guard import Guard
from .topics import Message, Statistics
from .transport import Connection, Factory

if TYPE_CHECKING:
    from ..logic.requests import Steering

PERIOD = 1.0
"""Seconds between two reports of statistics."""

AT_ONCE = 100
"""So many of their messages are sent in a row."""

MOST_CALLS = 1000
"""So many requests may wait for their answer."""


class Router(Connection):
    """
    The control endpoint.

    @ivar calls: how many requests wait for their answer.
    """

    socketType = zmq.ROUTER
    linger = 200
    _log = Logger(namespace="circustwist.zmq")

    def __init__(self, factory: ZmqFactory, steering: Steering, guard: Guard, secret: bytes = b"") -> None:
        self.calls = 0
        self._steering = steering
        self._guard = guard
        super().__init__(factory, secret)

    def messageReceived(self, message: list[Any]) -> None:
        """A request; one of another shape is ignored, as Circus does."""
        route = [message[0].bytes]
        if len(message) == 3 and not len(message[1]):
            route.append(b"")  # a REQ client
        elif len(message) != 2:
            return
        call = circus.parsed(message[-1].bytes)
        if call is None:
            return
        if isinstance(call, circus.Malformed):
            self._reply(route, circus.failure(call, call.error, time.time()))
            return
        self.calls += 1
        answered = Deferred.fromCoroutine(self._answer(call, message[-1]))
        answered.addErrback(self._failed, call)
        answered.addCallback(self._answered, route, call)

    async def _answer(self, call: circus.Call, frame: zmq.Frame) -> circus.Json:
        who = self._guard.who(_user(frame), call)
        if call.command == "ipython":
            return {"status": "ok", "time": time.time(), "id": call.id, "shell": False,
                    "msg": "there is no shell inside the supervisor"}
        arguments = circus.arguments(call)
        if who.role not in ROLES:
            raise Denied(f"{who.name} has no role here")
        if self.calls > MOST_CALLS:
            raise Conflict(f"{MOST_CALLS} requests wait for their answer already")
        found = await self._steering.ask(call.command, arguments, who)
        return circus.answer(call, found, time.time())

    def _failed(self, failure: Failure, call: circus.Call) -> circus.Json:
        error = failure.value
        if not isinstance(error, RequestError):
            self._log.failure("{command} went wrong", failure, command=call.command)
            error = InternalError("internal error; see the supervisor's log")
        return circus.failure(call, error, time.time())

    def _answered(self, answer: circus.Json, route: list[bytes], call: circus.Call) -> None:
        self.calls -= 1
        if not call.cast:
            self._reply(route, answer)

    def _reply(self, route: list[bytes], answer: circus.Json) -> None:
        self.put([*route, json.dumps(answer).encode()])


class Doorkeeper(Connection):
    """
    Lets those in whose CURVE key a user has; ZeroMQ RFC 27.
    """

    socketType = zmq.ROUTER

    def __init__(self, factory: ZmqFactory, guard: Guard) -> None:
        self._guard = guard
        super().__init__(factory)
        self.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, "inproc://zeromq.zap.01")])

    def messageReceived(self, message: list[Any]) -> None:
        """Somebody knocks."""
        route, delimiter, version, request, _, _, _, mechanism, *credentials = (frame.bytes for frame in message)
        key = z85.encode(credentials[0]) if mechanism == b"CURVE" and len(credentials) == 1 else b""
        known = self._guard.knows(key.decode())
        status = [b"200", b"OK", key] if known else [b"400", b"no user has this key", b""]
        self.put([route, delimiter, version, request, *status, b""])


def _user(frame: zmq.Frame) -> str:
    """By which key a message was let in; empty if there was none."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""


class Topics(Connection):
    """
    An endpoint at which messages are heard, and which knows whether somebody listens.

    @ivar heard: how many subscriptions there are.
    """

    socketType = zmq.XPUB

    def __init__(
        self, factory: ZmqFactory, changed: Callable[[bool], None] = lambda heard: None, secret: bytes = b""
    ) -> None:
        """
        @param changed: called when the first subscriber has come or the last has gone.
        """
        self.heard = 0
        self._changed = changed
        super().__init__(factory, secret)

    def messageReceived(self, message: list[Any]) -> None:
        """A subscription begins or ends; zmq_socket(3), ZMQ_XPUB."""
        said = message[0].bytes[:1]
        if len(message) != 1 or said not in (b"\0", b"\1"):
            return
        before = self.heard > 0
        self.heard = max(0, self.heard + (1 if said == b"\1" else -1))
        if before != (self.heard > 0):
            self._changed(not before)

    def publish(self, topic: str, payload: str) -> None:
        """
        Tell whoever listens.

        @param payload: JSON.
        """
        if self.heard:
            self.put([topic.encode(), payload.encode()])


class Report:
    """
    Publishes statistics each second, while somebody listens.

    @ivar topics: the endpoint.
    """

    topics: Topics

    def __init__(self, reactor: Any, steering: Steering) -> None:
        self._reactor = reactor
        self._steering = steering
        self._statistics = Statistics()
        self._stop: Callable[[], None] = lambda: None
        self._messages: Iterator[Message] = iter(())
        self._call: IDelayedCall | None = None

    def changed(self, heard: bool) -> None:
        """The first subscriber has come, or the last one has gone."""
        self.end()
        if heard:
            self._stop = self._steering.observe(self._sampled, PERIOD)

    def end(self) -> None:
        """Publish nothing any more."""
        self._stop()
        self._stop = lambda: None
        self._messages = iter(())
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _sampled(self, sample: Sample) -> None:
        self._messages = self._statistics.messages(sample)
        if self._call is None:
            self._some()

    def _some(self) -> None:
        """Publish some of the messages of a sample, then let others have their turn."""
        self._call = None
        for count, message in enumerate(self._messages, 1):
            self.topics.publish(*message)
            if count == AT_ONCE:
                self._call = self._reactor.callLater(0, self._some)
                return


@attrs.define(eq=False)
class Endpoints:
    """
    The endpoints of a stack, open.

    @ivar factory: which holds the sockets.
    @ivar ends: what else is to be ended.
    """

    factory: ZmqFactory
    ends: list[Callable[[], object]] = attrs.field(factory=list)

    def close(self) -> None:
        """Let nobody in any more; what could not be sent yet is lost."""
        for end in self.ends:
            end()
        self.ends.clear()
        self.factory.shutdown()


@attrs.frozen
class Ways:
    """
    Where the endpoints of a stack are.

    @ivar stats: empty if statistics are not published.
    @ivar owner: user and group to whom those on ipc:// belong; None for us.
    @ivar secret: see L{Connection}.
    """

    control: str
    pubsub: str
    stats: str
    guard: Guard
    owner: tuple[int, int] | None = None
    secret: bytes = attrs.field(default=b"", repr=False)


def listen(reactor: Any, steering: Steering, ways: Ways) -> Endpoints:
    """
    Open the endpoints.

    @raise WorldError: one line, if one cannot be; none is open then.
    """
    factory = Factory()
    factory.reactor = reactor
    opened = Endpoints(factory)
    try:
        if ways.secret:
            Doorkeeper(factory, ways.guard)
        Router(factory, steering, ways.guard, ways.secret).bind(ways.control, ways.owner)
        events = Topics(factory, secret=ways.secret)
        events.bind(ways.pubsub, ways.owner)
        if ways.stats:
            report = Report(reactor, steering)
            report.topics = Topics(factory, report.changed, ways.secret)
            report.topics.bind(ways.stats, ways.owner)
            opened.ends.append(report.end)
    except WorldError:
        opened.close()
        raise

    def hear(occurrence: Occurrence) -> None:
        told = circus.event(occurrence) if events.heard else None
        if told is not None:
            events.publish(told[0], json.dumps(told[1]))

    opened.ends.append(steering.subscribe(hear))
    return opened
