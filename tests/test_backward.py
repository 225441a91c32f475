"""Tests of reading log files from their ends."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.system import backward
from circustwist.system.rotation import Keeping


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

    def test_compressed(self) -> None:
        """Lines go on in files that were compressed, by us or by others, and in those with a date."""
        self.write(b"5\n6\n", b"3\n4\n")
        Path(self.path + ".2.gz").write_bytes(gzip.compress(b"1\n2\n"))
        self.assertEqual(self.last(99), [b"1", b"2", b"3", b"4", b"5", b"6"])
        self.assertEqual(self.last(5, grep=b"2"), [b"2"])
        for name in list(backward.rotated(self.path))[1:]:
            os.unlink(name)
        Path(self.path + ".20260101000000.gz").write_bytes(gzip.compress(b"1\n2\n"))
        self.assertEqual(self.last(3), [b"2", b"5", b"6"])

    @given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 40), st.randoms(use_true_random=False))
    def test_members(self, sizes: list[int], most: int, random: Random) -> None:
        """However a file was compressed, its last lines are found, whatever its bytes look like."""
        texts = [bytes(random.choice(b"\x1f\x8b\x08ab\n") for _ in range(size)) for size in sizes]
        Path(self.path + ".1.gz").write_bytes(b"".join(map(gzip.compress, texts)))
        whole = b"".join(texts).removesuffix(b"\n").split(b"\n")
        self.assertEqual(self.last(most), whole[-most:])

    def test_squeezed(self) -> None:
        """Of a large file only the end is unpacked; one that is damaged, or in one large piece, is left out."""
        data = b"".join(b"%09d\n" % number for number in range(200_000))
        Path(self.path + ".1").write_bytes(data)
        keeping = Keeping(compress=True)
        self.assertTrue(keeping.settle(self.path, keeping.squeezed(self.path)))
        packed = Path(self.path + ".1.gz")
        self.assertEqual(gzip.decompress(packed.read_bytes()), data)
        unpacked: list[int] = []
        member = backward._member
        self.patch(backward, "_member", lambda text: unpacked.append(len(text)) or member(text))
        self.assertEqual(self.last(2), [b"000199998", b"000199999"])
        self.assertLess(sum(unpacked), packed.stat().st_size // 3)
        for bad in packed.read_bytes()[:-5], gzip.compress(b"x" * (1 << 24)):
            packed.write_bytes(bad)
            self.assertNotIn(b"000199999", self.last(2))

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
