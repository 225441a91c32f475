"""Watchers that the first connection starts, with real connections."""

from __future__ import annotations

import os
import signal
import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

from .stack import PYTHON, Control, Daemon, StackCase, alive, ended

SERVER = """
import os, socket, sys
mode, fd = sys.argv[1], int(sys.argv[2])
if mode == "fails":
    sys.exit(3)
server = socket.socket(fileno=fd)
server.setblocking(True)
while True:
    client, _ = server.accept()
    with client:
        client.sendall(b"%d" % os.getpid())
    if mode == "once":
        break
"""
HEAD = "[circus]\nname = demand-{pid}\n[socket:web]\nhost = 127.0.0.1\nport = 0\n"


def section(name: str, mode: str = "stays", socket: str = "web", more: str = "") -> str:
    """A watcher on demand."""
    return f"""[watcher:{name}]
cmd = {PYTHON} -S server.py {mode} $(circus.sockets.{socket})
use_sockets = True
on_demand = True
{more}
"""


class DemandCase(StackCase):
    """Tests of stacks whose watchers wait."""

    def lazy(self, *sections: str, sockets: str = "") -> Daemon:
        """A supervisor that has begun; all of its watchers are to wait."""
        daemon = self.daemon(HEAD.format(pid=os.getpid()) + sockets + "".join(sections))
        (daemon.folder / "server.py").write_text(SERVER)
        daemon.start()
        daemon.wait("watcher")
        return daemon

    def answer(self, address: Any, family: int = socket.AF_INET) -> int:
        """The pid of whoever serves a connection."""
        with socket.socket(family) as client:
            client.settimeout(30)
            client.connect(address)
            return int(client.makefile("rb").read())

    def ask(self, daemon: Daemon, name: str = "web") -> int:
        """The same, at a port of a stack."""
        return self.answer(("127.0.0.1", daemon.port(name)))


class WakeTests(DemandCase):
    """The first connection, and the next ones."""

    def test_wake(self) -> None:
        """The connection that wakes a watcher is served by it; the next one by the same process."""
        daemon = self.lazy(section("web"))
        self.assertEqual(daemon.call("status")["statuses"], {"web": "stopped"})
        self.assertEqual(daemon.pids("web"), [])
        pid = self.ask(daemon)
        self.assertEqual((daemon.pids("web"), self.ask(daemon)), ([pid], pid))
        daemon.until(lambda: daemon.call("status", name="web")["status"] == "active")

    def test_unix(self) -> None:
        """A UNIX socket wakes too, and its file stays as it is."""
        daemon = self.lazy(section("web", socket="local"), sockets="[socket:local]\npath = local\nmode = 0600\n")
        path = daemon.folder / "local"
        before = path.stat()
        self.assertEqual([self.answer(str(path), socket.AF_UNIX)], daemon.pids("web"))
        self.assertEqual((path.stat().st_ino, path.stat().st_mode), (before.st_ino, before.st_mode))

    def test_own(self) -> None:
        """Each is woken by its own socket only, and all of them can be."""
        more = "".join(f"[socket:{name}]\nhost = 127.0.0.1\nport = 0\n" for name in ("a", "b"))
        daemon = self.lazy(section("a", socket="a"), section("b", socket="b"), section("c", socket="web"), sockets=more)
        self.assertEqual([self.ask(daemon, "b")], daemon.pids("b"))
        self.assertEqual((daemon.pids("a"), daemon.pids("c")), ([], []))
        self.assertEqual([self.ask(daemon, "a")], daemon.pids("a"))
        self.assertEqual([self.ask(daemon)], daemon.pids("c"))

    def test_again(self) -> None:
        """When its process has ended it waits again, and the next connection gets another one."""
        daemon = self.lazy(section("web", "once"))
        pids = [self.ask(daemon) for _ in range(4)]
        self.assertEqual(len(set(pids)), 4)
        daemon.until(lambda: daemon.call("status", name="web")["status"] == "stopped")
        self.assertFalse(any(map(alive, pids)))

    def test_killed(self) -> None:
        """One that is killed is not replaced before somebody needs it."""
        daemon = self.lazy(section("web"))
        pid = self.ask(daemon)
        with Control(daemon.where) as control:
            events = control.events(["watcher.web.stop"])
            os.kill(pid, signal.SIGKILL)
            self.assertFalse(next(events)["planned"])
        self.assertEqual(daemon.pids("web"), [])
        self.assertNotEqual(self.ask(daemon), pid)


class IdleTests(DemandCase):
    """What waits costs nothing."""

    def ticks(self, daemon: Daemon) -> int:
        """The processor time of the supervisor, in clock ticks."""
        fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def wakeups(self, daemon: Daemon) -> int:
        """How often the supervisor has slept."""
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        return int(status.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0])

    def test_noSpin(self) -> None:
        """A connection that nobody accepts yet does not keep the supervisor busy."""
        daemon = self.lazy("[watcher:web]\ncmd = sleep 1000\nuse_sockets = True\non_demand = True\nready = after\n")
        with socket.create_connection(("127.0.0.1", daemon.port()), timeout=10):
            daemon.until(lambda: daemon.call("status", name="web")["status"] == "active")
            daemon.call("ping")
            before = self.ticks(daemon), self.wakeups(daemon)
            # A second of a socket that stays readable is the thing that is looked at.
            with Control(daemon.where) as control, self.assertRaises(TimeoutError):
                next(control.events(["never"], timeout=1.0))
            self.assertTrue(self.ticks(daemon) - before[0] < 20, "it spins")
            self.assertTrue(self.wakeups(daemon) - before[1] < 50, "it spins")

    def test_fails(self) -> None:
        """A program that ends at once is tried with growing pauses, though the connection waits all the time."""
        daemon = self.lazy(section("web", "fails"))
        with socket.create_connection(("127.0.0.1", daemon.port()), timeout=10), Control(daemon.where) as control:
            events = control.events(["watcher.web.wake"], since=0)
            times = [next(events)["time"] for _ in range(4)]
        pauses = [after - before for before, after in pairwise(times)]
        self.assertTrue(pauses[1] > 0.14 and pauses[2] > 0.29, pauses)


class StopTests(DemandCase):
    """What an administrator stops, and other supervisors and configurations."""

    def test_stop(self) -> None:
        """A stop is not undone by a connection; after a start the one that waited is served."""
        daemon = self.lazy(section("web"))
        pid = self.ask(daemon)
        daemon.call("stop", name="web", waiting=True)
        self.assertFalse(alive(pid))
        with socket.create_connection(("127.0.0.1", daemon.port()), timeout=30) as client:
            self.assertEqual(daemon.call("status", detail=True)["stack"]["sockets"][0]["queue"], 1)
            self.assertEqual((daemon.call("status", name="web")["status"], daemon.pids("web")), ("stopped", []))
            daemon.call("start", name="web", waiting=True)
            self.assertEqual([int(client.makefile("rb").read())], daemon.pids("web"))

    def test_stopAsleep(self) -> None:
        """One that waits can be stopped too; the supervisor after this one knows it."""
        daemon = self.lazy(section("web"))
        daemon.call("stop", name="web", waiting=True)
        daemon.kill()
        daemon.start()
        daemon.wait("web 0/1 stopped")
        daemon.call("start", name="web", waiting=True)
        self.assertEqual([self.ask(daemon)], daemon.pids("web"))

    def test_killed(self) -> None:
        """After kill -9 what was awake is adopted, and waits again when it has ended."""
        daemon = self.lazy(section("web"))
        pid, port = self.ask(daemon), daemon.port()
        daemon.kill()
        self.assertEqual(self.answer(("127.0.0.1", port)), pid)
        daemon.start()
        daemon.wait("web 1/1")
        self.assertEqual((daemon.port(), daemon.pids("web")), (port, [pid]))
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(ended(pid))
        self.assertEqual([self.ask(daemon)], daemon.pids("web"))

    def test_reloadconfig(self) -> None:
        """It waits at another socket when the configuration says so; without on_demand it is started."""
        daemon = self.lazy(section("web"))
        old = daemon.port()
        text = daemon.ini.read_text()
        daemon.ini.write_text(text.replace("port = 0", "port = 0\nbacklog = 5").replace("sockets.web", "sockets.b")
                              + "[socket:b]\npath = b\n")
        daemon.call("reloadconfig", waiting=True)
        with socket.create_connection(("127.0.0.1", old), timeout=10):
            self.assertEqual(daemon.pids("web"), [])
        self.assertEqual([self.answer(str(daemon.folder / "b"), socket.AF_UNIX)], daemon.pids("web"))
        daemon.call("restart", name="web", waiting=True)
        self.assertEqual(daemon.pids("web"), [])
        daemon.ini.write_text(daemon.ini.read_text().replace("on_demand = True", ""))
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual(len(daemon.pids("web")), 1)

    def test_upgrade(self) -> None:
        """A supervisor that is replaced in place goes on waiting, and loses no connection."""
        daemon = self.lazy(section("web"))
        daemon.call("upgrade")
        with socket.create_connection(("127.0.0.1", daemon.port()), timeout=30) as client:
            pid = int(client.makefile("rb").read())
        self.assertEqual(daemon.pids("web"), [pid])
