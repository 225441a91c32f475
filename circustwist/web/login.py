"""
How somebody logs in and out at a browser.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ..model import keys
from ..model.inputs import Who
from ..model.stack import Stack
from ..model.users import byName
from . import auth
from .site import Refused, answer, content, later

LONGEST = 1000
"""Characters of a password."""


class Login:
    """
    Sessions and what begins them.

    @ivar links: what lets somebody in once.
    """

    _log = Logger(namespace="circustwist")

    def __init__(self, reactor: Any, stack: Callable[[], Stack], sessions: str, prefix: str) -> None:
        """
        @param stack: the configuration that is in force.
        @param sessions: the file in which sessions are kept; none if it is empty.
        @param prefix: the path under which browsers see the console.
        """
        self.links = auth.Links(time.monotonic)
        self._reactor = reactor
        self._stack = stack
        self._path = f"{prefix}/"
        self._sessions = auth.Sessions(sessions, lambda: stack().users, time.time)
        self._guesses = auth.Guesses(time.monotonic)
        self._other = keys.hashed("", os.urandom(16))

    @property
    def cookie(self) -> str:
        """The name of the cookie: browsers do not tell ports apart, and stacks must not log each other out."""
        return f"circustwist-{hashlib.sha256(self._stack().name.encode()).hexdigest()[:8]}"

    def who(self, request: Any) -> Who | None:
        """Who has logged in there; None if nobody has."""
        return self._sessions.who(auth.cookie(request.received_cookies, self.cookie))

    def login(self, request: Any) -> Any:
        """Let somebody in by a link or a password."""
        given = content(request)
        address = str(getattr(request.getClientAddress(), "host", ""))
        wait = self._guesses.wait(address)
        if wait:
            request.setHeader(b"Retry-After", b"%d" % (wait + 1))
            raise Refused(429, "Denied", f"too many wrong logins; try again in {int(wait) + 1} seconds")
        if isinstance(given.get("token"), str):
            who = self.links.use(given["token"])
            if who is None:
                self._guesses.failed(address)
            return self._let(request, address, self._sessions.linked(who) if who is not None else "")
        name, password = given.get("name"), given.get("password")
        if not isinstance(name, str) or not isinstance(password, str) or len(password) > LONGEST:
            raise Refused(400, "MessageError", "give a name and a password, or a token")
        # It counts as wrong until it has proved to be right, or many at once would not be counted.
        self._guesses.failed(address)
        return later(request, self._checked(request, address, name, password))

    async def _checked(self, request: Any, address: str, name: str, password: str) -> bytes:
        user = byName(self._stack().users, name)
        right = await deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), auth.check, user, password, keys.matches, self._other)
        return self._let(request, address, self._sessions.known(user) if right and user is not None else "")

    def _let(self, request: Any, address: str, token: str) -> bytes:
        who = self._sessions.who(token)
        if who is None:
            self._log.warn("a login from {address} has failed", address=address)
            raise Refused(403, "Denied", "that is not right, or has been used")
        self._guesses.right(address)
        self._log.info("{who} has logged in from {address}", who=who.name, address=address)
        self._give(request, token, int(auth.SESSION_LIVES))
        return answer(request, 200, {"you": {"name": who.name, "role": who.role}})

    def logout(self, request: Any) -> bytes:
        """End a session."""
        self._sessions.end(auth.cookie(request.received_cookies, self.cookie))
        self._give(request, "", 0)
        return answer(request, 200, {})

    def _give(self, request: Any, token: str, lives: int) -> None:
        secure = request.isSecure() or request.getHeader("X-Forwarded-Proto") == "https"
        request.addCookie(
            self.cookie, token, path=self._path, max_age=str(lives), httpOnly=True, sameSite="strict", secure=secure)
