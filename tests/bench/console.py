"""What the console costs: with nobody who looks, with one who does, and with one who does not read."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..functional.browser import MISSING, Browser
from ..functional.http import linked
from ..functional.stack import Daemon
from .ours import ini
from .proc import children, processor, pss, wakes
from .rows import Row

WATCHED = 20.0
SETTLED = 4.0
WORKERS = 500


@contextmanager
def served() -> Iterator[tuple[Daemon, int, str]]:
    """A supervisor with a console, its port, and the secret of a login link."""
    daemon = Daemon("[circus]\nhttpd = True\nhttpd_port = 0\n" + ini(WORKERS))
    try:
        daemon.start()
        port, token = linked(daemon.wait("#login="))
        daemon.wait("watcher")
        time.sleep(SETTLED)
        yield daemon, port, token
    finally:
        daemon.clean()


def looking(port: int, reads: bool = True) -> socket.socket:
    """Somebody who looks on, as a browser does."""
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.connect(("127.0.0.1", port))
    stream.sendall(f"GET /stream HTTP/1.1\r\nHost: localhost:{port}\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    if reads:
        threading.Thread(target=_drain, args=(stream,), daemon=True).start()
    return stream


def _drain(stream: socket.socket) -> None:
    try:
        while stream.recv(65536):
            pass
    except OSError:
        pass


def _tree(pid: int) -> float:
    """The processor time of a process and all its descendants, seconds."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(_tree(child) for child in children(pid))


def console() -> list[Row]:
    """Each in a stack of 500 workers."""
    with served() as (daemon, port, token):
        pid = daemon.process.pid
        before = wakes(pid)
        time.sleep(WATCHED)
        rows = [Row(f"console without a viewer: wake-ups in {WATCHED:g} s", wakes(pid) - before, "", limit=0)]
        rows += _one(pid, port)
        rows += _stalled(daemon, port)
        if not MISSING:
            rows += _browser(pid, port, token)
    return rows


def _share(pid: int) -> float:
    before = processor(pid)
    time.sleep(WATCHED)
    return 100 * (processor(pid) - before) / WATCHED


def _one(pid: int, port: int) -> list[Row]:
    with looking(port):
        time.sleep(SETTLED)
        return [Row("console with one viewer: processor", _share(pid), "%", limit=3)]


def _stalled(daemon: Daemon, port: int) -> list[Row]:
    """Much happens, and somebody does not read it."""
    pid, found = daemon.process.pid, {}
    for name in ("nobody", "stalled"):
        stream = looking(port, reads=False) if name == "stalled" else None
        for _ in range(2):
            for wid in range(1, WORKERS, 5):
                daemon.call("signal", name="w", signum="KILL", wid=wid)
            time.sleep(SETTLED)
            found.setdefault(name, pss(pid))
        found[name] = pss(pid) - found[name]
        if stream is not None:
            stream.close()
    grown = (found["stalled"] - found["nobody"]) / 1e6
    return [Row("console with a viewer that does not read: memory more than without", max(0.0, grown), "MB", limit=1)]


def _browser(pid: int, port: int, token: str) -> list[Row]:
    browser = Browser()
    try:
        browser.open(f"http://localhost:{port}/#login={token}")
        browser.shows("500", "main")
        time.sleep(SETTLED)
        before, own = _tree(browser.pid), processor(pid)
        time.sleep(WATCHED)
        used, ours = _tree(browser.pid) - before, processor(pid) - own
    finally:
        browser.close()
    return [
        Row("console in a browser: processor of the browser", 100 * used / WATCHED, "%", limit=5),
        Row("console in a browser: processor of the supervisor", 100 * ours / WATCHED, "%", limit=3),
    ]
