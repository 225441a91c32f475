"""
What processes use: processor time, memory, threads, descriptors and children.

A process is read through descriptors that are kept, which cannot come to
mean another one of the same number.  Nothing here waits for time to pass;
who looks, and when, is the business of L{observatory}.
"""

from __future__ import annotations

import os
import pwd
import resource
import time
from collections.abc import Generator, Iterable
from contextlib import suppress
from functools import lru_cache

import attrs

from ..model.launch import Names
from ..model.samples import Facts, ProcessSample, WatcherSample, WorkerSample
from . import kernel

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEMORY = max(1, os.sysconf("SC_PHYS_PAGES") * _PAGE)
_PROCESSORS = os.cpu_count() or 1
_KEPT = ("stat", "statm", "task/{pid}/children", "fd")
_FDS = 3
_FACTS_EVERY = 30
"""So many looks what seldom changes is taken to be the same."""


class Gone(Exception):
    """The process has ended."""


class Gauge:
    """One process that is looked at again and again."""

    __slots__ = ("_children", "_facts", "_fds", "_last", "_looks", "_start", "pid")

    def __init__(self, pid: int, keep: bool = True, children: bool = True) -> None:
        """
        @param keep: whether to keep descriptors to it.
        @param children: whether what ended children used is its own use.
        @raise Gone: if there is no such process.
        """
        self.pid = pid
        self._children = children
        self._last: tuple[float, int, int] | None = None
        self._looks = pid
        self._fds: list[int] = []
        self._facts = Facts()
        try:
            self._start = kernel.startTime(pid) / _TICK
        except (OSError, IndexError):
            raise Gone from None
        try:
            for name in _KEPT if keep else ():
                self._fds.append(os.open(_path(pid, name), os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            # It has ended, we may not see all of it, or the kernel is without CONFIG_PROC_CHILDREN.
            self.close()
        self._facts = self._factsNow()

    def look(self, now: float) -> ProcessSample:
        """
        What it uses now.

        @param now: on the monotonic clock.
        @raise Gone: if it has ended.
        """
        try:
            fields = self._read(0, 1024).rpartition(b")")[2].split()
            own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
            memory = int(self._read(1, 128).split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            raise Gone from None
        if fields[0] in (b"Z", b"X"):
            raise Gone
        self._looks += 1
        if self._looks % _FACTS_EVERY == 0:
            self._facts = self._factsNow()
        return ProcessSample(
            self.pid, self._percent(now, own, ended), (own + ended * self._children) / _TICK, memory, int(fields[20]),
            100.0 * memory / _MEMORY, max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - self._start), int(fields[17]),
            self._descriptors(), self._childCount(), self._facts)

    def _descriptors(self) -> int | None:
        """How many it has open; see L{descriptors}."""
        with suppress(OSError):
            if self._fds and (count := os.fstat(self._fds[_FDS]).st_size):
                return count
        return descriptors(self.pid)

    def _percent(self, now: float, own: int, ended: int) -> float:
        last, self._last = self._last, (now, own, ended)
        if last is None or now <= last[0]:
            return 0.0
        full = (now - last[0]) * _TICK
        # What a child used in all its life is told at its end; no more can be of this moment than there are processors.
        children = min(ended - last[2], full * _PROCESSORS) if self._children else 0
        return 100.0 * (own - last[1] + children) / full

    def _read(self, which: int, size: int) -> bytes:
        if self._fds:
            return os.pread(self._fds[which], size, 0)
        fd = os.open(_path(self.pid, _KEPT[which]), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, size)
        finally:
            os.close(fd)

    def _childCount(self) -> int:
        try:
            found = self._read(2, 1024)
        except OSError:
            return 0
        return found.count(b" ") if len(found) < 1024 else len(self.childPids())

    def childPids(self) -> list[int]:
        """Its direct children, as far as its first thread started them."""
        try:
            return [int(pid) for pid in self._read(2, 65536).split()]
        except (OSError, ValueError):
            return []

    def _factsNow(self) -> Facts:
        with suppress(OSError, IndexError):
            fields = kernel.stat(self.pid)
            created = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + self._start
            user = userName(os.stat(f"/proc/{self.pid}").st_uid)
            return Facts(_program(self.pid), user, int(fields[16]), round(created, 2))
        return self._facts

    def close(self) -> None:
        """Give back the descriptors."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


def _path(pid: int, name: str) -> str:
    return f"/proc/{pid}/{name.format(pid=pid)}"


def _program(pid: int) -> str:
    """The program of a process without its folder and its arguments, in which there may be secrets."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            word = file.read(4096).partition(b"\0")[0]
    except OSError:
        return ""
    return os.path.basename(word.decode("utf-8", "backslashreplace").split(" ")[0])


@lru_cache(maxsize=256)
def userName(uid: int) -> str:
    """The name of a user; the number if he has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def descriptors(pid: int) -> int | None:
    """
    How many descriptors a process has open; None if we may not see that.

    @see: since Linux 6.2 the size of C{/proc/PID/fd} is their number.
    """
    path = f"/proc/{pid}/fd"
    try:
        return os.stat(path).st_size or len(os.listdir(path))
    except OSError:
        return None


@attrs.define
class Sampling:
    """
    Gauges of many processes, kept from one look to the next.

    @ivar most: so many processes are read through descriptors that are kept;
        most descriptors are for others.
    """

    most: int = attrs.field(factory=lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 16)
    _gauges: dict[int, Gauge] = attrs.field(factory=dict)
    _own: Gauge | None = None
    _spent: dict[str, dict[int, float]] = attrs.field(factory=dict)
    _ended: dict[str, float] = attrs.field(factory=dict)

    def supervisor(self, now: float) -> ProcessSample:
        """This process, without its children."""
        if self._own is None:
            self._own = Gauge(os.getpid(), children=False)
        return self._own.look(now)

    def walk(
        self, running: Iterable[tuple[str, Iterable[tuple[Names, int]]]], seconds: float, offspring: bool
    ) -> Generator[None, None, tuple[WatcherSample, ...]]:
        """
        Look at the workers of each watcher, and return what they use; whoever
        drives it may pause it after each of them.

        @param seconds: now, on the monotonic clock.
        @param offspring: whether to look at their direct children too.
        """
        found: list[WatcherSample] = []
        seen: set[int] = set()
        for name, workers in running:
            samples: list[WorkerSample] = []
            for names, pid in workers:
                seen.add(names.id)
                with suppress(Gone):
                    samples.append(self._worker(names, pid, seconds, offspring))
                yield
            found.append(WatcherSample(name, tuple(samples), self._seconds(name, samples)))
        for id in self._gauges.keys() - seen:
            self._gauges.pop(id).close()
        return tuple(found)

    def _seconds(self, watcher: str, samples: Iterable[WorkerSample]) -> float:
        """The processor time of a watcher since it was seen first."""
        living = {worker.names.id: worker.process.seconds for worker in samples}
        before = self._spent.get(watcher)
        if before is None:
            self._ended[watcher] = -sum(living.values())
        else:
            self._ended[watcher] += sum(spent for id, spent in before.items() if id not in living)
        self._spent[watcher] = living
        return self._ended[watcher] + sum(living.values())

    def _worker(self, names: Names, pid: int, now: float, offspring: bool) -> WorkerSample:
        gauge = self._gauges.get(names.id)
        if gauge is None or gauge.pid != pid:
            if gauge is not None:
                gauge.close()
            gauge = self._gauges[names.id] = Gauge(pid, len(self._gauges) < self.most)
        return WorkerSample(names, gauge.look(now), tuple(_looked(gauge.childPids(), now)) if offspring else ())

    def close(self) -> None:
        """Forget all of them."""
        for gauge in (*self._gauges.values(), *filter(None, [self._own])):
            gauge.close()
        self._gauges.clear()
        self._own = None


def _looked(pids: Iterable[int], now: float) -> Iterable[ProcessSample]:
    for pid in pids:
        with suppress(Gone):
            yield Gauge(pid, keep=False).look(now)
