"""Part I: hooks, plugins, the console."""

from __future__ import annotations

import http.client
import os
import socket
from importlib.util import find_spec
from pathlib import Path

from tests.functional.browser import MISSING, Browser

from .case import FaultCase, SkipTest, descriptors, eventually, kill, rss
from .rows import row

HOOKS = """
import os, sys, time

def raises(watcher, arbiter, hook_name, **given):
    raise RuntimeError("by intent")

def refuses(watcher, arbiter, hook_name, **given):
    return False

def hangs(watcher, arbiter, hook_name, **given):
    time.sleep(1000)

def exits(watcher, arbiter, hook_name, **given):
    sys.exit(3)

def loops(watcher, arbiter, hook_name, **given):
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
    return True
"""


class ExtensionFaults(FaultCase):
    """The rows of part I."""

    @property
    def STACK(self) -> str:
        """A watcher for each kind of hook, and the console."""
        hooked = "".join(
            f"[watcher:{name}]\ncmd = sleep 1198\nhooks.before_start = shop.{name}\nhook_timeout = 300ms\n"
            for name in ("raises", "refuses", "hangs", "exits", "loops"))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        return f"httpd = True\nhttpd_port = {port}\n{hooked}[watcher:ok]\ncmd = sleep 1198\n"

    def furnish(self, folder: Path) -> None:
        (folder / "shop.py").write_text(HOOKS)

    def console(self, method: str, path: str, body: bytes = b"", **headers: str) -> int:
        """The status of a request to the console."""
        port = int(self.house.ini.read_text().partition("httpd_port = ")[2].split()[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            return connection.getresponse().status
        except (ConnectionError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    @row("I98", "a hook raises, refuses, hangs, exits or computes for long",
         "its time is limited, nobody waits for it but its watcher, which tells; everything else goes on")
    def test_I98_hooks(self) -> None:
        for name in ("raises", "refuses", "hangs", "exits", "loops"):
            self.house.call("start", name=name)
            self.responsive(self.house)
            self.addCleanup(self.down, name)
        eventually(lambda: all(
            one["state"] != "running" for one in self.house.call("operation")["operations"]))
        for name in ("raises", "refuses", "hangs", "exits"):
            self.assertEqual(self.house.pids(name), [], name)
        self.assertEqual(len(self.up("ok")), 1)

    @row("I101", "a browser sends 10 MB, from another site, or asks for a hundred streams",
         "refused with a status, or cut off; others are served")
    def test_I101_browser(self) -> None:
        before = descriptors(self.house.process.pid)
        json = {"Content_Type": "application/json", "X_Circustwist": "1"}
        self.assertIn(self.console("POST", "/command", b"x" * (10 << 20), **json), (0, 400, 413))
        self.assertEqual(self.console("POST", "/command", b"{}", **json, Origin="http://evil.example"), 403)
        self.assertIn(self.console("GET", "/", Cookie="x" * 60_000), (0, 400, 413, 431))
        self.assertIn(self.console("POST", "/command", b"[" * 100_000, **json), (0, 400, 413))
        for path in ("/../../etc/passwd", "/static/../../x", "/static/%2e%2e/x", "/\0", "/" + "a" * 20_000):
            self.assertNotEqual(self.console("GET", path), 200, path[:20]) if "\0" not in path else None
        self.responsive(self.house)
        eventually(lambda: descriptors(self.house.process.pid) <= before)

    @row("F75", "two hundred pages look on, and half of them are dead",
         "so many are let in; what a page holds is given back")
    def test_F75_pages(self) -> None:
        port = int(self.house.ini.read_text().partition("httpd_port = ")[2].split()[0])
        before = descriptors(self.house.process.pid)
        clients = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(200)]
        for client in clients:
            client.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for client in clients[:100]:
            client.close()
        self.responsive(self.house)
        for client in clients[100:]:
            client.close()
        # What measures and remembers for pages goes on for a while after the last one.
        eventually(lambda: descriptors(self.house.process.pid) < before + 20)


FLOOD = """
from threading import Thread
from circus.plugins import CircusPlugin

class Flood(CircusPlugin):
    name = "flood"

    def handle_init(self):
        Thread(target=self.flood, daemon=True).start()

    def flood(self):
        while True:
            for words in ({}, {"nonsense": object}, {"name": "x" * 10000}):
                try:
                    self.call("status" if words else "nosuch", **words)
                except Exception:
                    pass

    def handle_recv(self, data):
        self.call("list")
"""


class PluginFaults(FaultCase):
    """The rows of part I about plugins and what they speak to."""

    @row("I99", "the process of a plugin floods the supervisor and is killed again and again",
         "it is started again like any other; the supervisor answers, and what it holds does not grow")
    def test_I99_plugin(self) -> None:
        if find_spec("circus") is None:
            raise SkipTest("the package circus is not installed")
        daemon = self.wrapped("[watcher:ok]\ncmd = sleep 1196\n[plugin:flood]\nuse = flood.Flood\nmax_retry = -1\n")
        (daemon.folder / "flood.py").write_text(FLOOD)
        self.begun(daemon)
        before = 0
        for _ in range(3):
            (pid,) = eventually(lambda: daemon.pids("plugin:flood"))
            daemon.call("incr", name="ok", waiting=True)
            before = before or descriptors(daemon.process.pid)
            self.responsive(daemon)
            kill(pid)
            eventually(lambda: daemon.pids("plugin:flood") not in ([], [pid]))  # noqa: B023  # called at once
        self.assertEqual(len(daemon.pids("ok")), 4)
        eventually(lambda: descriptors(daemon.process.pid) < before + 20)
        self.assertEqual(daemon.stop(), 0, daemon.lines[-20:])

    @row("I100", "a statsd, a Redis and a web server that plugins ask are silent, full or not there",
         "each is asked once at a time and given up after its time; the supervisor answers and holds no more")
    def test_I100_silent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            closed = probe.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
            port = silent.getsockname()[1]
            tell = f"host = 127.0.0.1\nport = {closed}\nloop_rate = 0.02\n"
            daemon = self.wrapped("[watcher:ok]\ncmd = sleep 1195\n" + "".join(
                f"[plugin:http{at}]\nuse = circus.plugins.http_observer.HttpObserver\ntimeout = 1\n"
                f"check_url = http://127.0.0.1:{at}/\n{tell}"
                f"[plugin:redis{at}]\nuse = circus.plugins.redis_observer.RedisObserver\ntimeout = 1\n"
                f"redis_url = redis://127.0.0.1:{at}/0\n{tell}" for at in (port, closed))
                + f"[plugin:full]\nuse = circus.plugins.statsd.FullStats\n{tell}")
            self.begun(daemon)
            before, size = descriptors(daemon.process.pid), rss(daemon.process.pid)
            for _ in range(20):
                daemon.call("restart", name="ok", waiting=True)
                self.responsive(daemon)
            silent.settimeout(30)
            silent.accept()[0].close()
            self.assertEqual(len(daemon.pids("ok")), 1)
            self.assertLess(descriptors(daemon.process.pid), before + 40)
            self.assertLess(rss(daemon.process.pid), size + (40 << 20))
            self.assertEqual(daemon.stop(), 0, daemon.lines[-20:])

    @row("I102", "a page shows hundreds of processes, all of which are replaced",
         "the page shows every watcher and what becomes of it, and the supervisor answers meanwhile")
    def test_I102_page(self) -> None:
        if MISSING:
            raise SkipTest(MISSING)
        count = int(os.environ.get("FAULTS_PAGE", "200")) // 10
        daemon = self.wrapped("httpd = True\nhttpd_port = 0\n" + "".join(
            f"[watcher:job{at:03}]\ncmd = sleep 1194\nnumprocesses = 10\n" for at in range(count)))
        self.begun(daemon)
        link = daemon.cli("console").stdout.split()[-1]
        browser = Browser()
        self.addCleanup(browser.close)
        browser.open(link)
        browser.shows(f"job{count - 1:03}")
        daemon.call("restart", waiting=True)
        self.responsive(daemon)
        self.assertNotIn("stopped", browser.text())
        daemon.call("stop", name="job000", waiting=True)
        browser.until(lambda: "stopped" in browser.text())
        self.responsive(daemon)
