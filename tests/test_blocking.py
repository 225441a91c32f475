"""Tests of the boxes, and of the client of the standard library."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.protocols.amp import AmpBox, parseString
from twisted.trial.unittest import SynchronousTestCase

from circustwist.control import boxes
from circustwist.control.blocking import Control, ControlError
from circustwist.model.errors import NotFound

from .test_client import ROOT, ServedTestCase

BOXES = st.lists(st.dictionaries(st.binary(min_size=1, max_size=255), st.binary(), min_size=1), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


class BoxTests(SynchronousTestCase):
    """Tests of L{boxes}."""

    @given(BOXES, st.integers(1, 50))
    def test_roundTrip(self, found: list[boxes.Box], step: int) -> None:
        """Boxes arrive as they were sent, wherever the bytes are cut; Twisted reads and writes the same."""
        data = b"".join(map(boxes.encode, found))
        self.assertEqual(data, b"".join(AmpBox(box).serialize() for box in found))
        self.assertEqual([dict(box) for box in parseString(data)], found)
        parser = boxes.Parser()
        got = [box for at in range(0, len(data), step) for box in parser.feed(data[at : at + step])]
        self.assertEqual(got, found)

    @given(st.lists(st.binary(max_size=400)))
    def test_anything(self, pieces: list[bytes]) -> None:
        """Arbitrary bytes are boxes or a L{boxes.BoxError}, and little is held back."""
        parser = boxes.Parser(maxKeys=8, maxBytes=1000)
        try:
            for piece in pieces:
                for box in parser.feed(piece):
                    self.assertLessEqual(len(box), 8)
                self.assertLessEqual(len(parser._rest), 1002)
        except boxes.BoxError:
            pass

    @given(JSON, st.text(st.characters(codec="ascii"), min_size=1, max_size=5))
    def test_spread(self, value: Any, key: str) -> None:
        """A JSON value arrives as it was."""
        self.assertEqual(boxes.gather(key.encode(), boxes.spread(key.encode(), value)), value)

    def test_spreadLong(self) -> None:
        """A long one takes several keys, none above the limit."""
        box = boxes.spread(b"answer", "x" * 200_000)
        self.assertEqual(sorted(box), [b"answer", b"answer.1", b"answer.2", b"answer.3"])
        self.assertEqual(boxes.gather(b"answer", boxes.Parser().feed(boxes.encode(box))[0]), "x" * 200_000)

    def test_refused(self) -> None:
        """What is no box can be neither written nor read."""
        for bad in ({}, {b"": b""}, {b"k" * 256: b""}, {b"k": b"x" * 65536}):
            self.assertRaises(boxes.BoxError, boxes.encode, bad)
        for data in (b"\0\0", b"GET /", b"\0\1k\0\1v" * 5, b"\0\1k\xff\xff"):
            self.assertRaises(boxes.BoxError, boxes.Parser(maxKeys=4, maxBytes=1000).feed, data)
        for box in ({}, {b"answer": b"{"}, {b"answer": b"[" * 65000}):
            self.assertRaises(boxes.BoxError, boxes.gather, b"answer", box)


class ControlTests(ServedTestCase):
    """Tests of L{Control} against the real server, in a thread."""

    def test_calls(self) -> Deferred[None]:
        """Answers and errors arrive, whatever their size."""
        self.steering.answers |= {"status": {"x": "é" * 1_000_000}, "stop": NotFound("no web"), "signal": {}}

        def run() -> None:
            with Control(self.where) as control:
                self.assertEqual(control.call("ping")["pid"], 7)
                self.assertEqual(control.call("status", name=None), self.steering.answers["status"])
                error = self.assertRaises(ControlError, control.call, "stop", name="web")
                self.assertEqual((error.name, error.text), ("NotFound", "no web"))
                self.assertEqual(self.assertRaises(ControlError, control.call, "fly").name, "UnknownCommand")
                control.call("signal", name="web", signum="HUP", wid=3, children=True)

        def check(_: None) -> None:
            self.assertEqual(self.steering.asked[-1][1], {
                "name": "web", "signum": "HUP", "pid": 0, "wid": 3, "children": True, "childpid": 0,
                "recursive": False})

        return deferToThread(run).addCallback(check)

    def test_events(self) -> Deferred[None]:
        """Events of the wanted topics arrive, also those that come between two calls."""
        self.steering.publish("a", "b")
        self.steering.answers["ping"] = lambda arguments: self.steering.publish("d", "c") or {}  # type: ignore

        def run() -> None:
            with Control(self.where) as control:
                events = control.events(["watcher.web."], since=1)
                control.call("ping")
                self.assertEqual([next(events)["event"] for _ in range(3)], ["b", "d", "c"])
                told: list[str] = []
                control.listener = lambda event: told.append(event["event"])
                control.call("ping")
                control.call("ping")
                self.assertEqual(told[:2], ["d", "c"])

        return deferToThread(run)

    def test_gone(self) -> Deferred[None]:
        """A supervisor that ends is noticed."""
        self.steering.answers["quit"] = lambda arguments: self.reactor.callLater(0, self.factory.close) and {}

        def run() -> None:
            with Control(self.where) as control:
                control.call("quit")
                self.assertTrue(control.gone(5.0))
                self.assertRaises(ConnectionError, control.call, "ping")

        return deferToThread(run)

    def test_environment(self) -> None:
        """Without a path, the environment tells it."""
        self.patch(os, "environ", {"CIRCUSTWIST_CONTROL": self.where})
        Control().close()


class AbsentTests(SynchronousTestCase):
    """Tests of L{Control} where no supervisor answers."""

    def test_nobody(self) -> None:
        """That is an C{OSError}."""
        self.assertRaises(FileNotFoundError, Control, self.mktemp())
        self.assertRaises(ConnectionRefusedError, Control, "@circustwist-nobody")

    def test_silence(self) -> None:
        """One that does not answer is waited for as long as was said."""
        path = os.path.relpath(self.mktemp())
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(path)
        listening.listen(1)
        with Control(path, 0.05) as control:
            self.assertRaises(TimeoutError, control.call, "ping")
            self.assertFalse(control.gone(0.01))

    def test_light(self) -> None:
        """Only the standard library is imported."""
        code = "import sys, circustwist.control.blocking; print({'twisted', 'attr', 'click'} & set(sys.modules))"
        found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        self.assertEqual(found.stdout, "set()\n")
