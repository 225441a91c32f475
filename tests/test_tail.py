"""Tests of the rings of last lines and of those who follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import MessageError
from circustwist.model.launch import Names
from circustwist.model.line import Line, Selection, selected
from circustwist.system.tail import BATCH, OVERHEAD, Ring, Tails

WEB, DB = Names(1, "web", 1), Names(2, "db", 1)
ALL = Selection()


def texts(lines: Sequence[Line]) -> list[bytes]:
    """The text of each line."""
    return [line.data for line in lines]


class Reader:
    """
    A listener.

    @ivar takes: whether it takes more.
    """

    def __init__(self, takes: bool = True) -> None:
        self.takes = takes
        self.lines: list[bytes] = []
        self.missed = 0
        self.largest = 0

    def __call__(self, lines: Sequence[Line], missed: int) -> bool:
        """Keep them."""
        self.lines += texts(lines)
        self.missed += missed
        self.largest = max(self.largest, len(lines))
        return self.takes


class TailsTestCase(SynchronousTestCase):
    """Some rings."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tails = Tails(self.clock, lambda: 1000.0 + self.clock.seconds())

    def write(self, text: bytes, names: Names = WEB, output: int = 1, filed: bool = False) -> None:
        """A worker writes lines."""
        self.tails.told(names, 7, output, text, filed)


class PastTests(TailsTestCase):
    """Tests of what was written already."""

    def test_order(self) -> None:
        """The last lines of all watchers, in the order in which they came."""
        self.write(b"1\n2\n")
        self.write(b"3\n", DB)
        self.write(b"4\n5\n")
        self.assertEqual(texts(self.tails.past(ALL, 4)), [b"2", b"3", b"4", b"5"])
        self.assertEqual(texts(self.tails.past(ALL, 99)), [b"1", b"2", b"3", b"4", b"5"])
        self.assertEqual(self.tails.past(ALL, 0), [])

    def test_wanted(self) -> None:
        """By watcher, worker, output, time and text."""
        self.write(b"one\n")
        self.clock.advance(5)
        self.write(b"two\nthree\n", Names(3, "web", 2), 2)
        self.write(b"four\n", DB)
        for wanted, found in (
            (Selection((("web", 0),)), [b"one", b"two", b"three"]), (Selection((("web", 2),)), [b"two", b"three"]),
            (Selection(output=2), [b"two", b"three"]), (Selection(since=1003), [b"two", b"three", b"four"]),
            (Selection(grep=b"o"), [b"one", b"two", b"four"]), (Selection((("web", 1), ("db", 1))), [b"one", b"four"]),
            (Selection(daemon=True), []),
        ):
            self.assertEqual(texts(self.tails.past(wanted, 99)), found, wanted)

    def test_daemon(self) -> None:
        """The supervisor's own log is shown only to who asks for it."""
        self.write(b"one\n", Names(0, "", 0))
        self.assertEqual(self.tails.past(ALL, 9), [])
        self.assertEqual(texts(self.tails.past(Selection(daemon=True), 9)), [b"one"])

    def test_filed(self) -> None:
        """What is read from a file anyhow is not told twice, and forgotten when nobody follows any more."""
        following = self.tails.follow(ALL, Reader())
        self.write(b"one\n", filed=True)
        self.assertEqual(self.tails.past(ALL, 9), [])
        self.assertTrue(self.tails.rings(ALL)[0].blocks)
        following()
        self.assertFalse(self.tails.rings(ALL)[0].blocks)

    def test_limit(self) -> None:
        """A watcher may have a small ring, or none."""
        self.tails.limit("web", 0)
        self.write(b"one\n")
        self.assertEqual(self.tails.rings(ALL), [])
        self.tails.limit("web", 10)
        self.write(b"123456789\nabc\ndef\n")
        self.assertEqual(texts(self.tails.past(ALL, 99)), [b"abc", b"def"])

    def test_last(self) -> None:
        """The last lines of one worker on one output, for whoever tells of its end."""
        self.write(b"1\n2\n")
        self.write(b"3\n4444\n")
        self.write(b"no\n", output=2)
        self.write(b"no\n", Names(9, "web", 2))
        self.assertEqual(self.tails.last(WEB, 1, 3, 2), [b"2", b"3", b"44"])
        self.assertEqual(self.tails.last(DB, 1, 3, 2), [])

    @given(st.lists(st.binary(max_size=400), max_size=60), st.integers(1, 5000))
    def test_bounded(self, texts: list[bytes], limit: int) -> None:
        """A ring never takes more memory than it may, and always has the newest line that fits."""
        ring = Ring(limit)
        for number, text in enumerate(texts):
            ring.push(number, 0, WEB, 7, 1, text + b"\n", False)
            self.assertLessEqual(sum(len(block.text) + OVERHEAD for block in ring.blocks), limit + OVERHEAD)
            self.assertEqual(ring.blocks[-1].first + ring.blocks[-1].count, ring.total)


class FollowTests(TailsTestCase):
    """Tests of those who follow."""

    def follow(self, selection: Selection = ALL, takes: bool = True) -> Reader:
        """Somebody who follows and reads."""
        self.reader = Reader(takes)
        self.following = self.tails.follow(selection, self.reader)
        self.following.resume()
        return self.reader

    def test_fromNow(self) -> None:
        """Lines that come from now on, of every watcher, in order; also of one that is silent so far."""
        self.write(b"early\n")
        reader = self.follow()
        self.write(b"1\n2\n")
        self.write(b"3\n", DB)
        self.write(b"4\n")
        self.assertEqual(reader.lines, [])
        self.clock.advance(0)
        self.assertEqual((reader.lines, reader.missed), ([b"1", b"2", b"3", b"4"], 0))

    def test_wanted(self) -> None:
        """Only what is wanted; for the rest nothing is even due."""
        reader = self.follow(Selection((("web", 0),), grep=b"o"))
        self.clock.advance(0)
        self.write(b"no\n", DB)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.write(b"one\nelf\n")
        self.clock.advance(0)
        self.assertEqual(reader.lines, [b"one"])

    def test_end(self) -> None:
        """Afterwards nothing is told, and nothing is due; it may be ended twice."""
        reader = self.follow()
        self.write(b"1\n")
        self.following()
        self.following()
        self.write(b"2\n")
        self.assertEqual((reader.lines, self.clock.getDelayedCalls()), ([], []))

    def test_batches(self) -> None:
        """Many lines are told a few at a time."""
        reader = self.follow()
        self.write(b"x\n" * (2 * BATCH + 1))
        self.clock.advance(0)
        self.assertEqual((len(reader.lines), reader.missed), (2 * BATCH + 1, 0))
        self.assertEqual(reader.largest, BATCH)

    def test_slow(self) -> None:
        """Who does not take them has no queue: it goes on with what is still there, and hears how many are not."""
        self.tails.limit("web", 2000)
        reader = self.follow(takes=False)
        for number in range(1000):
            self.write(b"%d\n" % number)
            self.clock.advance(0)
        self.assertEqual(reader.lines, [b"0"])
        self.following.resume()
        self.clock.advance(0)
        self.assertEqual(reader.lines[-1], b"999")
        self.assertEqual(len(reader.lines) + reader.missed, 1000)
        self.assertLess(len(reader.lines), 50)

    def test_raises(self) -> None:
        """A listener that raises is told nothing more, and keeps nobody from anything."""
        def listener(lines: Sequence[Line], missed: int) -> bool:
            raise ValueError

        self.tails.follow(ALL, listener).resume()
        reader = self.follow()
        self.write(b"1\n")
        self.clock.advance(0)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(reader.lines, [b"1"])

    @given(st.lists(st.tuples(
        st.sampled_from(["write", "turn", "pause", "resume"]), st.sampled_from([WEB, DB]), st.integers(1, 700))))
    def test_conserved(self, steps: list[tuple[str, Names, int]]) -> None:
        """However it is read: lines told and lines missed are together all lines, each watcher's in order."""
        self.setUp()
        for name in ("web", "db"):
            self.tails.limit(name, 3000)
        reader, written = self.follow(), 0
        for step, names, number in steps:
            if step == "write":
                text = b"".join(b"%s%d\n" % (names.watcher.encode(), written + n) for n in range(number))
                self.write(text, names)
                written += number
            elif step == "turn":
                self.clock.advance(0)
            else:
                reader.takes = step == "resume"
                if reader.takes:
                    self.following.resume()
        reader.takes = True
        self.following.resume()
        self.clock.pump([0] * 20)
        self.assertEqual(len(reader.lines) + reader.missed, written)
        for name in (b"web", b"db"):
            numbers = [int(line.removeprefix(name)) for line in reader.lines if line.startswith(name)]
            self.assertEqual(numbers, sorted(numbers))


class LineTests(SynchronousTestCase):
    """Tests of lines and selections as clients see them."""

    def test_json(self) -> None:
        """Text as it is; what is not UTF-8 is escaped, and there as it is in base 64."""
        self.assertEqual(Line(1.5, "web", 1, 7, 1, "é\x1b".encode()).json(), {
            "time": 1.5, "watcher": "web", "wid": 1, "pid": 7, "stream": "stdout", "text": "é\x1b"})
        told = Line(0.0, "web", 0, 0, 2, b"\xff").json()
        self.assertEqual((told["time"], told["stream"], told["text"], told["raw"]), (None, "stderr", "\\xff", "/w=="))

    def test_selected(self) -> None:
        """What clients write is understood, or refused in one line."""
        given: dict[str, Any] = {"names": ["Web/3", "db"], "stream": "stderr", "since": 5.0, "grep": "é",
                                 "daemon": False}
        self.assertEqual(selected(given), Selection((("web", 3), ("db", 0)), 2, 5.0, "é".encode()))
        for wrong in ({"names": ["web/x"]}, {"names": ["web/"]}, {"stream": "stdin"}):
            with self.assertRaises(MessageError):
                selected({**given, **wrong})
