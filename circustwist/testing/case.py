"""
A real stack inside a test case.

It runs in the test's own reactor, on free ports and in a folder of its own;
when the test is over, however it ended, the processes are killed and the
folder is removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase

from ..embedding import Awaited, Supervisor, fromText
from ..model.errors import NotFound
from ..model.events import Occurrence
from ..model.stack import Socket, Stack, Watcher
from ..model.streams import OUTPUTS, Stream

PATIENCE = 20.0
"""Seconds that L{RunningStack.ready} waits before it says what is missing."""


def fresh(stack: Stack, folder: str, ports: bool = True) -> Stack:
    """
    A stack that meets nobody: its files are in a folder, its ports are free ones.

    Output that would go nowhere goes to a file there.

    @param ports: whether TCP and UDP sockets get any free port instead of their own.
    """
    def socket(one: Socket) -> Socket:
        if one.unix:
            return attrs.evolve(one, path=os.path.join(folder, one.path))
        return attrs.evolve(one, port=0) if ports else one

    def watcher(one: Watcher) -> Watcher:
        kept = Stream("FileStream", {"filename": os.path.join(folder, f"{one.name}.log")})
        free: dict[str, Any] = {output: kept for output in OUTPUTS if not getattr(one, output) and one.capture}
        return attrs.evolve(one, **free)

    settings = attrs.evolve(stack.settings, runtime_dir=os.path.join(folder, "run"))
    sockets, watchers = tuple(map(socket, stack.sockets)), tuple(map(watcher, stack.watchers))
    return attrs.evolve(stack, settings=settings, sockets=sockets, watchers=watchers)


class RunningStack(Supervisor):
    """
    A stack that a test runs.

    @ivar folder: where its files are.
    """

    def __init__(self, stack: Stack, folder: str, ports: bool, reactor: Any) -> None:
        self.folder = folder
        self._ports = ports
        self._next = fresh(stack, folder, ports)
        environ = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH")}
        super().__init__(self._next, reactor, environ, lambda: self._next, "test")

    def ready(self, name: str = "", timeout: float = PATIENCE) -> Deferred[None]:
        """
        Wait until all processes of a watcher do their work.

        @param name: without it, those of all watchers that start with the stack.
        @param timeout: in seconds.
        @return: fails with C{TimeoutError} then, and with
            L{OperationFailed<circustwist.model.errors.OperationFailed>} when a watcher has failed.
        """
        return super().ready(name).addTimeout(timeout, self.reactor)

    def kill(self, name: str, wid: int, signum: int = signal.SIGKILL) -> Deferred[int]:
        """
        Send a signal to a worker and wait until it has ended.

        @param wid: its number, from 1.
        @return: fires with the pid that it had.
        @raise NotFound: if it does not run.
        """
        pid = self.pids(name).get(wid)
        if pid is None:
            raise NotFound(f"{name}/{wid} does not run")
        gone = self.event("reap", pid=pid)
        self.ask("signal", name=name, pid=pid, signum=str(int(signum)))
        return gone.addCallback(lambda occurrence: pid)

    def event(self, name: str, timeout: float = PATIENCE, **fields: Any) -> Deferred[Occurrence]:
        """
        Wait for the next event of a name, e.g. C{event("failed", watcher="web")}.

        @param fields: what other attributes of the event must be.
        @return: fails with C{TimeoutError} if there is none in time.
        """
        found: list[Occurrence] = []

        def hear(occurrence: Occurrence) -> None:
            event = occurrence.event
            if event.name == name and all(getattr(event, key) == value for key, value in fields.items()):
                found.append(occurrence)

        unsubscribe = self.subscribe(hear)
        awaited = Awaited(self, lambda: bool(found)).found.addTimeout(timeout, self.reactor)

        def over(result: Any) -> Any:
            unsubscribe()
            return found[0] if found else result

        return awaited.addBoth(over)

    def logs(self, name: str) -> list[str]:
        """
        The lines that the processes of a watcher have written so far, both outputs.

        @raise NotFound: if there is no such watcher.
        """
        spec = self._watcher(name).spec
        paths = {getattr(spec, output).settings.get("filename", "") for output in OUTPUTS}
        lines: list[str] = []
        for path in sorted(paths - {""}):
            if os.path.exists(path):
                with open(path, "rb") as file:
                    lines += file.read().decode("utf-8", "backslashreplace").splitlines()
        return lines

    def apply(self, source: str | Stack) -> Deferred[Any]:
        """
        Become another configuration, as C{circustwist apply} does with a file that has changed.

        @return: its answer; fails with L{OperationFailed<circustwist.model.errors.OperationFailed>} if the old
            one stays.
        """
        self._next = fresh(_stack(source), self.folder, self._ports)
        return self.ask("reloadconfig", waiting=True)

    @inlineCallbacks
    def end(self) -> Any:
        """Kill whatever runs and remove the folder."""
        try:
            yield self.stopService(now=True)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def _stack(source: str | Stack) -> Stack:
    return fromText(source) if isinstance(source, str) else source


class StackTestCase(TestCase):
    """
    A test case that runs stacks.

    @ivar timeout: seconds that one test may take.
    """

    timeout: float | None = 60.0

    def runStack(self, source: str | Stack, ports: bool = True) -> RunningStack:
        """
        Start a stack, which ends with the test.

        @param source: the text of an ini, or a stack.
        @param ports: whether its sockets get any free port; without it, those that they ask for.
        @raise ConfigError: with everything that is wrong with the text.
        @raise WorldError: if it cannot start.
        """
        from twisted.internet import reactor

        # Short, since paths of sockets must be.
        running = RunningStack(_stack(source), tempfile.mkdtemp(prefix="circustwist-"), ports, reactor)
        self.addCleanup(running.end)
        running.startService()
        return running
