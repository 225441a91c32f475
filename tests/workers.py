"""Real workers on a real listening socket, for tests that look at them."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from circustwist.model.errors import SpawnProblem
from circustwist.model.launch import Launch
from circustwist.system.clock import Clock
from circustwist.system.interfaces import IWorkerProcess, IWorkerProtocol
from circustwist.system.spawner import Spawner, closeOnExecEverything

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
STOP = 9
"""The descriptor whose end ends a worker that reads it."""


@implementer(IWorkerProtocol)
class Worker:
    """
    One process.

    @ivar started: fires with its pid.
    @ivar ended: fires with its status.
    """

    def __init__(self) -> None:
        self.started: Deferred[int] = Deferred()
        self.ended: Deferred[int] = Deferred()

    def spawned(self, process: IWorkerProcess) -> None:
        self.started.callback(process.pid)

    def refused(self, problem: SpawnProblem) -> None:
        self.started.errback(RuntimeError(str(problem)))

    def exited(self, status: int) -> None:
        self.ended.callback(status)


def descriptors() -> dict[str, str]:
    """What is open in us and where it leads, but for the listing itself."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{fd}"):
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found


class WorkersCase(TestCase):
    """
    A spawner, a clock and a listening socket.

    @ivar inode: of the listening socket.
    """

    timeout = 30.0

    def setUp(self) -> None:
        closeOnExecEverything()
        self.clock = Clock(reactor)
        self.spawner = Spawner(reactor)
        self.listener = self.listen()
        self.inode = os.fstat(self.listener.fileno()).st_ino
        self.addCleanup(self.end)

    def listen(self) -> socket.socket:
        """A listening socket."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.addCleanup(listener.close)
        return listener

    @inlineCallbacks
    def end(self) -> Any:
        """Leave nothing running."""
        for process in self.spawner.processes.values():
            process.signal(signal.SIGKILL, "tree")
        yield self.until(lambda: not self.spawner.processes)
        self.spawner.close()
        self.clock.close()

    @inlineCallbacks
    def until(self, true: Callable[[], Any]) -> Any:
        """Let the reactor turn until something is so."""
        while not (found := true()):
            yield deferLater(reactor, 0.001)
        return found

    def run_(self, *argv: str, fds: dict[int, int] | None = None, **options: Any) -> Worker:
        """Start a program with the listening socket as descriptor 3."""
        worker = Worker()
        with open(os.devnull, "r+b") as null:
            given = {0: null.fileno(), 1: null.fileno(), 2: 2, 3: self.listener.fileno(), **(fds or {})}
            self.spawner.spawn(worker, Launch(argv, **{"env": ENV, **options}), given)
        return worker

    def python(self, script: str, **options: Any) -> Worker:
        """Start a script in which C{server} is the listening socket."""
        front = "import os, select, socket, sys, threading, time\nserver = socket.socket(fileno=3)\n"
        return self.run_(sys.executable, "-I", "-S", "-c", front + script, **options)
