"""Tests of commands that are run to find something out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReadDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from circustwist.model.errors import WorldError
from circustwist.model.launch import Launch
from circustwist.model.reason import whole
from circustwist.system.errand import Errand, Tail, launched
from circustwist.system.interfaces import IWorkerProtocol

from .workers import ENV, WorkersCase, descriptors


class LaunchedTests(SynchronousTestCase):
    """What is started."""

    def test_place(self) -> None:
        """It runs as the worker does, without what is meant for the worker alone."""
        worker = Launch(
            ("web",),
            {"A": "b", "CIRCUSTWIST_ID": "s/1", "NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "1", "LISTEN_FDS": "2"},
            {3: ("socket", "web")}, cwd="/srv", uid="www", gid="www", umask=0o27, nice=5, rlimits={"core": 0}, listen=2,
            killMode="process")
        self.assertEqual(launched("pg_isready -h '/a b'", worker), Launch(
            ("pg_isready", "-h", "/a b"), {"A": "b"}, cwd="/srv", uid="www", gid="www", umask=0o27, nice=5,
            rlimits={"core": 0}))

    def test_refused(self) -> None:
        """Nothing, and a quote that is not closed, are no commands."""
        for command in ("", "  ", "'x"):
            self.assertRaises(ValueError, launched, command, Launch(()))


class ErrandTests(WorkersCase):
    """Real commands."""

    def run__(self, *argv: str, **options: Any) -> tuple[Errand, Deferred[str]]:
        """Start one."""
        return self.start(lambda: Launch(argv, **{"env": ENV, **options}))

    def start(self, launch: Callable[[], Launch]) -> tuple[Errand, Deferred[str]]:
        """Start what this says."""
        done: Deferred[str] = Deferred()
        return Errand(reactor, self.spawner, done.callback).start(launch), done

    @inlineCallbacks
    def test_ends(self) -> Any:
        """0 is good; otherwise it is told how it ended, and its last line."""
        for script, problem in (
            ("exit 0", ""), ("echo fine; exit 0", ""), ("exit 3", "exit code 3"),
            ("echo one; echo 'no such table' >&2; echo; exit 1", "exit code 1; the command wrote: no such table"),
            ("kill -TERM $$", "was killed by SIGTERM"),
            ("printf '\\033[2Jx\\377'; exit 1", "exit code 1; the command wrote: ?[2Jx\ufffd"),
            ("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; exit 2", "exit code 2; the command wrote: last"),
            ("cat; exit 4", "exit code 4"),
        ):
            errand, done = self.run__("/bin/sh", "-c", script)
            self.assertEqual(whole((yield done)), problem, script)
            errand.close()

    @inlineCallbacks
    def test_notStarted(self) -> Any:
        """What cannot be started is told, on both roads."""
        for options in ({}, {"cwd": "/"}):
            problem = yield self.run__("/no/such", **options)[1]
            self.assertIn("ENOENT", problem)
        for error, words in (
            (WorldError("env_file: no"), "env_file: no"), (ValueError("no command"), "no command"),
            (OSError(24, "Too many open files"), "Too many open files"),
        ):
            def launch(error: Exception = error) -> Launch:
                raise error

            self.assertEqual((yield self.start(launch)[1]), words)

    @inlineCallbacks
    def test_close(self) -> Any:
        """Whoever is in the way is killed with all that it started, and not told of; nothing stays open."""
        yield self.run__("/bin/true")[1]
        before = descriptors()
        for options in ({}, {"cwd": "/"}):
            read, write = os.pipe()
            told: list[str] = []
            errand = Errand(reactor, self.spawner, told.append)
            end = f"/proc/{os.getpid()}/fd/{write}"
            script = f"exec 9>{end}; sleep 60 & (sleep 60 &) ; echo up >&9; sleep 60"
            errand.start(lambda script=script, options=options: Launch(("/bin/sh", "-c", script), ENV, **options))
            os.set_blocking(read, False)
            yield self.until(lambda read=read: self.readable(read))
            os.close(write)
            errand.close()
            yield self.until(lambda: not self.spawner.processes)
            yield self.until(lambda read=read: self.readable(read) == b"")
            os.close(read)
            self.assertEqual(told, [])
        self.assertEqual(descriptors(), before)

    def readable(self, fd: int) -> bytes | None:
        """What can be read now; None if there is nothing yet."""
        try:
            return os.read(fd, 100)
        except BlockingIOError:
            return None

    @inlineCallbacks
    def test_closedBefore(self) -> Any:
        """One that is closed before it runs is killed as soon as it does."""
        for options in ({}, {"cwd": "/"}):
            errand, _ = self.run__("/bin/sleep", "60", **options)
            errand.close()
            pids = list(self.spawner.processes)
            self.assertEqual(len(pids), 1)
            yield self.until(lambda: not self.spawner.processes)
            errand.close()

    @inlineCallbacks
    def test_heldOpen(self) -> Any:
        """Its end counts, not that of whom it left behind with its output."""
        _, done = self.run__("/bin/sh", "-c", "sleep 60 & echo x; exit 1")
        self.assertEqual(whole((yield done)), "exit code 1; the command wrote: x")

    def test_interfaces(self) -> None:
        """Everything keeps its contract."""
        verifyObject(IWorkerProtocol, Errand(reactor, self.spawner, print))
        tail = Tail(reactor)
        verifyObject(IReadDescriptor, tail)
        os.close(tail.end)
        tail.close()
