"""
Every call of the edges fails once.

A supervisor starts, restarts, respawns, reloads, rotates, applies its
configuration and stops processes again and again.  In each round another
call of its edges to the kernel fails, and afterwards all is as it should be:
nobody is doubled, orphaned or missing, no descriptor is lost, commands are
answered.

C{FAULTS_EVERY=1} in the environment tries every call with every error, which
takes minutes; without it a few of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from .case import Control, ControlError, FaultCase, alive, descriptors, eventually

HERE = Path(__file__).parent
STACK = """
[socket:web]
host = 127.0.0.1
port = 0
[watcher:direct]
cmd = sh -c 'echo hello; exec sleep 1300'
numprocesses = 2
use_sockets = True
min_ready = 0
restart_delay_max = 100ms
max_retry = -1
graceful_timeout = 500ms
[watcher:launched]
cmd = sh -c 'echo hello; exec sleep 1300'
working_dir = /
min_ready = 0
restart_delay_max = 100ms
max_retry = -1
graceful_timeout = 500ms
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/out.log
stdout_stream.max_bytes = 100
stdout_stream.backup_count = 2
"""
STRIDE = 1 if os.environ.get("FAULTS_EVERY") else 17
KINDS = 4 if os.environ.get("FAULTS_EVERY") else 1
MOST = 2000


class EveryCallTests(FaultCase):
    """The replay."""

    def test_everyCall(self) -> None:
        """Whichever call fails, and with whichever error."""
        daemon = self.wrapped(STACK)
        fail = daemon.folder / "fail"
        daemon.env |= {"PYTHONPATH": str(HERE / "failing"), "FAULTS_FAIL": str(fail)}
        self.begun(daemon)
        self.settled(daemon, 0)
        before = self.count(daemon)
        failed: set[str] = set()
        for kind in range(KINDS):
            for number in range(1 + kind, MOST, STRIDE):
                fail.write_text(f"{number} {kind + number % 3}")
                try:
                    self.replay(daemon)
                except TimeoutError:
                    self.fail(f"no answer after {self.text(fail.with_name('fail.done'))}: "
                              f"{daemon.call('operation')['operations'][-1]}; {self.said(daemon)}")
                fail.unlink()
                done = fail.with_name("fail.done")
                if not done.exists():
                    break
                what = done.read_text()
                failed.add(what)
                done.unlink()
                self.settled(daemon, before, what)
        self.assertGreater(len(failed), 3, failed)
        pids = daemon.strays()
        self.assertEqual(daemon.stop(), 0, daemon.lines[-20:])
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def replay(self, daemon: Any) -> None:
        """Everything that happens in the life of processes; what is refused is refused."""
        with Control(daemon.where, timeout=10) as control:
            for command, given in (
                ("restart", {"name": "direct", "waiting": True}), ("kill", {"name": "launched"}),
                ("reload", {"name": "direct", "waiting": True}), ("rotate", {"name": "launched"}),
                ("reopenlogs", {}), ("reloadconfig", {"waiting": True}), ("incr", {"name": "direct", "waiting": True}),
                ("decr", {"name": "direct", "waiting": True}), ("stop", {"name": "launched", "waiting": True}),
                ("start", {"waiting": True}), ("status", {"detail": True}),
            ):
                if command == "kill":
                    for pid in control.call("list", name="launched")["pids"]:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    continue
                with contextlib.suppress(ControlError):
                    control.call(command, **given)

    def settled(self, daemon: Any, before: int, what: str = "") -> None:
        """Once the fault is gone all is as it was."""
        def right() -> bool:
            pids = daemon.pids("direct") + daemon.pids("launched")
            if len(pids) != 3 and "failed" in daemon.call("status")["statuses"].values():
                daemon.call("start")
            return (len(daemon.pids("direct")), len(daemon.pids("launched"))) == (2, 1) and (
                sorted(daemon.strays()) == sorted(pids)) and (not before or self.count(daemon) <= before)

        try:
            eventually(right, 20)
        except AssertionError:
            self.fail(f"after {what}: {daemon.call('status', detail=True)} {daemon.strays()} "
                      f"{self.count(daemon)} of {before} descriptors; {self.said(daemon)}")

    def text(self, path: Path) -> str:
        """What is in a file; nothing if it is not there."""
        return path.read_text() if path.exists() else ""

    def said(self, daemon: Any) -> list[str]:
        """The last lines of the supervisor's log."""
        with contextlib.suppress(AssertionError):
            daemon.wait("never said", 0.1)
        return [line for line in daemon.lines if " | hello" not in line][-40:]

    def count(self, daemon: Any) -> int:
        """How many descriptors the supervisor has."""
        return descriptors(daemon.process.pid)
