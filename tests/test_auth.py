"""Tests of login links, sessions and wrong guesses."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.inputs import Who
from circustwist.model.users import User
from circustwist.web import auth


class TimedTestCase(SynchronousTestCase):
    """Tests with a time of their own."""

    def setUp(self) -> None:
        self.now = 1000.0
        self.users: list[User] = []
        self.path = f"{self.mktemp()}"

    def seconds(self) -> float:
        """The time."""
        return self.now

    def sessions(self) -> auth.Sessions:
        """Sessions that are kept in a file."""
        return auth.Sessions(self.path, lambda: self.users, self.seconds)


class LinkTests(TimedTestCase):
    """Tests of links."""

    def test_once(self) -> None:
        """A link can be used once."""
        links = auth.Links(self.seconds)
        token = links.make(Who("ann", "operator"))
        self.assertEqual(links.use(token), Who("ann", "operator"))
        self.assertIsNone(links.use(token))
        self.assertIsNone(links.use(""))

    def test_late(self) -> None:
        """A link is of no use after ten minutes."""
        links = auth.Links(self.seconds)
        token = links.make(Who("ann", "operator"))
        self.now += 600
        self.assertIsNone(links.use(token))

    def test_many(self) -> None:
        """Of many links the oldest are forgotten."""
        links = auth.Links(self.seconds)
        tokens = [links.make(Who("ann", "viewer")) for _ in range(auth.MOST_LINKS + 1)]
        self.assertIsNone(links.use(tokens[0]))
        self.assertIsNotNone(links.use(tokens[1]))


class SessionTests(TimedTestCase):
    """Tests of sessions."""

    def test_link(self) -> None:
        """Who came by a link is known until the session ends."""
        sessions = self.sessions()
        token = sessions.linked(Who("a link", "operator"))
        self.assertEqual(sessions.who(token), Who("a link", "operator"))
        self.assertIsNone(sessions.who(token[:-1]))
        self.assertIsNone(sessions.who(""))
        self.now += auth.SESSION_LIVES
        self.assertIsNone(sessions.who(token))

    def test_user(self) -> None:
        """A user has the role that the configuration gives them now; another password ends the session."""
        self.users = [User("Ann", password_hash="one")]
        sessions = self.sessions()
        token = sessions.known(self.users[0])
        self.assertEqual(sessions.who(token), Who("Ann (console)", "viewer"))
        self.users = [User("ann", role="admin", password_hash="one")]
        self.assertEqual(sessions.who(token), Who("Ann (console)", "admin"))
        self.users = [User("ann", role="admin", password_hash="two")]
        self.assertIsNone(sessions.who(token))
        self.users = []
        self.assertIsNone(sessions.who(token))

    def test_kept(self) -> None:
        """The next supervisor knows who has logged in; the file holds no cookie and is its owner's alone."""
        token = self.sessions().linked(Who("a link", "admin"))
        self.assertEqual(self.sessions().who(token), Who("a link", "admin"))
        self.assertNotIn(token, Path(self.path).read_text())
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        self.sessions().end(token)
        self.assertIsNone(self.sessions().who(token))

    def test_damaged(self) -> None:
        """What makes no sense in the file is left out."""
        rows = {"a": ["x", "root", "", "", 1e12], "b": 7, "c": [1] * 5}
        for text in ("", "{", "[]", "[" * 100_000, json.dumps(rows)):
            Path(self.path).write_text(text)
            self.assertIsNone(self.sessions().who("a"))

    def test_many(self) -> None:
        """Of many sessions the oldest end."""
        sessions = self.sessions()
        tokens = [sessions.linked(Who("a link", "viewer")) for _ in range(auth.MOST_SESSIONS + 1)]
        self.assertIsNone(sessions.who(tokens[0]))
        self.assertIsNotNone(sessions.who(tokens[1]))

    def test_nowhere(self) -> None:
        """Without a folder sessions live as long as the supervisor."""
        sessions = auth.Sessions("", lambda: (), self.seconds)
        self.assertIsNotNone(sessions.who(sessions.linked(Who("a link", "viewer"))))


class GuessTests(TimedTestCase):
    """Tests of wrong logins."""

    def test_wait(self) -> None:
        """After five wrong ones an address waits until the first is a minute old; others do not."""
        guesses = auth.Guesses(self.seconds)
        for _ in range(auth.GUESSES):
            self.assertEqual(guesses.wait("a"), 0)
            guesses.failed("a")
            self.now += 1
        self.assertEqual(guesses.wait("a"), 55)
        self.assertEqual(guesses.wait("b"), 0)
        self.now += 55
        self.assertEqual(guesses.wait("a"), 0)

    def test_right(self) -> None:
        """A right one forgives the wrong ones."""
        guesses = auth.Guesses(self.seconds)
        for _ in range(auth.GUESSES):
            guesses.failed("a")
        guesses.right("a")
        self.assertEqual(guesses.wait("a"), 0)

    def test_check(self) -> None:
        """A password is looked at even when there is no such user, and is never right then."""
        asked = []

        def matches(password: str, hash: str) -> str:
            """Every password is right for its own name."""
            asked.append(hash)
            return password

        self.assertTrue(auth.check(User("ann", password_hash="h"), "h", matches, "o"))
        self.assertFalse(auth.check(User("ann", password_hash="h"), "x", matches, "o"))
        self.assertFalse(auth.check(User("ann"), "o", matches, "o"))
        self.assertFalse(auth.check(None, "o", matches, "o"))
        self.assertEqual(asked, ["h", "h", "o", "o"])
