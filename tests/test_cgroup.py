"""Tests of control groups, where need be against folders that only look like some."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import Unstartable
from circustwist.model.launch import Names, plan
from circustwist.model.settings import Settings
from circustwist.model.stack import Stack, Watcher
from circustwist.system import cgroup
from circustwist.system.cgroup import OURS, PAUSE, Cgroups, Remover, located

UNIFIED = "25 30 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n")
BOUND = "25 30 0:26 /machine/a\\040b /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


class LocatedTests(SynchronousTestCase):
    """Where a process is."""

    def test_located(self) -> None:
        """The folder is the path below the place where the hierarchy is mounted."""
        for mounts, own, folder in (
            (UNIFIED, "0::/system.slice/shop.service\n", "/sys/fs/cgroup/system.slice/shop.service"),
            (HYBRID, "4:memory:/x\n0::/a\n", "/sys/fs/cgroup/unified/a"),
            (UNIFIED, "0::/\n", "/sys/fs/cgroup"),
            (BOUND, "0::/machine/a b/c\n", "/sys/fs/cgroup/c"),
            (BOUND, "0::/machine/a b\n", "/sys/fs/cgroup"),
            (BOUND, "0::/machine/a bc\n", ""),
            (UNIFIED, "0::/../other\n", ""),
            (UNIFIED, "4:memory:/x\n", ""),
            ("", "0::/a\n", ""),
        ):
            self.assertEqual(located(mounts, own), folder)

    def test_nobody(self) -> None:
        """A process that is not there is nowhere."""
        self.assertEqual(cgroup.of(0), "")


class FolderTests(SynchronousTestCase):
    """Folders that only look like control groups."""

    def setUp(self) -> None:
        """A folder that was delegated to us."""
        self.base = Path(self.mktemp())
        self.base.mkdir()
        for name, words in (("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", "pids")):
            (self.base / name).write_text(words)
        (self.base / "cgroup.procs").write_text(f"{os.getpid()}\n")
        self.groups = Cgroups(str(self.base), "shop-1")

    def refused(self, limit: str) -> str:
        """Why a limit cannot be had."""
        error: Unstartable = self.assertRaises(Unstartable, self.groups.enable, [limit])
        return str(error)

    def test_names(self) -> None:
        """A worker's folder is called after its stack and its id."""
        names = Names(7, "web", 1)
        self.assertEqual(self.groups.folder(names), f"{self.base}/circustwist.shop-1.7")
        self.assertEqual(Cgroups("", "shop-1").folder(names), "")
        self.assertEqual(self.groups.of(os.getpid(), names), "")

    def test_limits(self) -> None:
        """The options become the values of files; what is not asked for is not limited."""
        spec = Watcher("web", cmd="web", memory_max=1000, cpu_weight=50, cpu_max=1.5, pids_max=9)
        self.assertEqual(plan(spec, Names(1, "web", 1), "shop", {}, {}).group.limits, {
            "memory.max": "1000", "memory.oom.group": "1", "cpu.weight": "50", "cpu.max": "150000 100000",
            "pids.max": "9"})
        self.assertEqual(plan(Watcher("web", cmd="web"), Names(1, "web", 1), "shop", {}, {}).group.limits, {})

    def test_lacks(self) -> None:
        """What cannot be had is known without a try."""
        spec = Watcher("web", cmd="web", memory_max=1000, cpu_max=1.5, pids_max=9)
        stack = Stack("shop", "/shop.ini", Settings(), (spec, Watcher("other", cmd="other")))
        self.assertEqual(self.groups.lacks(stack), ())
        (self.base / "cgroup.controllers").write_text("cpu pids")
        lack = f"the controller memory is not delegated to {self.base}"
        self.assertEqual(self.groups.lacks(stack), (("web", "memory_max", lack),))
        self.assertEqual([option for _, option, _ in Cgroups("", "shop-1").lacks(stack)],
                         ["memory_max", "cpu_max", "pids_max"])

    def test_enable(self) -> None:
        """A controller that is not on yet is switched on, once."""
        self.groups.enable(["pids.max"])
        self.assertEqual((self.base / "cgroup.subtree_control").read_text(), "pids")
        self.groups.enable(["memory.max", "memory.oom.group"])
        self.assertIn("+memory", (self.base / "cgroup.subtree_control").read_text())
        (self.base / "cgroup.subtree_control").write_text("")
        self.groups.enable(["memory.max"])
        self.assertEqual((self.base / "cgroup.subtree_control").read_text(), "")

    def test_busy(self) -> None:
        """Where processes are in the way we go into a folder of our own; others are named."""
        busy = True
        write = cgroup._write

        def kernel(path: str, value: str) -> None:
            nonlocal busy
            if path.endswith(f"{OURS}/cgroup.procs"):
                busy = self.free
            elif busy and path.endswith("subtree_control"):
                raise OSError(errno.EBUSY, "busy")
            else:
                write(path, value)

        self.patch(cgroup, "_write", kernel)
        self.free = False
        self.groups.enable(["cpu.max"])
        self.assertTrue((self.base / OURS).is_dir())
        busy, self.free = True, True
        with (self.base / "cgroup.procs").open("a") as members:
            members.write("4711\n")
        self.assertEqual(
            self.refused("memory.max"), f"memory_max: EBUSY {self.base}, in which other processes are: 4711")

    def test_missing(self) -> None:
        """A controller that is not to be had, or nothing at all, is a line that says so."""
        self.assertEqual(self.refused("io.max"), f"io_max: the controller io is not delegated to {self.base}")
        self.groups = Cgroups("", "shop-1")
        self.assertEqual(self.refused("pids.max"), "pids_max: no control group is delegated to this supervisor")
        self.groups.enable([])

    def test_make(self) -> None:
        """A folder is made with its limits; one whose limits are refused is not left behind."""
        folder = f"{self.base}/w"
        error: Unstartable = self.assertRaises(Unstartable, cgroup.make, folder, {"memory.max": "1"})
        self.assertEqual(str(error), "cgroup: ENOENT memory.max = 1")
        self.assertFalse(os.path.exists(folder))
        cgroup.make(folder, {})
        self.assertTrue(os.path.isdir(folder))
        self.assertRaises(Unstartable, cgroup.make, folder, {})

    def test_starved(self) -> None:
        """Whether memory was short stands in a file, if there is one."""
        folder = self.base / "w"
        folder.mkdir()
        self.assertFalse(cgroup.starved(str(folder)))
        (folder / "memory.events").write_text("low 0\noom 1\noom_kill 0\n")
        self.assertFalse(cgroup.starved(str(folder)))
        (folder / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
        self.assertTrue(cgroup.starved(str(folder)))

    def test_clear(self) -> None:
        """What earlier workers of this stack left is removed, what others have stays."""
        for name in ("circustwist.shop-1.3", "circustwist.shop-1.4", "circustwist.shop-2.3", "other"):
            (self.base / name).mkdir()
        self.groups.clear(lambda id: id == 4)
        self.assertEqual(
            sorted(path.name for path in self.base.iterdir() if path.is_dir()),
            ["circustwist.shop-1.4", "circustwist.shop-2.3", "other"])
        Cgroups("", "shop-1").clear(lambda id: False)

    def test_remove(self) -> None:
        """A folder is removed with those below it, later if somebody is still in it."""
        clock = Clock()
        remover = Remover(clock)
        folder = self.base / "w"
        (folder / "below").mkdir(parents=True)
        (folder / "below" / "busy").touch()
        remover.remove(str(folder))
        clock.advance(PAUSE)
        self.assertTrue(folder.exists())
        (folder / "below" / "busy").unlink()
        clock.advance(PAUSE)
        self.assertFalse(folder.exists())
        self.assertEqual(clock.getDelayedCalls(), [])
