"""Tests of stacks that a program makes of values."""

from __future__ import annotations

import signal
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import ConfigError
from circustwist.model.option import options
from circustwist.model.parts import reading, stack
from circustwist.model.settings import Settings
from circustwist.model.stack import Socket, Watcher
from circustwist.model.streams import Stream
from circustwist.model.users import User

SHOP = Settings(name="shop")
WATCHERS = st.builds(
    Watcher, st.just("web"), cmd=st.just("sleep 60"), numprocesses=st.integers(0, 50), copy_env=st.booleans(),
    stop_signal=st.sampled_from([int(signal.SIGINT), signal.SIGQUIT, int(signal.SIGRTMIN) + 1]),
    graceful_timeout=st.integers(0, 10**6).map(lambda number: number / 8),
    umask=st.none() | st.integers(0, 0o777), nice=st.none() | st.integers(-20, 19),
    max_surge=st.integers(0, 9), respawn=st.sampled_from(["always", "never", "on-failure"]),
    success_exit_codes=st.lists(st.integers(0, 255) | st.sampled_from([-15, -9]), min_size=1).map(tuple),
    rlimits=st.dictionaries(st.sampled_from(["nofile", "core"]), st.none() | st.integers(0, 2**40)),
    env=st.dictionaries(st.sampled_from(["A", "path", "$B"]), st.text()),
    args=st.lists(st.text()).map(tuple), max_memory=st.integers(0, 2**40),
    stdout_stream=st.sampled_from([Stream(), Stream("FileStream", {"filename": "/x", "max_bytes": "10MB"})]))


class PartsTests(SynchronousTestCase):
    """Values come out as they went in, or everything that is wrong with them is told."""

    def problems(self, *parts: Any) -> str:
        """What is told of parts that cannot be used."""
        return str(self.assertRaises(ConfigError, stack, *parts))

    @given(WATCHERS)
    def test_same(self, watcher: Watcher) -> None:
        """A watcher is what it was made as."""
        self.assertEqual(stack(SHOP, watcher).watchers, (watcher,))

    def test_whole(self) -> None:
        """A stack has all of its parts, sorted, and its name."""
        web = Watcher("web", cmd="sleep 1", listen_fds=("front", "back"), depends_on=("db:started",))
        db = Watcher("db", cmd="sleep 2")
        front, back = Socket("front", port=0), Socket("back", path="/run/back", mode=0o660)
        found = stack(SHOP, web, db, front, back, User("ann", uid="1000", role="operator"))
        self.assertEqual((found.name, found.watchers), ("shop", (db, web)))
        self.assertEqual([one.name for one in found.sockets], ["back", "front"])
        self.assertEqual((found.sockets[0].mode, found.sockets[0].unix), (0o660, True))
        self.assertEqual([user.role for user in found.users], ["operator"])

    def test_everything(self) -> None:
        """All that is wrong is told at once, in the words of an ini."""
        many: Any = "five"
        told = self.problems(
            Watcher("web", numprocesses=many, listen_fds=("wbe",)), Socket("web", port=70000), Watcher("web", cmd="x"))
        for line in (
            "[circus] name: is missing; e.g. Settings(name='shop')", "[watcher:web] is given twice",
            "[socket:web] port: '70000'"):
            self.assertIn(line, told)
        told = self.problems(SHOP, Watcher("web", numprocesses=many, listen_fds=("wbe",)), Socket("web"))
        for line in (
            "[watcher:web] numprocesses: 'five' is not a whole number", "[watcher:web] cmd: is missing",
            "[watcher:web] listen_fds: there is no [socket:wbe]; did you mean web?"):
            self.assertIn(line, told)

    def test_environ(self) -> None:
        """A variable of the supervisor's environment stands for its value."""
        found = stack(SHOP, Watcher("web", cmd="sleep $(circus.env.LONG)"), environ={"LONG": "60"})
        self.assertEqual(found.watchers[0].cmd, "sleep 60")

    def test_defaults(self) -> None:
        """Parts of which nothing is said are what an ini makes of them."""
        found = reading((SHOP, Socket("web"), Watcher("one", cmd="x")), {}).stack
        for _, name, default in ((None, name, default) for name, _, default in options(Socket)):
            self.assertEqual(getattr(found.sockets[0], name), default)
        self.assertEqual(found.settings, attrs.evolve(Settings(), name="shop"))
