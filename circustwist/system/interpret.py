"""
From effects to calls: the one imperative heart.

Inputs reach the logic in the order in which they come; the effects that it
answers with stand in one queue and are done in order, in slices, so that the
reactor is never kept for long.  What an effect brings about comes back as an
input, never by recursion into the logic.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..logic import durable
from ..model import effects as asked
from ..model.effects import Effect, Effects, Timer
from ..model.errors import ConfigError, InternalError, RequestError, SpawnProblem, Unstartable, WorldError
from ..model.inputs import (
    Asked,
    Drained,
    Exited,
    Input,
    Knocked,
    Measured,
    NotUpgraded,
    Probed,
    Refused,
    SocketsChanged,
    Spawned,
    StackRead,
    Woken,
)
from ..model.launch import Launch, Names
from . import reserve
from .doorbell import Doorbell
from .drain import Drains
from .interfaces import IWorkerProcess, IWorkerProtocol
from .kernel import startTime
from .memory import Meter
from .rest import Rests, goOn
from .world import World

SLICE = 0.008
"""So many seconds at most the effects are done in a row."""

_UNFORESEEN = "an internal error; see the supervisor's log"


@implementer(IWorkerProtocol)
class WorkerProtocol(ProcessProtocol):
    """Turns what happens to one process into inputs."""

    transport: Any

    def __init__(self, interpreter: Interpreter, names: Names) -> None:
        self._interpreter = interpreter
        self._names = names

    def spawned(self, process: IWorkerProcess) -> None:
        self.makeConnection(process)

    def connectionMade(self) -> None:
        """Its program runs."""
        self._interpreter.spawned(self._names, self.transport)

    def refused(self, problem: SpawnProblem) -> None:
        self._interpreter.refused(self._names, problem)

    def exited(self, status: int) -> None:
        self.processExited(Failure(ProcessTerminated(status=status) if status else ProcessDone(status)))

    def processExited(self, reason: Failure) -> None:
        """It has ended; what is left in its pipes is the business of L{IOutputs}."""
        self._interpreter.exited(self._names, getattr(reason.value, "status", -1))


class Interpreter:
    """
    Does what the logic asks for.

    @ivar processes: those that run, by the worker's id.
    @ivar answered: told of the answer to each command.
    """

    _log = Logger(namespace="circustwist.interpret")

    def __init__(self, handle: Callable[[Input, float], Effects], world: World, doorbell: Doorbell) -> None:
        """
        @param doorbell: tells when a connection waits.
        """
        self._handle = handle
        self._doorbell = doorbell
        self._world = world
        self.processes: dict[int, IWorkerProcess] = {}
        self._queue: deque[Effect] = deque()
        self._scheduled = False
        self._timers: dict[Timer, IDelayedCall] = {}
        self.answered: Callable[[asked.Answer], None] = lambda answer: None
        self._meter = Meter(world.clock, lambda names, size: self.feed(Measured(names, size)))
        self._drains, self._rests = Drains(world.clock), Rests(world.clock)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._perform: dict[type, Callable[[Any], None]] = {
            asked.Spawn: self._spawn, asked.Probe: self._probe, asked.Measure: self._measure,
            asked.Signal: self._signal, asked.Wake: self._wake, asked.Forget: self._forget,
            asked.Publish: self._publish, asked.Record: self._record, asked.Answer: self._answer,
            asked.Quit: self._quit, asked.ReadStack: self._readStack, asked.ChangeSockets: self._changeSockets,
            asked.KeepSockets: self._keepSockets, asked.KeepSeats: self._keepSeats,
            asked.OpenStreams: self._openStreams, asked.Upgrade: self._upgrade,
            asked.Avoid: self._avoid, asked.Drain: self._drain, asked.Watch: self._watch, asked.Unwatch: self._unwatch,
        }

    def does(self, kind: type, how: Callable[[Any], None]) -> None:
        """Let somebody else do all effects of one kind."""
        self._perform[kind] = how

    # Inputs

    def feed(self, input: Input) -> None:
        """Tell the logic something; an error in it is logged and ends nothing."""
        try:
            self._queue.extend(self._handle(input, self._world.clock.seconds()))
        except Exception:
            self._log.failure("the logic failed on {input}", input=input)
            if isinstance(input, Asked):
                self._answer(asked.Answer(input.call, InternalError("internal error; see the supervisor's log")))
        self._schedule()

    def _schedule(self) -> None:
        if self._queue and not self._scheduled:
            self._scheduled = True
            self._world.clock.callLater(0, self._run)

    def _run(self) -> None:
        seconds = self._world.clock.seconds
        until = seconds() + SLICE
        while self._queue and seconds() < until:
            effect = self._queue.popleft()
            try:
                self._perform[type(effect)](effect)
            except Exception as error:
                self._log.failure("could not do {effect}", effect=effect)
                self._failed(effect, error)
        self._scheduled = False
        self._schedule()

    def _failed(self, effect: Effect, error: Exception) -> None:
        """Whoever waits for what could not be done hears of it."""
        call = getattr(effect, "call", 0)
        if call and not isinstance(effect, asked.Answer):
            self.answered(asked.Answer(call, error if isinstance(error, RequestError) else InternalError(_UNFORESEEN)))

    def read(self, input: Asked) -> None:
        """Tell the logic of a command that changes nothing: it is answered before what waits is done."""
        try:
            effects = self._handle(input, self._world.clock.seconds())
        except Exception:
            self._log.failure("the logic failed on {input}", input=input)
            effects = (asked.Answer(input.call, InternalError("internal error; see the supervisor's log")),)
        for effect in effects:
            self._perform[type(effect)](effect)

    # What happens to processes

    @contextmanager
    def _anyway(self) -> Iterator[None]:
        """The logic is told what has happened, whatever goes wrong here."""
        try:
            yield
        except Exception:
            self._log.failure("something else went wrong with what happens to a process")

    def spawned(self, names: Names, process: IWorkerProcess) -> None:
        """A worker's program runs."""
        self.processes[names.id] = process
        with self._anyway():
            self._note(names, process)
        self.feed(Spawned(names, process.pid))

    def _note(self, names: Names, process: IWorkerProcess) -> None:
        outputs = self._world.outputs
        outputs.started(names, process.pid)
        self._world.journal.append(durable.spawned(
            names.id, process.pid, _startTime(process.pid), outputs.inodes(names), self._world.clock.seconds()))

    def refused(self, names: Names, problem: SpawnProblem) -> None:
        """A worker could not be started."""
        with self._anyway():
            self._world.prober.stop(names.id)
            self._world.outputs.ended(names)
        self.feed(Refused(names, problem))

    def exited(self, names: Names, status: int) -> None:
        """A worker has ended."""
        process = self.processes.pop(names.id, None)
        cause = process.cause if process is not None else ""
        last = ""
        with self._anyway():
            self._meter.forget(names.id)
            self._world.prober.stop(names.id)
            self._world.outputs.ended(names)
            last = self._world.outputs.last(names)
        self.feed(Exited(names, status, last, cause))

    def adopt(self, names: Names, pid: int, pidfd: int, launch: Launch, ends: Mapping[int, int]) -> None:
        """
        Take charge of a worker of an earlier supervisor.

        @param ends: for each of its outputs a descriptor to read it by.
        """
        for fd, end in ends.items():
            self._world.outputs.adopt(names, fd, end)
        self._world.outputs.started(names, pid)
        self.processes[names.id] = process = self._world.spawner.adopt(WorkerProtocol(self, names), pid, pidfd, launch)
        goOn(process)

    # Effects

    def _spawn(self, effect: asked.Spawn) -> None:
        names = effect.names
        mine: dict[object, int] = {}
        try:
            reserve.spare()
            launch = self._world.plan(names)
            childFDs = {fd: self._source(names, source, mine) for fd, source in launch.descriptors.items()}
            self._world.spawner.spawn(WorkerProtocol(self, names), launch, childFDs)
        except OSError as error:
            self.refused(names, SpawnProblem("descriptors", error.errno or 0, error.strerror or str(error)))
        except Unstartable as refused:
            self.refused(names, refused.problem)
        except (WorldError, ValueError) as error:
            self.refused(names, SpawnProblem("plan", 0, str(error)))
        except Exception as error:
            # Whatever it is, the logic waits for an answer.
            self._log.failure("{names} could not be started", names=names)
            number = errno.ENOMEM if isinstance(error, MemoryError) else 0
            self.refused(names, SpawnProblem("spawn", number, _UNFORESEEN))
        finally:
            for fd in mine.values():
                os.close(fd)

    def _probe(self, effect: asked.Probe) -> None:
        process = self.processes.get(effect.names.id)
        if process is None:
            return

        def told(ok: bool, detail: str) -> None:
            self.feed(Probed(effect.names, effect.what, ok, detail))

        self._world.prober.start(effect, process.pid, self._world.plan.streams(effect.names), told)

    def _measure(self, effect: asked.Measure) -> None:
        process = self.processes.get(effect.names.id)
        if process is not None:
            self._meter.limit(effect.names, process.pid, effect.limit)

    def _readStack(self, effect: asked.ReadStack) -> None:
        try:
            stack = self._world.read()
            self.feed(StackRead(effect.operation, stack, lacks=self._world.plan.lacks(stack)))
        except (ConfigError, OSError) as error:
            self.feed(StackRead(effect.operation, None, "; ".join(str(error).splitlines())))
        except Exception:
            self._log.failure("the configuration could not be read")
            self.feed(StackRead(effect.operation, None, _UNFORESEEN))

    def _changeSockets(self, effect: asked.ChangeSockets) -> None:
        def changed(inodes: dict[str, int]) -> None:
            self._world.journal.append(durable.sockets(inodes))
            self.feed(SocketsChanged(effect.operation))

        def failed(failure: Failure) -> None:
            if not failure.check(WorldError, OSError):
                self._log.failure("the sockets could not be changed", failure)
            told = "; ".join(failure.getErrorMessage().splitlines())
            self.feed(SocketsChanged(effect.operation, told or _UNFORESEEN))

        self._world.swap.change(effect.make, effect.update).addCallbacks(changed, failed)

    def _keepSockets(self, effect: asked.KeepSockets) -> None:
        self._world.journal.append(durable.sockets(self._world.swap.keep(effect.new, effect.names)))

    def _watch(self, effect: asked.Watch) -> None:
        sockets = self._world.sockets
        for name in effect.sockets:
            self._seat(name, effect.watcher, 0)
        doors = [sockets.fileno(door) for name in effect.sockets for door in sockets.doors(name, effect.watcher)]
        self._doorbell.watch(effect.watcher, doors, lambda: self.feed(Knocked(effect.watcher)))

    def _unwatch(self, effect: asked.Unwatch) -> None:
        self._doorbell.unwatch(effect.watcher)

    def _seat(self, name: str, watcher: str, number: int) -> int:
        """Our descriptor for a socket that a seat is handed."""
        key, made = self._world.sockets.seat(name, watcher, number)
        fd = self._world.sockets.fileno(key)
        if made:
            self._world.journal.append(durable.socket(key, os.fstat(fd).st_ino))
        return fd

    def _keepSeats(self, effect: asked.KeepSeats) -> None:
        self._world.sockets.keepSeats(effect.watcher, effect.seats, effect.sockets)
        self._world.journal.append(durable.sockets(self._world.sockets.inodes()))

    def _avoid(self, effect: asked.Avoid) -> None:
        self._world.sockets.avoid(effect.watcher, effect.seats)

    def _drain(self, effect: asked.Drain) -> None:
        names, sockets = effect.names, self._world.sockets
        self._drains.wait(lambda: sockets.queued(names.watcher, names.seat), lambda: self.feed(Drained(names)))

    def _openStreams(self, effect: asked.OpenStreams) -> None:
        self._world.outputs.open(effect.spec)

    def _upgrade(self, effect: asked.Upgrade) -> None:
        def failed(failure: Failure) -> None:
            self.feed(NotUpgraded(int(effect.operation["id"]), failure.getErrorMessage()))

        self._world.upgrade(effect).addErrback(failed)

    def _source(self, names: Names, source: tuple[str, str | int], mine: dict[object, int]) -> int:
        """Our descriptor for one of a child's; those to be closed afterwards go into C{mine}."""
        kind, what = source
        if kind == "socket":
            return self._seat(str(what), names.watcher, names.seat)
        if kind == "null":
            return self._null
        if kind == "inherit":
            return int(what)
        if source not in mine:
            mine[source] = self._world.outputs.pipe(names, int(what))
        return mine[source]

    def _signal(self, effect: asked.Signal) -> None:
        process = self.processes.get(effect.id)
        if process is not None and effect.rest is not None:
            self._rests.signal(process, effect.signum, self._world.plan.doors(effect.rest))
        elif process is not None:
            process.signal(effect.signum, effect.whom, effect.child)

    def _wake(self, effect: asked.Wake) -> None:
        self._forget(effect)
        clock = self._world.clock
        self._timers[effect.timer] = clock.callLater(max(0, effect.at - clock.seconds()), self._woken, effect.timer)

    def _woken(self, timer: Timer) -> None:
        del self._timers[timer]
        self.feed(Woken(timer))

    def _forget(self, effect: asked.Forget | asked.Wake) -> None:
        call = self._timers.pop(effect.timer, None)
        if call is not None:
            call.cancel()

    def _publish(self, effect: asked.Publish) -> None:
        self._world.publisher.publish(effect.event)

    def _record(self, effect: asked.Record) -> None:
        self._world.journal.append(effect.entry)

    def _answer(self, effect: asked.Answer) -> None:
        self.answered(effect)

    def _quit(self, effect: asked.Quit) -> None:
        self._world.quit(effect.code)

    def close(self) -> None:
        """Forget every timer and give back what is held; nothing is done any more."""
        for call in self._timers.values():
            call.cancel()
        self._timers.clear()
        self._meter.close()
        self._drains.close()
        self._rests.close()
        self._queue.clear()
        self._doorbell.close()
        os.close(self._null)


def _startTime(pid: int) -> int:
    """When a process was started, in clock ticks; 0 if it is gone already."""
    try:
        return startTime(pid)
    except OSError:
        return 0
