"""Tests of the recognition of who waits for connections, with real processes and with forged records of them."""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.system import listening
from circustwist.system.lookout import LONGEST_PAUSE, REST, Lookout, Sought

from .workers import WorkersCase, descriptors

OTHER = "pair = socket.socketpair()\nother = pair[0]\n"
WAITS = {
    "accept": "server.accept()",
    "accept with a time limit": "server.settimeout(60); server.accept()",
    "accept in a thread": "threading.Thread(target=server.accept).start(); time.sleep(60)",
    "select": OTHER + "select.select([other, server], [], [])",
    "select with a time limit": "select.select([server], [], [], 60)",
    "poll": "p = select.poll(); p.register(server, select.POLLIN); p.poll()",
    "epoll": "p = select.epoll(); p.register(server, select.EPOLLIN | select.EPOLLET); p.poll()",
    "epoll, exclusive": "p = select.epoll(); p.register(server, select.EPOLLIN | select.EPOLLEXCLUSIVE); p.poll()",
    "epoll over a copy": "s = server.dup(); server.close(); p = select.epoll(); p.register(s, 1); p.poll()",
    "a child": "os.fork() or server.accept()\ntime.sleep(60)",
    "a grandchild": "os.fork() or os.fork() or server.accept()\ntime.sleep(60)",
}
DOES_NOT_WAIT = {
    "sleep": "time.sleep(60)",
    "recv": OTHER + "other.recv(1)",
    "accept elsewhere": "s = socket.create_server(('127.0.0.1', 0)); s.accept()",
    "select on another": OTHER + "select.select([other], [], [])",
    "select for writing": OTHER + "select.select([other], [server], [])",
    "poll on another": OTHER + "p = select.poll(); p.register(other, 1); p.poll()",
    "poll for errors": "p = select.poll(); p.register(server, select.POLLERR); p.poll()",
    "poll on nothing": "select.poll().poll()",
    "epoll on nothing": "select.epoll().poll()",
    "epoll for writing": "p = select.epoll(); p.register(server, select.EPOLLOUT | select.EPOLLET); p.poll(); p.poll()",
    "wait": "os.fork() or time.sleep(60)\nos.wait()",
}


def blocked(pid: int) -> bool:
    """Whether a process waits in one of the system calls that are looked for here, or for its child or the time."""
    with open(f"/proc/{pid}/syscall") as file, open(f"/proc/{pid}/comm") as comm, open(f"/proc/{pid}/stat") as stat:
        call, state = file.read().split(), stat.read().rpartition(")")[2].split()[0]
        return comm.read().startswith("python") and len(call) == 9 and state == "S" and int(call[0]) in (
            *listening._WAITING, 35, 45, 61, 230, 260, 115)


class SeenTests(WorkersCase):
    """Real processes."""

    def seen(self, pid: int, *sockets: int) -> Deferred[None]:
        """Fires when a process is seen."""
        found: Deferred[None] = Deferred()
        lookout = Lookout(self.clock)
        self.addCleanup(lookout.close)
        lookout.add(Sought(pid, sockets or (self.inode,), lambda: found.callback(None)))
        return found

    @inlineCallbacks
    def test_waits(self) -> Any:
        """Every way of waiting for a connection is seen, in threads and descendants too."""
        for how, script in WAITS.items():
            self.listener.setblocking(True)  # A time limit takes that from everybody who has a copy.
            pid = yield self.python(script).started
            yield self.seen(pid).addTimeout(5, self.clock, lambda result, time, how=how: self.fail(how))
            self.assertFalse(listening.sees(pid, frozenset((self.inode + 1,))), how)
            self.assertFalse(listening.sees(pid, frozenset()), how)

    @inlineCallbacks
    def test_doesNotWait(self) -> Any:
        """Whoever waits for something else is not seen."""
        for how, script in DOES_NOT_WAIT.items():
            pid = yield self.python(script).started
            yield self.until(lambda pid=pid: blocked(pid)).addTimeout(
                5, self.clock, lambda result, time, how=how: self.fail(how))
            for _ in range(3):
                self.assertFalse(listening.sees(pid, frozenset((self.inode,))), how)

    @inlineCallbacks
    def test_several(self) -> Any:
        """One of several sockets is enough, a UNIX one too."""
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.bind("\0" + self.mktemp())
        unix.listen()
        pid = yield self.python("socket.socket(fileno=4).accept()", fds={4: unix.fileno()}).started
        yield self.seen(pid, self.inode, os.fstat(unix.fileno()).st_ino)

    @inlineCallbacks
    def test_busy(self) -> Any:
        """Who computes is not seen, and who has ended is nobody."""
        worker = self.python("while True: pass")
        pid = yield worker.started
        self.assertFalse(listening.sees(pid, frozenset((self.inode,))))
        self.spawner.processes[pid].signal(9, "process")
        yield worker.ended
        self.assertFalse(listening.sees(pid, frozenset((self.inode,))))

    @inlineCallbacks
    def test_serves(self) -> Any:
        """Who never rests is seen by a connection that it has accepted; one that it made does not count."""
        with socket.create_server(("127.0.0.1", 0)) as elsewhere:
            script = f"s = socket.create_connection(('127.0.0.1', {elsewhere.getsockname()[1]}))\n"
            pid = yield self.python(script + "while True: pass").started
            elsewhere.accept()[0].close()
            self.assertFalse(listening.sees(pid, frozenset((self.inode,))))
            with socket.create_connection(self.listener.getsockname()):
                yield self.seen((yield self.python("s = server.accept()\nwhile True: pass").started)).addTimeout(
                    5, self.clock)

    @inlineCallbacks
    def test_many(self) -> Any:
        """Two hundred workers that start together are all seen, at a bounded cost, and nothing stays open."""
        yield self.python("").ended  # The reactor itself opens something for its first child.
        before = descriptors()
        lookout = Lookout(self.clock)
        found: list[Deferred[None]] = [Deferred() for _ in range(200)]
        script = "p = select.epoll(); p.register(server, 1); p.poll()"
        workers = [self.python(script) for _ in found]
        pids = yield gatherResults([worker.started for worker in workers])
        for pid, each in zip(pids, found, strict=True):
            lookout.add(Sought(pid, (self.inode,), lambda each=each: each.callback(None)))
        yield gatherResults(found)
        self.assertEqual(lookout._heap, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        begun = time.process_time()
        self.assertTrue(all(listening.sees(pid, frozenset((self.inode,))) for pid in pids))
        self.assertLess((time.process_time() - begun) / len(pids), 0.001)
        for process in self.spawner.processes.values():
            process.signal(9, "process")
        yield gatherResults([worker.ended for worker in workers])
        self.clock.close()
        self.assertEqual(descriptors(), before)


class RefusedTests(SynchronousTestCase):
    """What is not permitted, or makes no sense."""

    def forge(self, **answers: Any) -> None:
        """Replace parts of what the kernel says."""
        for name, answer in answers.items():
            self.patch(listening, name, answer)

    def test_notPermitted(self) -> None:
        """That we may not look is told apart from not seeing."""

        def refuse(path: str, size: int) -> bytes:
            raise PermissionError(errno.EPERM, path)

        self.forge(_read=refuse)
        self.assertRaises(PermissionError, listening.sees, os.getpid(), frozenset((1,)))

    def test_nobody(self) -> None:
        """There need be no such process."""
        self.assertFalse(listening.sees(2**22 + 1, frozenset((1,))))

    def test_nonsense(self) -> None:
        """Arguments that a process can choose freely cost little and lead nowhere."""
        huge = 2**64 - 1
        for waiting in (listening._poll, listening._select, listening._epoll, listening._accept):
            for arguments in (
                [huge] * 6, [0] * 6, [8, huge, 0, 0, 0, 0], [huge, 8, 0, 0, 0, 0], [4096, 4096, 0, 0, 0, 0],
                [1, 1, 0, 0, 0, 0],
            ):
                call = next(number for number, each in listening._WAITING.items() if each is waiting)
                self.assertFalse(listening._waits(os.getpid(), [call, *arguments], frozenset((1,))))

    def test_registers(self) -> None:
        """A descriptor is a C int, whatever stands in the upper half of its register."""
        self.assertEqual(
            [listening._int(word) for word in (3, 2**32 + 3, 2**32 - 1, 2**64 - 1)], [3, 3, -1, -1])

    def test_machines(self) -> None:
        """Both tables name the same ways of waiting."""
        self.assertEqual(set(listening._X86_64.values()), set(listening._GENERIC.values()))

    def test_ownEpoll(self) -> None:
        """An epoll that holds thousands of descriptors is read to its end."""
        with socket.socket() as last, select.epoll() as epoll:
            first = socket.socketpair()
            for end in first:
                epoll.register(end, select.EPOLLIN)
            epoll.register(last, select.EPOLLIN)
            inode = frozenset((os.fstat(last.fileno()).st_ino,))
            self.assertTrue(listening._epoll(os.getpid(), [epoll.fileno()], inode))
            epoll.modify(last, select.EPOLLOUT)
            self.assertFalse(listening._epoll(os.getpid(), [epoll.fileno()], inode))
            for end in first:
                end.close()


class LookoutTests(SynchronousTestCase):
    """The order and the cost of looks, with looks that only take time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.looks: list[tuple[float, int]] = []
        self.cost = 0.0
        self.visible: set[int] = set()
        self.found: list[int] = []
        self.lookout = Lookout(self.clock, self.see)

    def see(self, pid: int, sockets: frozenset[int]) -> bool:
        """One look."""
        self.looks.append((self.clock.seconds(), pid))
        self.clock.rightNow += self.cost
        return pid in self.visible

    def add(self, pid: int) -> Sought:
        """Look at a process."""
        sought = Sought(pid, (1,), lambda: self.found.append(pid))
        self.lookout.add(sought)
        return sought

    def run_(self, seconds: float, step: float = 0.001) -> None:
        """Let time pass."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(step)

    def test_pauses(self) -> None:
        """The first look is taken at once, but never before C{add} returns, and the pauses grow."""
        self.add(1)
        self.assertEqual(self.looks, [])
        self.run_(0.5, 0.0005)
        times = [at for at, _ in self.looks]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        for gap, expected in zip(gaps, [0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 0.1], strict=False):
            self.assertAlmostEqual(gap, expected, delta=0.002)
        self.assertLessEqual(max(gaps), LONGEST_PAUSE + 0.002)

    def test_found(self) -> None:
        """Who is seen is told of once and looked at no more; then there is no timer."""
        self.visible = {1}
        self.add(1)
        self.add(2)
        self.run_(0.01)
        self.assertEqual(self.found, [1])
        self.visible = {1, 2}
        self.run_(0.2)
        self.assertEqual(self.found, [1, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """A new one does not wait for those that are looked at rarely."""
        self.add(1)
        self.run_(1)
        del self.looks[:]
        now = self.clock.seconds()
        self.add(2)
        self.clock.advance(0)
        self.assertEqual(self.looks, [(now, 2)])

    def test_discard(self) -> None:
        """Who is wanted no more is not looked at; without anybody there is no timer."""
        first, second = self.add(1), self.add(2)
        self.lookout.discard(first)
        self.run_(0.05)
        self.assertEqual({pid for _, pid in self.looks}, {2})
        self.lookout.discard(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.lookout.discard(second)

    def test_budget(self) -> None:
        """However many there are, looks take a fifth of the time, and everyone has their turn."""
        self.cost = 0.0001
        for pid in range(1000):
            self.add(pid)
        self.run_(2.0)
        busy = len(self.looks) * self.cost / self.clock.seconds()
        self.assertLess(busy, 1 / REST)
        self.assertGreater(busy, 0.5 / REST)
        counts = [sum(1 for _, each in self.looks if each == pid) for pid in (0, 500, 999)]
        self.assertLessEqual(max(counts) - min(counts), 1)

    def test_errors(self) -> None:
        """A look that fails is taken again, and a lack of rights is kept for the answer."""
        errors: list[Exception] = [ZeroDivisionError(), OSError(errno.EIO, ""), PermissionError()]

        def see(pid: int, sockets: frozenset[int]) -> bool:
            if errors:
                raise errors.pop()
            return True

        self.lookout._sees = see
        sought = self.add(1)
        self.clock.advance(0)
        self.assertTrue(sought.refused)
        self.run_(0.1)
        self.assertEqual((self.found, sought.refused), ([1], False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_reentrant(self) -> None:
        """Who is told may look for others or close everything."""
        acts: list[Callable[[], Any]] = [lambda: self.add(3), self.lookout.close]
        self.visible = {1, 2}
        for pid in self.visible:
            self.lookout.add(Sought(pid, (1,), lambda: acts.pop(0)()))
        self.run_(0.1)
        self.assertEqual(acts, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
