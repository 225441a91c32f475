"""Tests of what is found after a supervisor was killed."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from unittest import skipUnless

import attrs
from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.durable import Left, LeftWorker
from circustwist.model.errors import WorldError
from circustwist.model.launch import Names
from circustwist.system import kernel, survive
from circustwist.system.survive import Survivors

ROOT = os.getuid() == 0
STACK = f"test ä$({os.getpid()})"
SUPERVISOR = r"""
import json, os, socket, sys
stack, *scripts = sys.argv[1:]
s = socket.create_server(("127.0.0.1", 0))
told = []
for id, script in enumerate(scripts, 1):
    r, w = os.pipe()
    both = os.open(f"/proc/self/fd/{w}", os.O_RDWR)
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], {"CIRCUSTWIST_ID": f"{stack}/{id}"}, setsid=True,
        file_actions=[(os.POSIX_SPAWN_DUP2, both, 1), (os.POSIX_SPAWN_DUP2, s.fileno(), 3)])
    up = b""
    while not up.endswith(b"\n"):
        up += os.read(r, 1)
    told.append((pid, os.fstat(r).st_ino))
print(json.dumps([s.getsockname()[1], os.fstat(s.fileno()).st_ino, told]), flush=True)
sys.stdin.read()
"""
PLAIN = "echo up; echo hello; exec sleep 1000"
WRAPPER = "sleep 1000 & exec 3<&-; echo up; wait"
CLOSED = "exec 3<&-; echo up; exec sleep 1000"
STUBBORN = "(trap '' TERM HUP; exec setsid sleep 1000) & echo up; exec sleep 1000"


class Base(SynchronousTestCase):
    """A supervisor that is killed when its workers are up."""

    def killed(self, *scripts: str) -> Left:
        """Let a supervisor start these workers and kill it; what its journal would say."""
        command = [sys.executable, "-c", SUPERVISOR, STACK, *scripts]
        with subprocess.Popen(command, stdin=-1, stdout=-1) as supervisor:
            assert supervisor.stdout is not None
            self.port, inode, told = json.loads(supervisor.stdout.readline())
            self.pidfds = [os.pidfd_open(pid) for pid, _ in told]
            self.addCleanup(self.end, [pid for pid, _ in told])
            supervisor.kill()
        workers = tuple(
            LeftWorker(Names(id, "web", id), pid, kernel.startTime(pid), {1: pipe})
            for id, (pid, pipe) in enumerate(told, 1)
        )
        return Left(workers, sockets={"web": inode}, nextId=len(workers) + 1)

    def end(self, pids: Sequence[int]) -> None:
        """Kill the workers with their groups, and see them end."""
        for pid, pidfd in zip(pids, self.pidfds, strict=True):
            if not self.ended(pidfd):
                os.killpg(pid, signal.SIGKILL)
            self.assertTrue(self.ended(pidfd, 10))
            os.close(pidfd)

    def ended(self, pidfd: int, within: float = 0) -> bool:
        """Whether a process has ended."""
        return bool(select.select([pidfd], [], [], within)[0])

    def unprivileged(self, what: Callable[[Left, str], object], left: Left) -> WorldError:
        """What is said to somebody without rights."""
        os.setresuid(65534, 65534, 0)
        try:
            return self.assertRaises(WorldError, what, left, STACK)
        finally:
            os.setresuid(0, 0, 0)

    def find(self, left: Left) -> Survivors:
        """What is found, closed at the end."""
        found = survive.find(left, STACK)
        self.addCleanup(found.close)
        return found


class FindTests(Base):
    """L{survive.find}."""

    def test_nothing(self) -> None:
        """Where nothing was left nothing is found."""
        self.assertEqual(survive.find(Left(), STACK), Survivors())

    def test_all(self) -> None:
        """Workers, their pipes with what was in them, and the socket with its queue are found."""
        left = self.killed(PLAIN, PLAIN)
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            found = self.find(left)
            with socket.socket(fileno=os.dup(found.sockets["web"])) as listener:
                connection, address = listener.accept()
                connection.close()
                self.assertEqual(address, client.getsockname())
        self.assertEqual([survivor.worker for survivor in found.living], list(left.workers))
        self.assertEqual(found.dead, ())
        for survivor in found.living:
            self.assertTrue(self.ended(survivor.ends[1], 10))
            self.assertEqual(os.read(survivor.ends[1], 100), b"hello\n")
            self.assertFalse(self.ended(survivor.pidfd))
            fds = [survivor.pidfd, *survivor.ends.values(), *found.sockets.values()]
            self.assertFalse(any(map(os.get_inheritable, fds)))
            self.assertFalse(os.get_blocking(survivor.ends[1]))

    def test_descendant(self) -> None:
        """A socket that only a worker's child holds is found."""
        left = self.killed(WRAPPER)
        self.assertEqual(os.fstat(self.find(left).sockets["web"]).st_ino, left.sockets["web"])

    def test_lostSocket(self) -> None:
        """A socket that nobody holds is not found; the workers are."""
        found = self.find(self.killed(CLOSED))
        self.assertEqual((len(found.living), found.sockets), (1, {}))

    def test_lostPipe(self) -> None:
        """A pipe that the worker has closed is not found; the worker is."""
        left = self.killed("echo up; exec sleep 1000 >/dev/null")
        link = f"/proc/{left.workers[0].pid}/fd/1"
        while os.readlink(link) != "/dev/null":
            select.select([], [], [], 0.001)
        self.assertEqual(self.find(left).living[0].ends, {})

    def test_dead(self) -> None:
        """A worker that died meanwhile is told apart."""
        left = self.killed(PLAIN, PLAIN)
        signal.pidfd_send_signal(self.pidfds[0], signal.SIGKILL)
        self.assertTrue(self.ended(self.pidfds[0], 10))
        found = self.find(left)
        self.assertEqual([survivor.worker for survivor in found.living], [left.workers[1]])
        ((worker, status),) = found.dead
        self.assertEqual(worker, left.workers[0])
        self.assertIn(status, (signal.SIGKILL, None))

    def test_zombie(self) -> None:
        """The status of a worker that nobody has reaped yet is known."""
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})
        self.addCleanup(os.waitpid, pid, 0)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        worker = LeftWorker(Names(1, "web", 1), pid, kernel.startTime(pid))
        self.assertEqual(self.find(Left((worker,))).dead, ((worker, 3 << 8),))

    def test_otherProcess(self) -> None:
        """A later process of the same number is not taken for the worker, nor is a thread."""
        for pid in (os.getpid(), 2**22):
            worker = LeftWorker(Names(1, "web", 1), pid, kernel.startTime(os.getpid()) + 1)
            self.assertEqual(self.find(Left((worker,))).dead, ((worker, None),))

    def test_intent(self) -> None:
        """A worker of which only the intent is known is found by its token, with its pipes."""
        left = self.killed(PLAIN, WRAPPER)
        intents = [attrs.evolve(worker, pid=0, start=0, pipes={}) for worker in left.workers]
        lost = LeftWorker(Names(9, "web", 9))
        found = self.find(attrs.evolve(left, workers=(*intents, lost)))
        living = sorted((survivor.worker for survivor in found.living), key=lambda worker: worker.names.id)
        self.assertEqual(living, list(left.workers))
        self.assertEqual(found.dead, ((lost, None),))

    def test_otherStack(self) -> None:
        """The tokens of another stack are not ours."""
        left = self.killed(PLAIN)
        intent = attrs.evolve(left.workers[0], pid=0, start=0)
        self.assertEqual(survive.find(Left((intent,)), STACK[:-1]).living, ())

    @skipUnless(ROOT, "only root can become somebody without rights")
    def test_rights(self) -> None:
        """Without the right to take something over, the processes and the remedy are named."""
        left = self.killed(PLAIN)
        line = str(self.unprivileged(survive.find, left))
        self.assertIn(f"processes {left.workers[0].pid} of an earlier supervisor still run", line)
        self.assertIn("--takeover=kill", line)
        self.assertNotIn("\n", line)

    def test_noLeak(self) -> None:
        """Everything that was found can be closed."""
        before = os.listdir("/proc/self/fd")
        left = self.killed(PLAIN, WRAPPER)
        opened = len(os.listdir("/proc/self/fd")) - len(before)
        survive.find(left, STACK).close()
        self.assertEqual(len(os.listdir("/proc/self/fd")) - len(before), opened)


class TakeoverTests(Base):
    """L{survive.takeover}."""

    def descendants(self, left: Left) -> list[int]:
        """The pidfds of all children of the workers."""
        found = [os.pidfd_open(child) for worker in left.workers for child in kernel.children(worker.pid)]
        for pidfd in found:
            self.addCleanup(os.close, pidfd)
        return found

    def test_all(self) -> None:
        """Workers, their groups and whoever carries the token end, and nobody else does."""
        left = self.killed(PLAIN, WRAPPER, STUBBORN, f"(exec env -i sleep 1000) & {PLAIN}")
        family = self.descendants(left)
        self.assertEqual(len(family), 3)
        survive.takeover(left, STACK)
        for pidfd in (*self.pidfds, *family):
            self.assertTrue(self.ended(pidfd))

    def test_deadWorker(self) -> None:
        """What a worker that is dead itself has left carries the token, and ends."""
        left = self.killed(STUBBORN)
        family = self.descendants(left)
        signal.pidfd_send_signal(self.pidfds[0], signal.SIGKILL)
        self.assertTrue(self.ended(self.pidfds[0], 10))
        survive.takeover(left, STACK)
        self.assertTrue(self.ended(family[0]))

    def test_nobody(self) -> None:
        """Where nothing is left there is nothing to do."""
        survive.takeover(Left((LeftWorker(Names(1, "web", 1), os.getpid(), 1),)), STACK)

    @skipUnless(ROOT, "only root can become somebody without rights")
    def test_rights(self) -> None:
        """Who may not kill them is told so."""
        left = self.killed(PLAIN)
        self.assertIn("may not be killed", str(self.unprivileged(survive.takeover, left)))
        self.assertFalse(self.ended(self.pidfds[0]))
