"""The hello stack on hosts that have little: as PID 1, without rights, names, folders or programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import skipUnless

from circustwist.model.naming import abstractControl

from .inside import Inside, InsideCase, usable
from .stack import HELLO, TIMEOUT, ended
from .test_life import get

ROOT = os.getuid() == 0
UID = 10001
READ_ONLY = """
while read -r _ _ _ _ where _; do case $where in
    /proc|/proc/*|/dev|/dev/*|/sys|/sys/*) ;;
    *) mount -o remount,bind,ro "$where" || exit 99 ;;
esac; done </proc/self/mountinfo
"""
VISIBLE = """
mount --bind "{prefix}" "{spare}" && mount -t tmpfs -o mode=755 none "{closed}" &&
mkdir -p "{prefix}" && mount --bind "{spare}" "{prefix}" || exit 99
"""
"""Lets everybody reach the interpreter, which a closed folder hides, in a mount namespace of our own."""


def possible(*words: str) -> bool:
    """Whether a program ends well here."""
    try:
        return subprocess.run(words, capture_output=True, timeout=TIMEOUT, check=False).returncode == 0
    except OSError:
        return False


def mounting(script: str) -> tuple[str, ...]:
    """The words that run a command in a mount namespace which a script has changed."""
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", f'{script}\nexec "$@"', "sh")


def children(pid: int) -> list[int]:
    """The children of a process."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


class Host(Inside):
    """
    A supervisor of the hello stack.

    @ivar abstract: whether its control socket has no file.
    """

    abstract = False

    @property
    def where(self) -> str:
        return abstractControl("hosts", os.getuid()) if self.abstract else super().where


class HostTests(InsideCase):
    """On each host five workers answer, and SIGTERM ends everything with 0."""

    def host(self, *front: str, **env: str | None) -> Host:
        """
        A supervisor of the hello stack on any free port.

        @param front: the words that make the host.
        @param env: what is to be different in the environment; None is not there.
        """
        daemon = Host("")
        self.addCleanup(daemon.clean)
        daemon.folder.chmod(0o755)
        for file in HELLO.glob("*.py"):
            shutil.copy(file, daemon.folder)
        ini = (HELLO / "stack.ini").read_text().replace("8000", "0").replace("name = hello", "name = hosts")
        daemon.ini.write_text(ini)
        daemon.front = front
        for name, value in env.items():
            daemon.env.pop(name, None)
            if value is not None:
                daemon.env[name] = value.replace("FOLDER", str(daemon.folder))
        return daemon

    def works(self, daemon: Host, pid: int = 0) -> None:
        """It answers, and ends as it should."""
        port, workers = daemon.port(), [*daemon.pids("web"), *daemon.pids("clock")]
        self.assertEqual(len(workers), 6)
        self.assertIn("hello from", get(port))
        daemon.found("clock/1 | ")
        os.kill(pid or daemon.process.pid, signal.SIGTERM)
        self.assertEqual(daemon.join(), 0)
        self.assertEqual(daemon.strays(), [])

    def up(self, daemon: Host) -> Any:
        """Start it and wait until it has told that everything runs."""
        daemon.start()
        return daemon.found("hosts: 1 socket, 2 watchers, 6 workers")

    def test_names(self) -> None:
        """Without HOME and the like, and with a PATH that is empty, is missing or has only one program of no use."""
        for path in ("", None, "FOLDER/bin"):
            daemon = self.host(PATH=path, HOME=None, USER=None, LOGNAME=None, LANG=None)
            (daemon.folder / "bin").mkdir()
            (daemon.folder / "bin" / "busybox").write_text("#!/bin/false\n")
            (daemon.folder / "bin" / "busybox").chmod(0o755)
            self.up(daemon)
            daemon.found("python found beside twistd: ")
            self.works(daemon)

    @skipUnless(ROOT, "only root can become somebody else")
    def test_user(self) -> None:
        """As a user that has no name."""
        front: tuple[str, ...] = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--")
        if not usable(sys.executable, UID):
            front = (*self.visible(), *front)
        if not possible(*front, sys.executable, "-c", "import circustwist, twisted"):
            self.skipTest("the interpreter and its packages cannot be made readable for everybody here")
        daemon = self.host(*front, HOME=None)
        for path in (daemon.folder, *daemon.folder.iterdir()):
            os.chown(path, UID, UID)
        self.up(daemon)
        status = Path(f"/proc/{daemon.pids('web')[0]}/status").read_text()
        self.assertIn(f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}", status)
        self.works(daemon)

    def visible(self) -> tuple[str, ...]:
        """The words that make an interpreter in a closed folder reachable for everybody."""
        prefix = Path(sys.base_prefix)
        closed = next((each for each in reversed(prefix.parents) if not each.stat().st_mode & 1), prefix)
        spare = Path(self.mktemp()).absolute()
        spare.mkdir(parents=True)
        return mounting(VISIBLE.format(prefix=prefix, spare=spare, closed=closed))

    @skipUnless(ROOT, "only root can make namespaces")
    def test_readOnly(self) -> None:
        """On a root that is read-only, with a runtime directory in memory or with none at all."""
        if not possible(*mounting(READ_ONLY), "true"):
            self.skipTest("file systems cannot be made read-only in a namespace here")
        for memory in (True, False):
            front = mounting(READ_ONLY)
            daemon = self.host(*front, RUNTIME_DIRECTORY="FOLDER/run" if memory else None, XDG_RUNTIME_DIR=None)
            daemon.runtime.mkdir()
            daemon.abstract = not memory
            if memory:
                daemon.front = mounting(f"{READ_ONLY}\nmount -t tmpfs -o mode=755 none {daemon.runtime} || exit 99")
            daemon.start()
            if not memory:
                daemon.found("no runtime directory can be used")
            daemon.found("hosts: 1 socket")
            if memory:
                # The folder in memory is to be seen only from inside.
                daemon.runtime = Path(f"/proc/{daemon.process.pid}/root{daemon.runtime}")
            self.works(daemon)
            self.assertEqual(list((daemon.folder / "run").iterdir()), [])

    @skipUnless(ROOT, "only root can make namespaces")
    def test_first(self) -> None:
        """As PID 1 it buries strangers too."""
        front = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
        if not possible(*front, "true"):
            self.skipTest("there are no pid namespaces to be had here")
        daemon = self.host(*front)
        self.up(daemon)
        (pid,) = children(daemon.process.pid)
        self.assertEqual(daemon.call("ping")["pid"], 1)
        self.stranger(pid)
        port = daemon.port()
        self.assertIn("hello from", get(port))
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(daemon.join(), 0)
        self.assertEqual(daemon.strays(), [])

    def stranger(self, pid: int) -> None:
        """A process whose parent ends before it is left to PID 1, which waits for it when it ends."""
        before = set(children(pid))
        enter = ("nsenter", "-t", str(pid), "-p", "-m", "sh", "-c", "setsid sleep 0.5 >/dev/null 2>&1 &")
        subprocess.run(enter, timeout=TIMEOUT, check=True, stdin=subprocess.DEVNULL)
        orphans = set(children(pid)) - before
        self.assertTrue(orphans)
        self.assertTrue(all(map(ended, orphans)))
        deadline = time.monotonic() + TIMEOUT
        while zombies(pid):
            self.assertLess(time.monotonic(), deadline, "a zombie is left")


def zombies(pid: int) -> list[int]:
    """The children of a process that have ended and were not waited for."""
    found = []
    for child in children(pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                found.append(child)
    return found
