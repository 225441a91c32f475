"""
Builds everything and wires it.

L{prepare} does what must happen before a daemon forks: the lock, the journal,
the sockets.  L{Supervisor} does the rest, in the process that stays.  Nothing
here touches the process as a whole; that is the business of L{circustwist.tap}.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from . import __version__
from .announce import Announcer
from .control.amp import ControlFactory, peer
from .logic import durable
from .logic.answers import About
from .logic.arbiter import Arbiter, Serial
from .logic.requests import Requests
from .logic.restart import reason
from .model.errors import WorldError
from .model.inputs import Adopted, Begun, Ended
from .model.launch import Launch, Names, plan, socketNumbers
from .model.stack import Stack
from .model.values import signalName
from .system import environment, kernel, survive
from .system.clock import Clock
from .system.interfaces import IJournal
from .system.interpret import Interpreter, World
from .system.journal import Journal, MemoryJournal
from .system.output import Outputs
from .system.publish import Publisher
from .system.rundir import RuntimeDir
from .system.sockets import Sockets, fits
from .system.spawner import Spawner


@attrs.frozen
class Prepared:
    """
    What is held before a daemon forks.

    @ivar environ: the supervisor's environment, as it was found.
    @ivar survivors: what an earlier supervisor left and still runs.
    @ivar left: all that it left.
    """

    stack: Stack
    environ: Mapping[str, str] = attrs.field(repr=False)
    rundir: RuntimeDir
    journal: IJournal
    sockets: Sockets
    left: durable.Left
    survivors: survive.Survivors


def prepare(stack: Stack, rundir: RuntimeDir, environ: Mapping[str, str], takeover: bool = False) -> Prepared:
    """
    Open the journal, find what an earlier supervisor left, and bind the sockets.

    @param rundir: locked.
    @param takeover: whether to end the workers that an earlier supervisor left.
    @raise WorldError: one line for each thing that is in the way; nothing is held then.
    """
    journal: IJournal = Journal(rundir.journalPath) if rundir.journalPath else MemoryJournal()
    left = durable.replay(journal.entries())
    if takeover:
        survive.takeover(left, stack.name)
        left = attrs.evolve(left, workers=())
    survivors = survive.find(left, stack.name)
    sockets = Sockets()
    for socket in stack.sockets:
        fd = survivors.sockets.get(socket.name)
        if fd is not None and fits(socket, fd):
            sockets.adopt(socket, fd)
        elif fd is not None:
            os.close(fd)
    held = sockets.inodes()
    sockets.bindAll(socket for socket in stack.sockets if socket.name not in held)
    return Prepared(stack, environ, rundir, journal, sockets, left, survivors)


class Planner:
    """What a worker is to be started as; a watcher's environment is built anew at each spawn."""

    def __init__(self, stack: Stack, environ: Mapping[str, str]) -> None:
        self._stack = stack
        self._environ = environ
        self._numbers = socketNumbers(stack)

    def __call__(self, names: Names) -> Launch:
        """
        The plan for one worker.

        @raise ValueError: if the command line or the environment cannot be made.
        @raise OSError: if a file it needs cannot be read.
        """
        watcher = self._stack.watcher(names.watcher)
        if watcher is None:
            raise WorldError(f"there is no watcher {names.watcher}")
        env = environment.build(watcher, self._environ)
        return plan(watcher, names, self._stack.name, self._numbers, env)


class Supervisor(Service):
    """
    A running stack, as a Twisted service.

    @ivar interpreter: how faces steer it, once it runs.
    @ivar ended: called with the exit code when everything has stopped.
    """

    _log = Logger(namespace="circustwist")

    def __init__(
        self, reactor: Any, prepared: Prepared, ended: Callable[[int], None], files: int | None = None
    ) -> None:
        """
        @param files: the soft limit of descriptors for workers; None is ours.
        """
        self._files = files
        self._reactor = reactor
        self._prepared = prepared
        self.ended = ended
        self.interpreter: Interpreter
        self._arbiter: Arbiter
        self._clock: Clock
        self._spawner: Spawner
        self._outputs: Outputs
        self._control: tuple[ControlFactory, IListeningPort] | None = None
        self._whenStopped: list[Deferred[None]] = []

    def startService(self) -> None:
        """Start what should run, and take in what runs already."""
        super().startService()
        self._build()
        self._listen()
        self._adopt()
        left = self._prepared.left
        self._prepared.journal.compact(self._entries)
        self.interpreter.feed(Begun(left.wanted))

    def _build(self) -> None:
        prepared = self._prepared
        stack, reactor = prepared.stack, self._reactor
        self._clock = clock = Clock(reactor)
        self._outputs = Outputs(reactor, clock)
        self._spawner = Spawner(reactor, self._files, self._stranger)
        publisher = Publisher(uuid.uuid4().hex[:12])
        self._arbiter = arbiter = Arbiter(stack, random.random, Serial(prepared.left.nextId))
        about = About(os.getpid(), __version__, clock.seconds(), prepared.sockets.describe)
        planner = Planner(stack, prepared.environ)
        world = World(clock, self._spawner, prepared.sockets, self._outputs, prepared.journal, publisher, planner,
                      self._quit)
        self.interpreter = Interpreter(Requests(arbiter, about).handle, world)
        announcer = Announcer(arbiter, clock.seconds, str(kernel.features()), self._addresses())
        publisher.subscribe(announcer.hear)
        for watcher in stack.watchers:
            self._outputs.open(watcher)

    def _addresses(self) -> list[str]:
        """What a person may open, and how to steer."""
        sockets = self._prepared.sockets
        described = [(s.name, sockets.describe(s.name)) for s in self._prepared.stack.sockets if s.stream]
        found = [f"{name} http://{known['host']}:{known['port']}" for name, known in described if "port" in known]
        return [*found, "in another terminal: circustwist status | events | restart"]

    def _listen(self) -> None:
        """Open the control socket."""
        rundir = self._prepared.rundir
        groups = [rundir.controlGroup] if rundir.controlGroup >= 0 else []
        factory = ControlFactory(self.interpreter, peer(os.getuid(), groups))
        if rundir.directory and os.path.exists(rundir.controlPath):
            os.unlink(rundir.controlPath)
        port = self._reactor.listenUNIX(rundir.controlPath, factory, backlog=128, mode=rundir.controlMode)
        if groups:
            os.chown(rundir.controlPath, -1, rundir.controlGroup)
        self._control = (factory, port)
        rundir.claim(self._prepared.stack.path)

    def _adopt(self) -> None:
        planner = Planner(self._prepared.stack, self._prepared.environ)
        now = self._clock.seconds()
        for found in self._prepared.survivors.living:
            names = found.worker.names
            try:
                launch = planner(names)
            except (WorldError, ValueError, OSError):
                # The plan is only asked for how to end it, which the defaults say too.
                launch = Launch(())
            self.interpreter.adopt(names, found.worker.pid, found.pidfd, launch, found.ends)
            worker = found.worker
            self._prepared.journal.append(
                durable.spawned(names.id, worker.pid, worker.start, worker.pipes, worker.since))
            age = max(0.0, now - found.worker.since) if found.worker.since else 0.0
            self.interpreter.feed(Adopted(names, found.worker.pid, age))
        for worker, status in self._prepared.survivors.dead:
            if worker.pid:
                how = "ended" if status is None else reason(status)
                self._log.warn("{worker} {how} while no supervisor ran", worker=str(worker.names), how=how)

    def _entries(self) -> list[Mapping[str, Any]]:
        """The journal's entries, as few as say the same."""
        left = durable.replay(self._prepared.journal.entries())
        dead = {worker.names.id for worker, _ in self._prepared.survivors.dead}
        alive = tuple(worker for worker in left.workers if worker.names.id not in dead)
        held = self._prepared.sockets.inodes()
        entries: list[Mapping[str, Any]] = []
        entries += durable.snapshot(attrs.evolve(left, workers=alive, sockets=held))
        return entries

    def _stranger(self, pid: int, commandLine: str) -> None:
        self._log.warn("pid {pid} ({command}) was left behind by a worker and bears no mark of it; it is ended at quit",
                       pid=pid, command=commandLine)

    def signalled(self, signum: int) -> None:
        """The process was asked to end; a second time: at once."""
        self.interpreter.feed(Ended(signalName(signum)))

    def reopen(self) -> None:
        """Open every log file of the workers again."""
        self._outputs.reopen()

    def _quit(self, code: int) -> None:
        for waiting in self._whenStopped:
            waiting.callback(None)
        self._whenStopped.clear()
        self._close()
        self.ended(code)

    def _close(self) -> None:
        self._spawner.killUnattributed()
        if self._control is not None:
            factory, port = self._control
            self._control = None
            factory.close()
            port.stopListening()
        self._outputs.close()
        self._prepared.journal.close(True)
        self._prepared.sockets.close(True)
        self._prepared.rundir.release(True)
        self._spawner.close()
        self.interpreter.close()
        self._clock.close()

    def stopService(self) -> Deferred[None] | None:
        """Stop everything, in order; the result fires when nothing is left."""
        super().stopService()
        if self._control is None:
            return None
        waiting: Deferred[None] = Deferred()
        self._whenStopped.append(waiting)
        self.interpreter.feed(Ended("the service was stopped"))
        return waiting
