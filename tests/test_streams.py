"""Tests of every kind of stream, with real pipes and the real reactor."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import socket
import threading
import time
from typing import Any

from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from circustwist.model.errors import WorldError
from circustwist.model.stack import Watcher
from circustwist.model.streams import Stream
from circustwist.system import own, streams
from circustwist.system.output import Outputs
from circustwist.system.own import ROOM

from . import ownstreams
from .test_output import WEB, OutputsTestCase, coroutine


class KindTestCase(OutputsTestCase):
    """Streams of any kind."""

    def stream(self, kind: str, **settings: str) -> None:
        """Let the output of the watcher go to a stream."""
        self.outputs.open(Watcher("web", stdout_stream=Stream(kind, settings)))

    def events(self) -> list[dict[str, Any]]:
        """What is logged from now on."""
        told: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(told.append)
        self.addCleanup(globalLogPublisher.removeObserver, told.append)
        return told

    def outputsAt(self, now: list[float]) -> Outputs:
        """Outputs with a time of day of their own."""
        outputs = Outputs(self.reactor, self.reactor, None, lambda: now[0])
        self.addCleanup(outputs.close)
        return outputs

    async def written(self, data: bytes) -> None:
        """A worker writes this and ends."""
        self.write(data)
        await self.ended()

    def mailbox(self) -> tuple[str, socket.socket]:
        """A socket for messages, with its path."""
        path = os.path.relpath(self.folder / "s")
        box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(box.close)
        box.bind(path)
        box.setblocking(False)
        return path, box


class LineStreamTests(KindTestCase):
    """Tests of streams that know of lines."""

    @coroutine
    async def test_json(self) -> None:
        """An object a line, with whose it is."""
        self.stream("JSONStream", filename=str(self.path))
        await self.written(b'say "hi"\n\xff\n')
        first, second = map(json.loads, self.path.read_text().splitlines())
        self.assertEqual(first, {
            "time": 1e9, "watcher": "web", "wid": 1, "pid": 4711, "stream": "stdout", "text": 'say "hi"'})
        self.assertEqual((second["text"], second["raw"]), ("\\xff", "/w=="))

    @coroutine
    async def test_jsonStandard(self) -> None:
        """Without a file they go to the standard output."""
        self.stream("JSONStream")
        await self.written(b"one\n")
        self.assertEqual(json.loads(os.read(self.stdout, 999))["text"], "one")

    @coroutine
    async def test_prefix(self) -> None:
        """A prefix stands before each line of a file, and of the standard output."""
        for settings in ({"filename": str(self.path)}, {}):
            self.stream("FileStream" if settings else "StdoutStream", prefix="%(watcher)s/%(wid)s %(time)s: ",
                        time_format="%Y", **settings)
            await self.written(b"one\ntwo")
        self.assertEqual(self.path.read_bytes(), b"web/1 2001: one\nweb/1 2001: two\n")
        self.assertEqual(os.read(self.stdout, 999), b"web/1 2001: one\nweb/1 2001: two\n")

    @coroutine
    async def test_timed(self) -> None:
        """With C{time_format} the standard output has times."""
        self.stream("StdoutStream", time_format="%Y")
        await self.written(b"one\n")
        self.assertEqual(os.read(self.stdout, 99), b"2001 web/1 | one\n")

    @coroutine
    async def test_fancy(self) -> None:
        """Colours are Circus's, and C{NO_COLOR} turns them off."""
        self.stream("FancyStdoutStream", color="green", time_format="%Y")
        await self.written(b"one\ntwo\n")
        self.assertEqual(os.read(self.stdout, 999), (
            b"\x1b[0;32;40m2001 [4711] | one\x1b[0m\n\x1b[0;32;40m2001 [4711] | two\x1b[0m\n"))
        self.patch(os, "environ", {**os.environ, "NO_COLOR": "1"})
        self.stream("FancyStdoutStream", color="green", time_format="%Y")
        await self.written(b"one\n")
        self.assertEqual(os.read(self.stdout, 999), b"2001 [4711] | one\n")

    @coroutine
    async def test_maxLine(self) -> None:
        """A longer line is cut."""
        self.stream("FileStream", filename=str(self.path), max_line="4")
        await self.written(b"123456789\nab\n")
        self.assertEqual(self.path.read_bytes(), b"1234\n5678\n9\nab\n")

    @coroutine
    async def test_syslog(self) -> None:
        """A message a line, with facility, level, name and pid."""
        path, box = self.mailbox()
        self.stream("SyslogStream", address=f"./{path}", facility="local0", level="notice", ident="shop")
        await self.written(b"one\n\xff\n")
        self.assertRegex(box.recv(999), rb"^<133>Sep  ?9 \d\d:46:40 shop\[4711\]: one$")
        self.assertTrue(box.recv(999).endswith(b": \xff"))

    @coroutine
    async def test_syslogUdp(self) -> None:
        """Over UDP too."""
        box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(box.close)
        box.bind(("127.0.0.1", 0))
        self.stream("SyslogStream", address=f"127.0.0.1:{box.getsockname()[1]}", prefix="%(wid)s ")
        await self.written(b"one\n")
        self.assertRegex(box.recv(999), rb"^<30>.* web\[4711\]: 1 one$")

    @coroutine
    async def test_syslogSlow(self) -> None:
        """While syslog does not read the worker waits, and nothing is lost."""
        path, box = self.mailbox()
        self.stream("SyslogStream", address=f"./{path}")
        self.write(b"".join(b"%d\n" % number for number in range(2000)))
        found: list[bytes] = []
        while len(found) < 2000:
            try:
                found.append(box.recv(999).rpartition(b" ")[2])
            except BlockingIOError:
                await deferLater(self.reactor, 0)
        self.assertEqual(found, [b"%d" % number for number in range(2000)])
        await self.ended()

    @coroutine
    async def test_journal(self) -> None:
        """An entry a line in the journal's own protocol; one too large for a datagram comes in a sealed file."""
        path, box = self.mailbox()
        self.patch(streams, "JOURNAL", path)
        self.stream("JournalStream", level="err", ident="shop")
        box.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        await self.written(b"one\n")
        entry = box.recv(9999)
        self.assertEqual(entry, (
            b"PRIORITY=3\nSYSLOG_IDENTIFIER=shop\nCIRCUSTWIST_WATCHER=web\nCIRCUSTWIST_WID=1\n"
            b"CIRCUSTWIST_STREAM=stdout\nOBJECT_PID=4711\nMESSAGE\n\x03\0\0\0\0\0\0\0one\n"))

    def test_journalLarge(self) -> None:
        """An entry that is refused as too large is passed in a sealed file."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        journal = streams.Journal(self.reactor, self.reactor, "/nowhere")
        journal._send(ours, b"x" * 400_000)
        _, fds, _, _ = socket.recv_fds(theirs, 10, 1)
        self.addCleanup(os.close, fds[0])
        self.assertEqual(os.pread(fds[0], 1 << 20, 0), b"x" * 400_000)
        self.assertTrue(fcntl.fcntl(fds[0], fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE)


class RotationTests(KindTestCase):
    """Tests of files that are put aside, compressed and removed."""

    @coroutine
    async def test_compress(self) -> None:
        """Files that were put aside are compressed; together they hold every byte."""
        self.stream("FileStream", filename=str(self.path), max_bytes="1000", backup_count="30", compress="True")
        data = b"".join(b"%09d\n" % number for number in range(1000))
        for start in range(0, len(data), 2500):
            await self.written(data[start:start + 2500])
        await self.until(lambda: not self.outputs.streams._tending)
        parts = {int(path.suffixes[0][1:]): path for path in self.folder.glob("log.*")}
        self.assertTrue([path for path in parts.values() if path.suffix == ".gz"])
        found = b"".join(
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            for _, path in sorted(parts.items(), reverse=True)) + self.path.read_bytes()
        self.assertEqual(found, data)
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith(".")], [])

    @coroutine
    async def test_total(self) -> None:
        """The oldest go when all of them are too large."""
        self.stream("FileStream", filename=str(self.path), max_bytes="100", backup_count="50", keep_bytes="350")
        for _ in range(20):
            await self.written(b"x" * 100)
        self.assertLessEqual(sum(path.stat().st_size for path in self.folder.glob("log.*")), 350)
        self.assertGreater(len(list(self.folder.glob("log.*"))), 1)

    @coroutine
    async def test_timed(self) -> None:
        """A file is put aside in its time, under the name that Circus gives it; nothing is overwritten."""
        now = [1e9]
        self.outputs.close()
        self.outputs = self.outputsAt(now)
        self.stream("TimedRotatingFileStream", filename=str(self.path), rotate_when="S", utc="True")
        for text in (b"one\n", b"two\n", b"three\n"):
            await self.written(text)
            now[0] += 1
        names = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        self.assertEqual(names, {
            "log.20010909014640": b"one\n", "log.20010909014641": b"two\n", "log": b"three\n"})

    @coroutine
    async def test_onDemand(self) -> None:
        """Files are put aside when somebody says so, whether they ever are otherwise or not."""
        self.file()
        await self.written(b"one\n")
        self.assertEqual(self.outputs.streams.rotate(["web"]), [str(self.path)])
        self.assertEqual(self.outputs.streams.rotate(["db"]), [])
        self.outputs.streams.rotate(["web"])
        await self.written(b"two\n")
        self.assertEqual(sorted(path.read_bytes() for path in self.folder.iterdir()), [b"one\n", b"two\n"])


class OwnTests(KindTestCase):
    """Tests of the user's own classes, and of queues."""

    def setUp(self) -> None:
        super().setUp()
        ownstreams.Keep.made.clear()

    @coroutine
    async def test_called(self) -> None:
        """It is called as Circus does, with its settings, in a thread that is not ours."""
        self.stream("tests.ownstreams.Keep", colour="red")
        await self.written(b"one\n")
        await self.until(lambda: ownstreams.Keep.made and ownstreams.Keep.made[0].items)
        (kept,) = ownstreams.Keep.made
        self.assertEqual(kept.items, [{"data": b"one\n", "pid": 4711, "name": "stdout"}])
        self.assertEqual((kept.settings, kept.calls), ({"colour": "red"}, ["open"]))
        self.assertNotIn(threading.get_ident(), kept.threads)
        self.outputs.close()
        self.assertEqual(kept.calls, ["open", "close"])

    def test_missing(self) -> None:
        """One that is not there is refused in one line."""
        for name in ("tests.ownstreams.No", "no.such:Thing"):
            with self.assertRaisesRegex(WorldError, r"\[watcher:web\] stdout_stream.class: .* cannot be imported"):
                self.stream(name)

    @coroutine
    async def test_fails(self) -> None:
        """One that raises is told of once, and ends nothing."""
        told = self.events()
        self.stream("tests.ownstreams:Fail")
        await self.written(b"one\n")
        await self.written(b"two\n")
        await self.until(lambda: told)
        self.assertIn("ValueError", told[0]["log_format"].format(**told[0]))

    @coroutine
    async def test_slow(self) -> None:
        """While it is busy its workers wait; we do not, and memory does not grow."""
        ownstreams.Slow.go.clear()
        self.addCleanup(ownstreams.Slow.go.set)
        self.stream("tests.ownstreams.Slow")
        child = self.outputs.pipe(WEB, 1)
        self.outputs.started(WEB, 1)
        os.set_blocking(child, False)
        count = 0
        for _ in range(50):
            try:
                count += os.write(child, b"x" * 65536)
            except BlockingIOError:
                await deferLater(self.reactor, 0.001)
        self.assertLess(count, ROOM + 3 * 65536)
        ownstreams.Slow.go.set()
        os.close(child)
        await self.ended()

    @coroutine
    async def test_queue(self) -> None:
        """What is written can be taken out of a queue by the program in which this runs."""
        self.stream("QueueStream")
        await self.written(b"one\n")
        item = self.outputs.streams.queue("web", 1).get(timeout=10)
        self.assertEqual(item, {"data": b"one\n", "pid": 4711, "name": "stdout"})
        self.patch(own, "LAST_CHANCE", 0.01)


class PolicyTests(KindTestCase):
    """Tests of what is dropped."""

    @coroutine
    async def test_drop(self) -> None:
        """With C{on_full = drop} the worker goes on while a file cannot be written; what is lost is counted."""
        told = self.events()
        self.stream("FileStream", filename=str(self.path), on_full="drop")
        self.path.unlink()
        self.folder.rename(self.folder.with_suffix(".away"))
        store = self.outputs.streams._files[str(self.path)]
        store.file.close()
        child = self.outputs.pipe(WEB, 1)
        self.outputs.started(WEB, 1)
        os.set_blocking(child, False)
        written = 0
        deadline = time.monotonic() + 20
        while written < 1_000_000 and time.monotonic() < deadline:
            try:
                written += os.write(child, b"x" * 65536)
            except BlockingIOError:
                await deferLater(self.reactor, 0)
        os.close(child)
        await self.ended()
        self.assertEqual(self.outputs.streams.drops.total("web"), written)
        self.assertIn("dropped", told[1]["log_format"])
        self.folder.with_suffix(".away").rename(self.folder)

    @coroutine
    async def test_rate(self) -> None:
        """What is more than the limit is dropped, whole lines of it, and counted."""
        self.stream("FileStream", filename=str(self.path), rate_limit="1000", prefix=">")
        lines = [b"%05d" % number for number in range(40000)]
        child = self.outputs.pipe(WEB, 1)
        self.outputs.started(WEB, 1)
        os.set_blocking(child, False)
        data = b"".join(line + b"\n" for line in lines)
        while data:
            try:
                data = data[os.write(child, data):]
            except BlockingIOError:
                await deferLater(self.reactor, 0)
        os.close(child)
        await self.ended()
        kept = self.path.read_bytes().replace(b">", b"").split()
        self.assertLess(set(kept), set(lines))
        self.assertEqual(len(kept) * 6 + self.outputs.streams.drops.total("web"), 240_000)
