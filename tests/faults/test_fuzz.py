"""
Whatever comes from outside is parsed or refused: a short run of what a longer one tries by hand.

C{FAULTS_FUZZ=100000} in the environment says how many examples each parser gets; C{python -m tests.fuzz 3600} changes
what is in tests/corpus/ for an hour.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.control.boxes import BoxError, Parser
from circustwist.logic import durable
from circustwist.model import expand
from circustwist.model.errors import WorldError
from circustwist.model.ini import read
from circustwist.system import launcher, notify
from circustwist.system.journal import Journal
from tests.fuzz import machine
from tests.fuzz.machine import CORPUS, changed, corpus, tried
from tests.fuzz.targets import TARGETS

EXAMPLES = int(os.environ.get("FAULTS_FUZZ", "150"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

WORDS = st.sampled_from([
    "[watcher:a]", "[circus]", "[env]", "[env:a*]", "[socket:s]", "[user:u]", "[DEFAULT]", "[", "]", "=", ":", "\n",
    "\n ", ";", "#", "cmd = x", "numprocesses = 3", "include = *", "$(circus.env.x)", "((", "))", "$", "%", "\0", "\r",
    "\u202e", "\ufeff", "rem ", "name", "9" * 30, "nan", "{", "}", "max_age", "stdout_stream.class = FileStream",
])
KINDS = st.sampled_from(["intent", "spawned", "gone", "wanted", "sockets", "operation", "journal", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["kind", "id", "pid", "watcher", "wid", "seat", "generation", "pipes", "start", "since", "running", "number"]),
        inner, max_size=6), max_leaves=10)


class FuzzTests(SynchronousTestCase):
    """Nothing raises what it does not promise to raise."""

    @fuzzed
    @given(st.lists(WORDS, max_size=40).map("".join).map(str.encode) | st.binary(max_size=400))
    def test_ini(self, data: bytes) -> None:
        """The reader of configurations."""
        for problem in read("x.ini", lambda path: data, lambda pattern: [], {"X": "y"}).problems:
            str(problem)

    @fuzzed
    @given(st.text(max_size=200), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4))
    def test_expansion(self, text: str, env: dict[str, str]) -> None:
        """What stands for variables."""
        expand.environment(text, env)
        with contextlib.suppress(ValueError, KeyError):
            expand.fromEnv(text, env)

    @fuzzed
    @given(st.lists(st.binary(max_size=300), max_size=8))
    def test_boxes(self, pieces: list[bytes]) -> None:
        """AMP's boxes, cut anywhere."""
        parser = Parser(64, 1 << 16)
        with contextlib.suppress(BoxError):
            for piece in pieces:
                parser.feed(piece)

    @fuzzed
    @given(st.lists(st.tuples(KINDS, JSON), max_size=8), st.binary(max_size=60))
    def test_journal(self, entries: list[tuple[str, object]], rest: bytes) -> None:
        """The state that an earlier supervisor has left."""
        import json

        lines = [json.dumps({**(more if isinstance(more, dict) else {}), "kind": kind}).encode()
                 for kind, more in entries]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "journal"
            path.write_bytes(b"\n".join([*lines, rest, b""]))
            with contextlib.suppress(WorldError):
                durable.replay(Journal(str(path)).entries())
        self.flushLoggedErrors()

    @fuzzed
    @given(st.binary(max_size=300) | st.lists(st.sampled_from(
        [b"READY=1", b"WATCHDOG=", b"STATUS=", b"MAINPID=", b"X_REQUESTS=", b"=", b"\n", b"\0", b"\xff", b"9" * 40]),
        max_size=12).map(b"".join))
    def test_datagrams(self, data: bytes) -> None:
        """What processes say of themselves."""
        notify.parse(data)

    @fuzzed
    @given(st.binary(max_size=100))
    def test_report(self, data: bytes) -> None:
        """What the launcher's status pipe says."""
        with contextlib.suppress(ValueError):
            launcher.parse(data)


class CorpusTests(SynchronousTestCase):
    """What is kept, what becomes of it when it is changed, and what is long."""

    slow = 30.0
    """Seconds: a machine that does much else makes none slower than that."""

    def test_kept(self) -> None:
        """Every input that is kept, and some hundred like it, for every target."""
        self.assertEqual({path.name for path in CORPUS.iterdir()}, set(TARGETS))
        chance = random.Random(4711)
        for name, target in TARGETS.items():
            inputs = corpus(name)
            self.assertTrue(inputs, name)
            for data in [*inputs, *(changed(chance.choice(inputs), inputs, chance) for _ in range(EXAMPLES))]:
                tried(target, data, self.slow)

    def test_long(self) -> None:
        """No word repeated to 64 KiB takes a time that grows faster than its length."""
        for target in TARGETS.values():
            for word in machine.WORDS:
                tried(target, word * (65536 // len(word)), self.slow)
