"""
Everything that a worker started: found and ended although it left the
worker's process group, its session, or its parent.

Each worker leads a session, so that its pid is the number of its session and
of its group.  A descendant is known by its session, or by the C{CIRCUSTWIST_ID}
in its environment.  Where this process is a subreaper or PID 1, a descendant
becomes our child as soon as its parent has ended: then one look at our own
children finds all of them, and what has shed every mark can at least be told.
Where it is neither, only the group of a worker is ended with it, and what
else can be reached from a worker that still lives.

A process that is our own child and has not been waited for keeps its number,
so that it may be signalled by that; every other one is signalled by a pidfd.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet import process
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime

from . import kernel

MARK = b"CIRCUSTWIST_ID"
"""The variable that names a worker in the environment of its descendants."""

ROUNDS = 16
"""So often at most processes are looked for that were started meanwhile."""
REMEMBERED = 4096
"""So many ended workers and killed processes are remembered, for those that come late."""
SECOND_LOOK = 0.1
"""Seconds after which a stranger is looked at again before it is said to belong to nobody."""
DOOMED = 0
"""The mark of a process that was killed with its parent; no session has this number."""


class Owner(Protocol):
    """A worker, as far as its descendants are concerned."""

    @property
    def pid(self) -> int:
        """Its pid, group and session."""

    @property
    def token(self) -> bytes:
        """The value of C{CIRCUSTWIST_ID}; empty if it has none."""


def descendants(pid: int) -> dict[int, int]:
    """The children of a process, theirs, and so on: the parent of each by its pid."""
    found: dict[int, int] = {}
    ahead = [pid]
    while ahead:
        parent = ahead.pop()
        for child in kernel.children(parent):
            if child not in found:
                found[child] = parent
                ahead.append(child)
    return found


def signalChild(pid: int, parent: int, signum: int) -> None:
    """
    Signal a process if it still is a child of the parent it was seen under.
    """
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if kernel.parent(pid) == parent:
                signal.pidfd_send_signal(pidfd, signum)
        finally:
            os.close(pidfd)


def killDescendants(pid: int) -> set[int]:
    """
    Kill everything below a process, and what is started there meanwhile.

    @return: what was killed.
    """
    done: set[int] = set()
    for _ in range(ROUNDS):
        new = {child: parent for child, parent in descendants(pid).items() if child not in done}
        if not new:
            break
        for child, parent in new.items():
            signalChild(child, parent, signal.SIGKILL)
        done |= new.keys()
    return done


def killGroup(pid: int) -> None:
    """Kill the process group of a worker that was not waited for yet."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def killElsewhere(owners: Iterable[Owner]) -> None:
    """
    Kill what is left of workers whose numbers may be somebody else's by now,
    by looking at every process of the host; its descendants too.  A session's
    number counts only if somebody in it still carries the token.
    """
    sessions = {owner.pid for owner in owners}
    tokens = {owner.token for owner in owners} - {b""}
    done: set[int] = {os.getpid()}
    for _ in range(ROUNDS if tokens else 0):
        new = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if pid not in done]
        seen = {pid: (mark, session) for pid in new for mark, session in _marks(pid)}
        sure = {session for mark, session in seen.values() if mark in tokens} & sessions
        doomed = [pid for pid, (mark, session) in seen.items() if mark in tokens or session in sure]
        for pid in doomed:
            _killMarked(pid, seen[pid])
        done.update(new)
        if not doomed:
            return


def _marks(pid: int) -> Iterator[tuple[bytes, int]]:
    """The token and the session of a process that is there."""
    with suppress(OSError):
        yield kernel.variable(pid, MARK), kernel.session(pid)


def _killMarked(pid: int, marks: tuple[bytes, int]) -> None:
    """Kill a process that still has these marks, and what is below it."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if marks in _marks(pid):
                killDescendants(pid)
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


class IReactor(IReactorFromThreads, IReactorTime):
    """What is needed of a reactor here."""


class Tree:
    """
    The strangers among our children: processes that a worker started and that
    became ours because their parent ended.

    @ivar strangers: the token or session that each is known by, None for one
        that has shed both, L{DOOMED} for one that was killed with its parent.
    """

    def __init__(self, reactor: IReactor, workers: Mapping[int, Owner], report: Callable[[int, str], None]) -> None:
        """
        @param workers: our workers by pid, kept up to date by their owner.
        @param report: called once with the pid and the command line of each
            stranger that belongs to nobody.
        """
        self.strangers: dict[int, bytes | int | None] = {}
        self._reactor = reactor
        self._workers = workers
        self._report = report
        self._reported: set[int] = set()
        self._ended: dict[bytes, bool] = {}
        self._killed: dict[tuple[int, int], None] = {}
        self._scheduled = False
        self._second: IDelayedCall | None = None
        self._key = 0

    def start(self) -> None:
        """Look for strangers whenever a child ends, if they become our children at all."""
        if not self._key and kernel.isSubreaper():
            self._key = os.getpid()
            # Not by registerReapProcessHandler: it waits for the pid first and logs that this is no child.
            process.reapProcessHandlers[self._key] = self  # type: ignore[assignment]  # reapProcess is all it needs

    def close(self) -> None:
        """Look no more."""
        if self._key:
            process.unregisterReapProcessHandler(self._key, self)
            self._key = 0
        if self._second is not None:
            self._second.cancel()
            self._second = None

    def reapProcess(self) -> None:
        """Some child has ended: look once, after everything else of this turn of the reactor."""
        if not self._scheduled:
            self._scheduled = True
            # Not by callLater(0), which waits for an hour when the time of day is set back by one.
            self._reactor.callFromThread(self._swept)

    def _swept(self) -> None:
        self._scheduled = False
        if self._key:
            self.sweep()

    def ended(self, owners: Iterable[Owner], kill: bool) -> None:
        """
        Deal with all strangers of workers that have ended but were not waited
        for yet, and with whatever of theirs comes to light later.

        @param kill: whether they are killed, or left alone.
        """
        owners = list(owners)
        self._ended.update((owner.token, kill) for owner in owners if owner.token)
        _trim(self._ended)
        if self._key and owners:
            self.sweep(frozenset(owner.pid for owner in owners) if kill else frozenset())

    def sweep(self, sessions: frozenset[int] = frozenset()) -> None:
        """
        Look at our children once: meet the new ones, wait for the dead, kill
        what ended workers left behind.

        @param sessions: of workers that have ended and are to leave nothing.
        """
        killed: set[int] = set()
        for _ in range(ROUNDS):
            self._look()
            doomed = {
                pid for pid, mark in self.strangers.items()
                if mark in sessions or (isinstance(mark, bytes) and self._ended.get(mark))
            } - killed
            if not doomed:
                break
            for pid in doomed:
                self._killStranger(pid)
            killed |= doomed

    def signal(self, owner: Owner, signum: int) -> None:
        """Signal a living worker's descendants outside its group, those that are our children now included."""
        with suppress(OSError):
            self._look()
        found = descendants(owner.pid)
        for root, mark in self.strangers.items():
            if mark and mark in (owner.token, owner.pid):
                found[root] = os.getpid()
                found.update(descendants(root))
        for pid, parent in found.items():
            with suppress(OSError):
                if int(kernel.stat(pid)[2]) != owner.pid:
                    signalChild(pid, parent, signum)

    def unattributed(self) -> list[int]:
        """The strangers that belong to nobody we know of."""
        return [pid for pid, mark in self.strangers.items() if mark is None]

    def killUnattributed(self) -> None:
        """Kill the strangers that belong to nobody, at the end of everything."""
        if self._key:
            self._look()
            for pid in self.unattributed():
                self._killStranger(pid)

    def _killStranger(self, pid: int) -> None:
        for child in killDescendants(pid):
            with suppress(OSError):
                self._killed[child, kernel.startTime(child)] = None
        _trim(self._killed)
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)

    def _look(self) -> None:
        if not self._key:
            return
        here = set(kernel.children(os.getpid())) - self._workers.keys() - process.reapProcessHandlers.keys()
        for gone in self.strangers.keys() - here:
            self._forget(gone)
        unknown = [pid for pid in here if self.strangers.get(pid) is None and self._isForeign(pid)]
        tokens = {worker.token for worker in self._workers.values()} | self._ended.keys() if unknown else set()
        for pid in unknown:
            with suppress(OSError):
                self.strangers[pid] = self._mark(pid, tokens)
        for pid in list(self.strangers):
            with suppress(OSError):
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG):
                    self._forget(pid)
        if self._second is None and not self._reported.issuperset(self.unattributed()):
            self._second = self._reactor.callLater(SECOND_LOOK, self._lookAgain)

    def _isForeign(self, pid: int) -> bool:
        """Whether a child is of another session; what is of ours is somebody else's, who waits for it."""
        with suppress(OSError):
            return kernel.session(pid) != os.getsid(0)
        return False

    def _mark(self, pid: int, tokens: set[bytes]) -> bytes | int | None:
        if (pid, kernel.startTime(pid)) in self._killed:
            return DOOMED
        token, session = kernel.variable(pid, MARK), kernel.session(pid)
        return token if token and token in tokens else session if session in self._workers else None

    def _lookAgain(self) -> None:
        """
        Report who still belongs to nobody: in the midst of an execve a
        process has neither an environment nor words.
        """
        self._second = None
        self.sweep()
        for pid in self.unattributed():
            words = kernel.commandLine(pid)
            if words and pid not in self._reported:
                self._reported.add(pid)
                self._report(pid, words)

    def _forget(self, pid: int) -> None:
        self.strangers.pop(pid, None)
        self._reported.discard(pid)


def _trim(memory: dict[Any, Any]) -> None:
    """Forget the oldest."""
    while len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
