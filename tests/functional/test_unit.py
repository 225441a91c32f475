"""The supervisor as a service of systemd, whose side a stand-in takes: tests.functional.standin."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import time
from typing import Any

from .load import Load
from .stack import HELLO, PYTHON, StackCase, alive
from .standin import Service
from .test_life import get

WEB = f"""
[circus]
name = unit

[socket:web]
host = 127.0.0.1
port = 0

[watcher:web]
cmd = {PYTHON} {HELLO / "web.py"} --fd $(circus.sockets.web)
use_sockets = True
numprocesses = 2
min_ready = 0.1
{{more}}
"""
SPY = f"""
[circus]
name = spy

[watcher:spy]
cmd = {PYTHON} -c "import os, time; print('ENV', sorted(os.environ), flush=True); time.sleep(1000)"
copy_env = True
"""


class UnitCase(StackCase):
    """Tests with a manager."""

    def service(self, ini: str, **more: Any) -> Service:
        """A supervisor that a manager has started."""
        service = Service(ini, **more)
        self.addCleanup(service.clean)
        return service.start()


class NotifyTests(UnitCase):
    """What the manager is told."""

    def test_life(self) -> None:
        """A start, a change, a reload and a stop, each with the time that it may take."""
        service = self.service(WEB.format(more="ready_timeout = 40\ngraceful_timeout = 20"))
        begun = service.hear(lambda said: "EXTEND_TIMEOUT_USEC" in said)
        self.assertEqual(int(begun["EXTEND_TIMEOUT_USEC"]), 55_000_000)
        self.assertEqual(service.ready()["STATUS"], "web 2/2")
        service.call("incr", name="web", waiting=True)
        self.assertEqual(service.hear(lambda said: said.keys() == {"STATUS"})["STATUS"], "web 3/3")
        before = int(time.monotonic() * 1e6)
        service.process.send_signal(signal.SIGHUP)
        reloading = service.hear(lambda said: said.get("RELOADING") == "1")
        self.assertTrue(before < int(reloading["MONOTONIC_USEC"]) <= time.monotonic() * 1e6)
        self.assertIn("web 3/3", service.ready()["STATUS"])
        self.assertEqual(service.stop(), 0)
        stopping = service.hear(lambda said: said.get("STOPPING") == "1")
        self.assertEqual(int(stopping["EXTEND_TIMEOUT_USEC"]), 35_000_000)

    def test_broken(self) -> None:
        """A configuration that cannot be read ends the reload, and nothing is changed."""
        service = self.service(WEB.format(more=""))
        service.ready()
        service.ini.write_text("[watcher:web]\nnumprocesses = x\n")
        service.process.send_signal(signal.SIGHUP)
        service.hear(lambda said: said.get("RELOADING") == "1")
        self.assertEqual(service.ready()["STATUS"], "web 2/2")

    def test_watchdog(self) -> None:
        """It says that it lives at half of the time that the manager grants, and not while it is stopped."""
        service = self.service(WEB.format(more=""), watchdog=1.0)
        service.ready()
        began = time.monotonic()
        for _ in range(3):
            service.hear(lambda said: said.get("WATCHDOG") == "1")
        self.assertGreater(time.monotonic() - began, 0.9)
        service.process.send_signal(signal.SIGSTOP)
        service.rest()
        with self.assertRaises(AssertionError):
            service.hear(lambda said: "WATCHDOG" in said, 1.2)
        service.process.send_signal(signal.SIGCONT)
        service.hear(lambda said: said.get("WATCHDOG") == "1")

    def test_silent(self) -> None:
        """Without WatchdogSec nothing is said while nothing happens."""
        service = self.service(WEB.format(more=""))
        service.ready()
        with self.assertRaises(AssertionError):
            service.hear(lambda said: True, 2.0)

    def test_own(self) -> None:
        """What the manager says to us is not for workers."""
        service = self.service(SPY, watchdog=5.0)
        line = service.wait("ENV")
        self.assertIn("'RUNTIME_DIRECTORY'", line)
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "FDSTORE"):
            self.assertNotIn(f"'{name}'", line)

    def test_upgrade(self) -> None:
        """Another version in place goes on to tell, and no pid changes."""
        service = self.service(WEB.format(more=""), watchdog=2.0)
        service.ready()
        pids, pid = service.pids("web"), service.process.pid
        done = service.cli("upgrade")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        service.ready()
        service.hear(lambda said: said.get("WATCHDOG") == "1")
        self.assertEqual((service.pids("web"), service.call("ping")["pid"]), (pids, pid))
        self.assertEqual(len(service.store["store.web"]), 1)


class StoreTests(UnitCase):
    """Sockets that the manager keeps while the service is restarted."""

    def test_restart(self) -> None:
        """A restart under load refuses nobody; the processes are new, the port is the same."""
        service = self.service(WEB.format(more=""))
        service.ready()
        port, pids = service.port(), service.pids("web")
        with Load(port) as load:
            load.seen()
            self.assertEqual(service.restart(), 0)
            service.ready()
            get(port)
            seen = load.seen()
        self.assertEqual([why for why in seen.failed if "Refused" in why], [])
        self.assertGreater(seen.requests, 0)
        self.assertEqual(service.port(), port)
        self.assertFalse(set(service.pids("web")) & set(pids))
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_backlog(self) -> None:
        """Who connected while nothing ran is served afterwards."""
        service = self.service(WEB.format(more=""))
        service.ready()
        port = service.port()
        self.assertEqual(service.stop(), 0)
        service.rest()
        waiting = socket.create_connection(("127.0.0.1", port), 20)
        self.addCleanup(waiting.close)
        waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
        service.start()
        self.assertIn(b"200", waiting.recv(100))

    def test_kinds(self) -> None:
        """A UNIX socket keeps its file, and each seat of so_reuseport its socket."""
        ini = WEB.format(more="") + "[socket:local]\npath = local.sock\n"
        service = self.service(ini.replace("port = 0", "port = 0\nso_reuseport = True"))
        service.ready()
        inodes = {name: os.fstat(fds[0]).st_ino for name, fds in service.store.items()}
        self.assertEqual(sorted(inodes), ["store.local", "store.web", "store.web/web/0", "store.web/web/1"])
        port = service.port()
        service.stop()
        service.rest()
        waiting = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(8)]
        service.start()
        service.ready()
        for client in waiting:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertIn(b"200", client.recv(100))
            client.close()
        self.assertEqual({name: os.fstat(fds[0]).st_ino for name, fds in service.store.items()}, inodes)
        self.assertEqual(service.port(), port)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(service.folder / "local.sock"))

    def test_gone(self) -> None:
        """A socket that the stack has no more is not kept, and another one of the same name takes its place."""
        service = self.service(WEB.format(more="") + "[socket:more]\nhost = 127.0.0.1\nport = 0\n")
        service.ready()
        before = os.fstat(service.store["store.web"][0]).st_ino
        service.ini.write_text(WEB.format(more="").replace("127.0.0.1", "127.0.0.2"))
        service.process.send_signal(signal.SIGHUP)
        service.hear(lambda said: said.get("RELOADING") == "1")
        service.ready()
        self.assertEqual(sorted(service.store), ["store.web"])
        self.assertNotEqual(os.fstat(service.store["store.web"][0]).st_ino, before)

    def test_killed(self) -> None:
        """After a kill -9 the workers go on, and the next supervisor holds the sockets once."""
        service = self.service(WEB.format(more=""))
        service.ready()
        port, pids = service.port(), service.pids("web")
        service.kill()
        service.rest()
        service.start()
        service.ready()
        self.assertEqual((service.port(), service.pids("web")), (port, pids))

    def test_activated(self) -> None:
        """A socket of a socket unit is taken, also when it is kept too."""
        given = socket.create_server(("127.0.0.1", 0))
        port = given.getsockname()[1]
        service = Service(WEB.format(more=""))
        self.addCleanup(service.clean)
        service.handed.append(("web.socket", given.detach()))
        service.start()
        service.ready()
        inode = os.fstat(service.handed[0][1]).st_ino
        for _ in range(2):
            self.assertTrue(get(port))
            self.assertEqual(os.fstat(service.store["store.web"][0]).st_ino, inode)
            service.restart()
            service.ready()

    def test_unkept(self) -> None:
        """Where nothing is kept a UNIX socket's file goes with the service."""
        service = self.service(
            "[socket:local]\npath = local.sock\n[watcher:one]\ncmd = sleep 1000\n", store=0)
        service.ready()
        self.assertEqual(service.stop(), 0)
        self.assertFalse((service.folder / "local.sock").exists())
        self.assertEqual(service.store, {})


class ExportTests(UnitCase):
    """The unit that C{circustwist export systemd} writes."""

    def test_run(self) -> None:
        """Its command line runs the stack, with its own settings for the rest."""
        service = Service(WEB.format(more=""), watchdog=30.0)
        self.addCleanup(service.clean)
        done = service.cli("export", "systemd", "stack.ini")
        self.assertEqual(done.returncode, 0, done.stderr)
        options = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line and line[0] != "#")
        service.line = shlex.split(options["ExecStart"])
        service.env |= dict([options["Environment"].split("=")])
        service.start()
        self.assertEqual(service.ready()["STATUS"], "web 2/2")
        self.assertEqual(service.stop(), 0)

    def test_wrong(self) -> None:
        """An ini that cannot be used gets no unit."""
        service = Service("[watcher:web]\nnumprocesses = x\n")
        self.addCleanup(service.clean)
        done = service.cli("export", "systemd", "--user", "stack.ini")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("stack.ini:2: [watcher:web] numprocesses: 'x' is not a whole number", done.stderr)
