"""
What survives the supervisor's own death: records of its state, as entries of
the journal, and what they add up to.

Each change is one entry, a mapping of JSON types whose C{kind} says what it
is.  Nothing here trusts what it reads: an entry of an unknown kind, with a
wrong type or with a number that cannot be is left out, and nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from ..model.launch import Names
from ..model.tuned import Tuned
from .entries import MOST, Nonsense, mapped, named, timed, whole

Entry: TypeAlias = dict[str, Any]

_SERIAL = 2**53 - 1
_PID = 2**22
_INODE = 2**64 - 1


@attrs.frozen
class LeftWorker:
    """
    A worker that was there when the records ended.

    @ivar pid: its pid; 0 if it was about to be started, so that nobody knows
        whether it was.
    @ivar start: when its process was started, in clock ticks since the boot;
        field 22 of C{/proc/PID/stat}, proc(5).
    @ivar pipes: the inodes of the pipes on its outputs, by 1 and 2.
    @ivar since: when it was started, in seconds of the clock of whoever
        recorded it; 0 if they did not say.
    """

    names: Names
    pid: int = 0
    start: int = 0
    pipes: Mapping[int, int] = attrs.field(factory=dict, hash=False)
    since: float = 0.0


@attrs.frozen
class LeftOperation:
    """
    An operation that had begun and not ended.

    @ivar by: who had asked for it.
    """

    id: int
    command: str
    by: str


@attrs.frozen
class Left:
    """
    What an earlier supervisor left behind.

    @ivar workers: in the order of their start.
    @ivar wanted: for each watcher that was started, stopped or resized:
        whether it should run, and with how many processes.
    @ivar sockets: the inode of each socket by name.
    @ivar nextId: the lowest serial that no worker has had.
    @ivar generations: how many reloads each watcher had seen, without those
        that had seen none.
    @ivar operations: those that were under way, in the order of their begin.
    @ivar completed: the watchers that ended by themselves with success.
    @ivar tuned: what was changed at run time, by lower-case name.
    @ivar stoppers: who stopped watchers that do not run.
    @ivar hooked: what hooks have changed in the environment of processes, by watcher; None is removed.
    @ivar resized: who gave a watcher another number of processes than the configuration does, and when.
    @ivar spent: the seats of each watcher whose processes have ended for good, and whether they did so with success.
    """

    workers: tuple[LeftWorker, ...] = ()
    wanted: Mapping[str, tuple[bool, int]] = attrs.field(factory=dict, hash=False)
    sockets: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    nextId: int = 1
    generations: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    operations: tuple[LeftOperation, ...] = ()
    completed: frozenset[str] = frozenset()
    tuned: Mapping[str, Tuned] = attrs.field(factory=dict, hash=False)
    hooked: Mapping[str, Mapping[str, str | None]] = attrs.field(factory=dict, hash=False)
    resized: Mapping[str, tuple[str, float]] = attrs.field(factory=dict, hash=False)
    stoppers: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    spent: Mapping[str, Mapping[int, bool]] = attrs.field(factory=dict, hash=False)

    def __bool__(self) -> bool:
        """Whether there are workers to look for."""
        return bool(self.workers)


NOTHING_LEFT = Left()


def intent(names: Names) -> Entry:
    """A worker is about to be started; written before it is."""
    return {"kind": "intent", **attrs.asdict(names)}


def spawned(id: int, pid: int, start: int, pipes: Mapping[int, int], since: float = 0.0) -> Entry:
    """
    It has a process.

    @param start: see L{LeftWorker}, as are the others.
    """
    inodes = {str(output): inode for output, inode in pipes.items()}
    return {"kind": "spawned", "id": id, "pid": pid, "start": start, "pipes": inodes, "since": since}


def gone(id: int) -> Entry:
    """A worker has ended, or could not be started."""
    return {"kind": "gone", "id": id}


def wanted(
    watcher: str, running: bool, numprocesses: int, resized: tuple[str, float] | None = None, stopper: str = ""
) -> Entry:
    """
    Somebody started, stopped or resized a watcher.

    @param resized: who gave it a number of processes that the configuration does not, and when; None if it does.
    @param stopper: who stopped it; empty if nobody did.
    """
    entry = {"kind": "wanted", "watcher": watcher, "running": running, "numprocesses": numprocesses}
    entry |= {"stopper": stopper} if stopper else {}
    return entry if resized is None else {**entry, "by": resized[0], "at": resized[1]}


def spent(watcher: str, seat: int, success: bool) -> Entry:
    """A process has ended by itself, and nobody is to take its seat until the watcher is started again."""
    return {"kind": "spent", "watcher": watcher, "seat": seat, "success": success}


def completed(watcher: str) -> Entry:
    """A watcher has ended by itself with success; until it is started again."""
    return {"kind": "completed", "watcher": watcher}


def tuned(name: str, change: Tuned | None) -> Entry:
    """What is changed of a watcher at run time; nothing any more if there is no change."""
    return {"kind": "tuned", "watcher": name, "change": None if change is None else attrs.asdict(change)}


def hooked(watcher: str, env: Mapping[str, str | None]) -> Entry:
    """What hooks have changed in the environment of a watcher's processes, all in all."""
    return {"kind": "hooked", "watcher": watcher, "env": dict(env)}


def sockets(inodes: Mapping[str, int]) -> Entry:
    """The sockets that are held from now on, by name."""
    return {"kind": "sockets", "inodes": dict(inodes)}


def socket(name: str, inode: int) -> Entry:
    """One socket more is held."""
    return {"kind": "socket", "name": name, "inode": inode}


def reloaded(watcher: str, generation: int) -> Entry:
    """A watcher has seen so many reloads."""
    return {"kind": "reloaded", "watcher": watcher, "generation": generation}


def began(id: int, command: str, by: str) -> Entry:
    """An operation has begun."""
    return {"kind": "began", "id": id, "command": command, "by": by}


def finished(id: int) -> Entry:
    """An operation has ended."""
    return {"kind": "finished", "id": id}


def serial(nextId: int) -> Entry:
    """Every serial below this one was used."""
    return {"kind": "serial", "next": nextId}


def snapshot(left: Left) -> list[Entry]:
    """The fewest entries of which L{replay} makes this again."""
    entries = [serial(left.nextId)]
    entries += [reloaded(watcher, generation) for watcher, generation in left.generations.items()]
    entries += [wanted(name, *state, left.resized.get(name), left.stoppers.get(name, ""))
                for name, state in left.wanted.items()]
    entries += [completed(watcher) for watcher in sorted(left.completed)]
    entries += [tuned(name, change) for name, change in left.tuned.items()]
    entries += [hooked(name, env) for name, env in left.hooked.items()]
    if left.sockets:
        entries.append(sockets(left.sockets))
    entries += [began(operation.id, operation.command, operation.by) for operation in left.operations]
    for worker in left.workers:
        entries.append(intent(worker.names))
        if worker.pid:
            entries.append(spawned(worker.names.id, worker.pid, worker.start, worker.pipes, worker.since))
    entries += [spent(name, seat, success) for name, seats in left.spent.items() for seat, success in seats.items()]
    return entries


def replay(entries: Iterable[Mapping[str, Any]]) -> Left:
    """What the entries add up to; those that make no sense are left out."""
    replaying = _Replay()
    for entry in entries:
        replaying.take(entry)
    return replaying.result()


class _Replay:
    """
    The state so far.

    @ivar workers: those that are not gone, by serial.
    """

    def __init__(self) -> None:
        self.workers: dict[int, LeftWorker] = {}
        self.wanted: dict[str, tuple[bool, int]] = {}
        self.sockets: dict[str, int] = {}
        self.generations: dict[str, int] = {}
        self.operations: dict[int, LeftOperation] = {}
        self.completed: set[str] = set()
        self.tuned: dict[str, Tuned] = {}
        self.hooked: dict[str, dict[str, str | None]] = {}
        self.resized: dict[str, tuple[str, float]] = {}
        self.stoppers: dict[str, str] = {}
        self.spent: dict[str, dict[int, bool]] = {}
        self.nextId = 1

    def take(self, entry: Mapping[str, Any]) -> None:
        """Count one entry in, or leave it out as a whole."""
        kind = entry.get("kind") if isinstance(entry, Mapping) else None
        if isinstance(kind, str) and kind in self._KINDS:
            try:
                self._KINDS[kind](self, entry)
            except (Nonsense, KeyError):
                return

    def result(self) -> Left:
        """What it adds up to."""
        return Left(
            tuple(self.workers.values()), self.wanted, self.sockets, self.nextId, self.generations,
            tuple(self.operations.values()), frozenset(self.completed), self.tuned, self.hooked, self.resized,
            self.stoppers, {name: seats for name, seats in self.spent.items() if seats})

    def _intent(self, entry: Mapping[str, Any]) -> None:
        names = Names(
            id=whole(entry["id"], 1, _SERIAL),
            watcher=named(entry["watcher"]),
            wid=whole(entry["wid"], 1, MOST),
            seat=whole(entry["seat"], 0, MOST),
            generation=whole(entry["generation"], 0, _SERIAL),
        )
        if names.id in self.workers or len(self.workers) >= MOST:
            raise Nonsense
        self.spent.get(names.watcher, {}).pop(names.seat, None)
        self._reload(names.watcher, names.generation)
        self.workers[names.id] = LeftWorker(names)
        self.nextId = max(self.nextId, names.id + 1)

    def _spawned(self, entry: Mapping[str, Any]) -> None:
        worker = self.workers[whole(entry["id"], 1, _SERIAL)]
        pipes = mapped(entry["pipes"])
        if not {"1", "2"}.issuperset(pipes):
            raise Nonsense
        self.workers[worker.names.id] = LeftWorker(
            worker.names,
            pid=whole(entry["pid"], 2, _PID),
            start=whole(entry["start"], 0, _INODE),
            pipes={int(output): whole(inode, 1, _INODE) for output, inode in pipes.items()},
            since=timed(entry.get("since", 0)),
        )

    def _gone(self, entry: Mapping[str, Any]) -> None:
        del self.workers[whole(entry["id"], 1, _SERIAL)]

    def _wanted(self, entry: Mapping[str, Any]) -> None:
        watcher, running = named(entry["watcher"]), entry["running"]
        if not isinstance(running, bool) or (watcher not in self.wanted and len(self.wanted) >= MOST):
            raise Nonsense
        resized = (named(entry["by"]), timed(entry["at"])) if "by" in entry else None
        stopper = named(entry["stopper"]) if "stopper" in entry else ""
        self.wanted[watcher] = running, whole(entry["numprocesses"], 0, MOST)
        self.resized.pop(watcher, None)
        if resized is not None:
            self.resized[watcher] = resized
        self.stoppers.pop(watcher, None)
        if stopper and not running:
            self.stoppers[watcher] = stopper
        if running:
            self.completed.discard(watcher)
        else:
            self.spent.pop(watcher, None)

    def _spent(self, entry: Mapping[str, Any]) -> None:
        watcher, seat, success = named(entry["watcher"]), whole(entry["seat"], 0, MOST), entry["success"]
        if not isinstance(success, bool) or len(self.spent) >= MOST:
            raise Nonsense
        self.spent.setdefault(watcher, {})[seat] = success

    def _completed(self, entry: Mapping[str, Any]) -> None:
        if len(self.completed) >= MOST:
            raise Nonsense
        self.completed.add(named(entry["watcher"]))

    def _tuned(self, entry: Mapping[str, Any]) -> None:
        name, change = named(entry["watcher"]), entry["change"]
        if change is None:
            self.tuned.pop(name, None)
            return
        known, options = mapped(change), mapped(change["options"])
        if len(self.tuned) >= MOST or not all(isinstance(key, str) for key in options):
            raise Nonsense
        by, at = known["by"], timed(known["at"])
        if not isinstance(by, str) or named(known["name"]).lower() != name:
            raise Nonsense
        self.tuned[name] = Tuned(
            named(known["name"]), known["added"] is True, known["removed"] is True, options, by, at)

    def _hooked(self, entry: Mapping[str, Any]) -> None:
        watcher, env = named(entry["watcher"]), mapped(entry["env"])
        if len(self.hooked) >= MOST or not all(isinstance(text, str | None) for pair in env.items() for text in pair):
            raise Nonsense
        self.hooked.pop(watcher, None)
        if env:
            self.hooked[watcher] = {name: value for name, value in env.items() if name}

    def _sockets(self, entry: Mapping[str, Any]) -> None:
        self.sockets = {named(name): whole(inode, 1, _INODE) for name, inode in mapped(entry["inodes"]).items()}

    def _socket(self, entry: Mapping[str, Any]) -> None:
        name = named(entry["name"])
        if name not in self.sockets and len(self.sockets) >= MOST:
            raise Nonsense
        self.sockets[name] = whole(entry["inode"], 1, _INODE)

    def _reloaded(self, entry: Mapping[str, Any]) -> None:
        self._reload(named(entry["watcher"]), whole(entry["generation"], 0, _SERIAL))

    def _reload(self, watcher: str, generation: int) -> None:
        if generation > self.generations.get(watcher, 0) and len(self.generations) < MOST:
            self.generations[watcher] = generation

    def _began(self, entry: Mapping[str, Any]) -> None:
        id = whole(entry["id"], 1, _SERIAL)
        if id in self.operations or len(self.operations) >= MOST:
            raise Nonsense
        self.operations[id] = LeftOperation(id, named(entry["command"]), named(entry["by"]))

    def _finished(self, entry: Mapping[str, Any]) -> None:
        del self.operations[whole(entry["id"], 1, _SERIAL)]

    def _serial(self, entry: Mapping[str, Any]) -> None:
        self.nextId = max(self.nextId, whole(entry["next"], 1, _SERIAL + 1))

    _KINDS = {
        "intent": _intent, "spawned": _spawned, "gone": _gone, "wanted": _wanted, "sockets": _sockets,
        "socket": _socket, "completed": _completed, "reloaded": _reloaded, "serial": _serial, "began": _began,
        "finished": _finished, "tuned": _tuned, "hooked": _hooked, "spent": _spent,
    }
