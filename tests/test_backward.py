"""Tests of reading log files from their ends."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.system import backward


class LastTests(SynchronousTestCase):
    """Tests of L{backward.last}."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = str(self.folder / "log")

    def write(self, *texts: bytes) -> None:
        """A log and those before it, the youngest first."""
        for number, text in enumerate(texts):
            Path(self.path + (f".{number}" if number else "")).write_bytes(text)

    def last(self, most: int, **more: bytes) -> list[bytes]:
        """The last lines."""
        return backward.last(backward.rotated(self.path), most, **more)

    def test_rotations(self) -> None:
        """Lines go on in the files that were put aside."""
        self.write(b"5\n6\n", b"3\n4\n", b"1\n2\n")
        self.assertEqual(self.last(3), [b"4", b"5", b"6"])
        self.assertEqual(self.last(99), [b"1", b"2", b"3", b"4", b"5", b"6"])
        self.assertEqual(self.last(9, grep=b"3"), [b"3"])

    def test_missing(self) -> None:
        """A file that is not there, cannot be read or is no file has no lines."""
        self.assertEqual(self.last(3), [])
        os.mkfifo(self.path)
        self.assertEqual(self.last(3), [])
        os.unlink(self.path)
        os.symlink("/etc/passwd", self.path)
        self.assertEqual(self.last(3), [])

    def test_old(self) -> None:
        """A file that was last written before the time that is wanted is left out."""
        self.write(b"1\n")
        os.utime(self.path, (100, 100))
        self.assertEqual(backward.last([self.path], 9, since=101.0), [])
        self.assertEqual(backward.last([self.path], 9, since=100.0), [b"1"])

    def test_large(self) -> None:
        """Of a large file only the end is read, in whole lines."""
        self.write(b"".join(b"%09d\n" % number for number in range(200_000)))
        found = self.last(150_000)
        self.assertLess(len(found), 110_000)
        self.assertEqual(found[-1], b"000199999")
        self.assertEqual({len(line) for line in found}, {9})

    @given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), min_size=1), st.integers(1, 9),
           st.booleans())
    def test_any(self, lines: list[bytes], most: int, whole: bool) -> None:
        """They are the last lines, whether the last one has its newline or not."""
        text = b"\n".join(lines) + b"\n"
        self.write(text if whole or not lines[-1] else text[:-1])
        self.assertEqual(self.last(most), lines[-most:])
