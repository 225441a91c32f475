"""Part C: logs and pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from .case import FAST, PYTHON, FaultCase, eventually, rss
from .rows import row

COUNTS = "import sys, time; [(print(n, flush=True), time.sleep(0.002)) for n in range(10**9)]"
BINARY = bytes(range(256)) * 8 + b"\x1b[31mred\x1b[0m\xff\xfe\n"

STACK = f"""
[watcher:c37]
cmd = {FAST} '{COUNTS}'
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/c37.log
[watcher:c39]
cmd = sh -c 'head -c 60000000 /dev/zero; exec sleep 1139'
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/c39.log
stdout_stream.max_bytes = 1000000
stdout_stream.backup_count = 1
[watcher:c39line]
cmd = sh -c 'head -c 20000000 /dev/zero | tr "\\\\0" x; exec sleep 1139'
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/c39line.log
stdout_stream.prefix = >
[watcher:c40]
cmd = sh -c 'cat binary; exec sleep 1140'
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/c40.log
[watcher:c41]
cmd = sh -c 'head -c 1000000 /dev/zero; exec sleep 1141'
numprocesses = 25
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/c41.log
[watcher:c43]
cmd = {FAST} 'import sys; [print("%07d" % n, flush=True) for n in range(30000)]; import signal; signal.pause()'
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/c43.log
stdout_stream.max_bytes = 5000
stdout_stream.backup_count = 500
[watcher:c44]
cmd = {FAST} 'import sys; [print("%07d" % n, flush=True) for n in range(30000)]; import signal; signal.pause()'
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/c44.log
[watcher:c45]
cmd = {PYTHON} -I -S slow.py
[watcher:c46]
cmd = {FAST} 'import os, sys, signal; print("terminal:", os.isatty(1), flush=True); signal.pause()'
"""

SLOW = """
import os, signal, time
for letter in b"one whole line\\n":
    os.write(1, bytes([letter]))
    os.write(2, b"." if letter != 10 else b"\\n")
    time.sleep(0.005)
signal.pause()
"""


class OutputFaults(FaultCase):
    """The rows of part C."""

    STACK = STACK

    def furnish(self, folder: Path) -> None:
        (folder / "slow.py").write_text(SLOW)
        (folder / "binary").write_bytes(BINARY)

    def log(self, name: str) -> Path:
        """A log file."""
        return self.house.folder / f"{name}.log"

    def small(self, ini: str, size: str = "256k") -> tuple[Any, str, str]:
        """A supervisor of which a folder is small; it, its folder and its control socket as they are seen from here."""
        daemon = self.wrapped(ini)
        (daemon.folder / "small").mkdir()
        daemon.front = self.private(f"mount -t tmpfs -o size={size},mode=755 none {daemon.folder}/small")
        self.begun(daemon)
        return daemon, f"/proc/{daemon.process.pid}/root{daemon.folder}/small", daemon.where

    FULL = f"""[watcher:w]
cmd = {FAST} '{COUNTS}'
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/small/log
[watcher:other]
cmd = sleep 1135
"""

    @row("C35", "the disk of a log is full", "commands are answered, one line tells of it, and it goes on by itself")
    def test_C35_full(self) -> None:
        daemon, small, _ = self.small(self.FULL)
        with open(f"{small}/fill", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 1024)
            except OSError:
                pass
        size = os.path.getsize(f"{small}/log")
        self.assertIn("No space left on device", daemon.wait("/log"))
        self.responsive(daemon)
        time.sleep(0.3)
        daemon.call("restart", name="other", waiting=True)
        os.unlink(f"{small}/fill")
        eventually(lambda: os.path.getsize(f"{small}/log") > size + 8000)
        self.assertLess(sum("No space left" in line for line in daemon.lines), 4)
        daemon.stop()

    @row("C36", "the file system of a log becomes read-only", "the same")
    def test_C36_readOnly(self) -> None:
        daemon, small, _ = self.small(self.FULL)
        eventually(lambda: os.path.exists(f"{small}/log"))
        words = ["nsenter", "-m", "-t", str(daemon.process.pid)]
        self.assertNotEqual(os.readlink(f"/proc/{daemon.process.pid}/ns/mnt"), os.readlink("/proc/self/ns/mnt"))
        where = str(daemon.folder / "small")
        # A file that is open for writing keeps its file system writable: a mount that is not covers it, and the log
        # is opened again.
        for options in ("--bind", where, where), ("-o", "remount,bind,ro", where):
            subprocess.run([*words, "mount", *options], check=True, capture_output=True)
        daemon.call("reopenlogs")
        self.assertIn("/log cannot be written: Read-only file system", daemon.wait("/log cannot"))
        size = os.path.getsize(f"{small}/log")
        self.responsive(daemon)
        daemon.call("restart", name="other", waiting=True)
        self.assertEqual(os.path.getsize(f"{small}/log"), size)
        subprocess.run([*words, "umount", where], check=True, capture_output=True)
        daemon.wait("/log is written again")
        eventually(lambda: os.path.getsize(f"{small}/log") > size)
        daemon.stop()

    @row("C37", "the log is deleted or renamed", "a new one is there after the command, and nothing in between is lost")
    def test_C37_deleted(self) -> None:
        self.up("c37")
        log = self.log("c37")
        eventually(lambda: log.exists() and log.stat().st_size > 100)
        log.rename(log.with_suffix(".old"))
        self.house.call("reopenlogs")
        eventually(lambda: log.exists() and log.stat().st_size > 100)
        log.unlink()
        self.house.call("reopenlogs")
        eventually(lambda: log.exists() and log.stat().st_size > 100)
        self.down("c37")
        numbers = [int(line) for line in log.read_text().split()]
        self.assertEqual(numbers, list(range(numbers[0], numbers[-1] + 1)))

    @row("C38", "a log cannot be opened: its folder is missing, it is a folder, or a pipe that nobody reads",
         "told with its reason, never waited for")
    def test_C38_unusable(self) -> None:
        for kind in ("missing/log", "folder", "pipe"):
            daemon = self.wrapped("[watcher:w]\ncmd = sleep 1138\nstdout_stream.class = FileStream\n"
                                  f"stdout_stream.filename = FOLDER/{kind}\n[watcher:ok]\ncmd = sleep 1138\n")
            (daemon.folder / "folder").mkdir()
            os.mkfifo(daemon.folder / "pipe")
            daemon.start()
            eventually(lambda daemon=daemon: daemon.process.poll() is not None or os.path.exists(daemon.where))
            if daemon.process.poll() is None:
                daemon.until(lambda daemon=daemon: len(daemon.pids("ok")) == 1)
                daemon.stop()
            else:
                daemon.join()
            if kind != "missing/log":
                self.assertTrue(any(kind in line for line in daemon.lines), (kind, daemon.lines))

    @row("C39", "80 MB come without an end of line", "memory stays, lines are cut, commands are answered")
    def test_C39_flood(self) -> None:
        before = rss(self.house.process.pid)
        for name in ("c39", "c39line"):
            (pid,) = self.up(name)
            eventually(lambda pid=pid: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"), 15)
            self.responsive(self.house)
            self.down(name)
        self.assertLess(rss(self.house.process.pid) - before, 64 << 20)

    @row("C40", "binary output, NUL, escapes of a terminal",
         "a file has every byte, and what is answered is JSON all the same")
    def test_C40_binary(self) -> None:
        self.up("c40")
        eventually(lambda: self.log("c40").stat().st_size >= len(BINARY))
        self.assertEqual(self.log("c40").read_bytes(), BINARY)
        answer = self.house.call("tail", name="c40", lines=100)
        self.assertIn("red", str(answer))
        self.down("c40")

    @row("C41", "25 processes write 25 MB as fast as they can", "nobody loses anything, commands are answered")
    def test_C41_many(self) -> None:
        self.up("c41", 25)
        self.responsive(self.house)
        eventually(lambda: self.log("c41").stat().st_size >= 25 * 1_000_000, 15)
        self.assertEqual(self.log("c41").stat().st_size, 25 * 1_000_000)
        self.down("c41")
        self.log("c41").unlink()

    @row("C42", "whoever takes the log reads nothing", "what waits is bounded, others go on")
    def test_C42_deafSyslog(self) -> None:
        daemon = self.wrapped(f"[watcher:w]\ncmd = {FAST} '{COUNTS}'\nstdout_stream.class = SyslogStream\n"
                              "stdout_stream.address = FOLDER/deaf\n[watcher:other]\ncmd = sleep 1142\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
            deaf.bind(str(daemon.folder / "deaf"))
            self.begun(daemon)
            before = rss(daemon.process.pid)
            time.sleep(1)
            self.responsive(daemon)
            daemon.call("restart", name="other", waiting=True)
            self.assertLess(rss(daemon.process.pid) - before, 20 << 20)
            self.assertEqual(len(daemon.pids("w")), 1)
            daemon.kill()

    @row("C43", "a log is rotated while it is written", "no byte is lost and none comes twice")
    def test_C43_rotation(self) -> None:
        self.up("c43")
        folder = self.house.folder

        def total() -> int:
            with contextlib.suppress(FileNotFoundError):  # it has just been renamed
                return sum(path.stat().st_size for path in folder.glob("c43.log*"))
            return 0

        eventually(lambda: total() >= 30000 * 8)
        self.down("c43")
        whole = sorted(line for path in folder.glob("c43.log*") for line in path.read_text().split())
        self.assertEqual(whole, [f"{n:07}" for n in range(30000)])

    @row("C44", "the supervisor stands still while a process writes", "the process waits, and nothing is lost")
    def test_C44_still(self) -> None:
        self.up("c44")
        self.house.process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        self.house.process.send_signal(signal.SIGCONT)
        eventually(lambda: self.log("c44").stat().st_size >= 30000 * 8)
        self.down("c44")
        self.assertEqual(self.log("c44").read_text().split(), [f"{n:07}" for n in range(30000)])

    @row("C45", "lines come letter by letter, on both outputs at once", "they come whole")
    def test_C45_letters(self) -> None:
        self.up("c45")
        self.assertRegex(self.house.wait("one whole"), r"one whole line$")

    @row("C46", "a process asks whether it writes to a terminal", "no, by default")
    def test_C46_terminal(self) -> None:
        self.up("c46")
        self.assertIn("False", self.house.wait("terminal:"))
