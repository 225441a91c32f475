"""Tests of the state journal."""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import Any
from unittest import mock, skipUnless

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from circustwist.model.errors import WorldError
from circustwist.system import journal as module
from circustwist.system.interfaces import IJournal
from circustwist.system.journal import Journal, MemoryJournal

ROOT = os.getuid() == 0
ENTRIES = [{"kind": "gone", "id": n, "text": "ä\n\0\ud800"} for n in range(3)]


class Base(SynchronousTestCase):
    """A journal in a fresh path, and what is logged."""

    def setUp(self) -> None:
        self.path = self.mktemp()
        self.logged: list[Any] = []
        globalLogPublisher.addObserver(self._log)
        self.addCleanup(globalLogPublisher.removeObserver, self._log)

    def _log(self, event: Any) -> None:
        if event.get("log_level", LogLevel.debug) >= LogLevel.warn:
            self.logged.append(event)

    def journal(self, boot: str = "boot") -> Journal:
        """Another journal in the same place."""
        made = Journal(self.path, boot)
        self.addCleanup(made.close, False)
        return made

    def left(self) -> list[Any]:
        """What a later supervisor reads."""
        return self.journal().entries()

    def write(self, data: bytes) -> None:
        """Put something else in its place."""
        with open(self.path, "wb") as file:
            file.write(data)

    def read(self) -> bytes:
        """Everything that is in the file."""
        with open(self.path, "rb") as file:
            return file.read()


class WritingTests(Base):
    """Appending and compacting."""

    def test_interface(self) -> None:
        """Both journals keep the contract."""
        verifyObject(IJournal, self.journal())
        verifyObject(IJournal, MemoryJournal())

    def test_nothing(self) -> None:
        """There is no file at first, and that is no error."""
        self.assertEqual(self.left(), [])
        self.assertFalse(os.path.exists(self.path))

    def test_append(self) -> None:
        """What was appended is read by the next, who goes on with the same file."""
        for entry in ENTRIES:
            self.journal().append(entry)
        self.assertEqual(self.left(), ENTRIES)
        self.assertEqual(self.logged, [])

    def test_oneWrite(self) -> None:
        """Each entry is one write, so that none is ever half there for others."""
        journal = self.journal()
        journal.append(ENTRIES[0])
        with mock.patch.object(module.os, "write", side_effect=os.write) as write:
            journal.append(ENTRIES[1])
        self.assertEqual(write.call_count, 1)

    def test_private(self) -> None:
        """The file is for its owner only and its descriptor for this process only."""
        journal = self.journal()
        journal.append(ENTRIES[0])
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        journal.compact(list)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertFalse(os.get_inheritable(journal._fd))

    def test_compact(self) -> None:
        """A compaction replaces everything, and appending goes on after it."""
        journal = self.journal()
        journal.append({"kind": "old"})
        journal.compact(lambda: ENTRIES[:2])
        journal.append(ENTRIES[2])
        self.assertEqual(self.left(), ENTRIES)
        self.assertFalse(os.path.exists(f"{self.path}.new"))

    def test_growth(self) -> None:
        """It is compacted again whenever it has grown, and no appended entry is lost by that."""
        journal, entry = self.journal(), {"kind": "gone", "text": "x" * 60_000}
        snapshots = []
        journal.compact(lambda: snapshots.append(1) or ENTRIES)  # type: ignore[func-returns-value]
        for n in range(40):
            journal.append({**entry, "id": n})
            self.assertEqual(self.journal().entries()[-1]["id"], n)
        self.assertEqual(len(snapshots), 3)
        self.assertLess(os.path.getsize(self.path), 2 * module.GROWTH)
        self.assertEqual(self.left()[:3], ENTRIES)

    def test_tooLong(self) -> None:
        """An entry that would not be read again is not written, and that is logged."""
        self.journal().append({"kind": "gone", "text": "x" * module.LONGEST_LINE})
        self.assertEqual(len(self.logged), 1)
        self.assertEqual(self.left(), [])

    def test_close(self) -> None:
        """It is removed after an orderly end only."""
        for remove in (False, True):
            journal = self.journal()
            journal.append(ENTRIES[0])
            journal.close(remove)
            self.assertEqual(os.path.exists(self.path), not remove)
        self.journal().close(True)

    def test_memory(self) -> None:
        """The one in memory does the same."""
        journal = MemoryJournal([{"kind": "old"}])
        journal.compact(lambda: ENTRIES[:2])
        journal.append(ENTRIES[2])
        self.assertEqual(journal.entries(), ENTRIES)
        journal.close(True)
        self.assertEqual(journal.entries(), [])


class FailureTests(Base):
    """A disk that is full."""

    def limit(self, size: int) -> None:
        """Let no file grow beyond this size, by write(2) as it is on a full disk."""
        real = os.write

        def write(fd: int, data: bytes) -> int:
            room = size - os.fstat(fd).st_size
            if room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(fd, data[:room])

        self.room = self.patch(module.os, "write", write).restore

    def test_full(self) -> None:
        """A failure is logged once; when there is room again, the snapshot makes up for what was lost."""
        journal, known = self.journal(), list(ENTRIES[:1])
        journal.compact(lambda: known)
        self.limit(os.path.getsize(self.path) + 10)
        for entry in ENTRIES[1:]:
            journal.append(entry)
            known.append(entry)
        self.assertEqual([event["error"] for event in self.logged], [os.strerror(errno.ENOSPC)])
        self.room()
        journal.append({"kind": "gone", "id": 9})
        self.assertEqual(self.left(), [*ENTRIES, {"kind": "gone", "id": 9}])

    def test_torn(self) -> None:
        """Without a snapshot, the next entry stands on its own line."""
        journal = self.journal()
        journal.append(ENTRIES[0])
        self.limit(os.path.getsize(self.path) + 10)
        journal.append(ENTRIES[1])
        self.room()
        journal.append(ENTRIES[2])
        self.assertEqual(self.left(), [ENTRIES[0], ENTRIES[2]])

    def test_noFolder(self) -> None:
        """A folder that is not there is such a failure too."""
        journal = Journal(f"{self.path}/no/journal", "boot")
        journal.compact(list)
        journal.append(ENTRIES[0])
        self.assertEqual(len(self.logged), 1)


class ReadingTests(Base):
    """What is not trusted."""

    def test_rubbish(self) -> None:
        """Lines that are no objects are left out and counted; a torn one at the end is not."""
        deep, long = b"[" * 50_000, b'{"kind":"' + b"x" * module.LONGEST_LINE + b'"}'
        number = b'{"kind":' + b"9" * 5_000 + b"}"
        lines = [b"\xff\xfe", b"[1]", b"null", b"", deep, long, number, b'{"kind":"gone"}', b'{"kind":"torn"}']
        self.write(b"\n".join(lines))
        journal = self.journal()
        self.assertEqual(journal.entries(), [{"kind": "gone"}])
        self.assertEqual(journal.skipped, 7)
        self.assertEqual(len(self.logged), 1)

    def test_future(self) -> None:
        """A newer version's file is not guessed at."""
        self.write(b'{"kind":"journal","version":2}\n{"kind":"gone","id":1}\n')
        error = self.assertRaises(WorldError, self.left)
        self.assertIn("newer circustwist", str(error))
        self.assertNotIn("\n", str(error))

    def test_otherBoot(self) -> None:
        """After a reboot nothing that is recorded is left."""
        self.journal("earlier").append(ENTRIES[0])
        self.assertEqual(self.left(), [])
        self.assertEqual(self.journal("earlier").entries(), ENTRIES[:1])
        self.assertTrue(module.bootId())

    def test_link(self) -> None:
        """A link is not followed, neither for reading nor for writing."""
        os.symlink("/etc/passwd", self.path)
        self.assertRaises(WorldError, self.left)
        self.journal().append(ENTRIES[0])
        self.assertEqual(len(self.logged), 1)

    def test_special(self) -> None:
        """A fifo does not hold us up."""
        os.mkfifo(self.path)
        error = self.assertRaises(WorldError, self.left)
        self.assertIn("it is no regular file", str(error))
        self.journal().append(ENTRIES[0])
        self.assertEqual(len(self.logged), 1)

    @skipUnless(ROOT, "only root can give files away")
    def test_stranger(self) -> None:
        """Somebody else's file is not believed."""
        self.write(b"")
        os.chown(self.path, 65534, -1)
        error = self.assertRaises(WorldError, self.left)
        self.assertIn("it belongs to uid 65534", str(error))

    def test_large(self) -> None:
        """A file larger than any journal is not read."""
        self.write(b"")
        os.truncate(self.path, module.LARGEST + 1)
        self.assertIn("larger than", str(self.assertRaises(WorldError, self.left)))

    def test_everyCut(self) -> None:
        """Cut off at any byte, it holds exactly the entries that are whole; and it can be gone on with."""
        for entry in ENTRIES:
            self.journal().append(entry)
        data = self.read()
        ends = [n for n in range(len(data)) if data[n : n + 1] == b"\n"]
        for size in range(len(data)):
            self.write(data[:size])
            whole = max(0, sum(end < size for end in ends) - 1)
            self.assertEqual(self.left(), ENTRIES[:whole])
            self.journal().append({"kind": "more"})
            # A line that lacked only its end is whole again with it.
            expected = [[*ENTRIES[:n], {"kind": "more"}] for n in (whole, whole + 1)]
            self.assertIn(self.left(), expected)

    @given(st.binary() | st.lists(st.sampled_from([b"{", b"}", b'"kind"', b":", b"1", b"\n", b"[", b'"journal"'])).map(
        b"".join))
    def test_anyBytes(self, data: bytes) -> None:
        """Any bytes are read without an error, as the objects that are in them and no others."""
        self.path = self.mktemp()
        self.write(data)
        for entry in self.left():
            self.assertIsInstance(entry, dict)
            self.assertIn(entry, [_object(line) for line in data.split(b"\n")])


def _object(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
