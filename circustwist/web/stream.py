"""
One browser that looks on: server-sent events, compressed, and never more than it reads.

A browser that does not read costs nothing: what it misses is dropped, and when it
reads again it gets the whole picture anew.

@see: U{https://html.spec.whatwg.org/multipage/server-sent-events.html}
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ..model.inputs import Who

HEARTBEAT = 15.0
"""Seconds between two signs of life."""

_GZIP = 31


def message(kind: str, value: object) -> bytes:
    """An event as it goes over the wire."""
    return f"event: {kind}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode("ascii")


@implementer(IPushProducer)
class Viewer:
    """
    One stream.

    @ivar who: who looks on.
    @ivar behind: whether something was dropped since the whole picture was sent.
    @ivar dropped: how many messages were dropped.
    @ivar since: the time of day at which it came.
    @ivar stands: whether it is still the same who looks on.
    @ivar resumed: called whenever it reads again.
    """

    def __init__(
        self, request: Any, who: Who, caughtUp: Callable[[Viewer], None], stands: Callable[[], bool] = lambda: True
    ) -> None:
        """
        @param caughtUp: called when it reads again after something was dropped.
        @param stands: whether it is still the same who looks on, with the same role.
        """
        self.who = who
        self.stands = stands
        self.since = 0.0
        self.behind = False
        self.dropped = 0
        self.resumed: Callable[[], None] = lambda: None
        self._request = request
        self._caughtUp = caughtUp
        self._paused = False
        self._packer: Any = None
        self._open = False

    def begin(self) -> None:
        """Answer the request, without an end."""
        request = self._request
        accepted = request.getHeader("Accept-Encoding") or ""
        request.setHeader(b"Content-Type", b"text/event-stream; charset=utf-8")
        request.setHeader(b"Cache-Control", b"no-store")
        # nginx would hold it back.
        request.setHeader(b"X-Accel-Buffering", b"no")
        if "gzip" in accepted:
            request.setHeader(b"Content-Encoding", b"gzip")
            self._packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        self._open = True
        request.notifyFinish().addBoth(self._gone)
        request.registerProducer(self, True)

    def _gone(self, result: object) -> None:
        self._open = False

    @property
    def reads(self) -> bool:
        """Whether the browser takes more at once."""
        return self._open and not self._paused

    def send(self, data: bytes) -> None:
        """Send a message, or drop it if the browser does not read."""
        if not self._open:
            return
        if self._paused:
            self.behind = True
            self.dropped += 1
            return
        if self._packer is not None:
            data = self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        self._request.write(data)

    def close(self) -> None:
        """End it; the browser comes again if it still wants to look."""
        if self._open:
            self._open = False
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:
        """The browser does not read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The browser reads again."""
        self._paused = False
        if self.behind:
            self.behind = False
            self._caughtUp(self)
        self.resumed()

    def stopProducing(self) -> None:
        """The browser is gone."""
        self._open = False
