"""Tests of numbers, of a real stack."""

from __future__ import annotations

import sys
from typing import Any

from .stack import StackCase

STACK = f"""
[watcher:busy]
cmd = {sys.executable} -c "while True: pass"
[watcher:idle]
cmd = sleep 1000
numprocesses = 2
"""


class StatsTests(StackCase):
    """What processes use."""

    timeout = 60

    def test_stats(self) -> None:
        """A busy worker is seen to be busy and an idle one to be idle; people see it as a table of names."""
        daemon = self.run_(STACK)
        sample = daemon.call("stats", detail=True)["sample"]
        busy, idle = sample["watchers"]
        self.assertGreater(busy["cpu"], 10)
        self.assertEqual((idle["processes"], idle["cpu"]), (2, 0))
        self.assertEqual([worker["pid"] for worker in idle["workers"]], daemon.pids("idle"))
        self.assertGreater(sample["supervisor"]["memory"], 10_000_000)

    def test_circus(self) -> None:
        """Circus's clients are answered as Circus does."""
        daemon = self.run_(STACK)
        (pid,) = daemon.pids("busy")
        infos: dict[str, Any] = daemon.call("stats")["infos"]
        self.assertEqual(set(infos), {"busy", "idle"})
        self.assertEqual(infos["busy"][str(pid)]["pid"], pid)
        self.assertEqual(daemon.call("stats", name="BUSY", process=pid)["info"]["wid"], 1)
        self.assertEqual(daemon.call("dstats")["info"]["pid"], daemon.process.pid)
