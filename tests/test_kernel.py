"""Tests of the calls to the kernel that Python lacks."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from circustwist.system import kernel

TOKEN = b"CIRCUSTWIST_ID"


class TimerTests(SynchronousTestCase):
    """A timer of the kernel."""

    def setUp(self) -> None:
        self.fd = kernel.timerCreate()
        self.addCleanup(os.close, self.fd)

    def test_disarmed(self) -> None:
        """A new timer is disarmed, close-on-exec and does not block."""
        self.assertEqual(kernel.timerLeft(self.fd), 0)
        self.assertFalse(os.get_inheritable(self.fd))
        self.assertFalse(os.get_blocking(self.fd))

    def test_expires(self) -> None:
        """It becomes readable at its time, not before."""
        when = time.monotonic() + 0.02
        kernel.timerSet(self.fd, when)
        select.select([self.fd], [], [])
        self.assertGreaterEqual(time.monotonic(), when)
        self.assertEqual(len(os.read(self.fd, 8)), 8)

    def test_past(self) -> None:
        """A time that has passed expires at once."""
        kernel.timerSet(self.fd, 1e-9)
        self.assertEqual(select.select([self.fd], [], [], 5)[0], [self.fd])

    def test_far(self) -> None:
        """A time that the kernel cannot count is as far away as it can be."""
        kernel.timerSet(self.fd, 1e300)
        self.assertGreater(kernel.timerLeft(self.fd), 1e9)
        kernel.timerSet(self.fd, 0)
        self.assertEqual(kernel.timerLeft(self.fd), 0)

    def test_error(self) -> None:
        """An error has the kernel's number."""
        error = self.assertRaises(OSError, kernel.timerSet, -1, 1)
        self.assertEqual(error.errno, errno.EBADF)


class ProcessTests(SynchronousTestCase):
    """What is known of another process."""

    def setUp(self) -> None:
        self.process = subprocess.Popen(
            ["cat", "-"], env={"PATH": os.environ["PATH"], "CIRCUSTWIST_ID": "t/1"}, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end)
        os.write(self.process.stdin.fileno(), b"x")  # type: ignore[union-attr]  # a pipe
        os.read(self.process.stdout.fileno(), 1)  # type: ignore[union-attr]  # a pipe
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.addCleanup(os.close, self.pidfd)

    def end(self) -> None:
        """Leave nothing running."""
        with self.process:
            self.process.kill()

    def test_relations(self) -> None:
        """Parent, session and children are those of the kernel."""
        self.assertEqual(kernel.parent(self.pid), os.getpid())
        self.assertEqual(kernel.session(self.pid), self.pid)
        self.assertIn(self.pid, kernel.children(os.getpid()))
        self.assertEqual(kernel.children(self.pid), [])

    def test_startTime(self) -> None:
        """A start time does not change and lies in the past."""
        first = kernel.startTime(self.pid)
        self.assertEqual(first, kernel.startTime(self.pid))
        self.assertLessEqual(kernel.startTime(os.getpid()), first)

    def test_environment(self) -> None:
        """A variable is found by its whole name."""
        self.assertEqual(kernel.variable(self.pid, TOKEN), b"t/1")
        self.assertEqual(kernel.variable(self.pid, b"CIRCUSTWIST"), b"")
        self.assertEqual(kernel.variable(self.pid, b"IRCUSTWIST_ID"), b"")

    def test_commandLine(self) -> None:
        """The words are told as one line."""
        self.assertEqual(kernel.commandLine(self.pid), "cat -")

    def test_gone(self) -> None:
        """Of a process that is gone there is nothing to be known."""
        self.end()
        self.assertRaises(FileNotFoundError, kernel.startTime, self.pid)
        self.assertEqual(kernel.children(self.pid), [])
        self.assertEqual(kernel.variable(self.pid, TOKEN), b"")
        self.assertEqual(kernel.commandLine(self.pid), "")

    def test_zombie(self) -> None:
        """The status of a process that has ended is had although nobody waited for it."""
        self.process.kill()
        select.select([self.pidfd], [], [])
        self.assertEqual(kernel.exitStatus(self.pid, self.pidfd), signal.SIGKILL)
        self.assertEqual(kernel.session(self.pid), self.pid)

    def test_reaped(self) -> None:
        """The status is had after somebody else waited for it, where the kernel keeps it."""
        self.process.terminate()
        self.process.wait()
        status = kernel.exitStatus(self.pid, self.pidfd)
        if status is None:
            self.skipTest("PIDFD_GET_INFO does not tell it before Linux 6.15")
        self.assertEqual(status, signal.SIGTERM)

    def test_running(self) -> None:
        """A process that runs has no status."""
        self.assertIsNone(kernel.exitStatus(self.pid, self.pidfd))

    def test_signalGroup(self) -> None:
        """A process group is signalled by its leader."""
        kernel.signalGroup(self.pid, self.pidfd, signal.SIGTERM)
        self.assertEqual(self.process.wait(), -signal.SIGTERM)

    def test_pidfdGetFD(self) -> None:
        """A descriptor of another process is copied."""
        copy = kernel.pidfdGetFD(self.pidfd, 1)
        self.addCleanup(os.close, copy)
        self.assertEqual(kernel.fdInode(copy), kernel.fdInode(self.process.stdout.fileno()))  # type: ignore[union-attr]
        self.assertFalse(os.get_inheritable(copy))


class OurselvesTests(SynchronousTestCase):
    """What is asked for ourselves; elsewhere, since it lasts."""

    def run_(self, program: str) -> str:
        """What a program of ours prints."""
        text = "import os\nfrom circustwist.system import kernel\n" + program
        return subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True,
                              env={"PYTHONPATH": os.pathsep.join(sys.path)}).stdout.strip()

    def test_subreaper(self) -> None:
        """The subreaper can be switched on and off."""
        self.assertEqual(self.run_(
            "print(kernel.isSubreaper())\nfor on in (True, False): kernel.setSubreaper(on); print(kernel.isSubreaper())"
        ).split(), ["False", "True", "False"])

    def test_noNewPrivileges(self) -> None:
        """Gaining privileges is forbidden for good."""
        self.assertEqual(self.run_(
            "kernel.setNoNewPrivileges()\n"
            "print(*[line for line in open('/proc/self/status') if line.startswith('NoNewPrivs')])"
        ).split(), ["NoNewPrivs:", "1"])

    def test_features(self) -> None:
        """The features of the host are one line."""
        features = kernel.features()
        self.assertEqual(features.pidfd, "")
        self.assertTrue(str(features).startswith("pidfd yes, cgroup "))
        self.assertEqual(str(kernel.Features("too old", "/sys/x")), "pidfd no (too old), cgroup yes")
        self.assertEqual(str(kernel.Features("", "")), "pidfd yes, cgroup no (sessions instead)")

    def test_missing(self) -> None:
        """A host without pidfd says why, and what would help."""
        def refuse(pid: int) -> int:
            raise OSError(errno.ENOSYS, "Function not implemented")

        self.patch(os, "pidfd_open", refuse)
        self.assertIn("Linux 5.4", kernel.features().pidfd)
