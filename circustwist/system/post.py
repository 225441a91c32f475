"""Posts a small JSON document; imported only when there is something to post, for C{twisted.web} is large."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer


@implementer(IBodyProducer)
class Body:
    """Bytes that are there already."""

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self._data = data

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All is written."""

    def resumeProducing(self) -> None:
        """All is written."""

    def stopProducing(self) -> None:
        """All is written."""


def post(reactor: Any, url: str, data: bytes, timeout: float) -> Deferred[str]:
    """
    Post JSON.

    @param timeout: the most seconds until the connection stands; cancel the
        result to end the rest.
    @return: what is wrong; empty if the answer is below 400.
    """
    headers = Headers({"Content-Type": ["application/json"], "User-Agent": ["circustwist"]})
    asked = Agent(reactor, connectTimeout=timeout).request(b"POST", url.encode("ascii"), headers, Body(data))

    def answered(response: IResponse) -> str:
        response.deliverBody(Protocol())
        return "" if response.code < 400 else f"{url} answers {response.code}"

    return asked.addCallback(answered)
