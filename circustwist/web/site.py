"""
HTTP as the console takes it: no timer without a connection, no log of requests, and limits on what a client sends.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine, Sequence
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request, Site

LARGEST = 64 * 1024
"""Bytes of a request's content."""

MOST_CONNECTIONS = 100
_DEEPEST = 32
_log = Logger(namespace="circustwist")
IDLE = 60
"""Seconds until a connection without a request is closed."""


class Refused(Exception):
    """
    A request is not answered as it wishes.

    @ivar status: the code of HTTP.
    @ivar name: what kind of error it is.
    """

    def __init__(self, status: int, name: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.name = name
        self.text = text


class Asked(Request):
    """
    One request.

    @ivar tooLong: whether its content was too long; what came is dropped then.
    """

    tooLong = False
    content: Any
    _types: Sequence[bytes] = ()

    def gotLength(self, length: int | None) -> None:
        """The content begins."""
        self.content = BytesIO()
        self.tooLong = length is not None and length > LARGEST

    def handleContentChunk(self, data: bytes) -> None:
        """A part of the content."""
        if self.tooLong or self.content.tell() + len(data) > LARGEST:
            self.tooLong = True
            # Whoever goes on and on is not listened to.
            self.channel.loseConnection()
            return
        self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All has come; nobody wants a form, whose kind Twisted would parse with what fails on some of them."""
        self._types = self.requestHeaders.getRawHeaders(b"content-type", ())
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)

    def process(self) -> None:
        """Answer it."""
        if self._types:
            self.requestHeaders.setRawHeaders(b"content-type", self._types)
        super().process()


class QuietSite(Site):
    """A site without the date of a log, which would be renewed each second."""

    noisy = False
    requestFactory = Asked

    def __init__(self, resource: Any, reactor: Any) -> None:
        super().__init__(resource, timeout=IDLE, reactor=reactor)
        self._count = 0

    def _updateLogDateTime(self) -> None:
        """Nobody reads it."""

    def log(self, request: Any) -> None:
        """Requests are not logged; what they change is, by events."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A connection; none if there are too many."""
        if self._count >= MOST_CONNECTIONS:
            return None
        protocol: Any = super().buildProtocol(addr)
        self._count += 1
        lost = protocol.connectionLost

        def connectionLost(reason: Any) -> None:
            self._count -= 1
            lost(reason)

        protocol.connectionLost = connectionLost
        return protocol


def answer(request: Any, status: int, value: object) -> bytes:
    """JSON, with a status."""
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
    request.setHeader(b"Cache-Control", b"no-store")
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def content(request: Any) -> dict[str, Any]:
    """
    The JSON object that a request brings.

    @raise Refused: if it brings none.
    """
    if request.tooLong:
        raise Refused(413, "MessageError", f"more than {LARGEST} bytes")
    try:
        found = json.loads(request.content.read())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not _shallow(found):
        raise Refused(400, "MessageError", "the content is no JSON object")
    return found


def _shallow(value: Any, deep: int = 0) -> bool:
    """Whether JSON is nested no deeper than anybody means."""
    if deep > _DEEPEST:
        return False
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_shallow(each, deep + 1) for each in inner)


def refuse(request: Any, refused: Refused) -> bytes:
    """The answer to a request that is refused."""
    return answer(request, refused.status, {"error": {"name": refused.name, "text": refused.text}})


def later(request: Any, coming: Coroutine[Any, Any, bytes]) -> Any:
    """Answer when it comes, if somebody is still there then."""
    waits = [True]
    request.notifyFinish().addBoth(lambda _: waits.clear())

    def finish(content: bytes) -> None:
        if waits:
            request.write(content)
            request.finish()

    def wrong(failure: Failure) -> bytes:
        if isinstance(failure.value, Refused):
            return refuse(request, failure.value)
        _log.failure("a request of the console went wrong", failure)
        text = f"{type(failure.value).__name__}: the supervisor's log has the details"
        return answer(request, 500, {"error": {"name": "InternalError", "text": text}})

    Deferred.fromCoroutine(coming).addErrback(wrong).addCallback(finish)
    return NOT_DONE_YET
