"""The client for programs that run Twisted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReactorUNIX
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from ..model.errors import MessageError, UnknownCommand
from .amp import REQUESTS, Event, Lines

Listener = Callable[[dict[str, Any]], object]


def _nobody(event: dict[str, Any]) -> None:
    """Nobody listens."""


def _blamed(failure: Failure) -> Failure:
    """An argument that AMP cannot write is the caller's fault, as it would be on the other side."""
    if failure.check(amp.InvalidSignature, amp.TooLong, TypeError, ValueError, AttributeError):
        return Failure(MessageError(str(failure.value) or repr(failure.value)))
    return failure


class Client(amp.AMP):
    """A connection to a supervisor; see L{connect}."""

    transport: Any
    _log = Logger()

    def __init__(self) -> None:
        super().__init__()
        self._listener: Listener = _nobody
        self._lines: Listener = _nobody

    def call(self, command: str, **arguments: Any) -> Deferred[dict[str, Any]]:
        """
        Give a command.

        @param arguments: by the names in the table of commands; None is left
            out.
        @return: its answer; fails with the same
            L{RequestError<circustwist.model.errors.RequestError>} that the
            supervisor raised, or with a connection error.
        """
        if command not in REQUESTS:
            return fail(UnknownCommand(f"unknown command: {command!r}"))
        given = {name: value for name, value in arguments.items() if value is not None}
        # AMP drops the connection if an error meets no errback the moment it arrives.
        answered: Deferred[dict[str, Any]] = Deferred()
        called = maybeDeferred(self.callRemote, REQUESTS[command], **given)
        called.addCallbacks(lambda response: response["answer"], _blamed)
        called.addCallbacks(answered.callback, answered.errback)
        return answered

    def events(self, listener: Listener, topics: Iterable[str] = (), since: int = -1) -> Deferred[dict[str, Any]]:
        """
        Be told of every event from now on.

        A connection has one listener; another call replaces it.

        @param listener: called with each event as JSON types, and with
            C{{"event": "missed", "missed": n}} where some were dropped because
            this side did not read.
        @param topics: only topics that begin with one of these.
        @param since: begin with those after this number, as far as they are kept.
        """
        self._listener = listener
        return self.call("events", topics=list(topics), since=since)

    def tail(self, listener: Listener, **arguments: Any) -> Deferred[dict[str, Any]]:
        """
        Be told of every line that workers write from now on.

        A connection has one such listener; another call replaces it.

        @param listener: called with C{{"lines": [...], "missed": n}}; so many
            were missed before these because this side did not read.
        @param arguments: those of the command C{tail}.
        @return: its answer: the lines that were there already.
        """
        self._lines = listener
        return self.call("tail", follow=True, **arguments)

    @Lines.responder
    def _told(self, lines: dict[str, Any]) -> dict[str, Any]:
        try:
            self._lines(lines)
        except Exception:
            self._log.failure("a listener to lines raised an exception")
        return {}

    @Event.responder
    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        try:
            self._listener(event)
        except Exception:
            self._log.failure("a listener to events raised an exception")
        return {}

    def close(self) -> None:
        """End the connection."""
        self.transport.loseConnection()


def connect(reactor: IReactorUNIX, where: str) -> Deferred[Client]:
    """
    Connect to a supervisor.

    @param where: path of its control socket, or C{@name} of an abstract one.
    """
    address = "\0" + where[1:] if where.startswith("@") else where
    connected: Deferred[Client] = connectProtocol(UNIXClientEndpoint(reactor, address), Client())
    return connected
