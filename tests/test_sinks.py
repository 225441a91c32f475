"""Tests of the standard output and the log as sinks."""

from __future__ import annotations

import os
import pty
import socket
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.launch import Names
from circustwist.model.stack import Watcher
from circustwist.system import console
from circustwist.system.console import Console, Screen
from circustwist.system.sinks import ISink, Logged
from circustwist.system.stores import RETRY
from circustwist.system.streams import Streams


@attrs.define(eq=False)
class Source:
    """A pipe with something in it."""

    end: int
    names: Names = attrs.field(factory=lambda: Names(7, "web", 1))
    pid: int = 4711
    output: int = 1
    rest: bytes = b""
    room: int = 65536
    tail: bytes = b""
    resumed: int = 0
    lost: bytes = b""

    def told(self, block: bytes) -> None:
        """Keep them."""
        self.tail = block

    def passed(self, look: Any) -> None:
        """Nobody follows."""

    def dropped(self, block: bytes, why: str) -> None:
        """Keep it."""
        self.lost += block

    def fileno(self) -> int:
        """The reading end."""
        return self.end

    def resume(self) -> None:
        """Count."""
        self.resumed += 1


class Writers:
    """A reactor that notes who wants to write."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()

    def addWriter(self, writer: Any) -> None:
        """Note it."""
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        """Forget it."""
        self.writers.discard(writer)

    def turn(self) -> None:
        """Let everybody write once."""
        for writer in list(self.writers):
            writer.doWrite()


class SinkTestCase(SynchronousTestCase):
    """A source to pull from, and what is logged."""

    def setUp(self) -> None:
        """Make them."""
        self.reactor = Writers()
        self.clock = Clock()
        end, self.writing = os.pipe2(os.O_NONBLOCK)
        self.source = Source(end)
        self.addCleanup(os.close, end)
        self.addCleanup(os.close, self.writing)
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def sink(self, fd: int | None) -> ISink:
        """The sink for this standard output."""
        streams = Streams(self.reactor, self.clock, fd)
        streams.open(Watcher("web"), False)
        self.addCleanup(streams.close)
        self.streams = streams
        return streams.of(Names(7, "web", 1), 1)

    def say(self, sink: ISink, data: bytes) -> None:
        """A worker writes this, and it is pulled."""
        os.write(self.writing, data)
        sink.pull(self.source)

    def pipe(self) -> tuple[int, int]:
        """A standard output that is a pipe: the end to read by and the end to write to."""
        ends = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ends[0], False)
        self.addCleanup(os.close, ends[1])
        return ends


class PassedTests(SinkTestCase):
    """Tests of a standard output that is a pipe, a file, a socket and a terminal."""

    def test_prefix(self) -> None:
        """Every line says whose it is; bytes stay as they are."""
        reader, writer = self.pipe()
        self.addCleanup(os.close, reader)
        self.say(self.sink(writer), b"one\n\x1b[2J\xff\0\n")
        self.assertEqual(os.read(reader, 99), b"web/1 | one\nweb/1 | \x1b[2J\xff\0\n")

    def test_partialLine(self) -> None:
        """Half a line waits for its other half, or for the end."""
        reader, writer = self.pipe()
        self.addCleanup(os.close, reader)
        sink = self.sink(writer)
        self.say(sink, b"ha")
        self.say(sink, b"lf\nend")
        sink.finish(self.source)
        sink.finish(self.source)
        self.assertEqual(os.read(reader, 99), b"web/1 | half\nweb/1 | end\n")

    def test_workersApart(self) -> None:
        """Lines of two workers are never mixed."""
        reader, writer = self.pipe()
        self.addCleanup(os.close, reader)
        sink = self.sink(writer)
        other = attrs.evolve(self.source, names=Names(8, "web", 2))
        self.say(sink, b"on")
        os.write(self.writing, b"two\n")
        sink.pull(other)
        self.say(sink, b"e\n")
        self.assertEqual(os.read(reader, 99), b"web/2 | two\nweb/1 | one\n")

    def test_shared(self) -> None:
        """The descriptor given stays blocking, since others share it."""
        reader, writer = self.pipe()
        self.addCleanup(os.close, reader)
        self.say(self.sink(writer), b"one\n")
        self.assertTrue(os.get_blocking(writer))

    def test_file(self) -> None:
        """A regular file is written at once, where its descriptor stands."""
        path = Path(self.mktemp())
        with path.open("wb", buffering=0) as file:
            file.write(b"first\n")
            self.say(self.sink(file.fileno()), b"one\n")
        self.assertEqual(path.read_bytes(), b"first\nweb/1 | one\n")
        self.assertEqual(self.reactor.writers, set())

    def test_socket(self) -> None:
        """A socket, as journald gives, is written to when it can be."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.say(self.sink(ours.fileno()), b"x" * 8000 + b"\n")
        while self.reactor.writers:
            self.reactor.turn()
        self.assertEqual(len(theirs.recv(9000)), len(b"web/1 | ") + 8001)

    def test_terminal(self) -> None:
        """On a terminal escapes are made harmless and colours end with their line."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        self.say(self.sink(slave), b"\x1b]0;title\x07\x1b[31mred\n")
        self.assertEqual(os.read(master, 99), b"web/1 | \\x1b]0;title\\x07\x1b[31mred\x1b[0m\r\n")

    def test_full(self) -> None:
        """A standard output that fails lets workers wait, and is tried again."""
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        sink = self.sink(full)
        self.say(sink, b"one\n")
        self.assertFalse(sink.gate.ready)
        with open(self.mktemp(), "w+b", buffering=0) as file:
            os.dup2(file.fileno(), full)
            self.clock.advance(RETRY)
            file.seek(0)
            self.assertEqual(file.read(), b"web/1 | one\n")
        self.assertTrue(sink.gate.ready)


class ScreenTests(SinkTestCase):
    """A standard output that nobody waits for."""

    def full(self, reading: int, writing: int) -> None:
        """Write until lines are left out, read everything, and write again."""
        screen = Screen(writing)
        lines = 0
        while not screen.missed:
            screen.write(f"{lines} {'x' * 1000}\n")
            lines += 1
        screen.write(f"lost {'x' * 1000}\n")
        os.set_blocking(reading, False)
        found = self.read(reading)
        screen.write("again\n")
        found += self.read(reading)
        screen.write("more\n")
        found += self.read(reading)
        *whole, told, again, more, end = found.decode().split("\n")
        self.assertEqual([int(line.split()[0]) for line in whole], [*range(len(whole))])
        self.assertEqual((again, more, end), ("again", "more", ""))
        self.assertEqual(told, f"{lines + 1 - len(whole)} lines were left out, since nobody read them")

    def read(self, fd: int) -> bytes:
        """All that is there."""
        found = b""
        try:
            while data := os.read(fd, 65536):
                found += data
        except BlockingIOError:
            pass
        return found

    def test_pipe(self) -> None:
        """A full pipe costs lines, which are counted, and blocks nobody."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.full(reading, writing)
        self.assertTrue(os.get_blocking(writing))

    def test_socket(self) -> None:
        """The same with a socket, as systemd gives it."""
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        self.full(one.fileno(), other.fileno())
        self.assertTrue(other.getblocking())

    def test_closed(self) -> None:
        """A reader that has gone costs nothing but the lines."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, writing)
        os.close(reading)
        screen = Screen(writing)
        screen.write("a\n")
        self.assertEqual(screen.missed, 1)


class ConsoleTests(SinkTestCase):
    """Tests of L{Console}: a standard output that is read slowly, or no more."""

    def flood(self, sink: ISink) -> int:
        """Write until nothing more is taken; how many bytes there were."""
        count = 0
        while sink.gate.ready:
            self.say(sink, b"x" * 9999 + b"\n")
            count += 10000 + len("web/1 | ")
        return count

    def test_slow(self) -> None:
        """Somebody who does not read shuts the gate; when he reads on, it opens and nothing is lost."""
        reader, writer = self.pipe()
        self.addCleanup(os.close, reader)
        sink = self.sink(writer)
        count = self.flood(sink)
        # The pipe, and the lines that came last.
        self.assertLess(count, 65536 + 20000)
        sink.gate.waiting.add(self.source)
        got = 0
        while got < count:
            got += len(os.read(reader, 65536))
            self.reactor.turn()
        self.assertEqual((got, self.source.resumed, self.reactor.writers), (count, 1, set()))

    def test_gone(self) -> None:
        """When nobody reads any more, lines are dropped; that is told once, and nobody waits."""
        reader, writer = self.pipe()
        sink = self.sink(writer)
        self.flood(sink)
        os.close(reader)
        self.reactor.turn()
        self.say(sink, b"one\n")
        self.say(sink, b"two\n")
        self.assertTrue(sink.gate.ready)
        self.assertEqual((len(self.events), self.source.lost), (1, b"one\ntwo\n"))
        self.assertEqual(self.reactor.writers, set())

    def test_lastChance(self) -> None:
        """What is not read at the end is counted."""
        reader, writer = self.pipe()
        self.addCleanup(os.close, reader)
        sink = self.sink(writer)
        self.flood(sink)
        self.patch(console, "LAST_CHANCE", 0.01)
        self.streams.close()
        self.assertIn("bytes of output are lost", self.events[-1]["log_format"])

    def test_blocking(self) -> None:
        """A pipe that cannot be opened anew is written to in pieces that fit."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        out = Console(self.reactor, self.sink(None).gate, ours.fileno())
        ours.close()
        out.write(b"x" * 5000)
        self.reactor.turn()
        self.assertEqual(len(theirs.recv(9000)), 4096)
        out.close()
        self.assertEqual(len(theirs.recv(9000)), 904)


class LoggedTests(SinkTestCase):
    """Tests of L{Logged}."""

    def test_event(self) -> None:
        """Without a standard output each line is an event of its own, with whose it is."""
        self.say(self.sink(None), b"{one}\ntwo\x07\n")
        first, second = self.events
        self.assertEqual(
            (first["log_namespace"], first["watcher"], first["wid"], first["output"], first["line"]),
            ("circustwist.worker", "web", 1, 1, "{one}"))
        self.assertEqual(second["log_format"].format(**second), "web/1 | two\\x07")

    def test_null(self) -> None:
        """A daemon's /dev/null is not a standard output, nor is a closed one."""
        null = os.open(os.devnull, os.O_WRONLY)
        self.assertIsInstance(self.sink(null), Logged)
        os.close(null)
        self.assertIsInstance(self.sink(null), Logged)
