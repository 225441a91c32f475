"""Tests of the framing of lines and of what is put before them."""

from __future__ import annotations

import base64
import json
import re
import time
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.launch import Names
from circustwist.model.line import shown
from circustwist.system.lines import MAX_LINE, cut, joined, objects, split
from circustwist.system.prefix import STAMP, Prefix

chunks = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"\n", b"\n\n", b"\r\n", b"\0", b"\xff"]),
        st.builds(lambda n: b"x" * n, st.sampled_from([1, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE])),
    ),
    max_size=12,
)


def fed(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """Every line of what comes in these pieces, and what is left over."""
    found: list[bytes] = []
    rest = b""
    for piece in pieces:
        for start in range(0, len(piece), MAX_LINE):
            more, rest = cut(rest, piece[start:start + MAX_LINE])
            found += split(more) if more else []
    return found, rest


class CutTests(SynchronousTestCase):
    """Tests of L{cut}."""

    @given(chunks)
    def test_boundaries(self, pieces: list[bytes]) -> None:
        """However the bytes were cut by reading, the lines are the same."""
        self.assertEqual(fed(pieces), fed([b"".join(pieces)]))

    @given(chunks, st.integers(1, 4))
    def test_smallPieces(self, pieces: list[bytes], size: int) -> None:
        """A few bytes at a time give the same lines too."""
        text = b"".join(pieces)[-3000:]
        self.assertEqual(fed([text[n:n + size] for n in range(0, len(text), size)]), fed([text]))

    @given(chunks)
    def test_bounded(self, pieces: list[bytes]) -> None:
        """No line and nothing left over is longer than the limit."""
        found, rest = fed(pieces)
        self.assertLessEqual(max(map(len, [*found, rest])), MAX_LINE)

    @given(st.lists(st.binary(max_size=50).map(lambda line: line.replace(b"\n", b"")), max_size=20))
    def test_shortLines(self, given: list[bytes]) -> None:
        """Lines below the limit come out as they are."""
        self.assertEqual(fed([b"".join([line + b"\n" for line in given])]), (given, b""))

    @given(chunks)
    def test_conserved(self, pieces: list[bytes]) -> None:
        """Apart from newlines, no byte is lost, added or moved."""
        found, rest = fed(pieces)
        self.assertEqual(b"".join(found) + rest, b"".join(pieces).replace(b"\n", b""))

    def test_longest(self) -> None:
        """A line of exactly the limit is whole; one byte more is cut off."""
        whole = b"x" * MAX_LINE
        self.assertEqual(cut(whole, b"\n"), (whole + b"\n", b""))
        self.assertEqual(cut(whole, b"y\n"), (whole + b"\ny\n", b""))


class PrefixTests(SynchronousTestCase):
    """Tests of what stands before lines."""

    def test_stamp(self) -> None:
        """The stamp of a file is Circus's; a worker whose pid is not known has a dash."""
        source: Any = SimpleNamespace(names=Names(1, "web", 2), pid=4711, output=1)
        stamp = Prefix(STAMP, "%Y-%m-%d %H:%M:%S", lambda: 1e9)
        self.assertRegex(stamp(source), rb"\A2001-09-\d\d \d\d:\d\d:40 \[4711\] \| \Z")
        source.pid = 0
        self.assertEqual(Prefix("%(watcher)s/%(wid)s %(stream)s [%(pid)s] 100%%", "", time.time)(source),
                         b"web/2 stdout [-] 100%")

    def test_joined(self) -> None:
        """Every line gets the prefix and a newline, an empty one too."""
        self.assertEqual(joined(b"> ", b"a\n\n\xff\n"), b"> a\n> \n> \xff\n")


class ObjectsTests(SynchronousTestCase):
    """Tests of L{objects}."""

    @given(st.lists(st.one_of(st.binary(), st.text().map(str.encode)).map(lambda line: line.replace(b"\n", b"")),
                    min_size=1))
    def test_lossless(self, lines: list[bytes]) -> None:
        """Every line is an object from which its bytes can be made again; the whole is UTF-8."""
        block = objects('{"wid":1,"text":', b"".join([line + b"\n" for line in lines]))
        found = [json.loads(line) for line in block.decode().split("\n")[:-1]]
        self.assertEqual(
            [base64.b64decode(each["raw"]) if "raw" in each else each["text"].encode() for each in found], lines)
        self.assertEqual({each["wid"] for each in found}, {1})


class ShownTests(SynchronousTestCase):
    """Tests of L{shown}."""

    def test_plain(self) -> None:
        """Text with tabs and accents passes."""
        self.assertEqual(shown("naïve\tπ".encode()), "naïve\tπ")

    def test_colour(self) -> None:
        """Colours pass, and end with the line."""
        self.assertEqual(shown(b"\x1b[1;31mred"), "\x1b[1;31mred\x1b[0m")

    def test_escapes(self) -> None:
        """Other escapes are shown: titles, clearing, replies, in seven and in eight bits."""
        self.assertEqual(shown(b"\x1b]0;evil\x07"), "\\x1b]0;evil\\x07")
        self.assertEqual(shown(b"\x1b[2J"), "\\x1b[2J")
        self.assertEqual(shown(b"\xc2\x9b2J\x9b6n"), "\\x9b2J\\x9b6n")
        self.assertEqual(shown("a\u202eb\u2066".encode()), "a\\u202eb\\u2066")

    def test_carriageReturn(self) -> None:
        """That of a DOS line ends with it; one inside is shown."""
        self.assertEqual(shown(b"dos\r"), "dos")
        self.assertEqual(shown(b"fake\rreal"), "fake\\x0dreal")

    @given(st.binary(max_size=200).map(lambda line: line.replace(b"\n", b"")))
    def test_harmless(self, line: bytes) -> None:
        """Without colours nothing is left that is not printed."""
        text = re.sub(r"\x1b\[[0-9;:]*m", "", shown(line))
        self.assertNotRegex(text, r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
        text.encode()
