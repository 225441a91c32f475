"""
The console's server: a few routes, on twisted.web.

Every command goes through one route, as the table of commands has it.  Nothing that
is asked for with GET changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ..logic.requests import authorise
from ..model.commands import TABLE
from ..model.errors import REQUEST_ERRORS, Denied, InternalError, MessageError, NotFound, UnknownCommand
from ..model.inputs import Who
from ..model.stack import Stack
from . import auth, gate
from .feed import MOST_VIEWERS, Feed
from .login import Login
from .pages import Pages
from .site import Refused, answer, content, later, refuse
from .stream import Viewer
from .tail import Tail

if TYPE_CHECKING:
    from ..logic.requests import Steering

Handler = Callable[[Any], Any]

_STATUS: Mapping[type[Exception], int] = {
    Denied: 403, NotFound: 404, UnknownCommand: 404, MessageError: 400, InternalError: 500}
_CONFLICT = 409

_ENDPOINTS = ("endpoint", "pubsub_endpoint", "stats_endpoint")

WITH_LOGIN = frozenset(("options", "plan", "globaloptions", "get", "console"))
"""What a viewer must have logged in for, though the role is enough: it tells more than how things are."""


@implementer(IResource)
class Console:
    """
    All that is served.

    @ivar feed: what browsers are told.
    @ivar login: who is at a browser.
    @ivar pages: what is fetched.
    """

    isLeaf = True

    def __init__(self, reactor: Any, steering: Steering, stack: Callable[[], Stack], sessions: str) -> None:
        """
        @param stack: the configuration that is in force.
        @param sessions: the file in which sessions are kept; none if it is empty.
        """
        prefix = stack().settings.httpd_prefix.strip("/")
        self._prefix = f"/{prefix}" if prefix else ""
        self._steering = steering
        self._stack = stack
        self.pages = Pages(steering)
        self.login = Login(reactor, stack, sessions, self._prefix)
        self.feed = Feed(steering, reactor, self._about)
        self._routes: Mapping[tuple[str, str], Handler] = {
            ("GET", "/"): self.pages.page, ("GET", "/table"): self.pages.table, ("GET", "/metrics"): self.pages.scrape,
            ("GET", "/stream"): self._stream, ("POST", "/command"): self._command,
            ("POST", "/login"): self.login.login, ("POST", "/logout"): self.login.logout,
        }

    # IResource

    def putChild(self, path: bytes, child: object) -> None:
        """There are no children."""

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        """There are no children."""
        return self

    def render(self, request: Any) -> Any:
        """Answer a request."""
        for name, value in gate.HEADERS:
            request.setHeader(name, value)
        request.responseHeaders.removeHeader(b"Server")
        try:
            self._admit(request)
            return self._routed(request)
        except Refused as refused:
            return refuse(request, refused)

    def _admit(self, request: Any) -> None:
        """Let nobody through who came by a name that is not ours."""
        host, settings = request.getHeader("Host") or "", self._stack().settings
        if not gate.admitted(host, (*settings.httpd_allowed_hosts, settings.httpd_host)):
            named = gate.hostName(host) or "this"
            raise Refused(421, "Denied", f"{named} is no name of this host; httpd_allowed_hosts in [circus] names more")

    def _routed(self, request: Any) -> Any:
        method, path = request.method.decode("ascii", "replace"), request.path.decode("ascii", "replace")
        method = "GET" if method == "HEAD" else method
        if self._prefix and f"{path}/".startswith(f"{self._prefix}/"):
            path = path.removeprefix(self._prefix) or "/"
        parts = path.split("/")
        if method == "GET" and len(parts) == 4 and parts[1] == "static":
            return self.pages.file(request, parts[2], parts[3])
        handler = self._routes.get((method, path))
        if handler is None:
            known = any(route == path for _, route in self._routes)
            raise Refused(405 if known else 404, "NotFound", "there is no such page")
        problem = gate.changeable(lambda name: request.getHeader(name) or "") if method == "POST" else ""
        if problem:
            raise Refused(403, "Denied", problem)
        return handler(request)

    # What browsers do

    def _about(self) -> dict[str, Any]:
        settings = self._stack().settings
        return {
            "links": {name.replace("_", " "): text for name in _ENDPOINTS if (text := getattr(settings, name))},
            "assets": self.pages.version,
            "roles": {command.name: command.role for command in TABLE.values()},
            "passwords": any(user.password_hash for user in self._stack().users),
        }

    def _stream(self, request: Any) -> Any:
        if len(self.feed.viewers) >= MOST_VIEWERS:
            raise Refused(503, "Conflict", f"{MOST_VIEWERS} pages look on already")
        who = self.login.who(request) or auth.NOBODY
        viewer = Viewer(request, who, self.feed.greet, lambda: (self.login.who(request) or auth.NOBODY) == who)
        request.notifyFinish().addBoth(lambda _: self.feed.leave(viewer))
        viewer.begin()
        self.feed.join(viewer)
        if b"logs" in request.args:
            self._tail(request, viewer)
        return NOT_DONE_YET

    def _tail(self, request: Any, viewer: Viewer) -> None:
        """Let a browser follow lines too."""
        names, output = (request.args.get(key, [b""])[-1].decode("utf-8", "replace") for key in (b"logs", b"output"))
        tail = Tail(self._steering, viewer, {
            "names": [names] if names and names != "/" else [], "stream": output, "daemon": names == "/"})
        request.notifyFinish().addBoth(lambda _: tail.end())
        viewer.resumed = tail.resume
        try:
            authorise(TABLE["tail"], viewer.who)
        except Denied:
            return
        tail.begin()

    def _command(self, request: Any) -> Any:
        given = content(request)
        name, arguments = given.get("command"), given.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise Refused(400, "MessageError", "give a command and its arguments")
        who = self.login.who(request)
        if who is None and name in WITH_LOGIN:
            raise Refused(403, "Denied", f"{name} is only answered after a login")
        if name == "events":
            raise Refused(400, "MessageError", "events come by the stream")
        return later(request, self._done(request, name, arguments, who or auth.NOBODY))

    async def _done(self, request: Any, name: str, arguments: Mapping[str, Any], who: Who) -> bytes:
        try:
            found = await self._steering.ask(name, arguments, who)
        except REQUEST_ERRORS as error:
            status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), _CONFLICT)
            return answer(request, status, {"error": {"name": error.name, "text": str(error)}})
        return answer(request, 200, {"answer": dict(found)})
