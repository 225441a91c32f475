"""The control socket: opened in the runtime directory, and again whenever somebody has deleted it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet import inotify
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath

from .control.amp import ControlFactory
from .system.rundir import RuntimeDir

BACKLOG = 128


class Door:
    """Where clients come in."""

    _log = Logger(namespace="circustwist")

    def __init__(
        self, reactor: Any, rundir: RuntimeDir, factory: ControlFactory, everybody: Callable[[], bool]
    ) -> None:
        """
        @param everybody: whether every user of the host may connect, and is recognised then.
        """
        self._reactor = reactor
        self._rundir = rundir
        self._factory = factory
        self._everybody = everybody
        self._port: IListeningPort | None = None
        self._watch: inotify.INotify | None = None

    def open(self) -> None:
        """
        Listen.

        @raise OSError: if that cannot be.
        """
        self._listen()
        if self._rundir.directory:
            # Cleaners of temporary folders delete sockets that were not used for long.
            with suppress(OSError):
                self._watch = inotify.INotify(self._reactor)
                self._watch.startReading()
                self._watch.watch(FilePath(os.path.dirname(self._rundir.controlPath)), inotify.IN_DELETE,
                                  callbacks=[self._deleted])

    def _listen(self) -> None:
        rundir = self._rundir
        if rundir.directory:
            with suppress(FileNotFoundError):
                os.unlink(rundir.controlPath)
        self._port = self._reactor.listenUNIX(
            rundir.controlPath, self._factory, backlog=BACKLOG, mode=rundir.controlMode)
        if rundir.controlGroup >= 0:
            os.chown(rundir.controlPath, -1, rundir.controlGroup)
        self.admit()

    def admit(self) -> None:
        """Let everybody connect, or only the owner and the group."""
        if self._port is not None:
            with suppress(OSError):
                self._rundir.admit(self._everybody())

    def _deleted(self, watch: object, path: FilePath[bytes], mask: int) -> None:
        if self._port is None or os.fsdecode(path.path) != self._rundir.controlPath or path.exists():
            return
        port, self._port = self._port, None
        self._log.warn("the control socket was deleted and is made again")
        maybeDeferred(port.stopListening).addErrback(_gone).addCallback(self._again)

    def _again(self, result: object) -> None:
        if self._watch is not None:
            try:
                self._listen()
            except Exception:
                self._log.failure("the control socket cannot be made again")

    def close(self) -> None:
        """Let nobody in any more, and end every connection when what is written has gone out."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.loseConnection()
        self._factory.close()
        if self._port is not None:
            maybeDeferred(self._port.stopListening).addErrback(_gone)
            self._port = None


def _gone(failure: Failure) -> None:
    """The port unlinks its path when it ends, which has gone already, alone or with its folder."""
    failure.trap(FileNotFoundError)
