"""The supervisor is killed while workers write as fast as they can: how much is lost, and who is told."""

from __future__ import annotations

import os
import re
import time
from itertools import pairwise
from pathlib import Path

from .stack import PYTHON, TIMEOUT, Control, Daemon, StackCase

MOST = 65536
"""Bytes of each output that may be lost with a supervisor."""
KILLS = 3
GROWTH = 200_000
"""Bytes that each file grows between two kills at least."""
TALK = """
import os, sys, threading

def talk(fd):
    for n in range(10**9):
        os.write(fd, b"%d %09d\\n" % (fd, n))

threading.Thread(target=talk, args=(2,), daemon=True).start()
talk(1)
"""
LINE = len("1 000000000\n")
INI = """[circus]
name = lost-{pid}
[watcher:web]
cmd = {python} talk.py
numprocesses = 2
stdout_stream.class = FileStream
stdout_stream.filename = out
stdout_stream.prefix = %(wid)s:
stderr_stream.class = JSONStream
stderr_stream.filename = err
[watcher:plain]
cmd = {python} talk.py
stdout_stream.filename = plain
stderr_stream.filename = plain.err
"""
QUIET = """[circus]
name = lost-{pid}
[watcher:web]
cmd = sh -c 'echo hello; exec sleep 1000'
[watcher:plain]
cmd = sleep 1000
stdout_stream.filename = plain
stderr_stream.filename = plain
"""


class LostTests(StackCase):
    """C{kill -9} of the supervisor."""

    def stack(self) -> Daemon:
        """A supervisor whose workers write."""
        daemon = self.daemon(INI.format(pid=os.getpid(), python=PYTHON))
        (daemon.folder / "talk.py").write_text(TALK)
        daemon.start()
        return daemon

    def grown(self, daemon: Daemon) -> None:
        """Wait until all files have grown for a while."""
        files = [daemon.folder / name for name in ("out", "err", "plain", "plain.err")]
        before = [size(file) for file in files]
        deadline = time.monotonic() + TIMEOUT
        while any(size(file) < was + GROWTH for file, was in zip(files, before, strict=True)):
            self.assertLess(time.monotonic(), deadline, list(map(size, files)))
            time.sleep(0.01)

    def missing(self, found: list[int], least: int) -> list[int]:
        """How many numbers are missing wherever some are; none is there twice."""
        self.assertEqual(found, sorted(set(found)))
        self.assertGreater(len(found), least)
        return [after - before - 1 for before, after in pairwise(found) if after != before + 1]

    def test_bound(self) -> None:
        """At most 64 KiB of each stream of lines each time, which is told; nothing of plain files."""
        daemon = self.stack()
        for _ in range(KILLS):
            self.grown(daemon)
            daemon.kill()
            daemon.start()
            daemon.wait("up to 64 KiB of each output of web/1, web/2 may be lost")
            self.told(daemon)
        self.grown(daemon)
        self.assertEqual((daemon.stop(), daemon.strays()), (0, []))
        for wid in 1, 2:
            for gaps in (self.missing(lined(daemon.folder / "out", wid), 1000),
                         self.missing(objects(daemon.folder / "err", wid), 1000)):
                self.assertLessEqual(len(gaps), KILLS)
                # Of the lines around a gap a part may be there.
                self.assertLessEqual(max(gaps, default=0) * LINE, MOST + 2 * LINE)
        for name in "plain", "plain.err":
            numbers = [int(number) for number in re.findall(rb"(?m)^\d (\d{9})$", (daemon.folder / name).read_bytes())]
            self.assertEqual(self.missing(numbers, 1000), [])

    def told(self, daemon: Daemon) -> None:
        """There is an event for each worker of whom something may be lost, with what of them."""
        with Control(daemon.where, TIMEOUT) as control:
            events = control.events(["watcher.web.lost"], since=0, timeout=TIMEOUT)
            found = [next(events) for _ in range(2)]
        self.assertEqual(
            [(event["worker"], event["planned"], event["data"]) for event in found],
            [(worker, False, {"stdout": MOST, "stderr": MOST}) for worker in ("web/1", "web/2")])

    def test_mark(self) -> None:
        """What C{tail} shows says where something may be missing; a plain file, of which nothing is, does not."""
        daemon = self.daemon(QUIET.format(pid=os.getpid()))
        daemon.start().wait("hello")
        daemon.kill()
        daemon.start().wait("adopted")
        mark = "[up to 65536 bytes may be missing before this line: the supervisor was killed]\n"
        self.assertEqual(daemon.cli("tail", "--plain", "web/1").stdout, 2 * mark)
        self.assertEqual(daemon.cli("tail", "--plain", "plain").stdout, "")
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        self.assertEqual(daemon.cli("tail", "--plain", "web/1").stdout, 2 * mark)
        self.assertEqual((daemon.stop(), daemon.strays()), (0, []))


def size(file: Path) -> int:
    """Of a file that need not be there yet."""
    return file.stat().st_size if file.exists() else 0


def lined(file: Path, wid: int) -> list[int]:
    """The numbers that a worker's whole lines bear."""
    return [int(number) for number in re.findall(rb"(?m)^%d:\d (\d{9})$" % wid, file.read_bytes())]


def objects(file: Path, wid: int) -> list[int]:
    """The same of objects."""
    return [int(number) for number in re.findall(
        rb'(?m)^{"time":[\d.]+,"watcher":"web","wid":%d,.*"text":"\d (\d{9})"}$' % wid, file.read_bytes())]
