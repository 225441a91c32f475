"""Fifty workers write while the supervisor is upgraded and killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .stack import TIMEOUT, Daemon, StackCase

WORKER = """
import os, sys, time
for n in range(200):
    os.write(1, b"%05d " % n + b"x" * 993 + b"\\n")
    time.sleep(0.01)
time.sleep(1000)
"""
EACH = 200 * 1000
INI = """[watcher:raw]
cmd = {python} -S worker.py
numprocesses = 40
graceful_timeout = 0
stdout_stream.filename = raw.log
[watcher:lined]
cmd = {python} -S worker.py
numprocesses = 10
graceful_timeout = 0
stdout_stream.filename = lined.log
stdout_stream.prefix = %(watcher)s/%(wid)s |
"""


class SoakTests(StackCase):
    """Tests of every byte over upgrades and kills."""

    def stack(self) -> Daemon:
        """A supervisor whose workers write for a few seconds."""
        daemon = self.daemon(INI.format(python=sys.executable))
        (daemon.folder / "worker.py").write_text(WORKER)
        daemon.start().wait("watcher")
        return daemon

    def grown(self, path: Path, size: int) -> None:
        """Wait until a file has so many bytes."""
        end = time.monotonic() + TIMEOUT
        while not path.exists() or path.stat().st_size < size:
            self.assertLess(time.monotonic(), end, path.stat().st_size if path.exists() else "no file")
            time.sleep(0.02)

    def done(self, daemon: Daemon, lost: int) -> tuple[int, list[bytes]]:
        """
        The bytes of the plain file, and the lines of the other, after everything was stopped.

        @param lost: so many bytes of the other may be.
        """
        self.grown(daemon.folder / "raw.log", 40 * EACH)
        self.grown(daemon.folder / "lined.log", 10 * EACH - lost)
        daemon.stop()
        return (daemon.folder / "raw.log").stat().st_size, (daemon.folder / "lined.log").read_bytes().splitlines()

    def test_upgrade(self) -> None:
        """Over an upgrade nothing is lost, torn or there twice."""
        daemon = self.stack()
        self.grown(daemon.folder / "raw.log", 2_000_000)
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        size, lines = self.done(daemon, -10 * 200 * len("lined/1 |"))
        self.assertEqual((size, len(lines)), (40 * EACH, 2000))
        self.assertEqual({line[-3:] for line in lines}, {b"xxx"})
        self.assertEqual(len(set(lines)), 2000)

    def test_kill(self) -> None:
        """Over a kill -9 plain files lose nothing, and others at most what was just read."""
        daemon = self.stack()
        self.grown(daemon.folder / "raw.log", 2_000_000)
        daemon.kill()
        daemon.start().wait("watcher")
        size, lines = self.done(daemon, 10 * 66_000)
        self.assertEqual(size, 40 * EACH)
        self.assertGreaterEqual(len(lines), 2000 - 10 * 66)
