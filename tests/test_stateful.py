"""
Any row of commands, exits, failures and passing time, against what must always hold.

The model is small: who was asked for, who runs, and what the administrator
wanted last.  No row leaves a worker doubled, unowned, forgotten or above its
number, and each spawn has exactly one end.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.dependency import hopeless
from circustwist.logic.life import REFUSED
from circustwist.model.effects import Timer
from circustwist.model.errors import Conflict, OperationFailed
from circustwist.model.hooks import POINTS, Hook
from circustwist.model.inputs import Ended
from circustwist.model.stack import Socket, Watcher

from .memory import Memory

NAMES = st.sampled_from(("web", "job", "slow", "app", "tail", "lazy", "hook"))
HOOKED = {
    "vetting": ("before_spawn",), "admitting": ("after_spawn",), "warned": ("before_signal",),
    "reaping": ("before_reap", "after_reap")}
"""The hooks for which a worker waits, by its state."""
STATUS = st.sampled_from((0, 256, 9, 15))


class ArbiterMachine(RuleBasedStateMachine):
    """A supervisor to which anything may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(
            Watcher("web", cmd="web", numprocesses=3, graceful_timeout=5.0, max_age=50.0, max_age_variance=0.0,
                    ready="notify", live="notify"),
            Watcher("job", cmd="job", numprocesses=2, respawn="on-failure", start_limit_burst=3, max_retry=2,
                    max_surge=0),
            Watcher("slow", cmd="slow", numprocesses=2, warmup_delay=1.0, priority=5, respawn="never"),
            Watcher("app", cmd="app", depends_on=("web:ready", "slow:completed"), max_age=30.0),
            Watcher("tail", cmd="tail", depends_on=("app:started", "job:ready"), priority=9),
            Watcher("lazy", cmd="lazy", numprocesses=2, on_demand=True, use_sockets=True, start_limit_burst=2,
                    max_retry=2),
            Watcher("hook", cmd="hook", numprocesses=2, graceful_timeout=5.0, max_age=40.0, ready="notify",
                    hooks={name: Hook(f"shop.{name}", name == "after_start") for name in POINTS}),
            sockets=(Socket("web"),),
        )
        self.memory.auto = False
        self.memory.begin()

    def _spawning(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.memory.spawning)))

    def _running(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.memory.running)))

    @precondition(lambda self: self.memory.spawning)
    @rule(data=st.data())
    def spawned(self, data: st.DataObject) -> None:
        """A process that was asked for runs."""
        self.memory.spawned(self._spawning(data))

    @precondition(lambda self: self.memory.spawning)
    @rule(data=st.data(), errno=st.sampled_from((2, 11, 13, 24)))
    def refused(self, data: st.DataObject, errno: int) -> None:
        """A process that was asked for cannot be started."""
        self.memory.refuse(self._spawning(data), errno)

    @precondition(lambda self: self.memory.running)
    @rule(data=st.data(), status=STATUS)
    def exited(self, data: st.DataObject, status: int) -> None:
        """A process ends."""
        self.memory.exit(self._running(data), status)

    @precondition(lambda self: self.memory.hooks)
    @rule(data=st.data(), ok=st.booleans(), error=st.sampled_from(("", "", "boom")))
    def answered(self, data: st.DataObject, ok: bool, error: str) -> None:
        """A hook answers; those of a watcher do so in the order in which they were called."""
        self.memory.hookDone(min(self.memory.hooks), ok, error)

    @precondition(lambda self: self.memory.hooks)
    @rule()
    def answeredAll(self) -> None:
        """All hooks say yes, also those that are called meanwhile."""
        while self.memory.hooks:
            self.memory.hookDone(min(self.memory.hooks))

    @precondition(lambda self: self.memory.probes)
    @rule(data=st.data(), ok=st.booleans())
    def probed(self, data: st.DataObject, ok: bool) -> None:
        """A probe is answered; that of a process that has ended no more."""
        id, what = data.draw(st.sampled_from(sorted(self.memory.probes)))
        if id in self.memory.running:
            self.memory.probed(id, ok, what)
        else:
            del self.memory.probes[id, what]

    @rule()
    def obeyed(self) -> None:
        """Everyone who was asked to end does so."""
        self.memory.obey()

    @rule()
    def knocked(self) -> None:
        """A connection comes."""
        self.memory.knock("web")

    @rule(seconds=st.floats(0, 60))
    def later(self, seconds: float) -> None:
        """Time passes."""
        self.memory.advance(seconds)

    @rule(command=st.sampled_from(("start", "stop", "restart", "reload")), name=NAMES, waiting=st.booleans())
    def command(self, command: str, name: str, waiting: bool) -> None:
        """A command to one watcher."""
        self._ask(command, name=name, waiting=waiting)

    @rule(command=st.sampled_from(("start", "stop", "restart", "reload")))
    def commandToAll(self, command: str) -> None:
        """A command to all."""
        self._ask(command)

    @rule(command=st.sampled_from(("incr", "decr")), name=NAMES, nb=st.integers(0, 4))
    def resized(self, command: str, name: str, nb: int) -> None:
        """Another number of processes."""
        self._ask(command, name=name, nb=nb)

    def _ask(self, command: str, **arguments: object) -> None:
        answer = self.memory.ask(command, **arguments)
        if isinstance(answer, Exception):
            assert isinstance(answer, Conflict | OperationFailed), answer

    def _hooked(self, *states: str) -> set[int]:
        """The workers that wait for a hook in these states."""
        watchers = self.memory.arbiter.watchers.values()
        return {id for one in watchers for id, worker in one.seats.workers.items() if worker.state in states}

    def _refused(self) -> set[int]:
        """The workers that were never told to run, since a hook refused them."""
        watchers = self.memory.arbiter.watchers.values()
        return {id for one in watchers for id, worker in one.seats.workers.items()
                if worker.ending is not None and worker.ending.by == REFUSED}

    @invariant()
    def everyWorkerIsOwned(self) -> None:
        """Whoever was asked for or runs is in exactly one watcher, and nobody else is."""
        memory = self.memory
        owned = Counter(id for watcher in memory.arbiter.watchers.values() for id in watcher.seats.workers)
        waiting = self._hooked("vetting", "reaping")
        assert set(owned) == set(memory.spawning) | set(memory.running) | waiting
        assert all(count == 1 for count in owned.values())

    @invariant()
    def neverTooMany(self) -> None:
        """No more processes count than are wanted, and no number or seat is taken twice."""
        for watcher in self.memory.arbiter.watchers.values():
            alive = watcher.seats.alive()
            reload = watcher.reloading
            surge = len(reload.coming) + len(reload.proved) if reload else 0
            assert len(alive) <= max(watcher.seats.wanted, watcher.seats.held) + surge, watcher
            assert reload or not watcher.running or watcher.seats.held <= watcher.seats.wanted, watcher
            workers = watcher.seats.workers.values()
            seated = [worker for worker in workers if watcher.seats.seatOf(worker) is not None]
            assert len(seated) == watcher.seats.held == sum(1 for seat in watcher.seats.seats if seat.holder)
            # Who was to replace somebody goes when before_stop has answered.
            assert len(seated) + surge >= len(alive) or watcher.seats.hooks.asked("before_stop")
            assert len({worker.names.seat for worker in seated}) == len(seated)
            wids = [worker.names.wid for worker in workers]
            assert len(set(wids)) == len(wids)

    @invariant()
    def noneForgotten(self) -> None:
        """A watcher that should run has everyone, or somebody on the way."""
        for watcher in self.memory.arbiter.watchers.values():
            seats = watcher.seats
            respawned = watcher.spec.respawn == "always" and not watcher.spec.on_demand
            preparing = seats.hooks.asked("", "before_start")
            if watcher.running and respawned and not watcher.reloading and not preparing:
                queued = sum(seat.queued for seat in seats.seats)
                assert seats.held + queued + len(seats.waiting) >= seats.wanted, watcher
            if watcher.status == "stopped":
                assert not seats.workers and not seats.waiting

    @invariant()
    def watchedWhileAsleep(self) -> None:
        """A socket is looked at exactly while a watcher waits that may be woken."""
        lazy = self.memory.arbiter.watchers["lazy"]
        waits = lazy.demand.asleep and not lazy.demand.resting and lazy.seats.wanted > 0
        assert set(self.memory.watched) == ({"lazy"} if waits else set())
        assert lazy.demand.resting == (Timer("rest", "lazy") in self.memory.timers)
        assert not lazy.demand.asleep or (lazy.status == "stopped" and not lazy.seats.workers)

    @invariant()
    def oneEndEach(self) -> None:
        """Each process that was started and is gone has had exactly one end; the journal agrees."""
        memory = self.memory
        spawned = Counter(event.pid for event in memory.events if event.name == "spawn")
        reaped = Counter(event.pid for event in memory.events if event.name == "reap")
        assert all(count == 1 for count in spawned.values()) and all(count == 1 for count in reaped.values())
        silent = {memory.running[id] for id in self._hooked("admitting") | self._refused() if id in memory.running}
        watchers = memory.arbiter.watchers.values()
        dead = {w.pid for one in watchers for w in one.seats.workers.values() if w.state == "reaping"}
        assert set(memory.running.values()) - silent <= set(spawned) - set(reaped)
        assert set(spawned) - set(reaped) <= set(memory.running.values()) | dead
        intents = [entry["id"] for entry in memory.journal if entry["kind"] == "intent"]
        gone = [entry["id"] for entry in memory.journal if entry["kind"] == "gone"]
        assert len(set(gone)) == len(gone)
        assert set(intents) - set(gone) == set(memory.spawning) | set(memory.running) | self._hooked("reaping")

    @invariant()
    def leavingHaveATimer(self) -> None:
        """Whoever was asked to end is killed some day."""
        for watcher in self.memory.arbiter.watchers.values():
            for worker in watcher.seats.workers.values():
                assert worker.state not in ("stopping", "warned") or worker.timer() in self.memory.timers

    @invariant()
    def everyHookIsAwaited(self) -> None:
        """Whoever waits for a hook has asked it, and each answer that is waited for will come."""
        for watcher in self.memory.arbiter.watchers.values():
            hooks = watcher.seats.hooks
            assert set(hooks.waiting) <= set(self.memory.hooks)
            waiting = {(one.name, one.worker) for one in hooks.waiting.values()}
            for id, worker in watcher.seats.workers.items():
                names = HOOKED.get(worker.state, ())
                # Who was refused is ended when before_stop has answered.
                refused = worker.state == "admitting" and hooks.asked("before_stop")
                assert not names or refused or any((name, id) in waiting for name in names), f"{worker} {waiting}"

    @invariant()
    def waitingHaveAReason(self) -> None:
        """Whoever waits for others is not there, and what it waits for is not so but may be."""
        arbiter = self.memory.arbiter
        for name in arbiter.blocked:
            watcher = arbiter.watchers[name]
            assert watcher.status in ("stopped", "failed") and arbiter.waits(watcher), watcher
            assert not hopeless(watcher, arbiter.watchers, arbiter.lines), watcher

    def teardown(self) -> None:
        """Whatever happened, it can be ended, everybody is answered, and no timer stays."""
        memory = self.memory
        memory.feed(Ended("SIGTERM"))
        for _ in range(100):
            for id in list(memory.spawning):
                memory.spawned(id)
            memory.obey()
            for run in sorted(memory.hooks):
                memory.hookDone(run)
            if not (memory.signals or memory.hooks or memory.spawning or memory.quit is not None):
                memory.advance(5)  # a hook has kept a signal back
            if memory.quit is not None:
                break
        assert memory.quit == 0
        assert not memory.running and not memory.spawning
        assert all(timer.kind in ("stage", "age") for timer in memory.timers), memory.timers
        assert all(operation.state != "running" for operation in memory.arbiter.operations)


class StatefulTests(SynchronousTestCase):
    """The arbiter under arbitrary rows of events."""

    def test_anything(self) -> None:
        """No row of events breaks what must hold."""
        case = ArbiterMachine.TestCase
        case.settings = settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
        result = case("runTest")
        result.runTest()
