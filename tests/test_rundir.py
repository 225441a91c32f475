"""Tests of the runtime directory and its lock."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import subprocess
import sys
from unittest import skipUnless

import attrs
from twisted.trial.unittest import SynchronousTestCase

from circustwist import __version__
from circustwist.model import naming
from circustwist.model.errors import WorldError
from circustwist.model.naming import LONGEST_SOCKET_PATH
from circustwist.system.rundir import Found, RuntimeDir, running

UID = os.getuid()
ROOT = UID == 0
NAME = "ä b.$x"


class Base(SynchronousTestCase):
    """A folder in which runtime directories can be."""

    def setUp(self) -> None:
        # Not mktemp: its paths can be too long for sun_path.
        self.folder = pathlib.Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
        self.addCleanup(subprocess.run, ["rm", "-rf", self.folder], check=True)
        self.configured = str(self.folder / NAME)

    def open(self, name: str = NAME, group: str = "", lock: int = -1) -> RuntimeDir:
        """The configured directory, released at the end."""
        made = RuntimeDir.open(name, self.configured, UID, {}, group, lock)
        self.addCleanup(made.release, True)
        return made

    def mode(self, path: str = "") -> int:
        """The permission bits of something in the directory."""
        return stat.S_IMODE(os.stat(os.path.join(self.configured, path)).st_mode)

    def refused(self, reason: str) -> None:
        """The directory cannot be used, for this reason."""
        rundir = self.open()
        self.assertEqual(rundir.directory, "")
        self.assertIn(reason, rundir.warning)
        self.assertNotIn("\n", rundir.warning)


class DirectoryTests(Base):
    """Making and checking it."""

    def test_made(self) -> None:
        """It is made with its folders, whatever the umask is."""
        self.addCleanup(os.umask, os.umask(0o077))
        rundir = self.open()
        self.assertEqual((rundir.directory, rundir.warning), (self.configured, ""))
        self.assertEqual([self.mode(path) for path in ("", "private", "notify")], [0o711, 0o700, 0o711])
        self.assertEqual(self.mode("private/lock"), 0o600)
        self.assertFalse(os.get_inheritable(rundir.lock))

    def test_paths(self) -> None:
        """Everything has its place."""
        rundir, folder = self.open(), self.configured
        self.assertEqual(rundir.controlPath, f"{folder}/private/control")
        self.assertEqual(rundir.journalPath, f"{folder}/private/journal")
        self.assertEqual((rundir.pidfile, rundir.logfile), (f"{folder}/pid", f"{folder}/log"))
        self.assertEqual(rundir.notifyPath, f"{folder}/notify")
        self.assertEqual((rundir.controlMode, rundir.controlGroup), (0o600, -1))

    def test_mark(self) -> None:
        """Tokens tell stacks of one name apart by user and directory, which may be reached by a link."""
        rundir = self.open()
        link = self.folder / "link"
        link.symlink_to(self.configured)
        self.assertRegex(rundir.mark.removeprefix(rundir.name), "^/[0-9a-f]{8}$")
        self.assertEqual(attrs.evolve(rundir, directory=str(link)).mark, rundir.mark)
        others = [attrs.evolve(rundir, directory=self.configured + "2"), attrs.evolve(rundir, uid=rundir.uid + 1)]
        self.assertEqual(len({rundir.mark, *(other.mark for other in others)}), 3)

    def test_parents(self) -> None:
        """Missing parents are made."""
        self.configured = str(self.folder / "a" / "b" / "c")
        self.assertEqual(self.open().directory, self.configured)

    def test_environment(self) -> None:
        """Without a configured directory, systemd's is taken."""
        rundir = RuntimeDir.open(NAME, "", UID, {"RUNTIME_DIRECTORY": f"{self.configured}:/other"})
        self.addCleanup(rundir.release, True)
        self.assertEqual(rundir.directory, self.configured)

    def test_own(self) -> None:
        """A directory that is there keeps its mode, its folders get theirs."""
        os.mkdir(self.configured, 0o750)
        os.mkdir(f"{self.configured}/private", 0o755)
        os.chmod(f"{self.configured}/private", 0o755)
        self.open()
        self.assertEqual([self.mode(path) for path in ("", "private")], [0o750, 0o700])

    def test_link(self) -> None:
        """A link is not followed."""
        os.symlink(self.folder, self.configured)
        self.refused("is no directory")

    def test_open(self) -> None:
        """A directory to which everybody may write is not used."""
        os.mkdir(self.configured)
        os.chmod(self.configured, 0o777)
        self.refused("everybody may write to")

    def test_openParent(self) -> None:
        """Nor is one in a folder to which everybody may write, unless it is sticky."""
        self.folder.chmod(0o777)
        self.refused("everybody may write to")

    def test_sticky(self) -> None:
        """A sticky folder protects what is in it."""
        self.folder.chmod(0o1777)
        self.assertTrue(self.open().directory)

    @skipUnless(ROOT, "only root can give folders away")
    def test_stranger(self) -> None:
        """Somebody else's directory is not used."""
        os.mkdir(self.configured)
        os.chown(self.configured, 65534, -1)
        self.refused("belongs to uid 65534")

    def test_long(self) -> None:
        """A directory whose control socket would have too long a path is not used."""
        self.configured = str(self.folder / ("x" * LONGEST_SOCKET_PATH))
        self.refused("too long")

    def test_names(self) -> None:
        """A name that means another folder means no folder."""
        self.configured = ""
        rundir = RuntimeDir.open("..", "", UID, {"XDG_RUNTIME_DIR": str(self.folder)})
        self.addCleanup(rundir.release, True)
        self.assertEqual(rundir.directory, "")

    @skipUnless(ROOT, "only root has every group")
    def test_group(self) -> None:
        """The control group may come in as far as the control socket."""
        rundir = self.open(group="daemon")
        self.assertEqual((rundir.controlMode, rundir.controlGroup), (0o660, 1))
        self.assertEqual((self.mode("private"), os.stat(f"{self.configured}/private").st_gid), (0o710, 1))

    def test_noGroup(self) -> None:
        """A group that does not exist is an error."""
        error = self.assertRaises(WorldError, self.open, group="no-one")
        self.assertEqual(str(error), "control_group: there is no group no-one")


class LockTests(Base):
    """Only one supervisor to a stack."""

    def test_twice(self) -> None:
        """The second is refused, and told who is the first."""
        self.open()
        error = self.assertRaises(WorldError, self.open)
        self.assertEqual(str(error), f"the stack {NAME} runs already, as pid {os.getpid()} ({self.configured})")

    def test_again(self) -> None:
        """After an end, orderly or not, the next one gets the lock."""
        for remove in (True, False, True):
            self.open().release(remove)
        self.assertTrue(self.open().directory)

    def test_fork(self) -> None:
        """The lock outlives the process that took it, in its child."""
        rundir = self.open()
        code = "import sys; print(); sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=-1, stdout=-1, pass_fds=[rundir.lock])
        assert child.stdout is not None
        child.stdout.readline()
        rundir.release(False)
        self.assertRaises(WorldError, self.open)
        child.communicate()
        self.open()

    def test_resume(self) -> None:
        """After an execve the same descriptor goes on holding it."""
        first = self.open()
        os.set_inheritable(first.lock, True)
        again = self.open(lock=first.lock)
        first.lock = -1
        self.assertEqual((again.directory, os.get_inheritable(again.lock)), (self.configured, False))
        self.assertRaises(WorldError, self.open)

    def test_otherDirectory(self) -> None:
        """A stack that runs in a worse directory is not started again in a better one."""
        environ = {"XDG_RUNTIME_DIR": str(self.folder)}
        first = RuntimeDir.open(NAME, str(self.folder / "circustwist" / NAME), UID, {})
        self.addCleanup(first.release, True)
        self.assertRaises(WorldError, RuntimeDir.open, NAME, "", UID, environ)

    def test_withoutDirectory(self) -> None:
        """The lock of a stack without a directory is an abstract address."""
        self.configured = "/proc/no"
        name = f"{NAME}{os.getpid()}" + "ä" * 60
        rundir = self.open(name)
        self.assertEqual((rundir.directory, rundir.journalPath, rundir.pidfile), ("", "", ""))
        self.assertEqual(rundir.controlPath[0], "\0")
        self.assertIn("no runtime directory can be used (/proc/no: ", rundir.warning)
        self.assertIn("runs already", str(self.assertRaises(WorldError, self.open, name)))
        rundir.claim("/x.ini")
        rundir.release(True)
        self.open(name)


class ReleaseTests(Base):
    """What an end leaves."""

    def fill(self) -> RuntimeDir:
        """A directory in which everything has been made."""
        rundir = self.open()
        rundir.claim("/etc/x.ini")
        for path in (rundir.controlPath, rundir.journalPath, rundir.pidfile):
            pathlib.Path(path).touch()
        return rundir

    def test_remove(self) -> None:
        """An orderly end removes everything, but not a directory that was asked for."""
        self.fill().release(True)
        self.assertEqual(os.listdir(self.configured), [])

    def test_removeAll(self) -> None:
        """A directory of our own choice goes too."""
        self.patch(naming, "parents", lambda uid, environ: [str(self.folder / "circustwist")])
        rundir = RuntimeDir.open(NAME, "", UID, {})
        self.addCleanup(rundir.release, True)
        self.assertEqual(rundir.directory, str(self.folder / "circustwist" / NAME))
        rundir.release(True)
        self.assertEqual(os.listdir(self.folder / "circustwist"), [])
        rundir.release(True)

    def test_strangers(self) -> None:
        """What is not ours stays, with its folder."""
        rundir = self.fill()
        pathlib.Path(rundir.logfile).touch()
        rundir.release(True)
        self.assertEqual(os.listdir(self.configured), ["log"])

    def test_keep(self) -> None:
        """An end that leaves workers leaves everything."""
        self.fill().release(False)
        self.assertEqual(sorted(os.listdir(self.configured)), ["notify", "pid", "private"])


class RunningTests(Base):
    """Who runs."""

    def setUp(self) -> None:
        super().setUp()
        self.environ = {"XDG_RUNTIME_DIR": str(self.folder)}
        self.configured = str(self.folder / "circustwist" / NAME)

    def found(self) -> list[Found]:
        """The stacks in our folder."""
        return [found for found in running(UID, self.environ) if found.directory.startswith(str(self.folder))]

    def test_nobody(self) -> None:
        """Nobody runs where there are no directories."""
        self.assertEqual(self.found(), [])

    def test_claimed(self) -> None:
        """One who runs is found with his ini and pid, until his end."""
        rundir = self.open()
        rundir.claim("/etc/ü.ini")
        self.assertEqual(self.found(), [Found(NAME, self.configured, "/etc/ü.ini", os.getpid())])
        about = json.loads(pathlib.Path(self.configured, "private", "stack").read_text())
        self.assertEqual(about["version"], __version__)
        rundir.release(False)
        self.assertEqual(self.found(), [])

    def test_unclaimed(self) -> None:
        """One who has not said anything yet, or said nonsense, is found by his lock."""
        self.open()
        expected = [Found(NAME, self.configured, "", os.getpid())]
        self.assertEqual(self.found(), expected)
        for text in ("", "[1]", '{"name": 1, "ini": [2]}', "[" * 50_000, "\udc00{"):
            pathlib.Path(self.configured, "private", "stack").write_bytes(text.encode("utf-8", "surrogatepass"))
            self.assertEqual(self.found(), expected)

    @skipUnless(ROOT, "only root can give files away")
    def test_stranger(self) -> None:
        """A lock of somebody else says nothing about us."""
        self.open()
        os.chown(f"{self.configured}/private/lock", 65534, -1)
        self.assertEqual(self.found(), [])

    def test_light(self) -> None:
        """Looking needs no Twisted."""
        code = "import sys, circustwist.system.rundir; sys.exit('twisted' in sys.modules)"
        self.assertEqual(subprocess.call([sys.executable, "-c", code]), 0)
