"""
C{twistd circus -c stack.ini}: what concerns the process as a whole.

Options, the log, signals, limits and the exit code are here and nowhere else,
so that a supervisor in somebody else's process leaves them alone.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import stat
import sys
from contextlib import suppress
from functools import partial
from glob import glob
from typing import Any

from twisted.application.service import IService, Service
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    Logger,
    LogLevel,
    textFileLogObserver,
)
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from .logs import KEPT_LOGS, LEVELS, Console, Json, Syslog, opened, screen, severe
from .model.errors import ConfigError, WorldError
from .model.ini import Reading, read
from .model.naming import runtimeDirs
from .model.reading import OpenFile
from .model.stack import Stack
from .system import activation, herald, kernel, pidfile
from .system.handover import Handover, renice, take, unblock
from .system.installed import Installed
from .system.rundir import RuntimeDir

DEFAULT_PIDFILE = "twistd.pid"

def readFile(path: str, insecure: bool = True) -> bytes:
    """
    The bytes of a configuration file; at most so many that a larger one is refused.

    @param insecure: whether root reads what everybody may write.
    @raise OSError: if it cannot be read, or must not.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        os.set_blocking(file.fileno(), True)
        mode = os.fstat(file.fileno()).st_mode
        if not insecure and os.geteuid() == 0 and stat.S_ISREG(mode) and mode & stat.S_IWOTH:
            raise PermissionError(errno.EPERM, "everybody may write to it, and root would run what it says; "
                                               "chmod o-w it, or start with --insecure-config")
        data = file.read(11 * 1024 * 1024)
    if stat.S_ISFIFO(mode) and not data:
        raise OSError(errno.ENODATA, "it is a pipe into which nobody writes")
    return data


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
    optFlags = [
        ["no-adopt", None, "The same as --takeover=kill."],
        ["insecure-config", None, "As root, read configuration files to which everybody may write."],
        ["rehearse", None, "Only find out whether a running stack could become this version."],
    ]

    stack: Stack
    rundir: RuntimeDir
    handover: Handover | None = None

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
        opened = partial(readFile, insecure=bool(self["insecure-config"]))
        self.stack = _usable(read(self["config"], opened, glob, os.environ, path))
        self.again = partial(_again, path, opened)
        if self["rehearse"]:
            return
        settings = self.stack.settings
        try:
            self.handover = take(os.environ)
            self.rundir = RuntimeDir.open(
                self.stack.name, settings.runtime_dir, os.getuid(), os.environ, settings.control_group,
                self.handover.lock if self.handover else -1)
            self._ours()
        except WorldError as error:
            raise SystemExit(f"circustwist: {error}") from None
        if self.rundir.warning:
            print(f"warning: {self.rundir.warning}", file=sys.stderr)

    def _ours(self) -> None:
        """Let twistd's pidfile and log lie in the runtime directory."""
        parent: Any = self.parent
        if "pidfile" not in parent:
            self._twist(parent)
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
        parent["pidfile"] = pidfile.usable(parent["pidfile"], self.handover is not None)

    def argv(self) -> list[str]:
        """How this process is executed anew: in place, so never as a daemon that would fork."""
        parent: Any = self.parent
        if "pidfile" not in parent:
            return [sys.executable, *sys.argv]
        words = [sys.executable, sys.argv[0], "--nodaemon", f"--pidfile={parent['pidfile']}",
                 f"--umask={parent['umask']:o}"]
        words += [f"--logfile={parent['logfile']}"] if parent["logfile"] else []
        words += ["--syslog", f"--prefix={parent['prefix']}"] if parent["syslog"] else []
        words += ["circus", "-c", self.stack.path, *(["--insecure-config"] if self["insecure-config"] else [])]
        return words + [f"--{name}={self[name]}" for name in ("log-level", "log-output") if self[name]]

    def leave(self) -> None:
        """Another image of this process is about to be executed: twistd in it must not meet its own pidfile."""
        parent: Any = self.parent
        with suppress(OSError):
            os.unlink(parent.get("pidfile") or "")

    def _twist(self, parent: Any) -> None:
        """Let twist log as twistd does: in plain lines on a terminal, or where and as the stack has it."""
        level = self.level()
        if level != LogLevel.info:
            parent["logLevel"] = level
        output = self["log-output"] or self.stack.settings.logoutput
        written = Json if self.stack.settings.log_format == "json" else textFileLogObserver
        if output.startswith("syslog:"):
            observer = Syslog(output)
            parent["fileLogObserverFactory"] = lambda file: observer
        elif output and output != "-":
            parent["logFile"] = opened(output)
            parent["fileLogObserverFactory"] = written
        elif written is Json:
            parent["fileLogObserverFactory"] = lambda file: Json(screen(file))
        elif parent["logFile"].isatty() and parent["fileLogObserverFactory"] is textFileLogObserver:
            parent["fileLogObserverFactory"] = lambda file: Console(level)

    def level(self) -> Any:
        """The least severe messages that are logged."""
        settings = self.stack.settings
        named = (self["log-level"] or ("debug" if settings.debug else settings.loglevel)).lower()
        return LogLevel.lookupByName(LEVELS[named])


def _umask() -> int:
    """The umask as it is: twistd would set another when it becomes a daemon."""
    now = os.umask(0o077)
    os.umask(now)
    return now


def _again(path: str, opened: OpenFile) -> Stack:
    """
    Read a configuration that is in force already.

    @raise ConfigError: if it cannot be used.
    """
    reading = read(path, opened, glob, os.environ)
    if reading.fatal:
        raise ConfigError(reading.fatal)
    return reading.stack


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


class Daemon(Service):
    """
    The process: its signals and limits around a supervisor.
    """

    _log = Logger(namespace="circustwist")

    def __init__(self, options: Options) -> None:
        from .preparation import prepare

        self._options = options
        self._inner: Any = None
        self._file: LogFile | None = None
        self._manager = herald.Manager.fromEnvironment(os.environ, os.getpid())
        self._unit: Any = None
        self._own = {name: os.environ.pop(name) for name in herald.VARIABLES if name in os.environ}
        try:
            self._prepared = prepare(
                options.stack, options.rundir, dict(os.environ),
                bool(options["no-adopt"]) or options["takeover"] == "kill", options.handover)
            for name in activation.VARIABLES:
                os.environ.pop(name, None)
        except WorldError as error:
            # A journal tells of workers that a later supervisor has to find.
            options.rundir.release(not os.path.exists(options.rundir.journalPath))
            raise SystemExit("\n".join(f"circustwist: {line}" for line in str(error).splitlines())) from None

    def setServiceParent(self, parent: Any) -> None:
        """Give the application our log, unless another was asked for."""
        super().setServiceParent(parent)
        options: Any = self._options.parent
        if isinstance(parent, Componentized) and "pidfile" in options and not options["syslog"]:
            observer = self._observer(options["logfile"], bool(options["nodaemon"]))
            if observer is not None:
                parent.setComponent(ILogObserver, observer)

    def _observer(self, path: str | None, foreground: bool) -> Any:
        """What writes twistd's log; None is twistd itself."""
        level = self._options.level()
        written = Json if self._options.stack.settings.log_format == "json" else textFileLogObserver
        if path in ("-", "stdout") or (not path and written is Json):
            return FilteringLogObserver(written(screen()), [severe(level)]) if foreground else None
        if not path:
            return Console(level) if foreground else None
        if path.startswith("syslog:"):
            return FilteringLogObserver(Syslog(path), [severe(level)])
        self._file = opened(path, KEPT_LOGS if path == self._options.rundir.logfile else None)
        file: Any = self._file
        return FilteringLogObserver(written(file), [severe(level)])

    def startService(self) -> None:
        """Start supervising as soon as the reactor runs."""
        super().startService()
        from twisted.internet import reactor

        from .service import Host, Supervisor
        from .system.spawner import closeOnExecEverything, raiseFileLimit

        closeOnExecEverything()
        options, earlier = self._options, self._options.handover
        files = earlier.files if earlier else raiseFileLimit()
        kernel.setSubreaper()
        Installed("circustwist").watch()
        host = Host(
            reactor, self._ended, files, self._screen(), options.again, options.argv(), options.leave, self._own,
            self._manager is not None and self._manager.storing, self._reopenLog)
        self._inner = Supervisor(host, self._prepared)
        # Before a daemon's parent returns to the shell, whose next command may already ask for us.
        self._inner.startService()
        if self._manager is not None:
            from .unit import Unit

            self._unit = Unit(self._manager, reactor, self._inner)
            self._unit.open()
        self._signals()
        # The reactor puts its own handlers in their place when it begins to run.
        reactor.callWhenRunning(self._signals)

    def _screen(self) -> Any:
        """The terminal in whose foreground we run; None if there is none."""
        options: Any = self._options.parent
        plain = not (options.get("logfile") or options.get("syslog"))
        screen = sys.__stdout__
        return screen if plain and options.get("nodaemon", True) and screen is not None and screen.isatty() else None

    def _signals(self) -> None:
        from twisted.internet import reactor

        later: Any = reactor

        def inReactor(call: Any) -> Any:
            return lambda signum, frame: later.callFromThread(call, signum)

        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(signum, inReactor(self._inner.signalled))
        signal.signal(signal.SIGHUP, inReactor(self._hup))
        signal.signal(signal.SIGUSR1, inReactor(lambda signum: self._reopen()))
        for signum in (signal.SIGUSR2, signal.SIGWINCH):
            signal.signal(signum, lambda signum, frame: None)
        if later.running:
            unblock()
            if self._options.handover is not None:
                renice(self._options.handover.nice)

    def _reopen(self) -> None:
        self._inner.reopen()
        self._reopenLog()

    def _reopenLog(self) -> None:
        if self._file is not None:
            self._file.reopen()

    def _hup(self, signum: int) -> None:
        self._reopen()
        self._log.info("SIGHUP: the configuration is read again")
        self._inner.reload()

    def _ended(self, code: int) -> None:
        from twisted.internet import reactor

        if self._unit is not None:
            self._unit.close()
        parent: Any = self._options.parent
        if parent.get("pidfile") == self._options.rundir.pidfile:
            parent["pidfile"] = ""  # removed already, with the directory it was in
        if code:
            # twistd itself would exit with 0; its own exit handlers have run by then.
            atexit.register(os._exit, code)
        # Not at once: what clients were just answered is written in between.
        later: Any = reactor
        later.callFromThread(later.callFromThread, later.stop)

    def stopService(self) -> Any:
        """Stop everything, if that has not happened yet."""
        super().stopService()
        return self._inner.stopService() if self._inner is not None else None


def rehearse(stack: Stack) -> None:
    """
    Do what a start does as far as it changes nothing: load everything, read
    the state that a running supervisor has recorded, and build the logic.

    @raise SystemExit: with one line, if something fails.
    """
    from .logic import durable
    from .logic.arbiter import Arbiter
    from .logic.schedule import Serial
    from .service import Supervisor
    from .system.journal import Journal

    left = durable.NOTHING_LEFT
    for directory in runtimeDirs(stack.name, stack.settings.runtime_dir, os.getuid(), os.environ):
        path = os.path.join(directory, "private", "journal")
        if os.path.exists(path):
            try:
                left = durable.replay(Journal(path).entries())
            except WorldError as error:
                raise SystemExit(f"circustwist: {error}") from None
    Arbiter(stack, lambda: 0.0, Serial(left.nextId))
    assert issubclass(Supervisor, Service)


def makeService(options: Options) -> IService:
    """
    The service behind C{twistd circus}.

    @raise SystemExit: with one line, if it cannot start; with code 0 after a rehearsal.
    """
    if options["rehearse"]:
        rehearse(options.stack)
        raise SystemExit(0)
    return Daemon(options)
