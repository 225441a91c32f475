"""What people of other uids may do at the control socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from circustwist.control.blocking import Control, ControlError

from .stack import TIMEOUT, Daemon

ANN, BOB, OPS = 60_001, 60_002, 60_100
INI = f"""
[watcher:web]
cmd = sleep 600

[user:ann]
uid = {ANN}

[user:ops]
group = {OPS}
role = operator
"""


@contextmanager
def acting(uid: int, gid: int) -> Iterator[None]:
    """Connect as somebody else."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@skipIf(os.getuid() != 0, "needs root to act as somebody else")
class UserTests(SynchronousTestCase):
    """Tests with a real supervisor."""

    def daemon(self, ini: str) -> Daemon:
        """A supervisor whose folder everybody may pass."""
        daemon = Daemon(ini)
        daemon.folder.chmod(0o711)
        daemon.start()
        self.addCleanup(daemon.stop)
        daemon.wait("web")
        return daemon

    def asked(self, daemon: Daemon, uid: int, gid: int, command: str, **arguments: Any) -> str:
        """What comes of a command of somebody."""
        groups = os.getgroups()
        os.setgroups([])
        self.addCleanup(os.setgroups, groups)
        with acting(uid, gid):
            try:
                control = Control(daemon.where, timeout=TIMEOUT)
            except OSError as error:
                return type(error).__name__
        with control:
            try:
                control.call(command, **arguments)
            except ControlError as error:
                return error.name
        return "done"

    def test_roles(self) -> None:
        """Each may do what the role of their section allows, and strangers nothing."""
        daemon = self.daemon(INI)
        self.assertEqual(self.asked(daemon, ANN, ANN, "status"), "done")
        self.assertEqual(self.asked(daemon, ANN, ANN, "incr", name="web"), "Denied")
        self.assertEqual(self.asked(daemon, BOB, OPS, "incr", name="web", waiting=True), "done")
        self.assertEqual(self.asked(daemon, BOB, OPS, "quit"), "Denied")
        self.assertEqual(self.asked(daemon, BOB, BOB, "ping"), "Denied")
        self.assertRaises(PermissionError, self.look, daemon)

    def look(self, daemon: Daemon) -> None:
        """Look into the private folder as a stranger."""
        with acting(BOB, BOB):
            os.listdir(daemon.runtime / "private")

    def test_changed(self) -> None:
        """Users come and go with the configuration, while nothing else happens to the stack."""
        daemon = self.daemon("[watcher:web]\ncmd = sleep 600\n")
        pids = daemon.pids("web")
        self.assertEqual(self.asked(daemon, ANN, ANN, "ping"), "PermissionError")
        daemon.ini.write_text(INI)
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual(self.asked(daemon, ANN, ANN, "ping"), "done")
        self.assertEqual(daemon.pids("web"), pids)
        daemon.ini.write_text("[watcher:web]\ncmd = sleep 600\n")
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual(self.asked(daemon, ANN, ANN, "ping"), "PermissionError")
