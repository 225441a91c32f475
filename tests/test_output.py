"""Tests of the workers' pipes, with real pipes, real workers and the real reactor."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface.verify import verifyObject

from circustwist.model.errors import WorldError
from circustwist.model.launch import Names
from circustwist.model.line import Selection
from circustwist.model.stack import Watcher
from circustwist.model.streams import NO_STREAM, Stream
from circustwist.system.interfaces import IOutputs
from circustwist.system.output import Outputs

WEB = Names(1, "web", 1)
FLOOD = "import os\nwhile True: os.write(1, b'x' * 65536)"


def coroutine(test: Callable[..., Coroutine[Deferred[Any], Any, None]]) -> Callable[..., Deferred[None]]:
    """A test that is written as a coroutine and that begins when the reactor runs."""

    @wraps(test)
    def run(self: Any) -> Deferred[None]:
        return deferLater(self.reactor, 0).addCallback(lambda _: ensureDeferred(test(self)))

    return run


def fileStream(path: Path, **settings: str) -> Stream:
    """A C{FileStream}."""
    return Stream("FileStream", {"filename": str(path), **settings})


def descriptors() -> set[str]:
    """Our open descriptors."""
    return set(os.listdir("/proc/self/fd"))


class OutputsTestCase(TestCase):
    """L{Outputs} whose standard output is a pipe that we read, and a folder."""

    timeout = 30

    def setUp(self) -> None:
        """Make them."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "log"
        self.stdout, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.addCleanup(os.close, self.stdout)
        self.addCleanup(os.close, writer)
        self.outputs = Outputs(reactor, self.reactor, writer, lambda: 1e9)
        self.addCleanup(self.outputs.close)

    async def until(self, true: Callable[[], Any]) -> None:
        """Let the reactor turn until this is so."""
        while not true():
            await deferLater(self.reactor, 0.001)

    async def ended(self, names: Names = WEB) -> None:
        """Until the worker's pipes have ended."""
        await self.until(lambda: not self.outputs.inodes(names))

    def file(self, **settings: str) -> None:
        """Let both outputs of the watcher go to the file."""
        self.outputs.open(Watcher("web", stdout_stream=fileStream(self.path, **settings)))

    def write(self, data: bytes, names: Names = WEB, pid: int = 4711) -> None:
        """A worker that writes this, which must fit into a pipe, and ends."""
        child = self.outputs.pipe(names, 1)
        self.outputs.started(names, pid)
        os.write(child, data)
        os.close(child)
        self.outputs.ended(names)

    def spawn(self, *argv: str, names: Names = WEB) -> subprocess.Popen[bytes]:
        """A real worker; it is gone after the test."""
        child = self.outputs.pipe(names, 1)
        worker = subprocess.Popen(argv, stdout=child, stdin=subprocess.DEVNULL)
        os.close(child)
        self.outputs.started(names, worker.pid)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.kill)
        return worker


class OutputsTests(OutputsTestCase):
    """Tests of what goes where."""

    def test_interface(self) -> None:
        """It is what the contract says."""
        verifyObject(IOutputs, self.outputs)

    @coroutine
    async def test_standard(self) -> None:
        """Without a stream, whole lines go to the standard output, the last one too."""
        self.outputs.open(Watcher("web"))
        self.write(b"one\ntwo")
        await self.ended()
        self.assertEqual(os.read(self.stdout, 99), b"web/1 | one\nweb/1 | two\n")

    @coroutine
    async def test_stdoutStream(self) -> None:
        """So they do with a C{StdoutStream}."""
        self.outputs.open(Watcher("web", stdout_stream=Stream("StdoutStream")))
        self.write(b"one\n")
        await self.ended()
        self.assertEqual(os.read(self.stdout, 99), b"web/1 | one\n")

    @coroutine
    async def test_file(self) -> None:
        """Bytes arrive in a file as they are."""
        self.file()
        data = bytes(range(256)) * 100
        self.write(data)
        await self.ended()
        self.assertEqual(self.path.read_bytes(), data)

    @coroutine
    async def test_real(self) -> None:
        """Ten megabytes of a real worker arrive unharmed, over rotations."""
        self.file(max_bytes="1M", backup_count="20")
        self.spawn(sys.executable, "-c", "import os\nfor n in range(640): os.write(1, b'%16d' % n * 1024)")
        await self.ended()
        names = sorted(self.folder.iterdir(), key=lambda path: -int(path.suffix[1:] or 0))
        data = b"".join(b"%16d" % n * 1024 for n in range(640))
        self.assertEqual(b"".join(path.read_bytes() for path in names), data)
        self.assertEqual({path.stat().st_size for path in names}, {1 << 20})

    @coroutine
    async def test_stamped(self) -> None:
        """With C{time_format}, each line has the time and the worker's pid."""
        self.file(time_format="%Y")
        self.write(b"one\n\xff")
        await self.ended()
        self.assertEqual(self.path.read_bytes(), b"2001 [4711] | one\n2001 [4711] | \xff\n")

    @coroutine
    async def test_startedFirst(self) -> None:
        """What a worker writes before its pid is known is stamped with it all the same."""
        self.file(time_format="%Y")
        child = self.outputs.pipe(WEB, 1)
        os.write(child, b"early\n")
        await deferLater(self.reactor, 0)
        self.outputs.started(WEB, 4711)
        os.close(child)
        await self.ended()
        self.assertEqual(self.path.read_bytes(), b"2001 [4711] | early\n")

    @coroutine
    async def test_shared(self) -> None:
        """Both outputs of two watchers may go to one file, also under two names of its folder."""
        link = self.folder / "link"
        link.symlink_to(self.folder)
        for name, path in (("web", self.path), ("db", link / "log")):
            self.outputs.open(Watcher(name, stdout_stream=fileStream(path), stderr_stream=fileStream(path)))
        before = descriptors()
        for n, name in enumerate(("web", "db") * 10):
            names = Names(n, name, n)
            ends = [self.outputs.pipe(names, fd) for fd in (1, 2)]
            self.outputs.started(names, 1)
            for end in ends:
                os.write(end, b"%04d\n" % n)
                os.close(end)
        await self.until(lambda: descriptors() == before)
        self.assertEqual(sorted(self.path.read_bytes().split()), sorted([b"%04d" % n for n in range(20)] * 2))

    def test_refused(self) -> None:
        """A file that cannot be one is refused in one line that names it."""
        fifo, link = self.folder / "fifo", self.folder / "link"
        os.mkfifo(fifo)
        link.symlink_to(self.path)
        for path, why in (
            (fifo, "is a fifo"), (link, "is a symbolic link"), (self.folder, "is a directory"),
            (self.folder / "no" / "log", "No such file or directory"),
        ):
            with self.assertRaises(WorldError) as caught:
                self.outputs.open(Watcher("web", stderr_stream=fileStream(path)))
            self.assertIn(f"[watcher:web] stderr_stream.filename: {path}: {why}", str(caught.exception))

    @coroutine
    async def test_refusedKeepsOld(self) -> None:
        """When a new stream cannot be opened the old ones remain, and nothing leaks."""
        self.file()
        before = descriptors()
        with self.assertRaises(WorldError):
            self.outputs.open(Watcher(
                "web", stdout_stream=fileStream(self.folder / "new"), stderr_stream=fileStream(self.folder)))
        self.assertEqual(descriptors(), before)
        self.write(b"one\n")
        await self.ended()
        self.assertEqual(self.path.read_bytes(), b"one\n")

    @coroutine
    async def test_changed(self) -> None:
        """A worker that runs goes on in the new stream; the old file is closed."""
        self.file()
        child = self.outputs.pipe(WEB, 1)
        self.outputs.started(WEB, 1)
        os.write(child, b"one\n")
        await self.until(lambda: self.path.read_bytes())
        before = len(descriptors())
        self.outputs.open(Watcher("web", stdout_stream=fileStream(self.folder / "new")))
        self.assertEqual(len(descriptors()), before)
        os.write(child, b"two\n")
        os.close(child)
        await self.ended()
        self.assertEqual((self.path.read_bytes(), (self.folder / "new").read_bytes()), (b"one\n", b"two\n"))
        self.outputs.open(Watcher("web", stdout_stream=NO_STREAM))
        self.assertLess(len(descriptors()), before)

    @coroutine
    async def test_removed(self) -> None:
        """When a watcher is no more its file is closed, as soon as nobody writes to it, and its lines are forgotten."""
        before = len(descriptors())
        self.file(time_format="%Y")
        self.write(b"one\n")
        await self.ended()
        self.outputs.keep({"web"})
        self.assertEqual(len(self.outputs.tail(Selection(), 9)), 1)
        self.outputs.keep(set())
        self.assertEqual((len(descriptors()), self.outputs.tail(Selection(), 9)), (before, []))

    @coroutine
    async def test_moved(self) -> None:
        """After logrotate moved the file and told us, a new one is written."""
        self.file()
        child = self.outputs.pipe(WEB, 1)
        self.outputs.started(WEB, 1)
        os.write(child, b"one\n")
        await self.until(lambda: self.path.read_bytes())
        self.path.rename(self.folder / "old")
        self.outputs.reopen()
        os.write(child, b"two\n")
        os.close(child)
        await self.ended()
        self.assertEqual(self.path.read_bytes(), b"two\n")


class LifeTests(OutputsTestCase):
    """Tests of the life of pipes."""

    def test_endedDrains(self) -> None:
        """What a worker wrote is there when its end has been told, without waiting."""
        self.file()
        self.write(b"last words")
        self.assertEqual(self.path.read_bytes(), b"last words")

    @coroutine
    async def test_grandchild(self) -> None:
        """A pipe stays open while a descendant of the worker holds it, and ends with the last."""
        self.file()
        gate, opener = os.pipe()
        child = self.outputs.pipe(WEB, 1)
        script = "echo one; exec 3<&0; (read x <&3; echo two) &"
        worker = subprocess.Popen(["sh", "-c", script], stdin=gate, stdout=child)
        os.close(child)
        os.close(gate)
        self.outputs.started(WEB, worker.pid)
        worker.wait()
        self.outputs.ended(WEB)
        self.assertEqual(self.path.read_bytes(), b"one\n")
        self.assertEqual(len(self.outputs.inodes(WEB)), 1)
        os.close(opener)
        await self.ended()
        self.assertEqual(self.path.read_bytes(), b"one\ntwo\n")

    @coroutine
    async def test_closedEarly(self) -> None:
        """A worker that closes its output and lives on costs nothing."""
        worker = self.spawn("sh", "-c", "echo one; exec >&-; exec sleep 60")
        await self.ended()
        self.assertIsNone(worker.poll())
        self.assertFalse([reader for reader in self.reactor.getReaders() if "web/1" in reader.logPrefix()])

    @coroutine
    async def test_notStarted(self) -> None:
        """The pipes of a worker that was never started are given back."""
        before = descriptors()
        for fd in (1, 2):
            os.close(self.outputs.pipe(WEB, fd))
        self.outputs.ended(WEB)
        await self.ended()
        self.assertLessEqual(len(descriptors()), len(before) + 1)

    def test_inodes(self) -> None:
        """The inodes are those that the child's ends have."""
        ends = {fd: self.outputs.pipe(WEB, fd) for fd in (1, 2)}
        self.assertEqual(self.outputs.inodes(WEB), {fd: os.fstat(end).st_ino for fd, end in ends.items()})
        for end in ends.values():
            self.assertFalse(os.get_inheritable(end))
            self.assertTrue(os.get_blocking(end))
            os.close(end)

    @coroutine
    async def test_workerOutlives(self) -> None:
        """When we are gone without a word a worker writes on, and is read again later, nothing being lost."""
        self.file()
        gate, opener = os.pipe()
        self.addCleanup(os.close, opener)
        child = self.outputs.pipe(WEB, 1)
        worker = subprocess.Popen(
            ["sh", "-c", "echo one; read x; echo two; echo three; exec sleep 60"], stdin=gate, stdout=child)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.kill)
        os.close(child)
        os.close(gate)
        self.outputs.started(WEB, worker.pid)
        await self.until(lambda: self.path.read_bytes())
        inodes = self.outputs.inodes(WEB)
        self.outputs.close()
        os.write(opener, b"\n")
        end = os.open(f"/proc/{worker.pid}/fd/1", os.O_RDONLY)
        self.assertEqual({1: os.fstat(end).st_ino}, inodes)
        self.file()
        self.outputs.adopt(WEB, 1, end)
        self.outputs.started(WEB, worker.pid)
        await self.until(lambda: self.path.read_bytes() == b"one\ntwo\nthree\n")
        worker.kill()
        await self.ended()

    @coroutine
    async def test_adoptedCopy(self) -> None:
        """A copy of the worker's own descriptor will do: it stays blocking, and the end is still seen."""
        self.file()
        gate, opener = os.pipe()
        end = os.dup(child := self.outputs.pipe(WEB, 1))
        other = Names(2, "web", 2)
        self.outputs.adopt(other, 1, end)
        self.assertTrue(os.get_blocking(child))
        os.close(gate)
        os.close(opener)
        os.close(child)
        await self.ended(other)

    @coroutine
    async def test_anotherUser(self) -> None:
        """A worker of another user may open its own C{/dev/stdout}."""
        if os.getuid():
            raise SkipTest("needs root to become another user")
        child = self.outputs.pipe(WEB, 1)
        worker = subprocess.Popen(
            ["sh", "-c", "echo one >/proc/self/fd/1"], stdout=child, user=65534, group=65534, extra_groups=[])
        os.close(child)
        self.outputs.started(WEB, worker.pid)
        await self.ended()
        self.assertEqual(worker.wait(), 0)
        self.assertEqual(os.read(self.stdout, 99), b"web/1 | one\n")

    def test_closeDrains(self) -> None:
        """Closing writes what can be read, and leaves no reader and no descriptor."""
        self.file()
        before = descriptors()
        child = self.outputs.pipe(WEB, 1)
        self.outputs.started(WEB, 1)
        os.write(child, b"one")
        self.outputs.close()
        self.assertEqual(self.path.read_bytes(), b"one")
        os.close(child)
        self.assertLess(descriptors(), before)

    @coroutine
    async def test_noLeak(self) -> None:
        """Five hundred workers leave no descriptor behind."""
        self.write(b"first\n", Names(0, "web", 1))
        await self.ended(Names(0, "web", 1))
        before = descriptors()
        for n in range(1, 501):
            names = Names(n, "web", 1)
            ends = [self.outputs.pipe(names, fd) for fd in (1, 2)]
            if n % 3:
                self.outputs.started(names, n)
            for end in ends:
                os.close(end)
            self.outputs.ended(names)
            await self.ended(names)
        self.assertEqual(descriptors(), before)

    def test_small(self) -> None:
        """A pipe takes less than 600 bytes of memory, besides what the reactor needs for a reader."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        names = [Names(n, "web", n) for n in range(1000, 1100)]
        before = tracemalloc.get_traced_memory()[0]
        for name in names:
            os.close(self.outputs.pipe(name, 1))
        self.assertLess((tracemalloc.get_traced_memory()[0] - before) / len(names), 600)


class TroubleTests(OutputsTestCase):
    """Tests of sinks that fail or are slow, and of workers that write without end."""

    @coroutine
    async def test_diskFull(self) -> None:
        """On a full disk workers wait; when there is room again everything arrives, and nothing is lost."""
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
            raise SkipTest("needs the right to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=True)
        self.path = disk / "log"
        self.file()
        told: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(told.append)
        self.addCleanup(globalLogPublisher.removeObserver, told.append)
        data = b"".join(b"%15d\n" % n for n in range(12800))
        worker = self.spawn(sys.executable, "-c", "for n in range(12800): print('%15d' % n)")
        await self.until(lambda: told)
        self.assertIn("No space left on device", told[0]["log_format"].format(**told[0]))
        self.assertIsNone(worker.poll())
        subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
        await self.ended()
        self.assertEqual(self.path.read_bytes(), data)
        self.assertEqual(len(told), 2)
        self.assertFalse([call for call in self.reactor.getDelayedCalls() if "_again" in str(call)])

    @coroutine
    async def test_slowReader(self) -> None:
        """While the standard output is not read workers wait, in bounded memory."""
        self.spawn(sys.executable, "-c", FLOOD)
        await self.until(lambda: not any("output 1" in r.logPrefix() for r in self.reactor.getReaders()))
        got = 0
        while got < 10_000_000:
            try:
                got += len(os.read(self.stdout, 65536))
            except BlockingIOError:
                await deferLater(self.reactor, 0)

    @coroutine
    async def test_noNewline(self) -> None:
        """A hundred megabytes without a newline take no memory, and are cut."""
        self.file(time_format="%Y", max_bytes="1M", backup_count="1")
        before = resident()
        self.spawn(sys.executable, "-c", "import os\nfor n in range(1600): os.write(1, b'x' * 65536)")
        await self.ended()
        self.assertLess(resident() - before, 8 << 20)
        self.assertLess(max(map(len, self.path.read_bytes().splitlines())), 65536 + 100)

    @coroutine
    async def test_fair(self) -> None:
        """Beside workers that write without end, a quiet one is heard at once."""
        self.file()
        for n in range(10, 14):
            self.spawn(sys.executable, "-c", FLOOD, names=Names(n, "web", n))
        self.outputs.open(Watcher("quiet", stdout_stream=fileStream(self.folder / "quiet")))
        await self.until(lambda: self.path.stat().st_size > 1 << 20)
        names = Names(99, "quiet", 1)
        child = self.outputs.pipe(names, 1)
        self.outputs.started(names, 1)
        os.write(child, b"hello\n")
        os.close(child)
        size = self.path.stat().st_size
        await self.ended(names)
        self.assertLess(self.path.stat().st_size - size, 64 << 20)


def resident() -> int:
    """The memory that we have resident, in bytes; proc(5)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
