"""Tests of log files and of what happens while they cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from circustwist.system.files import CHECK_EVERY, LogFile, realPath
from circustwist.system.stores import RETRY, TELL_EVERY, FileStore, Gate, Store


class FileTestCase(SynchronousTestCase):
    """A log file in a folder of its own, and a pipe to feed it from."""

    def setUp(self) -> None:
        """Make them."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "log"
        self.clock = Clock()
        self.file = LogFile(self.clock, str(self.path))
        self.addCleanup(self.file.close)
        self.end, self.writing = os.pipe2(os.O_NONBLOCK)
        self.addCleanup(os.close, self.end)
        self.addCleanup(os.close, self.writing)

    def spliceAll(self, data: bytes) -> None:
        """Send bytes through the pipe into the file."""
        while data:
            data = data[os.write(self.writing, data):]
            try:
                while True:
                    self.file.splice(self.end)
            except BlockingIOError:
                pass

    def written(self) -> bytes:
        """The contents of all files, the oldest first."""
        names = sorted(self.folder.iterdir(), key=lambda path: -int(path.suffix[1:] or 0))
        return b"".join(path.read_bytes() for path in names)


class LogFileTests(FileTestCase):
    """Tests of L{LogFile}."""

    def test_appends(self) -> None:
        """What was in the file stays."""
        self.path.write_bytes(b"old\n")
        self.spliceAll(b"new\n")
        self.assertEqual(self.path.read_bytes(), b"old\nnew\n")

    def test_binary(self) -> None:
        """Every byte arrives as it is."""
        data = bytes(range(256)) * 1000
        self.spliceAll(data)
        self.assertEqual(self.path.read_bytes(), data)

    def test_mode(self) -> None:
        """A new file is readable by all as far as the umask allows."""
        self.addCleanup(os.umask, os.umask(0o027))
        self.file.open()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)

    def test_refused(self) -> None:
        """A symbolic link, a fifo and a directory are refused, without waiting."""
        (self.folder / "link").symlink_to(self.path)
        os.mkfifo(self.folder / "fifo")
        for name, number in (("link", errno.ELOOP), ("fifo", errno.ENXIO), (".", errno.EISDIR)):
            with self.assertRaises(OSError) as caught:
                LogFile(self.clock, f"{self.folder}/{name}").open()
            self.assertEqual(caught.exception.errno, number)

    def test_linkOnTheWay(self) -> None:
        """A folder that was replaced by a symbolic link is not followed by root."""
        if os.geteuid():
            raise SkipTest("needs root")
        inner = self.folder / "inner"
        inner.mkdir()
        file = LogFile(self.clock, str(inner / "log"))
        inner.rmdir()
        inner.symlink_to(self.folder)
        with self.assertRaises(NotADirectoryError):
            file.open()
        self.assertFalse((self.folder / "log").exists())

    def test_fifoWithReader(self) -> None:
        """A fifo that somebody reads is refused too, and not kept open."""
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        with self.assertRaisesRegex(OSError, "not a regular file"):
            LogFile(self.clock, str(fifo)).open()
        self.assertEqual(os.read(reader, 1), b"")

    def test_rotatedAtSize(self) -> None:
        """Files are as long as allowed, to the byte."""
        self.file.maxBytes, self.file.backups = 10, 3
        self.spliceAll(b"0123456789abcdefghijABC")
        self.assertEqual(
            {path.name: path.read_bytes() for path in self.folder.iterdir()},
            {"log.2": b"0123456789", "log.1": b"abcdefghij", "log": b"ABC"})

    def test_oldestRemoved(self) -> None:
        """No more backups are kept than wanted."""
        self.file.maxBytes, self.file.backups = 1, 2
        self.spliceAll(b"abcde")
        self.assertEqual(self.written(), b"cde")

    def test_noBackups(self) -> None:
        """Without backups a file grows on, as in Circus."""
        self.file.maxBytes = 10
        self.spliceAll(b"x" * 25)
        self.assertEqual(self.written(), b"x" * 25)

    @given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=20), st.integers(1, 50))
    def test_conserved(self, writes: list[tuple[bool, bytes]], size: int) -> None:
        """Over any rotations, by splicing and by writing, no byte is lost or moved."""
        for path in self.folder.iterdir():
            path.unlink()
        self.file.close()
        self.file.maxBytes, self.file.backups = size, 2000
        for splice, data in writes:
            if splice:
                self.spliceAll(data)
            while data and not splice:
                data = data[self.file.write(data):]
        self.assertEqual(self.written(), b"".join(data for _, data in writes))

    def test_wholeLines(self) -> None:
        """Written lines are not divided over two files, unless one is longer than a file may be."""
        self.file.maxBytes, self.file.backups = 10, 9
        data = b"first\nsecond\nab\ncd\nmuch longer than ten\nend\n"
        while data:
            data = data[self.file.write(data):]
        self.assertEqual(
            [path.read_bytes() for path in sorted(self.folder.glob("log.*"), reverse=True)],
            [b"first\n", b"second\nab\n", b"cd\n", b"much longer than ten\n"])

    def test_rotationFails(self) -> None:
        """A file that cannot be put aside grows on."""
        (self.folder / "log.1").mkdir()
        self.file.maxBytes, self.file.backups = 10, 1
        self.spliceAll(b"x" * 25)
        self.assertEqual(self.path.read_bytes(), b"x" * 25)

    def test_removed(self) -> None:
        """A file that was removed is made again within a second."""
        self.spliceAll(b"one")
        self.path.unlink()
        self.clock.advance(CHECK_EVERY)
        self.spliceAll(b"two")
        self.assertEqual(self.path.read_bytes(), b"two")

    def test_renamed(self) -> None:
        """A file that was renamed is left alone."""
        self.spliceAll(b"one")
        self.path.rename(self.folder / "log.1")
        self.clock.advance(CHECK_EVERY)
        self.spliceAll(b"two")
        self.assertEqual(self.written(), b"onetwo")
        self.assertEqual(self.path.read_bytes(), b"two")

    def test_truncated(self) -> None:
        """After logrotate's copytruncate the file begins at its beginning."""
        self.spliceAll(b"one")
        os.truncate(self.path, 0)
        self.spliceAll(b"two")
        self.assertEqual(self.path.read_bytes(), b"two")

    def test_end(self) -> None:
        """When nobody can write to a pipe any more, it moves nothing."""
        end, writing = os.pipe2(os.O_NONBLOCK)
        self.addCleanup(os.close, end)
        os.close(writing)
        self.assertEqual(self.file.splice(end), 0)


class RealPathTests(SynchronousTestCase):
    """Tests of L{realPath}."""

    def test_folders(self) -> None:
        """Links on the way are resolved, the file's own name is not."""
        folder = Path(self.mktemp()).absolute()
        (folder / "real").mkdir(parents=True)
        (folder / "link").symlink_to("real")
        (folder / "real" / "log").symlink_to("elsewhere")
        self.assertEqual(realPath(f"{folder}/link/log"), os.path.realpath(folder / "real") + "/log")


class Broken:
    """Something to write to that fails while C{error} is set, and takes three bytes at a time."""

    def __init__(self) -> None:
        self.error = 0
        self.taken = b""
        self.open = True

    def write(self, data: bytes) -> int:
        """Take some."""
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        self.taken += data[:3]
        return len(data[:3])

    def close(self) -> None:
        """Remember that."""
        self.open = False


class Waiting:
    """Who waits at a gate."""

    resumed = 0

    def resume(self) -> None:
        """Count."""
        self.resumed += 1


class StoreTests(SynchronousTestCase):
    """Tests of L{Store} and its L{Gate}."""

    def setUp(self) -> None:
        """Make a store, and listen to the log."""
        self.clock = Clock()
        self.gate = Gate(self.clock, "/var/log/web")
        self.file = Broken()
        self.store = Store(self.gate, self.file)
        self.events: list[str] = []

        def observe(event: dict[str, object]) -> None:
            self.events.append(str(event["log_format"]).format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def test_all(self) -> None:
        """Everything is written, however little is taken at a time, and no timer runs."""
        self.store.write(b"0123456789")
        self.assertEqual(self.file.taken, b"0123456789")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """While it fails it keeps what it has, says so once, and lets others wait."""
        self.file.error = errno.ENOSPC
        self.store.write(b"01234")
        self.assertFalse(self.gate.ready)
        self.assertEqual(self.events, [
            "/var/log/web cannot be written: No space left on device; it is tried again every second"])

    def test_resumes(self) -> None:
        """When it can be written again everybody goes on, the log says so, and the timer is gone."""
        waiting = Waiting()
        self.file.error = errno.ENOSPC
        self.store.write(b"01234")
        self.gate.waiting.add(waiting)
        self.clock.advance(RETRY)
        self.assertEqual(waiting.resumed, 0)
        self.file.error = 0
        self.clock.advance(RETRY)
        self.assertEqual((self.file.taken, waiting.resumed, self.gate.ready), (b"01234", 1, True))
        self.assertEqual(self.events[1:], ["/var/log/web is written again, after 2 failures"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_toldSeldom(self) -> None:
        """A failure that lasts is told every ten seconds, with counts."""
        self.file.error = errno.EIO
        self.store.write(b"0")
        self.clock.pump([RETRY] * int(2 * TELL_EVERY))
        self.assertEqual(len(self.events), 3)
        self.assertIn("tried 21 times, 0 outputs wait", self.events[-1])

    def test_lost(self) -> None:
        """What cannot be written at the end is counted."""
        self.file.error = errno.EROFS
        self.store.write(b"01234")
        self.store.close()
        self.assertEqual(self.events[-1], "/var/log/web: 5 bytes of output are lost")
        self.assertFalse(self.file.open)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FileStoreTests(FileTestCase):
    """Tests of L{FileStore}."""

    def setUp(self) -> None:
        """Make one."""
        super().setUp()
        self.gate = Gate(self.clock, str(self.path))
        self.store = FileStore(self.gate, self.file)
        self.addCleanup(self.store.close)

    def test_vanishedFolder(self) -> None:
        """While the folder is gone the bytes stay in the pipe."""
        os.write(self.writing, b"kept")
        os.rename(self.folder, f"{self.folder}.away")
        with self.assertRaises(BlockingIOError):
            self.store.splice(self.end)
        self.assertFalse(self.gate.ready)
        self.folder.mkdir()
        self.clock.advance(RETRY)
        self.assertTrue(self.gate.ready)
        self.assertEqual(self.store.splice(self.end), 4)
        self.assertEqual(self.path.read_bytes(), b"kept")

    def test_reopen(self) -> None:
        """It can be told that the file was moved."""
        os.write(self.writing, b"one")
        self.store.splice(self.end)
        self.path.rename(self.folder / "log.1")
        self.store.reopen()
        os.write(self.writing, b"two")
        self.store.splice(self.end)
        self.assertEqual((self.path.read_bytes(), self.written()), (b"two", b"onetwo"))

    def test_reopenFails(self) -> None:
        """A file that cannot be opened again shuts the gate."""
        self.folder.rename(f"{self.folder}.away")
        self.store.reopen()
        self.assertFalse(self.gate.ready)
        os.rename(f"{self.folder}.away", self.folder)
