"""Tests of processes that are asked to end when they serve nobody: real ones, and real connections."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from circustwist.system import kernel, rest
from circustwist.system.interfaces import IWorkerProcess
from circustwist.system.rest import INTERVAL, KEPT, PATIENCE, Rests, connections

SERVER = """
import os, socket, sys
server = socket.socket(fileno=int(sys.argv[1]))
for line in sys.stdin:
    if line == "accept\\n":
        client = server.accept()[0]
    else:
        client.close()
    print("done", flush=True)
"""


@implementer(IWorkerProcess)
class Process:
    """
    A server that accepts a connection, and ends it, when it is told to.

    @ivar sent: the signals that it was sent.
    """

    cause = ""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.sent: list[int] = []
        self.clients: list[socket.socket] = []
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", SERVER, str(server.fileno())], pass_fds=[server.fileno()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def signal(self, signum: int, whom: str, child: int = 0) -> None:
        if signum != signal.SIGTERM:
            os.kill(self.pid, signum)
        self.sent.append(signum)

    def accept(self) -> None:
        """Serve somebody from now on."""
        self.clients.append(socket.create_connection(self.server.getsockname()))
        self.say("accept")

    def say(self, line: str) -> None:
        """Tell it to do something, and wait until it has."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()
        for client in self.clients:
            client.close()


class RestTests(SynchronousTestCase):
    """When the signal is sent."""

    def setUp(self) -> None:
        """A server; a stop is waited for as long as it takes."""
        self.patch(rest, "_HALT", 10.0)
        self.clock = Clock()
        self.rests = Rests(self.clock)
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        self.doors = [server.getsockname()[1]]
        self.process = Process(server)
        self.addCleanup(self.process.close)

    def asked(self) -> bool:
        """Whether it was asked to end; it goes on in any case."""
        self.assertEqual(self.process.sent[-1], signal.SIGCONT)
        return signal.SIGTERM in self.process.sent

    def test_idle(self) -> None:
        """One that serves nobody is asked at once."""
        self.rests.signal(self.process, signal.SIGTERM, self.doors)
        self.assertEqual(self.process.sent, [signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_noDoors(self) -> None:
        """One that accepts nobody is not even stopped."""
        self.rests.signal(self.process, signal.SIGTERM, [])
        self.assertEqual(self.process.sent, [signal.SIGTERM, signal.SIGCONT])

    def test_busy(self) -> None:
        """One that serves somebody is asked when it does not any more."""
        self.process.accept()
        self.rests.signal(self.process, signal.SIGTERM, self.doors)
        self.clock.advance(INTERVAL)
        self.assertFalse(self.asked())
        self.process.say("close")
        self.clock.advance(INTERVAL)
        self.assertTrue(self.asked())

    def test_kept(self) -> None:
        """A connection that stays does not count after a while."""
        self.process.accept()
        self.rests.signal(self.process, signal.SIGTERM, self.doors)
        self.clock.advance(KEPT / 2)
        self.assertFalse(self.asked())
        self.clock.advance(KEPT / 2)
        self.assertTrue(self.asked())

    def test_never(self) -> None:
        """It is asked in the end, however busy it is."""
        self.patch(rest, "KEPT", 2 * PATIENCE)
        self.process.accept()
        self.rests.signal(self.process, signal.SIGTERM, self.doors)
        self.clock.advance(PATIENCE)
        self.assertTrue(self.asked())

    def test_stopped(self) -> None:
        """One that somebody has stopped is asked at once."""
        os.kill(self.process.pid, signal.SIGSTOP)
        while kernel.stat(self.process.pid)[0] != "T":
            pass
        self.rests.signal(self.process, signal.SIGTERM, self.doors)
        self.assertEqual(self.process.sent, [signal.SIGTERM, signal.SIGCONT])

    def test_goOn(self) -> None:
        """One that an earlier supervisor left stopped is continued, others are left alone."""
        rest.goOn(self.process)
        self.assertEqual(self.process.sent, [])
        os.kill(self.process.pid, signal.SIGSTOP)
        while kernel.stat(self.process.pid)[0] != "T":
            pass
        rest.goOn(self.process)
        self.assertEqual(self.process.sent, [signal.SIGCONT])

    def test_close(self) -> None:
        """At the end of everything nobody is waited for."""
        self.process.accept()
        self.rests.signal(self.process, signal.SIGTERM, self.doors)
        self.rests.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connections(self) -> None:
        """Only what came in by the doors counts."""
        self.assertEqual(connections(self.process.pid, self.doors), [])
        self.process.accept()
        self.assertEqual(len(connections(self.process.pid, self.doors)), 1)
        self.assertEqual(connections(self.process.pid, [1]), [])
        self.assertEqual(connections(0, self.doors), [])
