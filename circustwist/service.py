"""
Builds everything and wires it.

Nothing here touches the process as a whole; that is the business of
L{circustwist.tap}.  What must happen before a daemon forks is in
L{circustwist.preparation}.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TextIO

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.logger import Logger

from .alarm import Alarm
from .announce import Announcer, guide
from .facade import Inside, Views
from .faces import Faces
from .foreign import withProcesses
from .guests import Plugins
from .hooks import Hooks
from .logic import durable
from .logic.answers import watcherDetail
from .logic.arbiter import Arbiter
from .logic.requests import Requests
from .logic.restart import reason
from .logic.schedule import Serial
from .logic.tuning import Tuning
from .logic.watcher import Watcher
from .measuring import Measuring
from .model.effects import Answer, Aside, Count, RunHook, Upgrade
from .model.errors import WorldError
from .model.events import Occurrence
from .model.inputs import Adopted, Begun, Ended, Noticed, Restored, Who
from .model.launch import Group, Launch, Names
from .model.stack import Stack
from .model.values import signalName
from .planner import Planner
from .preparation import Prepared
from .system import handover
from .system.clock import Clock
from .system.doorbell import Doorbell
from .system.files import CHUNK
from .system.interpret import Interpreter
from .system.notify import Notice
from .system.output import Outputs
from .system.prober import Prober
from .system.publish import Publisher
from .system.sockets import Sockets
from .system.spawner import Spawner
from .system.steering import LocalSteering
from .system.survive import Survivor
from .system.swap import Swap
from .system.world import World
from .upgrade import Upgrader

NAMED = 5
"""So many workers are named in a line of the log at most."""


class Guest(Protocol):
    """Who works beside the supervisor."""

    def close(self) -> None:
        """Do nothing any more."""


@attrs.frozen
class Host:
    """
    The process in which a supervisor runs.

    @ivar ended: called with the exit code when everything has stopped.
    @ivar files: the soft limit of descriptors for workers; None is ours.
    @ivar screen: the terminal in whose foreground this runs.
    @ivar read: reads the configuration again and raises L{ConfigError};
        without it, it is always the same.
    @ivar argv: how this process is executed anew; empty if it must not be.
    @ivar leaving: called just before that.
    @ivar own: what this process has in its environment and its workers must not have.
    @ivar stored: whether somebody keeps the sockets for the next supervisor.
    @ivar reopen: opens the supervisor's own log again.
    """

    reactor: Any
    ended: Callable[[int], None]
    files: int | None = None
    screen: TextIO | None = None
    read: Callable[[], Stack] | None = None
    argv: Sequence[str] = ()
    leaving: Callable[[], None] = lambda: None
    own: Mapping[str, str] = attrs.field(factory=dict)
    stored: bool = False
    reopen: Callable[[], None] = lambda: None


class Supervisor(Service):
    """
    A running stack, as a Twisted service.

    @ivar faces: how it is steered, once it runs.
    @ivar interpreter: does what its logic asks for.
    """

    _log = Logger(namespace="circustwist")

    def __init__(self, host: Host, prepared: Prepared) -> None:
        self._host = host
        self._prepared = prepared
        self.interpreter: Interpreter
        self._arbiter: Arbiter
        self._world: World
        self._planner: Planner
        self._spawner: Spawner
        self._guests: tuple[Guest, ...] = ()
        self.faces: Faces
        self._whenStopped: list[Deferred[None]] = []
        self._again = False
        self._measuring: Measuring

    # Start

    def startService(self) -> None:
        """Start what should run, and take in what runs already."""
        super().startService()
        prepared = self._prepared
        self._build()
        self._measuring.open()
        self.faces.open()
        if prepared.handover is not None:
            self.interpreter.feed(Restored(prepared.handover.operation, prepared.handover.restarts))
        lost = [survivor.worker.names for survivor in prepared.survivors.living if self._adopt(survivor)]
        self._ends()
        self._tellLost(lost)
        self._tellDead()
        self._planner.cgroups.clear(self._stays)
        prepared.journal.compact(self._entries)
        interrupted = tuple((one.id, one.command, one.by) for one in prepared.left.operations)
        left = prepared.left
        dead = tuple((worker.names, status) for worker, status in prepared.survivors.dead if worker.pid)
        self.interpreter.feed(Begun(
            left.wanted, interrupted, left.completed, left.hooked, left.resized, left.generations, left.stoppers,
            left.spent, dead))

    def _build(self) -> None:
        prepared, host = self._prepared, self._host
        earlier = prepared.handover
        clock = Clock(host.reactor)
        outputs = Outputs(host.reactor, clock)
        self._spawner = Spawner(host.reactor, host.files)
        self._arbiter = arbiter = Arbiter(prepared.stack, random.random, Serial(prepared.left.nextId))
        arbiter.tuning = Tuning(prepared.base, prepared.left.tuned)
        self._planner = planner = Planner(
            lambda: arbiter.stack, arbiter.hookEnvironment, prepared.rundir.mark, prepared.environ, prepared.sockets)
        planner.prober = Prober(
            host.reactor, clock, prepared.rundir.notifyPath, self._spawner, planner.plain, self._noticed)
        outputs.hear = planner.prober.heard
        publisher = Publisher(earlier.start, earlier.last) if earlier else Publisher(uuid.uuid4().hex[:12])
        outputs.streams.drops.told = publisher.publish
        self._world = World(
            clock, self._spawner, prepared.sockets, outputs, prepared.journal, publisher, planner.prober, planner,
            self._read, Swap(host.reactor, prepared.sockets), self._upgrade, self._quit)
        self._measuring = measuring = Measuring(host.reactor, clock, arbiter, prepared, outputs)
        requests = Requests(arbiter, measuring.about)
        self.interpreter = Interpreter(requests.handle, self._world, Doorbell(host.reactor))
        self.interpreter.does(Count, lambda effect: self.interpreter.feed(measuring.count(effect)))
        steering = LocalSteering(self.interpreter, publisher, measuring.observatory, outputs.tails)
        self.faces = Faces(host.reactor, prepared, steering, lambda: arbiter.stack)
        self.interpreter.does(Aside, self._aside)
        alarm = Alarm(host.reactor, clock, self._spawner, planner.plain, lambda name: arbiter.stack.watcher(name))
        publisher.subscribe(alarm.hear)
        plugins = Plugins(host.reactor, clock, steering, lambda: arbiter.stack, prepared.rundir.private)
        clock.callLater(0, plugins.open)
        self._guests = (plugins, alarm, self._hooks(clock))
        publisher.subscribe(Announcer(arbiter, clock, guide(prepared, host.screen)).hear)
        outputs.grace = prepared.stack.settings.drain_grace
        publisher.subscribe(lambda happened: outputs.keep(arbiter.watchers) if _ended(happened) else None)
        # Whoever runs already must not lose its supervisor because its log cannot be written.
        outputs.streams.patient = earlier is not None or bool(prepared.survivors.living)
        for watcher in prepared.stack.watchers:
            outputs.open(watcher)
        outputs.streams.patient = False

    def _read(self) -> Stack:
        """
        The configuration as it is in the files now.

        @raise ConfigError: if it cannot be used.
        """
        prepared = self._prepared
        return withProcesses(self._host.read(), prepared.rundir.private) if self._host.read else prepared.base

    def _hooks(self, clock: Clock) -> Hooks:
        arbiter, held = self._arbiter, self._prepared.sockets

        def detail(name: str) -> Mapping[str, Any]:
            watcher = arbiter.watchers.get(name.lower())
            return watcherDetail(watcher, clock.seconds()) if watcher is not None else {}

        def socket(name: str) -> Mapping[str, Any]:
            return {**held.describe(name), "fileno": held.fileno(name)}

        inside = Inside(
            self._host.reactor, self.faces.steering, lambda: arbiter.stack, self._prepared.environ, detail, socket,
            self._world.publisher.publish)
        hooks = Hooks(self._host.reactor, clock, Views(inside), self.interpreter.feed)
        self.interpreter.does(RunHook, hooks.run)
        return hooks

    def _noticed(self, names: Names, notice: Notice) -> None:
        if notice.requests is not None or notice.status is not None:
            self.interpreter.feed(Noticed(names, notice.requests, notice.status))

    def _adopt(self, survivor: Survivor) -> Mapping[str, int]:
        """Take charge of a worker that runs already; how much of its output may be lost, see C{IOutputs.bereft}."""
        worker, names = survivor.worker, survivor.worker.names
        try:
            launch = self._planner.plain(names)
        except (WorldError, ValueError, OSError):
            # The plan is only asked for how to end it, which the defaults say too.
            launch = Launch(())
        launch = attrs.evolve(launch, group=Group(self._planner.cgroups.of(worker.pid, names)))
        ends = {} if self._prepared.handover else survivor.ends
        for fd in set(survivor.ends.values()) - set(ends.values()):
            os.close(fd)
        self.interpreter.adopt(names, worker.pid, survivor.pidfd, launch, ends)
        self._prepared.journal.append(durable.spawned(names.id, worker.pid, worker.start, worker.pipes, worker.since))
        age = max(0.0, self._world.clock.seconds() - worker.since) if worker.since else 0.0
        lost = self._world.outputs.bereft(names) if ends else {}
        self.interpreter.feed(Adopted(names, worker.pid, age, lost))
        return lost

    def _stays(self, id: int) -> bool:
        """Whether the control group of an earlier worker does: it lives, or what it leaves behind may."""
        for worker, _ in self._prepared.survivors.dead:
            if worker.names.id == id:
                watcher = self._arbiter.stack.watcher(worker.names.watcher)
                return watcher is not None and watcher.killMode == "process"
        return id in self.interpreter.processes

    def _ends(self) -> None:
        """Go on with the outputs that an earlier image of this process has left."""
        earlier = self._prepared.handover
        self._world.outputs.restore(earlier.outputs if earlier else {})
        for end in earlier.ends if earlier else ():
            self._world.outputs.adopt(end.names, end.output, end.fd, end.rest)

    def _tellLost(self, whose: Sequence[Names]) -> None:
        if whose:
            more = f" and {len(whose) - NAMED} others" if len(whose) > NAMED else ""
            self._log.warn(
                "the supervisor before this one was killed: up to {most} KiB of each output of {workers} may be lost",
                most=CHUNK // 1024, workers=", ".join(map(str, whose[:NAMED])) + more)

    def _tellDead(self) -> None:
        for worker, status in self._prepared.survivors.dead:
            if worker.pid:
                how = "ended" if status is None else reason(status)
                self._log.warn(
                    "{worker} {how} while no supervisor ran; what was in its pipes may be lost",
                    worker=str(worker.names), how=how)

    def _entries(self) -> list[Mapping[str, Any]]:
        """The journal's entries, as few as say the same."""
        left = durable.replay(self._prepared.journal.entries())
        dead = {worker.names.id for worker, _ in self._prepared.survivors.dead}
        alive = tuple(worker for worker in left.workers if worker.names.id not in dead)
        held = self._prepared.sockets.inodes()
        return [*durable.snapshot(attrs.evolve(left, workers=alive, sockets=held))]

    @property
    def stack(self) -> Stack:
        """The configuration that is in force."""
        return self._arbiter.stack

    @property
    def sockets(self) -> Sockets:
        """The sockets that it holds."""
        return self._prepared.sockets

    @property
    def watchers(self) -> Mapping[str, Watcher]:
        """The watchers, by their names in lower case."""
        return self._arbiter.watchers

    # What the process is told

    def signalled(self, signum: int) -> None:
        """The process was asked to end; a second time: at once."""
        self.interpreter.feed(Ended(signalName(signum)))

    def reload(self) -> None:
        """Read the configuration again, apply it, and reload what it leaves alone; as SIGHUP asks for."""
        if self._arbiter.reconfiguring:
            self._again = True
            return
        self._again = False
        asked = self.faces.steering.ask("reloadconfig", {"reload": True, "waiting": True}, Who("SIGHUP", "admin"))
        asked.addErrback(lambda failure: self._log.error("SIGHUP: {error}", error=failure.getErrorMessage()))
        asked.addCallback(lambda _: self.reload() if self._again else None)

    def reopen(self) -> None:
        """Open every log file of the workers again."""
        self._world.outputs.reopen()

    def _aside(self, effect: Aside) -> None:
        outputs = self._world.outputs
        paths = outputs.rotate(effect.watchers)
        if not effect.watchers:
            self._host.reopen()
            outputs.reopen()
        self.interpreter.answered(Answer(effect.call, {"files": paths} if effect.watchers else {}))

    # Another image

    def _upgrade(self, effect: Upgrade) -> Deferred[None]:
        if not self._host.argv:
            return fail(WorldError("this process is not ours alone and cannot be replaced"))
        upgrader = Upgrader(
            self._host.reactor, self._host.argv, self._prepared.environ, self._host.leaving, self._host.own)
        return ensureDeferred(upgrader.upgrade(lambda: self._handover(effect)))

    def _handover(self, effect: Upgrade) -> handover.Handover:
        prepared, publisher = self._prepared, self._world.publisher
        self._world.outputs.flush()
        sockets = {name: prepared.sockets.fileno(name) for name in prepared.sockets.names()}
        return handover.Handover(
            prepared.rundir.lock, sockets, self._world.outputs.ends(), publisher.start, publisher.last,
            self._measuring.about.since, self._host.files, effect.restarts, effect.operation,
            hits=self._measuring.handover(), outputs=self._world.outputs.handover())

    # The end

    def _quit(self, code: int) -> None:
        for waiting in self._whenStopped:
            waiting.callback(None)
        self._whenStopped.clear()
        self._close()
        self._host.ended(code)

    def _close(self) -> None:
        self._spawner.killUnattributed()
        self.faces.close()
        self._measuring.close()
        for guest in self._guests:
            guest.close()
        self._planner.prober.close()
        self._world.outputs.close()
        self._prepared.journal.close(True)
        self._prepared.sockets.close(not self._host.stored)
        self._prepared.rundir.release(True)
        self._spawner.close()
        self.interpreter.close()
        self._world.clock.close()

    def stopService(self) -> Deferred[None] | None:
        """Stop everything, in order; the result fires when nothing is left."""
        super().stopService()
        if not self.faces.opened:
            return None
        waiting: Deferred[None] = Deferred()
        self._whenStopped.append(waiting)
        self.interpreter.feed(Ended("the service was stopped"))
        return waiting


def _ended(happened: Occurrence) -> bool:
    """Whether it is the end of something that may have removed watchers."""
    return happened.event.name == "operation" and happened.event.data.get("state") != "running"
