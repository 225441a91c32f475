"""Part I: hooks, plugins, the console."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from .case import FaultCase, descriptors, eventually
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
