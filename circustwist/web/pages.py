"""
What is fetched: the page, its files, the plain table, and the metrics.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from . import auth, table
from .assets import Assets
from .metrics import scraper
from .site import Refused, later

if TYPE_CHECKING:
    from ..logic.requests import Steering

Metrics = Callable[[Mapping[str, str]], Awaitable[tuple[bytes, bytes]]]
"""From the arguments of a request to the text and its content type."""


class Pages:
    """
    The handlers of requests that only look.

    @ivar metrics: gives the answer to C{/metrics}.
    @ivar version: of the files.
    """

    def __init__(self, steering: Steering) -> None:
        self.metrics: Metrics = scraper(steering)
        self._steering = steering
        self._assets = Assets.load()
        self.version = self._assets.version

    def page(self, request: Any) -> Any:
        """The console; without scripts it shows the table."""
        return self._looked(request, self._filled)

    def table(self, request: Any) -> Any:
        """The plain table."""
        style = f"static/{self.version}/console.css"
        return self._looked(request, lambda stack: table.page(stack, style))

    def _filled(self, stack: Mapping[str, Any]) -> str:
        before, _, after = self._assets.page.replace("@VERSION@", self.version).partition("@TABLES@")
        return before.replace("@NAME@", escape(stack["name"])) + table.tables(stack) + after

    def _looked(self, request: Any, made: Callable[[Mapping[str, Any]], str]) -> Any:
        """Answer with a page about the stack as it is now."""
        request.setHeader(b"Cache-Control", b"no-cache")
        request.setHeader(b"Content-Type", b"text/html; charset=utf-8")

        async def look() -> bytes:
            found = await self._steering.ask("status", {"detail": True}, auth.NOBODY)
            return made(found["stack"]).encode("utf-8", "replace")

        return later(request, look())

    def file(self, request: Any, version: str, name: str) -> bytes:
        """
        One of the files.

        @raise Refused: if there is none of that name, or not in that version.
        """
        asset = self._assets.files.get(name) if version == self.version else None
        if asset is None:
            raise Refused(404, "NotFound", "there is no such file")
        request.setHeader(b"Content-Type", asset.kind)
        request.setHeader(b"Cache-Control", b"public, max-age=31536000, immutable")
        request.setHeader(b"ETag", b'"%s"' % version.encode("ascii"))
        request.setHeader(b"Vary", b"Accept-Encoding")
        if "gzip" not in (request.getHeader("Accept-Encoding") or ""):
            return asset.content
        request.setHeader(b"Content-Encoding", b"gzip")
        return asset.packed

    def scrape(self, request: Any) -> Any:
        """The metrics."""
        made = self.metrics
        given = {
            key.decode("ascii", "replace"): values[-1].decode("ascii", "replace")
            for key, values in request.args.items()}

        async def scrape() -> bytes:
            text, kind = await made(given)
            request.setHeader(b"Content-Type", kind)
            return text

        return later(request, scrape())
