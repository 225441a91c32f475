"""
Short commands that are run to find something out, as the user of a worker and
in its place: what they end with is the answer.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model import values
from ..model.errors import SpawnProblem, WorldError
from ..model.launch import Launch
from ..model.reason import Reason
from .interfaces import ISpawner, IWorkerProcess, IWorkerProtocol

LONGEST_TAIL = 4096
"""Bytes of the output that are kept."""
_LONGEST_LINE = 200
_PRIVATE = ("CIRCUSTWIST_ID", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC")
"""What a worker finds in its environment that is meant for it alone."""
_DONE: Any = CONNECTION_DONE


def launched(command: str, like: Launch) -> Launch:
    """
    How a command is started beside a worker: with its environment, folder,
    user and limits, but none of its sockets, and without its mark, since
    everything that carries that is killed with the worker.

    @param command: split into words as a POSIX shell does.
    @raise ValueError: if it cannot be split, or is empty.
    """
    argv = tuple(shlex.split(command))
    if not argv:
        raise ValueError("no command")
    env = {name: value for name, value in like.env.items() if name not in _PRIVATE}
    return attrs.evolve(like, argv=argv, env=env, descriptors={}, listen=0, killMode="mixed")


@implementer(IReadDescriptor)
class Tail:
    """
    The end of what a command prints.

    @ivar data: what has come last.
    """

    def __init__(self, reactor: IReactorFDSet) -> None:
        """
        @raise OSError: if there are no descriptors.
        """
        self.data = b""
        self._reactor = reactor
        self._fd, self.end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.end, True)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return "output of a command"

    def doRead(self) -> Failure | None:
        try:
            piece = os.read(self._fd, 65536)
        except BlockingIOError:
            return None
        self.data = (self.data + piece)[-LONGEST_TAIL:]
        return None if piece else _DONE

    def connectionLost(self, reason: Failure) -> None:
        """Nobody can write any more, or the reactor stops; the pipe is given back by L{close}."""
        self._reactor.removeReader(self)

    def close(self) -> str:
        """
        Read what is there now and close it.

        @return: the last line, for people.
        """
        if self._fd >= 0:
            self._reactor.removeReader(self)
            with suppress(BlockingIOError):
                self.data = (self.data + os.read(self._fd, 65536))[-LONGEST_TAIL:]
            os.close(self._fd)
            self._fd = -1
        lines = self.data.decode("utf-8", "replace").strip().splitlines()
        return "".join(each if each.isprintable() else "?" for each in (lines or [""])[-1][:_LONGEST_LINE])


@implementer(IWorkerProtocol)
class Errand:
    """One command that runs; it is over when C{done} is called or when it is closed."""

    def __init__(self, reactor: IReactorFDSet, spawner: ISpawner, done: Callable[[str], None]) -> None:
        """
        @param done: called once with what is wrong, empty if it ended with 0.
        """
        self._reactor = reactor
        self._spawner = spawner
        self._done: Callable[[str], None] | None = done
        self._process: IWorkerProcess | None = None
        self._tail: Tail | None = None

    def start(self, launch: Callable[[], Launch]) -> Errand:
        """
        Run it; C{done} may be called before this returns.

        @param launch: what is to be started; may raise what L{launched} does,
            and L{WorldError}.
        """
        try:
            self._run(launch())
        except OSError as error:
            self._end(error.strerror or str(error))
        except (ValueError, WorldError) as error:
            self._end(str(error))
        return self

    def _run(self, launch: Launch) -> None:
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._tail = tail = Tail(self._reactor)
            try:
                self._spawner.spawn(self, launch, {0: null, 1: tail.end, 2: tail.end})
            finally:
                os.close(tail.end)
        finally:
            os.close(null)

    def close(self) -> None:
        """Kill it with its group and what it started; C{done} is not called any more."""
        self._done = None
        if self._process is not None:
            with suppress(PermissionError):
                self._process.signal(signal.SIGKILL, "tree")
        if self._tail is not None:
            self._tail.close()

    def _end(self, problem: str) -> None:
        done, self._done = self._done, None
        line = self._tail.close() if self._tail is not None else ""
        if done is not None:
            done(Reason(problem, f"the command wrote: {line}") if problem and line else problem)

    # IWorkerProtocol

    def spawned(self, process: IWorkerProcess) -> None:
        self._process = process
        if self._done is None:
            self.close()

    def refused(self, problem: SpawnProblem) -> None:
        self._end(str(problem))

    def exited(self, status: int) -> None:
        self._process = None
        if status == 0:
            self._end("")
        elif status < 0:
            self._end("how it ended is not known")
        elif os.WIFSIGNALED(status):
            self._end(f"was killed by {values.signalName(os.WTERMSIG(status))}")
        else:
            self._end(f"exit code {os.waitstatus_to_exitcode(status)}")
