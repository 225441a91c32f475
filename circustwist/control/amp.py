"""
AMP: the commands of the table as classes, and the server.

No error drops the connection: whatever goes wrong is answered.  Only a peer
that breaks the protocol or its limits is cut off.  A peer that does not read
is not read from either, and its events wait in a bounded queue.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model.commands import COMMANDS, ROLES, TABLE, Command, Kind, complete
from ..model.errors import REQUEST_ERRORS, Conflict, Denied, InternalError, UnknownCommand
from ..model.inputs import Who
from ..model.line import selected
from .boxes import gather, spread
from .push import Subscription, Tailing

if TYPE_CHECKING:
    from ..logic.requests import Steering

MOST_KEYS = 64
"""So many keys may be in one box from a client,"""

MOST_BYTES = 1 << 20
"""and so many bytes."""

MOST_CALLS = 64
"""So many calls of one connection may wait for their answer."""

MOST_CONNECTIONS = 500
"""So many may stand; of those on which nothing goes on, the one that was not used for longest goes for a new one."""

LONGEST_TEXT = 60_000
"""Bytes of an error's text; the rest is cut off."""


class Json(amp.Argument):
    """A JSON value in one value of a box."""

    def fromString(self, inString: bytes) -> Any:
        """The value."""
        return json.loads(inString)

    def toString(self, inObject: Any) -> bytes:
        """Its text."""
        return json.dumps(inObject).encode("ascii")


class Number(amp.Argument):
    """A number that is neither infinite nor C{nan}."""

    def fromString(self, inString: bytes) -> float:
        """
        The number.

        @raise ValueError: if it is none.
        """
        number = float(inString)
        if not math.isfinite(number):
            raise ValueError("not finite")
        return number

    def toString(self, inObject: float) -> bytes:
        """Its text."""
        return repr(float(inObject)).encode("ascii")


class Spread(amp.Argument):
    """
    A JSON value of any length, over as many values of a box as it takes.

    AMP's values end at 64 KiB; the rest goes to C{key.1}, C{key.2}, ...
    """

    def toBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: object) -> None:
        """Put it into a box."""
        strings.update(spread(name, objects[name.decode("ascii")]))

    def fromBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: object) -> None:
        """Take it out of a box."""
        objects[name.decode("ascii")] = gather(name, strings)


_KINDS: Mapping[Kind, type[amp.Argument]] = {
    "text": amp.Unicode, "whole": amp.Integer, "number": Number, "boolean": amp.Boolean, "texts": Json, "object": Json,
    "words": Json,
}


class Request(amp.Command):
    """What all commands have in common: how they are answered, and the errors."""

    response = [(b"answer", Spread())]
    errors = {error: error.name.encode("ascii") for error in REQUEST_ERRORS}


class Event(amp.Command):
    """An event, pushed to who subscribed; it is not answered."""

    commandName = b"Event"
    arguments = [(b"event", Spread())]
    requiresAnswer = False


class Lines(amp.Command):
    """Lines of workers, pushed to who follows them; it is not answered."""

    commandName = b"Lines"
    arguments = [(b"lines", Spread())]
    requiresAnswer = False


def _requestFor(command: Command) -> type[Request]:
    arguments = [(a.name.encode("ascii"), _KINDS[a.kind](optional=not a.required)) for a in command.arguments]
    return type(command.name.title(), (Request,), {
        "__doc__": command.help, "commandName": command.name.encode("ascii"), "arguments": arguments})


REQUESTS: Mapping[str, type[Request]] = {command.name: _requestFor(command) for command in COMMANDS}
"""The AMP class of each command, by the command's name."""


def argumentsIn(command: Command, box: Mapping[bytes, bytes]) -> dict[str, Any]:
    """
    The arguments of a command in a box, with their defaults.

    @raise MessageError: if one is missing or wrong.
    """
    given: dict[str, Any] = {}
    for name, argument in REQUESTS[command.name].arguments:
        if name in box:
            try:
                given[name.decode("ascii")] = argument.fromString(box[name])
            except (ValueError, TypeError, RecursionError):
                given[name.decode("ascii")] = box[name]
    return complete(command, given)


@implementer(amp.IBoxReceiver, IHandshakeListener)
class Server(amp.BinaryBoxProtocol):
    """
    One connection.

    @ivar who: who is at the other end.
    @ivar calls: how many of its calls are not answered yet.
    """

    transport: Any
    noPeerCertificate = True
    _log = Logger()

    def __init__(self, steering: Steering, identify: Callable[[Any], Who], keeper: ControlFactory) -> None:
        super().__init__(self)
        self.who = Who("nobody")
        self.calls = 0
        self._steering = steering
        self._identify = identify
        self._keeper = keeper
        self._pushed: dict[str, Subscription | Tailing] = {}
        self._keys = self._bytes = 0

    # The connection

    def startReceivingBoxes(self, boxSender: object) -> None:
        """The connection stands."""
        self.who = self._identify(self.transport)
        self.transport.registerProducer(self, True)

    def handshakeCompleted(self) -> None:
        """The peer of a TLS connection has shown its certificate."""
        self.who = self._identify(self.transport)

    def stopReceivingBoxes(self, reason: Failure) -> None:
        """The connection is gone."""
        for push in self._pushed.values():
            push.end()
        self._keeper.lost(self)

    @property
    def idle(self) -> bool:
        """Whether nothing is asked and nothing is to be told."""
        return not self.calls and not self._pushed

    def pauseProducing(self) -> None:
        """The peer does not read: neither do we, and what it would be told waits."""
        for push in self._pushed.values():
            push.paused = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """The peer reads again."""
        for push in self._pushed.values():
            push.resume()
        if not any(push.paused for push in self._pushed.values()):
            super().resumeProducing()

    def close(self) -> None:
        """End it when what is written has gone out."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """No command takes one."""
        os.close(descriptor)

    # Limits

    def proto_key(self, string: bytes) -> str:
        """A key, or the end of a box."""
        self._keys, self._bytes = (self._keys + 1, self._bytes + len(string)) if string else (0, 0)
        return super().proto_key(string) if self._fits() else self._refuse()

    def proto_value(self, string: bytes) -> str:
        """A value."""
        self._bytes += len(string)
        return super().proto_value(string) if self._fits() else self._refuse()

    def proto_closed(self, string: bytes) -> str:
        """Whatever comes after the limits were broken."""
        return "closed"

    def _fits(self) -> bool:
        return self._keys <= MOST_KEYS and self._bytes <= MOST_BYTES

    def lengthLimitExceeded(self, length: int) -> None:
        """A key is too long, so that it is no AMP."""
        self._refuse()

    def _refuse(self) -> str:
        self._log.warn("{who} broke the protocol and is cut off", who=self.who.name)
        self._currentBox = None
        self.paused = True
        self.transport.abortConnection()
        return "closed"

    # Calls

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        """A call; we never ask, so that nothing else can come."""
        if amp.COMMAND not in box:
            self._refuse()
            return
        self.calls += 1
        self._keeper.used(self)
        tag = box.get(amp.ASK)
        answered = Deferred.fromCoroutine(self._answer(box))
        answered.addErrback(self._error, box[amp.COMMAND].decode("utf-8", "backslashreplace"))
        answered.addCallback(self._reply, tag)

    async def _answer(self, box: amp.AmpBox) -> amp.AmpBox:
        name = box[amp.COMMAND].decode("utf-8", "backslashreplace")
        if self.who.role not in ROLES:
            raise Denied(f"{self.who.name} has no role here")
        if name not in TABLE:
            raise UnknownCommand(f"unknown command: {name!r}")
        if self.calls > MOST_CALLS:
            raise Conflict(f"{MOST_CALLS} calls of this connection wait for their answer already")
        arguments = argumentsIn(TABLE[name], box)
        if name == "events":
            return amp.AmpBox(spread(b"answer", self._subscribe(**arguments)))
        answer = dict(await self._steering.ask(name, arguments, self.who))
        if name == "tail" and arguments["follow"]:
            self._follow(arguments)
        return amp.AmpBox(spread(b"answer", answer))

    def _error(self, failure: Failure, command: str) -> amp.AmpBox:
        error = failure.value
        if not isinstance(error, REQUEST_ERRORS):
            self._log.failure("{command} of {who} went wrong", failure, command=command, who=self.who.name)
            error = InternalError(f"{type(error).__name__}: the supervisor's log has the details")
        text = str(error).encode("utf-8", "backslashreplace")[:LONGEST_TEXT]
        return amp.AmpBox({amp.ERROR_CODE: error.name.encode("ascii"), amp.ERROR_DESCRIPTION: text})

    def _reply(self, box: amp.AmpBox, tag: bytes | None) -> None:
        self.calls -= 1
        if tag is not None:
            box[amp.ERROR if amp.ERROR_CODE in box else amp.ANSWER] = tag
            self.sendBox(box)
        for push in self._pushed.values():
            if push.paused and not self.paused:
                push.resume()

    # Events and lines

    def _subscribe(self, topics: list[str], since: int) -> dict[str, Any]:
        """Begin to push events, as soon as this is answered; an earlier subscription ends."""
        self._endPush("events")
        known = self._steering.past(0)
        push = partial(self._push, Event, b"event")
        subscription = self._pushed["events"] = Subscription(self.who.role, tuple(topics), push)
        for occurrence in self._steering.past(since) if since >= 0 else ():
            subscription(occurrence)
        subscription.end = self._steering.subscribe(subscription)
        return {"n": known[-1].number if known else 0, "start": known[-1].start if known else ""}

    def _follow(self, arguments: Mapping[str, Any]) -> None:
        """Begin to push lines, as soon as this is answered; what was followed earlier is no more."""
        self._endPush("tail")
        tailing = self._pushed["tail"] = Tailing(partial(self._push, Lines, b"lines"))
        tailing.following = self._steering.follow(selected(arguments), tailing)

    def _endPush(self, what: str) -> None:
        if what in self._pushed:
            self._pushed.pop(what).end()

    def _push(self, command: type[amp.Command], key: bytes, value: Mapping[str, Any]) -> None:
        self.sendBox(amp.AmpBox({amp.COMMAND: command.commandName, **spread(key, value)}))


class ControlFactory(Factory):
    """
    The server.

    @ivar connections: those that stand, and since when; what was used last is at the end.
    """

    noisy = False

    def __init__(
        self, steering: Steering, identify: Callable[[Any], Who], most: Callable[[], int] = lambda: MOST_CONNECTIONS,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        """
        @param most: how many connections may stand now.
        @param identify: from a transport to who is at its other end; see L{peer<circustwist.control.peer.peer>}.
        """
        self.connections: dict[Server, float] = {}
        self._seconds = seconds
        self._most = most
        self._steering = steering
        self._identify = identify

    def buildProtocol(self, addr: IAddress | None) -> Server | None:
        """A connection; none if there are too many on which something goes on."""
        if len(self.connections) >= self._most():
            idle = next((server for server in self.connections if server.idle), None)
            if idle is None:
                return None
            self.lost(idle)
            idle.transport.abortConnection()
        server = Server(self._steering, self._identify, self)
        self.used(server)
        return server

    def used(self, server: Server) -> None:
        """A connection was used just now."""
        since = self.connections.pop(server, None)
        self.connections[server] = self._seconds() if since is None else since

    def lost(self, server: Server) -> None:
        """A connection stands no more."""
        self.connections.pop(server, None)

    def clients(self) -> list[tuple[Who, float]]:
        """Who is connected, and since which time of day."""
        return [(server.who, since) for server, since in self.connections.items()]

    def close(self) -> None:
        """End every connection when what is written has gone out."""
        for server in list(self.connections):
            server.close()
