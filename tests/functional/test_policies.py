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
WRITTEN = sum(len(f"{number}\n") for number in range(1, 20001))


class PolicyCase(StackCase):
    """Tests that wait for files."""

    def eventually(self, true: Callable[[], bool]) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + TIMEOUT
        while not true():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)  # what is in a file is no event


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
        self.eventually(lambda: self.accounted(daemon))
        counts = daemon.detail("web")["dropped"]["stdout"]
        shown = f"stdout: {counts['bytes']} bytes in {counts['lines']} lines dropped"
        self.assertIn(shown, daemon.cli("status").stdout)
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        self.assertEqual(daemon.detail("web")["dropped"], {"stdout": counts})
        self.assertEqual((daemon.stop(), daemon.strays()), (0, []))

    def accounted(self, daemon: Daemon) -> bool:
        """Whether everything that was written is in the file, or counted."""
        kept = (daemon.folder / "out").read_bytes().replace(b">", b"")
        return len(kept) + daemon.detail("web")["dropped"].get("stdout", {}).get("bytes", 0) == WRITTEN
