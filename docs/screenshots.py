"""
Takes the pictures of the console in docs/pictures, of the stack in docs/examples/console.

    python docs/screenshots.py

It takes two minutes, and needs chromium and chromedriver.
"""

from __future__ import annotations

import math
import random
import re
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.functional.browser import Browser
from tests.functional.http import linked
from tests.functional.stack import Daemon

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
FILLED = 100.0
"""Seconds until the charts have something to show."""


def visit(ports: dict[str, int], over: threading.Event) -> None:
    """Connect again and again, now more often and now less."""
    start = time.monotonic()
    while not over.wait(0.1):
        for name, share in (("web", 1.0), ("api", 0.4)):
            often = share * (5 + 3 * math.sin((time.monotonic() - start) / 7)) * random.random() * 2
            for _ in range(round(often)):
                try:
                    with socket.create_connection(("127.0.0.1", ports[name]), timeout=2) as connection:
                        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                        connection.recv(1000)
                except OSError:
                    pass


def take(browser: Browser, daemon: Daemon) -> None:
    """All pictures."""

    def shot(name: str, view: str, wait: float = 2.0) -> None:
        """One of them."""
        browser.run("location.hash = '#/' + arguments[0]", view)
        time.sleep(wait)
        browser.picture(PICTURES / f"{name}.png")

    browser.run("location.hash = '#/logs'")
    browser.run("location.hash = '#/'")
    time.sleep(FILLED)
    shot("overview", "")
    shot("sockets", "sockets?of=web")
    browser.size(1200, 420)
    shot("logs", "logs", 4.0)
    browser.size(1200, 760)
    daemon.call("reload", name="web", waiting=False)
    shot("watcher", "watcher/web", 6.0)
    browser.scheme("dark")
    shot("dark", "")


def main() -> None:
    """Run the stack, watch it, and end it."""
    PICTURES.mkdir(exist_ok=True)
    text = (HERE / "examples" / "console" / "stack.ini").read_text()
    daemon = Daemon(re.sub(r"port = \d+", "port = 0", text).replace("httpd = True", "httpd = True\nhttpd_port = 0"))
    for name in ("app.py", "orders.py"):
        shutil.copy(HERE / "examples" / "console" / name, daemon.folder)
    daemon.start()
    over, browser = threading.Event(), None
    try:
        port, token = linked(daemon.wait("#login="))
        ports = {one["name"]: one["port"] for one in daemon.call("listsockets")["sockets"]}
        threading.Thread(target=visit, args=(ports, over), daemon=True).start()
        browser = Browser(1200, 900)
        browser.size(1200, 760)
        browser.open(f"http://localhost:{port}/#login={token}")
        take(browser, daemon)
    finally:
        over.set()
        if browser is not None:
            browser.close()
        daemon.stop()


if __name__ == "__main__":
    main()
