"""
C{twistd circus -c stack.ini}: what concerns the process as a whole.

Options, the log, signals, limits and the exit code are here and nowhere else,
so that a supervisor in somebody else's process leaves them alone.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from glob import glob
from typing import Any

from twisted.application.service import IService, Service
from twisted.logger import (
    ILogObserver,
    Logger,
    LogLevel,
    formatEvent,
    textFileLogObserver,
)
from twisted.python import usage
from twisted.python.components import Componentized
from zope.interface import implementer

from .model.errors import WorldError
from .model.ini import Reading, read
from .model.stack import Stack
from .system import kernel
from .system.rundir import RuntimeDir

LEVELS = {"critical": "critical", "error": "error", "warning": "warn", "warn": "warn", "info": "info", "debug": "debug"}
DEFAULT_PIDFILE = "twistd.pid"


def readFile(path: str) -> bytes:
    """The bytes of a configuration file; at most so many that a larger one is refused."""
    with open(path, "rb") as file:
        return file.read(11 * 1024 * 1024)


class Options(usage.Options):
    """The options of C{twistd circus}."""

    synopsis = "[options] -c STACK.INI"
    longdesc = "Binds the stack's sockets, starts its processes and keeps them alive until it is told to stop."

    optParameters = [
        ["config", "c", None, "The stack's ini file."],
        ["log-level", None, None, "critical, error, warning, info or debug."],
        ["log-output", None, None, "File for the log; - is the standard output."],
        ["takeover", None, "adopt", "What to do with workers that an earlier supervisor left: adopt or kill."],
    ]
    optFlags = [["no-adopt", None, "The same as --takeover=kill."]]

    stack: Stack
    rundir: RuntimeDir

    def parseArgs(self, config: str | None = None) -> None:
        """The ini file may be given without -c, as circusd takes it."""
        self["config"] = self["config"] or config

    def postOptions(self) -> None:
        """
        Read the configuration and take the lock, before twistd looks at its pidfile.

        @raise SystemExit: if the configuration cannot be used; everything that
            is wrong was written to the standard error.
        """
        if not self["config"]:
            raise usage.UsageError("give the stack's ini file: -c STACK.INI")
        if self["takeover"] not in ("adopt", "kill"):
            raise usage.UsageError(f"--takeover is adopt or kill, not {self['takeover']!r}")
        if self["log-level"] is not None and self["log-level"].lower() not in LEVELS:
            raise usage.UsageError(f"--log-level is one of {', '.join(LEVELS)}, not {self['log-level']!r}")
        # Not resolved: the name of a stack that is reached by a link stays the link's.
        path = os.path.abspath(self["config"])
        self.stack = _usable(read(self["config"], readFile, glob, os.environ, path))
        settings = self.stack.settings
        try:
            self.rundir = RuntimeDir.open(
                self.stack.name, settings.runtime_dir, os.getuid(), os.environ, settings.control_group)
        except WorldError as error:
            raise SystemExit(f"circustwist: {error}") from None
        if self.rundir.warning:
            print(f"warning: {self.rundir.warning}", file=sys.stderr)
        self._ours()

    def _ours(self) -> None:
        """Let twistd's pidfile and log lie in the runtime directory."""
        parent: Any = self.parent
        if "pidfile" not in parent:
            return
        settings, directory = self.stack.settings, self.rundir
        if parent["pidfile"] == DEFAULT_PIDFILE:
            parent["pidfile"] = settings.pidfile or directory.pidfile or ""
        # We hold the lock, so whatever pid a file holds, it is no supervisor of this stack.
        if directory.pidfile and parent["pidfile"] == directory.pidfile and os.path.exists(directory.pidfile):
            os.unlink(directory.pidfile)
        output = self["log-output"] or settings.logoutput
        if not parent["logfile"] and not parent["syslog"]:
            parent["logfile"] = output or (None if parent["nodaemon"] else directory.logfile)
        if parent["umask"] is None:
            parent["umask"] = settings.umask if settings.umask is not None else _umask()


def _umask() -> int:
    """The umask as it is: twistd would set another when it becomes a daemon."""
    now = os.umask(0o077)
    os.umask(now)
    return now


def _usable(reading: Reading) -> Stack:
    """
    The stack that was read; its warnings go to the standard error.

    @raise SystemExit: with code 2, if it must not start.
    """
    for problem in reading.problems:
        print(problem if problem.fatal else f"warning: {problem}", file=sys.stderr)
    if reading.fatal:
        count = len(reading.fatal)
        print(f"{count} error{'s' if count > 1 else ''}, nothing started", file=sys.stderr)
        raise SystemExit(2)
    return reading.stack


@implementer(ILogObserver)
class Console:
    """
    The log for people, on the standard output: plain lines.

    Ours are shown from C{level} on, everybody else's from warnings on.
    """

    def __init__(self, level: Any) -> None:
        self._level = level
        # Twisted is about to put loggers in their places, which would call us again.
        self._out = sys.stdout
        self._failures = textFileLogObserver(sys.stderr)

    def __call__(self, event: dict[str, Any]) -> None:
        level = event.get("log_level", LogLevel.info)
        ours = str(event.get("log_namespace", "")).startswith("circustwist")
        if level < (self._level if ours else LogLevel.warn):
            return
        if "log_failure" in event:
            self._failures(event)
            return
        text = formatEvent(event)
        if text:
            prefix = "" if level <= LogLevel.info else f"{level.name.replace('warn', 'warning')}: "
            with suppress(OSError):
                self._out.write(f"{prefix}{text}\n")
                self._out.flush()


class Daemon(Service):
    """
    The process: its signals and limits around a supervisor.
    """

    _log = Logger(namespace="circustwist")

    def __init__(self, options: Options) -> None:
        from .service import prepare

        self._options = options
        self._inner: Any = None
        try:
            self._prepared = prepare(
                options.stack, options.rundir, dict(os.environ),
                takeover=bool(options["no-adopt"]) or options["takeover"] == "kill")
        except WorldError as error:
            raise SystemExit("\n".join(f"circustwist: {line}" for line in str(error).splitlines())) from None

    def setServiceParent(self, parent: Any) -> None:
        """Give the application our log, unless another was asked for."""
        super().setServiceParent(parent)
        options: Any = self._options.parent
        if isinstance(parent, Componentized) and options.get("nodaemon") and not (
                options.get("logfile") or options.get("syslog")):
            parent.setComponent(ILogObserver, Console(self._level()))

    def _level(self) -> Any:
        named = (self._options["log-level"] or self._options.stack.settings.loglevel).lower()
        return LogLevel.lookupByName(LEVELS[named])

    def startService(self) -> None:
        """Start supervising as soon as the reactor runs."""
        super().startService()
        from twisted.internet import reactor

        from .service import Supervisor
        from .system.spawner import closeOnExecEverything, raiseFileLimit

        closeOnExecEverything()
        files = raiseFileLimit()
        kernel.setSubreaper()
        self._inner = Supervisor(reactor, self._prepared, self._ended, files)
        reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        self._signals()
        self._inner.startService()

    def _signals(self) -> None:
        from twisted.internet import reactor

        later: Any = reactor

        def inReactor(call: Any) -> Any:
            return lambda signum, frame: later.callFromThread(call, signum)

        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(signum, inReactor(self._inner.signalled))
        signal.signal(signal.SIGHUP, inReactor(self._hup))
        signal.signal(signal.SIGUSR1, inReactor(lambda signum: self._inner.reopen()))
        for signum in (signal.SIGUSR2, signal.SIGWINCH):
            signal.signal(signum, lambda signum, frame: None)

    def _hup(self, signum: int) -> None:
        self._inner.reopen()
        self._log.info("SIGHUP: the log files of the workers are opened again")

    def _ended(self, code: int) -> None:
        from twisted.internet import reactor

        parent: Any = self._options.parent
        if parent.get("pidfile") == self._options.rundir.pidfile:
            parent["pidfile"] = ""  # removed already, with the directory it was in
        if code:
            # twistd itself would exit with 0; its own exit handlers have run by then.
            atexit.register(os._exit, code)
        reactor.stop()

    def stopService(self) -> Any:
        """Stop everything, if that has not happened yet."""
        super().stopService()
        return self._inner.stopService() if self._inner is not None else None


def makeService(options: Options) -> IService:
    """The service behind C{twistd circus}."""
    return Daemon(options)
