"""Tests of numbers, of a real stack."""

from __future__ import annotations

import socket
import sys
import time
from typing import Any

from .http import Visitor, linked
from .stack import Daemon, StackCase

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


SERVER = """
import selectors, socket, sys
waiting = selectors.DefaultSelector()
for fd in sys.argv[1:]:
    listener = socket.socket(fileno=int(fd))
    listener.setblocking(False)
    waiting.register(listener, selectors.EVENT_READ)
print("serving", flush=True)
while True:
    for key, _ in waiting.select():
        try:
            accepted, _ = key.fileobj.accept()
        except BlockingIOError:
            continue
        with accepted:
            accepted.setblocking(True)
            accepted.recv(5)
            accepted.sendall(b"bye")
"""

WEB = f"""
[watcher:web]
cmd = {sys.executable} FOLDER/server.py $(circus.sockets.a) $(circus.sockets.b) $(circus.sockets.c)
use_sockets = True
[socket:a]
host = 127.0.0.1
port = 0
[socket:b]
host = 0.0.0.0
port = 0
[socket:c]
family = af_inet6
host = ::
port = 0
"""


class HitsTests(StackCase):
    """Connections to the sockets of a stack."""

    timeout = 120

    def web(self) -> Daemon:
        """A stack with three sockets and one worker that serves them."""
        daemon = self.daemon(WEB)
        (daemon.folder / "server.py").write_text(SERVER)
        daemon.ini.write_text(WEB.replace("FOLDER", str(daemon.folder)))
        daemon.start()
        daemon.wait("serving")
        return daemon

    def visit(self, daemon: Daemon, times: int, rate: float = 5000) -> None:
        """So many connections to each socket, so many a second in all."""
        ports = [daemon.port(name) for name in "abc"]
        begun = time.monotonic()
        for n in range(times * 3):
            with socket.create_connection(("127.0.0.1", ports[n % 3])) as client:
                client.sendall(b"hello")
                client.recv(3)
                client.recv(1)
            time.sleep(max(0.0, begun + n / rate - time.monotonic()))

    def hits(self, daemon: Daemon) -> dict[str, Any]:
        """What is known of each socket."""
        return {each["name"]: each["hits"] for each in daemon.call("listsockets")["sockets"]}

    def settled(self, daemon: Daemon, **times: int) -> dict[str, Any]:
        """The same, when so many are counted: the kernel tells a moment after the end."""
        deadline = time.monotonic() + 10
        while True:
            found = self.hits(daemon)
            known = {name: (each["connections"], each["open"]) for name, each in found.items()}
            if known == {name: (wanted, 0) for name, wanted in times.items()}:
                return found
            self.assertLess(time.monotonic(), deadline, known)
            time.sleep(0.05)

    def test_exact(self) -> None:
        """Thousands of connections a second are counted to the last one, and over an upgrade; bytes too."""
        daemon = self.web()
        self.visit(daemon, 3000)
        found = self.settled(daemon, a=3000, b=3000, c=3000)
        self.assertEqual({(each["exact"], each["method"]) for each in found.values()}, {(True, "counted")})
        self.assertEqual({(each["received"], each["sent"]) for each in found.values()}, {(15000, 9000)})
        daemon.call("upgrade", waiting=False)
        daemon.wait("adopted")
        self.visit(daemon, 100)
        self.assertTrue(all(each["exact"] for each in self.settled(daemon, a=3100, b=3100, c=3100).values()))

    def test_reload(self) -> None:
        """A socket that moves to another port goes on counting; so does one that stays."""
        daemon = self.web()
        self.visit(daemon, 20)
        daemon.ini.write_text(daemon.ini.read_text().replace("host = 127.0.0.1", "host = 127.0.0.2\nbacklog = 99"))
        daemon.call("reloadconfig", waiting=True)
        with socket.create_connection(("127.0.0.2", daemon.port("a"))) as client:
            client.sendall(b"hello")
            client.recv(3)
        self.settled(daemon, a=21, b=20, c=20)

    def test_crash(self) -> None:
        """What came while no supervisor ran is not known, so the numbers are said to be lower bounds."""
        daemon = self.web()
        self.visit(daemon, 10)
        daemon.kill()
        daemon.start()
        daemon.wait("adopted")
        self.visit(daemon, 10)
        found = self.settled(daemon, a=10, b=10, c=10)
        self.assertFalse(any(each["exact"] for each in found.values()))


class IdleTests(StackCase):
    """Watchers that run while they are needed."""

    timeout = 60

    def test_idle(self) -> None:
        """While a connection is open it runs; some time after the last one it waits for the next, which is served."""
        daemon = self.daemon("")
        (daemon.folder / "server.py").write_text(SERVER)
        daemon.ini.write_text(f"""
[watcher:web]
cmd = {sys.executable} {daemon.folder}/server.py $(circus.sockets.a)
use_sockets = True
on_demand = True
idle_timeout = 1
[socket:a]
host = 127.0.0.1
port = 0
""")
        daemon.start()
        daemon.wait("watcher")
        for _ in range(2):
            self.assertTrue(daemon.detail("web")["asleep"])
            with socket.create_connection(("127.0.0.1", daemon.port("a"))) as client:
                daemon.wait("serving")
                for _ in range(15):
                    time.sleep(0.1)
                    self.assertFalse(daemon.detail("web")["asleep"])
                client.sendall(b"hello")
                self.assertEqual(client.recv(3), b"bye")
            daemon.until(lambda: bool(daemon.detail("web")["asleep"]))


class ScrapeTests(StackCase):
    """Prometheus."""

    timeout = 60

    def test_scrape(self) -> None:
        """A scrape tells of watchers and sockets, and of processes if that is asked for."""
        daemon = self.run_("[circus]\nhttpd = True\nhttpd_port = 0\n" + STACK)
        port, _ = linked(daemon.call("console")["url"])
        visitor = Visitor(port)
        status, text = visitor.ask("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn('\ncircustwist_watcher_processes{watcher="idle"} 2\n', text)
        self.assertNotIn("circustwist_process_", text)
        _, text = visitor.ask("GET", "/metrics?per_process=1")
        (pid,) = daemon.pids("busy")
        self.assertIn(f'circustwist_process_threads{{watcher="busy",worker="1",pid="{pid}"}} 1\n', text)
