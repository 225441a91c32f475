"""Tests of the framing of lines and of what is put before them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.line import shown
from circustwist.system.lines import MAX_LINE, cut, joined, split, stamp

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
        """The stamp is Circus's."""
        self.assertRegex(stamp("%Y-%m-%d %H:%M:%S", 4711, 1e9), rb"\A2001-09-\d\d \d\d:\d\d:40 \[4711\] \| \Z")

    def test_unknownPid(self) -> None:
        """A worker whose pid is not known has a dash."""
        self.assertEqual(stamp("", 0, 0.0), b" [-] | ")

    def test_joined(self) -> None:
        """Every line gets the prefix and a newline, an empty one too."""
        self.assertEqual(joined(b"> ", b"a\n\n\xff\n"), b"> a\n> \n> \xff\n")


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
