"""
What systemd does for a service, as far as its protocols go: a stand-in.

It receives sd_notify(3) datagrams with the descriptors in them, keeps those,
hands them over when the service is started again (sd_listen_fds(3)), and knows
how long it has to wait.  It is written from the manual pages; it is not
systemd.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from .stack import TIMEOUT, Daemon

STARTER = """
import json, os, sys
fds, names, usec, argv = json.loads(sys.argv[1])
copies = [os.dup2(fd, 500 + n) for n, fd in enumerate(fds)]
for n, fd in enumerate(copies):
    os.dup2(fd, 3 + n)
os.closerange(3 + len(fds), 700)
if fds:
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(names)}
if usec:
    os.environ |= {"WATCHDOG_USEC": str(usec), "WATCHDOG_PID": str(os.getpid())}
os.execv(argv[0], argv)
"""


class Service(Daemon):
    """
    A supervisor as a service.

    @ivar told: every datagram, as its lines by name.
    @ivar store: the descriptors that are kept, by name.
    @ivar handed: descriptors of a socket unit, with their names.
    @ivar line: the command line, if it is another one.
    """

    def __init__(self, ini: str, *options: str, watchdog: float = 0.0, store: int = 64, **more: Any) -> None:
        super().__init__(ini, *options, **more)
        self.address = self.folder / "notify.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))
        self._watchdog = watchdog
        self.told: list[dict[str, str]] = []
        self._at = 0
        self.store: dict[str, list[int]] = {}
        self.handed: list[tuple[str, int]] = []
        self.line: list[str] = []
        self.env |= {"NOTIFY_SOCKET": str(self.address), **({"FDSTORE": str(store)} if store else {})}

    def argv(self) -> list[str]:
        """Through a program that does what a manager does between fork and exec."""
        every = [*self.handed, *((name, fd) for name, fds in self.store.items() for fd in fds)]
        for _, fd in every:
            os.set_inheritable(fd, True)
        front, _, *rest = super().argv()
        words = json.dumps([
            [fd for _, fd in every], [name for name, _ in every], int(self._watchdog * 1e6),
            self.line or [front, "-n", "--pidfile=", *rest]])
        return [sys.executable, "-c", STARTER, words]

    def start(self) -> Service:
        """Run it with what is kept for it."""
        self.lines, self._rest, self._seen = [], b"", 0
        self.process = subprocess.Popen(
            self.argv(), cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, close_fds=False)
        return self

    def _receive(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._socket, 65536, 8)
        said = dict(line.split("=", 1) for line in data.decode().split("\n") if "=" in line)
        self.told.append(said)
        if said.get("FDSTORE") == "1":
            self._keep(said.get("FDNAME", "stored"), fds, said.get("FDPOLL") != "0")
            fds = []
        for fd in fds:
            os.close(fd)
        if said.get("FDSTOREREMOVE") == "1":
            for fd in self.store.pop(said["FDNAME"], []):
                os.close(fd)

    def _keep(self, name: str, fds: list[int], polled: bool) -> None:
        """Keep descriptors, each open file once; what hangs up is thrown away unless it was said not to look."""
        known = [os.fstat(fd) for kept in self.store.values() for fd in kept]
        for fd in fds:
            poll = select.poll()
            poll.register(fd, 0)
            if any(os.path.samestat(os.fstat(fd), other) for other in known) or (polled and poll.poll(0)):
                os.close(fd)
            else:
                self.store.setdefault(name, []).append(fd)

    def hear(self, found: Callable[[dict[str, str]], bool], timeout: float = TIMEOUT) -> dict[str, str]:
        """The next datagram that is meant, of those that were not looked at before."""
        for said in self._each(timeout):
            if found(said):
                return said
        raise AssertionError(f"not told in {timeout} s: {self.told}")

    def _each(self, timeout: float) -> Iterator[dict[str, str]]:
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while True:
                while self._at < len(self.told):
                    self._at += 1
                    yield self.told[self._at - 1]
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return
                self._receive()

    def ready(self) -> dict[str, str]:
        """Wait for C{READY=1}."""
        return self.hear(lambda said: said.get("READY") == "1")

    def rest(self) -> list[dict[str, str]]:
        """What was said since, and now."""
        return list(self._each(0.0))

    def restart(self) -> int:
        """C{systemctl restart}: stop it, and start it again with what was kept; its exit code."""
        code = self.stop(signal.SIGTERM)
        self.rest()
        self.start()
        return code

    def clean(self) -> None:
        """Leave nothing behind."""
        self._socket.close()
        for fds in self.store.values():
            for fd in fds:
                os.close(fd)
        for _, fd in self.handed:
            os.close(fd)
        super().clean()
