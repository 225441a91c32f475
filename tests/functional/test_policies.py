"""Streams that take no more, or not everything, with a real supervisor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from .stack import TIMEOUT, Control, Daemon, StackCase

LIMITED = """[circus]
name = policies-{pid}
[watcher:web]
cmd = sh -c 'read x < gate; seq 1 20000; exec sleep 1000'
stdout_stream.filename = out
stdout_stream.prefix = >
stdout_stream.rate_limit = 1000
"""
BROKEN = """[circus]
name = broken-{pid}
[watcher:raw]
cmd = sh -c 'seq 1 20000; exec sleep 1000'
stdout_stream.filename = raw
[watcher:lined]
cmd = sh -c 'seq 1 20000; exec sleep 1000'
stdout_stream.filename = lined
stdout_stream.prefix = >
[watcher:drops]
cmd = sh -c 'seq 1 20000; exec sleep 1000'
stdout_stream.filename = drops
stdout_stream.prefix = >
stdout_stream.on_full = drop
"""
FAILING = """
import errno, os, sys

def failing(real):
    def call(*args, **kwargs):
        if sys._getframe(1).f_globals.get("__name__") == "circustwist.system.files" and os.path.exists("broken"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*args, **kwargs)
    return call

os.write, os.splice = failing(os.write), failing(os.splice)
"""
SEQUENCE = "".join(f"{number}\n" for number in range(1, 20001)).encode()


class PolicyCase(StackCase):
    """Tests that wait for files."""

    def eventually(self, true: Callable[[], bool]) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + TIMEOUT
        while not true():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)  # what is in a file is no event

    def accounted(self, daemon: Daemon, name: str, file: str) -> bool:
        """Whether everything that a watcher's worker wrote is in its file, or counted."""
        kept = (daemon.folder / file).read_bytes().replace(b">", b"")
        counts = daemon.detail(name)["dropped"]
        return len(kept) + sum(count["bytes"] for count in counts.values()) == len(SEQUENCE)


class DroppedTests(PolicyCase):
    """What is dropped."""

    def test_told(self) -> None:
        """An event says how much, C{status} too, and after an upgrade it still does."""
        daemon = self.daemon(LIMITED.format(pid=os.getpid()))
        os.mkfifo(daemon.folder / "gate")
        daemon.start().wait("watcher")
        with Control(daemon.where, TIMEOUT) as control:
            events = control.events(["watcher.web.dropped"], since=0, timeout=TIMEOUT)
            (daemon.folder / "gate").write_text("go\n")
            told = next(events)["data"]
            self.assertEqual((told["stream"], told["total"]), ("stdout", told["bytes"]))
            self.assertIn("more than 1000 bytes a second", told["state"])
        self.eventually(lambda: self.accounted(daemon, "web", "out"))
        counts = daemon.detail("web")["dropped"]["stdout"]
        shown = f"stdout: {counts['bytes']} bytes in {counts['lines']} lines dropped"
        self.assertIn(shown, daemon.cli("status").stdout)
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        self.assertEqual(daemon.detail("web")["dropped"], {"stdout": counts})
        self.assertEqual((daemon.stop(), daemon.strays()), (0, []))



class BrokenTests(PolicyCase):
    """Files on a disk that fails."""

    def test_EIO(self) -> None:
        """It is told; workers wait, or what they write is dropped and counted; it goes on by itself."""
        daemon = self.daemon(BROKEN.format(pid=os.getpid()))
        (daemon.folder / "sitecustomize.py").write_text(FAILING)
        daemon.env["PYTHONPATH"] = str(daemon.folder)
        (daemon.folder / "broken").touch()
        daemon.start()
        names = ("raw", "lined", "drops")
        told = {daemon.wait("cannot be written: Input/output error") for _ in names}
        self.assertEqual(len(told), 3)
        self.assertEqual([(daemon.folder / name).stat().st_size for name in names], [0, 0, 0])
        self.assertEqual(len(daemon.pids("raw") + daemon.pids("lined")), 2)
        (daemon.folder / "broken").unlink()
        self.eventually(lambda: (daemon.folder / "raw").read_bytes() == SEQUENCE)
        self.eventually(lambda: (daemon.folder / "lined").read_bytes().replace(b">", b"") == SEQUENCE)
        self.eventually(lambda: self.accounted(daemon, "drops", "drops"))
        self.assertGreater(daemon.detail("drops")["dropped"]["stdout"]["bytes"], 0)
        self.assertEqual((daemon.stop(), daemon.strays()), (0, []))
        for name in names:
            self.assertTrue([line for line in daemon.lines if f"/{name} is written again" in line], daemon.lines)

    def test_drainGrace(self) -> None:
        """At the end it is waited for C{drain_grace} for what takes no more; what is left then is told as lost."""
        for grace, lost in ((0, True), (30, False)):
            raw = BROKEN[BROKEN.index("[watcher:raw]"):BROKEN.index("[watcher:lined]")].replace("20000", "2000")
            daemon = self.daemon(f"[circus]\ndrain_grace = {grace}\n{raw}")
            (daemon.folder / "sitecustomize.py").write_text(FAILING)
            daemon.env["PYTHONPATH"] = str(daemon.folder)
            (daemon.folder / "broken").touch()
            daemon.start().wait("cannot be written")
            daemon.process.terminate()
            daemon.wait("stopping")
            if not lost:
                (daemon.folder / "broken").unlink()
            self.assertEqual(daemon.join(), 0)
            told = [line for line in daemon.lines if "bytes of output are lost" in line]
            whole = b"".join(b"%d\n" % number for number in range(1, 2001))
            self.assertEqual((bool(told), (daemon.folder / "raw").read_bytes()), (lost, b"" if lost else whole))
