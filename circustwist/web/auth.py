"""
Who is at a browser: links that let in once, sessions, and how often somebody may guess.

Only hashes of what a browser holds are kept.  Sessions are written to a file
that belongs to the supervisor alone, so that an upgrade, or another supervisor
after a crash, logs nobody out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs

from ..model.commands import ROLES
from ..model.inputs import Who
from ..model.users import User, byName

LINK_LIVES = 600.0
"""Seconds for which a login link can be used, once."""

SESSION_LIVES = 12 * 3600.0

MOST_SESSIONS = 200
MOST_LINKS = 50

GUESSES = 5
"""So many wrong logins are taken from one address,"""

GUESSES_IN = 60.0
"""in so many seconds."""

_MOST_GUESSERS = 1000
_LARGEST = 1 << 20

NOBODY = Who("anybody (console)", "viewer")
"""Who has not logged in."""


def _key(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@attrs.frozen
class Session:
    """
    Somebody who has logged in.

    @ivar user: the name of the C{[user:NAME]} section; empty after a login link.
    @ivar stamp: the hash of the password's hash; the session ends when that changes.
    @ivar until: time of day, in seconds since the epoch.
    """

    name: str
    role: str
    user: str
    stamp: str
    until: float


class Links:
    """Links that log in whoever opens them first."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._links: dict[str, tuple[Who, float]] = {}

    def make(self, who: Who) -> str:
        """
        A new link.

        @param who: who asks for it, with the role that it gives.
        @return: the secret in it.
        """
        now = self._seconds()
        self._links = {key: link for key, link in self._links.items() if link[1] > now}
        while len(self._links) >= MOST_LINKS:
            del self._links[next(iter(self._links))]
        token = secrets.token_urlsafe(24)
        self._links[_key(token)] = (who, now + LINK_LIVES)
        return token

    def use(self, token: str) -> Who | None:
        """Whom a link lets in; None if it was used, is too old, or never was."""
        who, until = self._links.pop(_key(token), (None, 0.0))
        return who if until > self._seconds() else None


class Sessions:
    """
    Who has logged in, and who that is now.

    @ivar users: the C{[user:NAME]} sections as they are in force.
    """

    def __init__(self, path: str, users: Callable[[], Sequence[User]], seconds: Callable[[], float]) -> None:
        """
        @param path: where they are kept; nowhere if it is empty.
        @param seconds: the time of day.
        """
        self.users = users
        self._path = path
        self._seconds = seconds
        self._sessions: dict[str, Session] = self._read()

    def begin(self, session: Session) -> str:
        """
        Somebody has logged in.

        @return: the cookie that their browser is given.
        """
        now = self._seconds()
        alive = [(key, each) for key, each in self._sessions.items() if each.until > now]
        self._sessions = dict(alive[-(MOST_SESSIONS - 1):])
        token = secrets.token_urlsafe(32)
        self._sessions[_key(token)] = session
        self._write()
        return token

    def linked(self, who: Who) -> str:
        """Somebody has come by a link."""
        return self.begin(Session(who.name, who.role, "", "", self._seconds() + SESSION_LIVES))

    def known(self, user: User) -> str:
        """Somebody has given their password."""
        until = self._seconds() + SESSION_LIVES
        return self.begin(Session(f"{user.name} (console)", user.role, user.name, _key(user.password_hash), until))

    def end(self, token: str) -> None:
        """Somebody has logged out."""
        if self._sessions.pop(_key(token), None) is not None:
            self._write()

    def who(self, token: str) -> Who | None:
        """Whose cookie that is; None if it is of no use any more."""
        session = self._sessions.get(_key(token)) if token else None
        if session is None or session.until <= self._seconds():
            return None
        if not session.user:
            return Who(session.name, session.role)
        user = byName(self.users(), session.user)
        if user is None or not hmac.compare_digest(_key(user.password_hash), session.stamp):
            return None
        return Who(session.name, user.role)

    def _read(self) -> dict[str, Session]:
        """What an earlier image of this program has left; whatever makes no sense is left out."""
        found: Any = {}
        with suppress(OSError, ValueError, RecursionError), open(self._path, "rb") as file:
            found = json.loads(file.read(_LARGEST))
        rows = found.items() if isinstance(found, dict) else ()
        return {key: session for key, row in rows if (session := _session(row)) is not None}

    def _write(self) -> None:
        if not self._path:
            return
        text = json.dumps({key: attrs.astuple(session) for key, session in self._sessions.items()})
        with suppress(OSError):
            with open(os.open(f"{self._path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            os.replace(f"{self._path}.new", self._path)


def _session(row: object) -> Session | None:
    if not isinstance(row, list) or len(row) != len(attrs.fields(Session)):
        return None
    *texts, until = row
    if not all(isinstance(text, str) for text in texts) or not isinstance(until, int | float) or texts[1] not in ROLES:
        return None
    return Session(texts[0], texts[1], texts[2], texts[3], float(until))


class Guesses:
    """How often somebody has tried to log in and failed."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._failed: dict[str, list[float]] = {}

    def wait(self, address: str) -> float:
        """For how many seconds that address must not try again; 0 if it may."""
        now = self._seconds()
        recent = [at for at in self._failed.get(address, ()) if at > now - GUESSES_IN]
        return recent[-GUESSES] + GUESSES_IN - now if len(recent) >= GUESSES else 0.0

    def failed(self, address: str) -> None:
        """It was wrong."""
        if address not in self._failed and len(self._failed) >= _MOST_GUESSERS:
            del self._failed[next(iter(self._failed))]
        self._failed[address] = [*self._failed.get(address, ())[-GUESSES:], self._seconds()]

    def right(self, address: str) -> None:
        """It was right."""
        self._failed.pop(address, None)


def check(user: User | None, password: str, matches: Callable[[str, str], str], other: str) -> bool:
    """
    Whether a password is right; it takes as long when there is no such user.

    @param matches: see L{circustwist.model.keys.matches}.
    @param other: a hash that stands for one that is not there.
    """
    known = user.password_hash if user is not None and user.password_hash else ""
    found = matches(password, known or other)
    return bool(known) and hmac.compare_digest(found.encode(), known.encode())


def cookie(cookies: Mapping[bytes, bytes] | None, name: str) -> str:
    """The value of a cookie; empty if there is none."""
    return (cookies or {}).get(name.encode("ascii"), b"").decode("ascii", "replace")
