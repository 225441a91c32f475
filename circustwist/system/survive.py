"""
Finding what an earlier supervisor left running, after it was killed.

A process is told from a later one of its number by its start time: the pidfd
is opened first and the time compared after, so that nothing can come in
between.  Listening sockets are copied out of any process that holds them, by
inode, and pipes are opened again through C{/proc}: workers have theirs open
for reading and writing, so there is always something to open.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain

import attrs

from ..logic.durable import Left, LeftWorker
from ..model.errors import WorldError
from . import kernel
from .holders import links


@attrs.frozen
class Survivor:
    """
    A worker that lives.

    @ivar worker: what was recorded of it; with its process, if only the
        intent to start it was recorded.
    @ivar pidfd: its pidfd, whoever takes it closes it.
    @ivar ends: descriptors to read its pipes by, by output; without those
        that it has closed.
    """

    worker: LeftWorker
    pidfd: int
    ends: Mapping[int, int] = attrs.field(hash=False)


@attrs.frozen
class Survivors:
    """
    What was found.

    @ivar dead: workers that have ended since or were never started, each with
        its status as waitpid(2) gives it, None if that is not to be had.
    @ivar sockets: copies of those sockets that somebody still holds, by name.
    """

    living: tuple[Survivor, ...] = ()
    dead: tuple[tuple[LeftWorker, int | None], ...] = ()
    sockets: Mapping[str, int] = attrs.field(factory=dict, hash=False)

    def close(self) -> None:
        """Close every descriptor in it."""
        for survivor in self.living:
            for fd in (survivor.pidfd, *survivor.ends.values()):
                os.close(fd)
        for fd in self.sockets.values():
            os.close(fd)


def find(left: Left, mark: str) -> Survivors:
    """
    Look for the workers, sockets and pipes of an earlier supervisor.

    @raise WorldError: one line, if we lack the rights to take them over.
    """
    search = _Search(left.sockets)
    try:
        for worker in _identified(left.workers, mark):
            search.worker(worker)
        search.descendants()
        search.complain()
    except BaseException:
        search.result().close()
        raise
    return search.result()


def takeover(left: Left, mark: str, within: float = 10.0) -> None:
    """
    Kill what an earlier supervisor left: workers, their groups, and whoever
    carries a token of this stack.

    @param within: how long to wait for their ends, in seconds.
    @raise WorldError: one line, if some may not be killed or do not end.
    """
    _endAll(lambda: _targets(left, mark), within)


def endLost(left: Left, mark: str, damaged: bool, within: float = 10.0) -> list[int]:
    """
    Kill those who carry a token of this stack and of whom the records tell
    nothing: nobody could say what they are, and others are about to be
    started in their place.

    @param damaged: whether some records were lost; otherwise only those are
        unknown whose serial nobody was given yet.
    @return: their pids.
    @raise WorldError: as in L{takeover}.
    """
    known = {worker.names.id for worker in left.workers}
    ended: set[int] = set()

    def targets() -> dict[int, int]:
        found: dict[int, int] = {}
        for pid, id in _tokens(mark):
            if id not in known and (damaged or id >= left.nextId) and pid != os.getpid():
                with suppress(ProcessLookupError):
                    _add(found, pid, os.pidfd_open(pid), _token(pid, mark) == id)
        ended.update(found)
        return found

    _endAll(targets, within)
    return sorted(ended)


def _endAll(wanted: Callable[[], dict[int, int]], within: float) -> None:
    """Kill all that are found, until none is."""
    deadline = time.monotonic() + within
    while targets := wanted():
        try:
            for pid, pidfd in targets.items():
                _kill(pid, pidfd)
            if not _ended(targets.values(), deadline):
                raise WorldError(f"{_processes(targets)} of an earlier supervisor were killed but do not end")
        finally:
            for pidfd in targets.values():
                os.close(pidfd)


class _Search:
    """
    What is found so far.

    @ivar missing: the sockets that are still wanted: their names, by their links in C{/proc}.
    @ivar denied: processes that we may not look into.
    """

    def __init__(self, sockets: Mapping[str, int]) -> None:
        self.living: list[Survivor] = []
        self.dead: list[tuple[LeftWorker, int | None]] = []
        self.sockets: dict[str, int] = {}
        self.missing = {f"socket:[{inode}]": name for name, inode in sockets.items()}
        self.denied: set[int] = set()

    def result(self) -> Survivors:
        """All of it."""
        return Survivors(tuple(self.living), tuple(self.dead), self.sockets)

    def worker(self, worker: LeftWorker) -> None:
        """Look for a worker, its pipes and the sockets it holds."""
        pidfd = _pidfd(worker)
        if pidfd < 0:
            self.dead.append((worker, None))
        elif _ended([pidfd], 0):
            self.dead.append((worker, kernel.exitStatus(worker.pid, pidfd)))
            os.close(pidfd)
        else:
            ends: dict[int, int] = {}
            self.living.append(Survivor(worker, pidfd, ends))
            try:
                for output, inode in worker.pipes.items():
                    ends.update(_end(worker.pid, output, inode))
            except PermissionError:
                self.denied.add(worker.pid)
            self.copies(worker.pid, pidfd)

    def descendants(self) -> None:
        """Look for the sockets that no worker itself holds."""
        seen = [survivor.worker.pid for survivor in self.living]
        for pid in seen:
            if not self.missing:
                return
            children = kernel.children(pid)
            seen.extend(children)
            for child in children:
                self._descendant(child)

    def _descendant(self, pid: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            self.copies(pid, pidfd)
        finally:
            os.close(pidfd)

    def copies(self, pid: int, pidfd: int) -> None:
        """Copy the missing sockets that a process holds."""
        if not self.missing:
            return
        try:
            for fd, link in links(pid):
                if link in self.missing and self._copy(pidfd, fd, link):
                    del self.missing[link]
        except PermissionError:
            self.denied.add(pid)

    def _copy(self, pidfd: int, fd: int, link: str) -> bool:
        try:
            copy = kernel.pidfdGetFD(pidfd, fd)
        except PermissionError:
            raise
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return False  # it has closed it, or has ended
        found = os.fstat(copy)
        if not stat.S_ISSOCK(found.st_mode) or link != f"socket:[{found.st_ino}]":
            os.close(copy)
            return False
        self.sockets[self.missing[link]] = copy
        return True

    def complain(self) -> None:
        """
        Say what is out of reach, if it matters.

        @raise WorldError: one line.
        """
        living = {survivor.worker.pid for survivor in self.living}
        if self.denied & living or (self.denied and self.missing):
            raise WorldError(
                f"{_processes(self.denied)} of an earlier supervisor still run, and their sockets and pipes may not be "
                "taken over (ptrace(2) says who may): start as root, or with --takeover=kill to end them first")


# -- processes ---------------------------------------------------------------


def _processes(pids: Iterable[int]) -> str:
    """Some pids, for a message."""
    shown = sorted(pids)
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""
    return f"processes {', '.join(map(str, shown[:10]))}{more}"


def _identified(workers: Iterable[LeftWorker], mark: str) -> Iterator[LeftWorker]:
    """The workers, with their processes where only the intents were recorded."""
    waiting = {}
    for worker in workers:
        if worker.pid and worker.start:
            yield worker
        else:
            waiting[worker.names.id] = worker
    for pid, id in _tokens(mark) if waiting else ():
        with suppress(OSError):
            if id in waiting and os.getsid(pid) == pid:
                start, pipes = kernel.startTime(pid), _ownPipes(pid)
                yield attrs.evolve(waiting.pop(id), pid=pid, start=start, pipes=pipes)
    yield from waiting.values()


def _tokens(mark: str) -> Iterator[tuple[int, int]]:
    """The processes that carry a token of this stack, each with the serial in it."""
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        id = _token(pid, mark)
        if id:
            yield pid, id


def _token(pid: int, mark: str) -> int:
    """The serial in a process's token of this stack; 0 if it has none."""
    found, _, id = kernel.variable(pid, b"CIRCUSTWIST_ID").rpartition(b"/")
    return int(id) if found == os.fsencode(mark) and id.isdigit() and len(id) < 20 else 0


def _pidfd(worker: LeftWorker) -> int:
    """The pidfd of a worker, which may be a zombie; -1 if it is no more."""
    if not worker.pid:
        return -1
    try:
        pidfd = os.pidfd_open(worker.pid)
    except OSError as error:
        # EINVAL, later ENOENT, is a thread of another process.
        if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            return -1
        raise
    with suppress(OSError):
        if kernel.startTime(worker.pid) == worker.start:
            return pidfd
    os.close(pidfd)
    return -1


def _ended(pidfds: Iterable[int], deadline: float) -> bool:
    """Wait until all of them have ended; False if they have not by then."""
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
    return True


# -- pipes -------------------------------------------------------------------


def _end(pid: int, output: int, inode: int) -> dict[int, int]:
    """The reading end of a worker's pipe, if the worker has it open still."""
    for fd, link in chain(_link(pid, output), links(pid)):
        if link == f"pipe:[{inode}]":
            try:
                end = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            found = os.fstat(end)
            if stat.S_ISFIFO(found.st_mode) and found.st_ino == inode:
                return {output: end}
            os.close(end)
    return {}


def _link(pid: int, fd: int) -> Iterator[tuple[int, str]]:
    with suppress(OSError):
        yield fd, os.readlink(f"/proc/{pid}/fd/{fd}")


def _ownPipes(pid: int) -> dict[int, int]:
    """
    The pipes that a supervisor made for a process, by output.

    Those are open for reading and writing; one that the process inherited is
    open for writing only.
    """
    pipes = {}
    for output in (1, 2):
        for fd, link in _link(pid, output):
            with open(f"/proc/{pid}/fdinfo/{fd}") as info:
                flags = next((int(line.split()[1], 8) for line in info if line.startswith("flags:")), 0)
            if link.startswith("pipe:[") and flags & os.O_ACCMODE == os.O_RDWR:
                pipes[output] = int(link[len("pipe:[") : -1])
    return pipes


# -- killing -----------------------------------------------------------------


def _targets(left: Left, mark: str) -> dict[int, int]:
    """Who is to be killed: pidfds by pid, without those that have ended."""
    found: dict[int, int] = {}
    for worker in left.workers:
        _add(found, worker.pid, _pidfd(worker), True)
    for pid, id in _tokens(mark):
        if pid not in found and pid != os.getpid():
            with suppress(ProcessLookupError):
                _add(found, pid, os.pidfd_open(pid), _token(pid, mark) == id)
    return found


def _add(found: dict[int, int], pid: int, pidfd: int, meant: bool) -> None:
    """Take a process in, unless it has ended or is another."""
    if pidfd >= 0 and meant and not _ended([pidfd], 0):
        found[pid] = pidfd
    elif pidfd >= 0:
        os.close(pidfd)


def _kill(pid: int, pidfd: int) -> None:
    """
    Kill a process, and its group if it leads one.

    @raise WorldError: if we may not.
    """
    try:
        if os.getpgid(pid) == pid != os.getpgrp():
            kernel.signalGroup(pid, pidfd, signal.SIGKILL)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:
        raise WorldError(
            f"process {pid} of an earlier supervisor may not be killed by uid {os.geteuid()}: start as root"
        ) from None
