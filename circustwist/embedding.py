"""
A supervisor in somebody else's process: in a Twisted application, under
asyncio, or in a test.

Nothing here touches the process as a whole: no signal handler, no limit, no
log, no environment, no exit code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from glob import glob
from typing import Any

import attrs
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred

from .logic.watcher import Watcher as Running
from .model.errors import ConfigError, NotFound, OperationFailed, WorldError
from .model.events import Occurrence
from .model.ini import read
from .model.inputs import Ended, Who
from .model.parts import stack
from .model.reason import whole
from .model.settings import Settings
from .model.stack import Socket, Stack, Watcher
from .model.streams import Stream
from .model.users import User
from .preparation import prepare
from .service import Host
from .service import Supervisor as Inner
from .system import activation, herald
from .system.rundir import RuntimeDir

__all__ = [
    "Address", "Settings", "Socket", "Stack", "Stream", "Supervisor", "User", "Watcher", "fromIni", "fromText", "stack"]

OURS = frozenset((*activation.VARIABLES, *herald.VARIABLES, "RUNTIME_DIRECTORY"))
"""What systemd gives a process is its own, and not that of a supervisor in it."""


@attrs.frozen
class Address:
    """
    Where a socket is.

    @ivar host: empty for a UNIX socket.
    @ivar port: 0 for a UNIX socket.
    @ivar path: of a UNIX socket; empty for others.
    """

    host: str = ""
    port: int = 0
    path: str = ""


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(11 * 1024 * 1024)


def fromIni(path: str, environ: Mapping[str, str] | None = None) -> Stack:
    """
    The stack of an ini file.

    @param environ: for C{$(circus.env.X)}; without it, that of the process.
    @raise ConfigError: with everything that is wrong with it.
    """
    return _usable(read(path, _read, glob, os.environ if environ is None else environ, os.path.abspath(path)))


def fromText(text: str, name: str = "stack.ini", environ: Mapping[str, str] | None = None) -> Stack:
    """
    The stack of an ini's text.

    @param name: what it is called in problems, and where a stack without a name gets its own from.
    @param environ: for C{$(circus.env.X)}; without it, that of the process.
    @raise ConfigError: with everything that is wrong with it.
    """
    return _usable(
        read(name, lambda path: text.encode(), lambda pattern: [], os.environ if environ is None else environ))


def _usable(reading: Any) -> Stack:
    if reading.fatal:
        raise ConfigError(reading.fatal)
    found: Stack = reading.stack
    return found


class Supervisor(Service):
    """
    A stack that is supervised in this process.

    It is a service: give it to an application with C{setServiceParent}, or
    call C{startService} and C{stopService}.

    @ivar stack: what it was made of.
    """

    def __init__(
        self, stack: Stack, reactor: Any = None, environ: Mapping[str, str] | None = None,
        reread: Callable[[], Stack] | None = None, who: str = "program",
    ) -> None:
        """
        @param reactor: without it, the one that is installed when it starts.
        @param environ: of the supervisor; without it, that of the process but for what systemd gave it.
        @param reread: reads the configuration again for C{reloadconfig}; without it, it stays the same.
        @param who: what this program is called where commands are shown.
        """
        self.stack = stack
        self._given = reactor
        self._environ = environ
        self._reread = reread
        self._who = Who(who, "admin")
        self._inner: Inner | None = None
        self._ended: list[Deferred[int]] = []
        self._code: int | None = None

    @property
    def reactor(self) -> Any:
        """The reactor that it runs in."""
        if self._given is None:
            from twisted.internet import reactor

            self._given = reactor
        return self._given

    def asService(self) -> IService:
        """The service that runs it."""
        service: IService = self
        return service

    def startService(self) -> None:
        """
        Bind the sockets and start what should run.

        @raise WorldError: if that cannot be; nothing is held then.
        """
        if self._inner is not None:
            return
        environ = self._environ
        if environ is None:
            environ = {name: value for name, value in os.environ.items() if name not in OURS}
        settings = self.stack.settings
        rundir = RuntimeDir.open(
            self.stack.name, settings.runtime_dir, os.getuid(), environ, settings.control_group)
        try:
            prepared = prepare(self.stack, rundir, environ)
        except BaseException:
            rundir.release(not os.path.exists(rundir.journalPath))
            raise
        self._code = None
        self._inner = Inner(Host(self.reactor, self._quit, read=self._reread), prepared)
        super().startService()
        self._inner.startService()

    def _quit(self, code: int) -> None:
        self._inner, self._code = None, code
        waiting, self._ended = self._ended, []
        for each in waiting:
            each.callback(code)

    def stopService(self, now: bool = False) -> Deferred[None]:
        """
        Stop everything, in order.

        @param now: kill whatever runs instead of asking it to end.
        @return: fires when nothing is left.
        """
        with suppress(AttributeError):
            super().stopService()
        if self._inner is None:
            return maybeDeferred(lambda: None)
        inner, ended = self._inner, self.ended()
        inner.interpreter.feed(Ended(f"the {self._who.name} stopped it", now))
        return ended.addCallback(lambda code: None)

    def ended(self) -> Deferred[int]:
        """
        Wait for its end, whoever asks for it.

        @return: fires with the exit code that C{twistd circus} would have.
        """
        waiting: Deferred[int] = Deferred()
        if self._inner is None and self._code is not None:
            waiting.callback(self._code)
        else:
            self._ended.append(waiting)
        return waiting

    # What it is told and asked

    def _runs(self) -> Inner:
        if self._inner is None:
            raise WorldError("it does not run")
        return self._inner

    def ask(self, command: str, **arguments: Any) -> Deferred[Mapping[str, Any]]:
        """
        Give a command, as C{circustwist} does.

        @param arguments: as the table of commands names them.
        @return: its answer; fails with L{RequestError<circustwist.model.errors.RequestError>}.
        """
        return self._runs().faces.steering.ask(command, arguments, self._who)

    def subscribe(self, listener: Callable[[Occurrence], None]) -> Callable[[], None]:
        """
        Be told of every event from now on.

        @return: ends it; harmless when called again.
        """
        return self._runs().faces.steering.subscribe(listener)

    def socket(self, name: str) -> Address:
        """
        Where a socket is bound.

        @raise NotFound: if there is none of that name.
        """
        sockets = self._runs().sockets
        if name.lower() not in sockets.names():
            raise NotFound(f"socket {name} not found")
        known = sockets.describe(name.lower())
        return Address(known.get("host", ""), known.get("port", 0), known.get("path", ""))

    def _watcher(self, name: str) -> Running:
        found = self._runs().watchers.get(name.lower())
        if found is None:
            raise NotFound(f"program {name} not found")
        return found

    def pids(self, name: str) -> dict[int, int]:
        """
        The processes of a watcher: the pid of each worker by its number.

        @raise NotFound: if there is no such watcher.
        """
        workers = self._watcher(name).seats.workers.values()
        return {worker.names.wid: worker.pid for worker in workers if worker.pid}

    def ready(self, name: str = "") -> Deferred[None]:
        """
        Wait until all processes of a watcher do their work.

        @param name: without it, those of all watchers that start with the stack.
        @return: fails with L{OperationFailed} when a watcher has failed or the supervisor ends.
        """
        names = [name] if name else [watcher.name for watcher in self.stack.watchers if watcher.autostart]
        for each in names:
            self._watcher(each)
        return Awaited(self, lambda: all(map(self._isReady, names))).found

    def _isReady(self, name: str) -> bool:
        watcher = self._watcher(name)
        if watcher.status == "failed":
            raise OperationFailed(f"{name} has failed: {whole(watcher.past.problem) or 'it has ended'}")
        return watcher.status == "active" and watcher.seats.active() >= watcher.seats.wanted


class Awaited:
    """
    Something that is looked at after each event, until it is so.

    @ivar found: fires then; fails if the look raises, or the supervisor ends before.
    """

    def __init__(self, supervisor: Supervisor, look: Callable[[], bool]) -> None:
        self._look = look
        self.found: Deferred[None] = Deferred(lambda _: self._close())
        self._close = supervisor.subscribe(self._happened)
        supervisor.ended().addCallback(self._over)
        self._happened(None)

    def _happened(self, occurrence: Occurrence | None) -> None:
        if self.found.called:
            return
        try:
            if not self._look():
                return
        except Exception:
            self._close()
            self.found.errback()
            return
        self._close()
        self.found.callback(None)

    def _over(self, code: int) -> int:
        if not self.found.called:
            self.found.errback(OperationFailed("the supervisor has ended"))
        return code
