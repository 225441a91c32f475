"""
Whatever happens to sinks, workers and supervisors: what workers wrote is in the
files, or was counted as dropped.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.launch import Names
from circustwist.model.stack import Watcher
from circustwist.model.streams import Stream
from circustwist.system.output import Outputs

KINDS: tuple[tuple[str, dict[str, str]], ...] = (
    ("FileStream", {}), ("FileStream", {"prefix": ">"}), ("FileStream", {"max_bytes": "3000", "backup_count": "99999"}),
    ("FileStream", {"prefix": ">", "max_bytes": "3000", "backup_count": "99999"}),
    ("TimedRotatingFileStream", {"rotate_when": "s"}), ("FileStream", {"on_full": "drop"}),
    ("FileStream", {"on_full": "drop", "prefix": ">"}), ("FileStream", {"rate_limit": "2000", "prefix": ">"}),
)
OPERATIONS = ("turn", "rotate", "rename", "fail", "resume", "change", "exit", "keep", "reopen", "upgrade",
              "later")


class Turning:
    """A reactor that does something only when it is asked to."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """It is read."""
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """It is not."""
        if reader in self.readers:
            self.readers.remove(reader)

    def turn(self) -> None:
        """Let everybody be read once."""
        for reader in list(self.readers):
            if reader in self.readers:
                lost = reader.doRead()
                if lost is not None:
                    reader.connectionLost(lost)


class World:
    """
    Two workers, a folder, and the outputs of one supervisor after the other.

    @ivar written: the bytes that workers wrote, without newlines.
    @ivar dropped: what was counted, at the end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "logs"
        self.folder.mkdir()
        self.clock = Clock()
        self.count = 0
        self.written: list[bytes] = []
        self.dropped = 0
        self.kept: list[int] = []
        self.kind = KINDS[0]
        self.id = 0
        self.children: list[int] = []
        self.supervise()
        self.children = [self.spawn(), self.spawn()]

    def supervise(self) -> None:
        """A supervisor starts."""
        self.reactor = Turning()
        now = self.clock.seconds()
        self.clock = Clock()
        self.clock.advance(now)
        self.outputs = Outputs(self.reactor, self.clock, None, lambda: 1e9 + self.clock.seconds())
        self.outputs.streams.patient = True
        self.open()

    def open(self) -> None:
        """It opens the streams."""
        kind, options = self.kind
        stream = Stream(kind, {"filename": str(self.folder / "log"), **options})
        self.outputs.open(Watcher("web", stdout_stream=stream))

    def spawn(self) -> int:
        """A worker starts."""
        self.id += 1
        names = Names(self.id, "web", self.id)
        child = self.outputs.pipe(names, 1)
        os.set_blocking(child, False)
        self.outputs.started(names, self.id)
        return child

    def do(self, operation: str, number: int) -> None:
        """One of L{OPERATIONS}."""
        getattr(self, f"do_{operation}")(number)

    def do_write(self, number: int) -> None:
        """A worker writes some lines."""
        data = b"".join(b"%07d\n" % (self.count + n) for n in range(number))
        self.count += number
        data = data[:-(number % 5)] if number % 5 else data
        try:
            sent = os.write(self.children[number % 2], data)
        except BlockingIOError:
            return
        self.written.append(data[:sent])

    def do_turn(self, number: int) -> None:
        """Everybody is read a few times."""
        for _ in range(number % 5):
            self.reactor.turn()

    def do_later(self, number: int) -> None:
        """Time passes."""
        self.clock.advance(number / 100)

    def do_rotate(self, number: int) -> None:
        """Somebody says C{rotate}."""
        if self.folder.exists():
            self.outputs.rotate(["web"])

    def do_rename(self, number: int) -> None:
        """Somebody moves the file away."""
        if (self.folder / "log").exists():
            os.rename(self.folder / "log", self.folder / f"moved-{len(list(self.folder.iterdir()))}-{self.count}")

    def do_reopen(self, number: int) -> None:
        """Somebody says so, or not."""
        self.outputs.reopen()

    def do_fail(self, number: int) -> None:
        """The folder is gone."""
        if self.folder.exists():
            self.folder.rename(self.folder.with_suffix(".away"))
            self.clock.advance(number % 3)
            if number % 2:
                self.outputs.reopen()

    def do_resume(self, number: int) -> None:
        """It is back."""
        if not self.folder.exists():
            self.folder.with_suffix(".away").rename(self.folder)
        self.clock.advance(1)

    def do_change(self, number: int) -> None:
        """Another stream is configured."""
        self.do_resume(0)
        self.kind = KINDS[number % len(KINDS)]
        self.open()

    def do_exit(self, number: int) -> None:
        """A worker ends with something in its pipe, and another takes its place."""
        os.close(self.children[number % 2])
        self.outputs.ended(Names(0, "web", 0))
        self.children[number % 2] = self.spawn()

    def do_keep(self, number: int) -> None:
        """A descendant holds the pipe."""
        self.kept.append(os.dup(self.children[number % 2]))

    def do_upgrade(self, number: int) -> None:
        """Another image takes over; what it would find closed already stays open until then."""
        before = self.outputs
        ends, left = before.ends(), before.handover()
        copies = [os.dup(end.fd) for end in ends]
        self.supervise()
        self.outputs.restore(left)
        for end, copy in zip(ends, copies, strict=True):
            self.outputs.adopt(end.names, end.output, copy, end.rest)
        for pipe in list(before._pipes.values()):
            os.close(pipe.fileno())

    def end(self) -> None:
        """Everything stops in order."""
        self.do_resume(0)
        for fd in (*self.children, *self.kept):
            os.close(fd)
        for _ in range(200):
            self.clock.advance(1)
            self.reactor.turn()
        self.outputs.close()
        self.dropped = self.outputs.streams.drops.total("web")

    def found(self) -> bytes:
        """What is in all files."""
        return b"".join(path.read_bytes() for path in self.folder.iterdir())


class ConservationTests(SynchronousTestCase):
    """Bytes written are bytes in sinks and counted drops."""

    @settings(max_examples=80)
    @given(st.integers(0, len(KINDS) - 1), st.lists(
        st.tuples(st.integers(1, 3000), st.integers(0, 4), st.sampled_from(OPERATIONS), st.integers(1, 3000)),
        min_size=15, max_size=50))
    def test_conserved(self, kind: int, rounds: list[tuple[int, int, str, int]]) -> None:
        """Over every sequence of what can happen, an upgrade too; nothing is there twice."""
        folder = Path(tempfile.mkdtemp(prefix="ct-"))
        try:
            world = World(folder)
            world.do("change", kind)
            for size, turns, operation, number in rounds:
                world.do("write", size)
                world.do("turn", turns)
                world.do(operation, number)
            world.end()
            written, found = b"".join(world.written), world.found().replace(b">", b"")
            # A line that is cut where its stream changes or its worker ends gets a newline.
            self.assertLess(abs(len(found) + world.dropped - len(written)), 4 * len(rounds) + 8)
            if not world.dropped:
                self.assertEqual(sorted(found.replace(b"\n", b"")), sorted(written.replace(b"\n", b"")))
        finally:
            shutil.rmtree(folder)
