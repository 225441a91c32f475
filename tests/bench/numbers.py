"""Whether all connections are counted, and what it costs; and what it costs to look at many processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from circustwist.model.launch import Names
from circustwist.system.sampling import Sampling

from ..functional.stack import Daemon
from ..functional.test_numbers import SERVER, WEB
from .proc import processor
from .rows import Row

RATE, WATCHED = 5000, 20
FLAT = 100_000
PROCESSES = 1000

LOAD = """
import socket, sys, time
rate, times, ports = float(sys.argv[1]), int(sys.argv[2]), [int(port) for port in sys.argv[3:]]
begun = time.monotonic()
for n in range(times):
    with socket.create_connection(("127.0.0.1", ports[n % len(ports)])) as client:
        client.sendall(b"hello")
        client.recv(3)
        client.recv(1)
    if rate:
        time.sleep(max(0.0, begun + n / rate - time.monotonic()))
print(times / (time.monotonic() - begun))
"""


@contextmanager
def _web() -> Iterator[Daemon]:
    """A stack with three sockets and one worker that serves them."""
    daemon = Daemon("")
    (daemon.folder / "server.py").write_text(SERVER)
    daemon.ini.write_text(WEB.replace("FOLDER", str(daemon.folder)))
    daemon.start()
    try:
        daemon.wait("serving")
        yield daemon
    finally:
        daemon.stop()
        daemon.clean()


def _hits(daemon: Daemon) -> list[dict[str, Any]]:
    return [socket["hits"] for socket in daemon.call("listsockets")["sockets"]]


def _total(daemon: Daemon) -> int:
    return sum(each["connections"] for each in _hits(daemon))


def _counted(daemon: Daemon, rate: int, times: int, clients: int) -> tuple[float, float, float]:
    """How many were counted, the share of a processor that it took, and how many came a second."""
    ports = [str(daemon.port(name)) for name in "abc"]
    before, used, begun = _total(daemon), processor(daemon.process.pid), time.monotonic()
    words = [sys.executable, "-c", LOAD, str(rate / clients), str(times // clients), *ports]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(clients)]
    reached = sum(float(each.communicate()[0]) for each in running)
    took = time.monotonic() - begun
    share = 100 * (processor(daemon.process.pid) - used) / took
    time.sleep(1)
    return _total(daemon) - before, share, reached


def hits() -> list[Row]:
    """Connections to three sockets."""
    with _web() as daemon:
        times = RATE * WATCHED
        counted, share, reached = _counted(daemon, RATE, times, 2)
        flat, _, rate = _counted(daemon, 0, FLAT, 4)
        exact = all(each["exact"] for each in _hits(daemon))
    who = "root" if os.getuid() == 0 else "an ordinary user"
    return [
        Row(f"connections not counted of {times} at {reached:.0f} a second, as {who}", times - counted, "", limit=0),
        Row("processor for counting them", share, "%", limit=3),
        Row(f"connections not counted of {FLAT} flat out, {rate:.0f} a second{'' if exact else ', shown as >='}",
            FLAT - flat, "", limit=FLAT // 1000 if exact else FLAT),
    ]


def sampling() -> list[Row]:
    """A look at many processes, and at a running supervisor's by a client."""
    children = [subprocess.Popen(["sleep", "600"]) for _ in range(PROCESSES)]
    every = [("web", [(Names(n, "web", n), child.pid) for n, child in enumerate(children)])]
    looks, made = [], Sampling(most=PROCESSES)
    try:
        for _ in range(6):
            begun = time.process_time()
            for _ in made.walk(every, time.monotonic(), False):
                pass
            looks.append(time.process_time() - begun)
    finally:
        made.close()
        for child in children:
            child.kill()
            child.wait()
    return [
        Row(f"a sample of {PROCESSES} processes", 1000 * sorted(looks[1:])[2], "ms", limit=20),
        Row(f"the first sample of {PROCESSES} processes", 1000 * looks[0], "ms"),
    ]
