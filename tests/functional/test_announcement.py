"""The announcement's own stack, as it is pasted there."""

from __future__ import annotations

import http.client
from pathlib import Path
from unittest import SkipTest

from .stack import SCRIPTS, Daemon, StackCase, alive
from .test_transcript import free

ANNOUNCED = """\
[circus]
check_delay = 5

[watcher:web]
cmd = chaussette --fd $(circus.sockets.web)
use_sockets = True
numprocesses = 5

[socket:web]
host =
port = 8000
"""


def stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class AnnouncementTests(StackCase):
    """Five processes of chaussette on one socket, with no option that a newcomer would not write."""

    def setUp(self) -> None:
        if not (SCRIPTS / "chaussette").exists():
            raise SkipTest(f"chaussette is not installed in {SCRIPTS}")

    def answered(self, port: int) -> str:
        """What the application answers."""
        connection = http.client.HTTPConnection("localhost", port, timeout=20)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            return response.read().decode()
        finally:
            connection.close()

    def test_asPasted(self) -> None:
        """One line says where the program was found, and all five answer; only if its port is in use, on another."""
        ini = ANNOUNCED if free(8000) else ANNOUNCED.replace("8000", "0")
        daemon = self.daemon(ini, env={"PATH": "/usr/bin:/bin"}).start()
        self.assertEqual(daemon.wait("chaussette"), f"chaussette found beside twistd: {SCRIPTS}/chaussette")
        daemon.until(lambda: daemon.detail("web")["active"] == 5)
        self.assertEqual(len([line for line in daemon.lines if "found beside" in line]), 1)
        pids = daemon.pids("web")
        # Each of them alone, while the others are stopped: so all five are known to answer.
        for wid in range(1, 6):
            self.alone(daemon, wid)
        self.assertEqual(sorted(daemon.pids("web")), sorted(pids))
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def alone(self, daemon: Daemon, wid: int) -> None:
        """One worker answers while the others cannot."""
        others = [number for number in range(1, 6) if number != wid]
        for number in others:
            daemon.call("signal", name="web", wid=number, signum="STOP")
        # Until it has stopped a process may still take the connection, and then not answer.
        for worker in daemon.detail("web")["workers"]:
            while worker["wid"] in others and not stopped(worker["pid"]):
                pass
        try:
            self.assertTrue(self.answered(daemon.port()))
        finally:
            for number in others:
                daemon.call("signal", name="web", wid=number, signum="CONT")
