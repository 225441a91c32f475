"""Control groups of real workers, where a hierarchy of version 2 can be written to."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from unittest import SkipTest

from circustwist.system import cgroup, kernel
from circustwist.system.cgroup import located, members

from .stack import PYTHON, Daemon, StackCase, alive, ended

# It leaves the group, the session and the environment of its parent, and says where it is.
RUNAWAY = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(1000)"], {})
    os._exit(0)
time.sleep(1000)
"""
WEB = f"[circus]\nname = groups-{{pid}}\n[watcher:web]\ncmd = {PYTHON} -S runaway.py\ncopy_env = True\n{{more}}"


class GroupCase(StackCase):
    """Supervisors to whom a control group is delegated."""

    def setUp(self) -> None:
        """A control group."""
        with open("/proc/self/mountinfo") as mounts:
            root = located(mounts.read(), "0::/\n")
        self.group = Path(root, f"circustwist-test-{os.getpid()}")
        self.before = cgroup.of("self")
        try:
            if not root:
                raise FileNotFoundError("there is none")
            self.group.mkdir()
        except OSError as error:
            raise SkipTest(f"no control group of version 2 can be made: {error}") from None
        self.addCleanup(self.remove)

    def remove(self) -> None:
        """Leave nothing behind."""
        for folder, _, _ in os.walk(self.group, topdown=False):
            cgroup.kill(folder)
            while members(folder):
                time.sleep(0.01)  # nobody tells when a killed process has ended that is not our child
            os.rmdir(folder)

    def stack(self, more: str = "") -> Daemon:
        """A supervisor in it that does not run yet."""
        daemon = self.daemon(WEB.format(pid=os.getpid(), more=more))
        (daemon.folder / "runaway.py").write_text(RUNAWAY)
        return daemon

    def start(self, daemon: Daemon) -> Daemon:
        """Start a supervisor in the group; we are there for a moment only."""
        try:
            cgroup._write(f"{self.group}/cgroup.procs", "0")
            daemon.start()
        finally:
            cgroup._write(f"{self.before}/cgroup.procs", "0")
        return daemon

    def folders(self) -> list[str]:
        """The groups in it."""
        return sorted(path.name for path in self.group.iterdir() if path.is_dir())

    def family(self, daemon: Daemon) -> tuple[int, int]:
        """A worker, and the process that ran away from it."""
        (pid,) = daemon.pids("web")
        folder = cgroup.of(pid)
        while True:
            others = [other for other in members(folder) if other != pid and kernel.parent(other) != pid]
            if len(members(folder)) == 2 and others and not kernel.variable(others[0], b"CIRCUSTWIST_ID"):
                return pid, others[0]


class LifeTests(GroupCase):
    """What a worker starts."""

    def test_stop(self) -> None:
        """Whatever ran away from a worker is gone when it is stopped, and so is its group."""
        daemon = self.start(self.stack())
        self.assertIn("cgroup yes", daemon.wait("web 1/1"))
        pid, runaway = self.family(daemon)
        self.assertEqual(len(self.folders()), 1)
        daemon.call("stop", name="web", waiting=True)
        self.assertTrue(ended(pid) and ended(runaway))
        daemon.stop()
        self.assertEqual(self.folders(), [])

    def test_killed(self) -> None:
        """So it is when a worker is killed; whoever comes next has another group."""
        daemon = self.start(self.stack())
        daemon.wait("web 1/1")
        pid, runaway = self.family(daemon)
        os.kill(pid, signal.SIGKILL)
        daemon.until(lambda: daemon.pids("web") not in ([pid], []))
        self.assertTrue(ended(runaway))
        self.assertNotEqual(self.family(daemon)[1], runaway)

    def test_whole(self) -> None:
        """With kill_mode = control-group everyone in the group is asked to end."""
        daemon = self.start(self.stack("kill_mode = control-group\ngraceful_timeout = 60\n"))
        daemon.wait("web 1/1")
        pid, runaway = self.family(daemon)
        os.kill(pid, signal.SIGSTOP)
        daemon.call("signal", name="web", signum="TERM")
        daemon.call("stop", name="web", waiting=True)
        self.assertTrue(ended(pid) and ended(runaway))

    def test_left(self) -> None:
        """With kill_mode = process it stays, as was asked for."""
        daemon = self.start(self.stack("kill_mode = process\n"))
        daemon.wait("web 1/1")
        _, runaway = self.family(daemon)
        daemon.call("stop", name="web", waiting=True)
        self.assertTrue(alive(runaway))
        os.kill(runaway, signal.SIGKILL)


class AdoptionTests(GroupCase):
    """What an earlier supervisor left."""

    def test_adopted(self) -> None:
        """An adopted worker is in its group still; what ran away from it goes with it."""
        daemon = self.start(self.stack())
        daemon.wait("web 1/1")
        pid, runaway = self.family(daemon)
        daemon.kill()
        self.start(daemon).wait("adopted")
        self.assertEqual((daemon.pids("web"), len(self.folders())), ([pid], 1))
        daemon.call("stop", name="web", waiting=True)
        self.assertTrue(ended(pid) and ended(runaway))
        daemon.stop()
        self.assertEqual(self.folders(), [])

    def test_upgraded(self) -> None:
        """So it is after an upgrade in place."""
        daemon = self.start(self.stack())
        daemon.wait("web 1/1")
        pid, runaway = self.family(daemon)
        daemon.call("upgrade")
        daemon.wait("adopted")
        daemon.call("stop", name="web", waiting=True)
        self.assertTrue(ended(pid) and ended(runaway))

    def test_dead(self) -> None:
        """What is left of a worker that died while nobody looked is ended by the next supervisor."""
        daemon = self.start(self.stack())
        daemon.wait("web 1/1")
        pid, runaway = self.family(daemon)
        daemon.kill()
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(alive(runaway))
        self.start(daemon).wait("web 1/1")
        self.assertTrue(ended(runaway))


class LimitTests(GroupCase):
    """What workers may use."""

    def test_refused(self) -> None:
        """A limit that cannot be kept is refused in one line, and nothing runs without it."""
        if "memory" in (self.group / "cgroup.controllers").read_text().split():
            raise SkipTest("the memory controller is there")
        daemon = self.start(self.stack("memory_max = 100M\nmax_retry = 1\n"))
        self.assertIn("memory_max: the controller memory is not delegated to", daemon.wait("memory_max"))
        self.assertEqual(daemon.pids("web"), [])

    def test_pids(self) -> None:
        """There are no more processes than may be."""
        self.controller("pids")
        daemon = self.start(self.stack("pids_max = 1\n"))
        daemon.wait("BlockingIOError")

    def test_memory(self) -> None:
        """A worker that takes too much memory is killed, and that is said."""
        self.controller("memory")
        daemon = self.stack("memory_max = 30M\n")
        (daemon.folder / "runaway.py").write_text("b = bytearray(100_000_000)\n")
        self.start(daemon).wait("killed by SIGKILL: out of memory")

    def controller(self, name: str) -> None:
        """Skip without it."""
        if name not in (self.group / "cgroup.controllers").read_text().split():
            raise SkipTest(f"the {name} controller is not available in control groups of version 2")
