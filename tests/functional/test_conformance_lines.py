"""The command lines of Circus's own programs, at Circus 0.19 and at a stack of ours."""

from __future__ import annotations

import os
import select
import subprocess

from .conformance import words
from .differences import WATCHERS, DifferenceCase, said
from .stack import SCRIPTS, TIMEOUT

LINES: tuple[str, ...] = (
    "status", "status one", "status nope", "list", "list one", "list nope", "numwatchers", "numprocesses",
    "numprocesses one", "get one numprocesses", "get one cmd stop_signal", "get one nope", "get one", "get",
    "globaloptions check_delay", "globaloptions nope", "listsockets", "ipython", "nope", "--version",
    "--json status", "--json status one", "--json status nope", "--json list", "--json numprocesses", "--json nope",
    "--prettify status", "--json --prettify list", "options nope", "options",
    "dstats", "stats", "stats one", "stats --extended one", "stats nope", "stats one 1", "stats two",
    "--json stats nope",
    "stop", "stop nope", "start one --waiting", "start --waiting one", "stop --waiting one", "status one",
    "start one", "start nope", "restart one --waiting", "restart --match regex --waiting o.e", "--json stop one",
    "--json start one --waiting", "reload one --waiting", "reload --terminate --waiting one",
    "reload --sequential --waiting one", "incr one --waiting", "incr one 2 --waiting", "decr one --waiting",
    "decr one 2 --waiting", "incr solo", "incr", "incr nope", "numprocesses one",
    "set one graceful_timeout 4", "set one numprocesses 3 --waiting", "set one nope 3", "set one numprocesses x",
    "set one", "set", "get one graceful_timeout", "set one max_age 3 stop_signal TERM",
    "add --start three sleep 1000", "add four sleep 1000", "add one sleep 3", "add", "add x", "status three",
    "rm three", "rm nope", "rm", "kill one", "kill nope", "kill", "kill one --signum 9", "kill one 1",
    "signal one CONT", "signal one cont", "signal one 18", "signal one nope", "signal one", "signal nope 18",
    "signal --children one 18", "signal --recursive one SIGCONT", "signal one 1 18", "reloadconfig --waiting",
    "start --waiting", "stop --waiting", "status four",
)
"""Command lines of circusctl, one after the other."""


class CommandLineTests(DifferenceCase):
    """What C{circusctl} says and returns."""

    ini = WATCHERS

    def test_lines(self) -> None:
        """Every command, with its flags and with mistakes."""
        found = []
        for line in LINES:
            theirs, mine = self.both(lambda side, line=line: side.ctl(*line.split()))  # type: ignore[misc]
            found.append((f"circusctl {line}", said(theirs), said(mine)))
        theirs, mine = self.both(lambda side: side.ctl("quit", "--waiting"))
        found.append(("circusctl quit", said(theirs), said(mine)))
        self.compare(found)
        self.assertEqual([side.process.wait(TIMEOUT) for side in self.sides()], [0, 0])


SHELL = """status
status one
numwatchers
help status
nope
incr solo
set one numprocesses 1
list nope
"""


class ShellTests(DifferenceCase):
    """circusctl without a command."""

    ini = WATCHERS

    def test_shell(self) -> None:
        """Its prompt takes every command."""
        found = [subprocess.run(
            [str(SCRIPTS / "circusctl"), "--endpoint", side.endpoint], input=SHELL, capture_output=True, text=True,
            timeout=TIMEOUT, check=False) for side in self.sides()]
        self.assertIn("one: active", found[0].stdout)
        self.assertEqual(*((run.returncode, run.stdout, run.stderr) for run in found))


class ListenTests(DifferenceCase):
    """C{circusctl listen}."""

    ini = WATCHERS

    def test_listen(self) -> None:
        """It prints the events that begin with its topics."""
        found = []
        for side in self.sides():
            events = f"ipc://{side.folder}/events"
            with subprocess.Popen(
                    [str(SCRIPTS / "circusctl"), "--endpoint", events, "listen", "watcher.one.start"],
                    stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as listening:
                assert listening.stdout is not None
                told = b""
                while not told:
                    # Nothing tells when the subscription counts.
                    self.quiet()
                    side.call("restart", name="one", waiting=True)
                    if select.select([listening.stdout], [], [], 0.5)[0]:
                        told = listening.stdout.readline()
                listening.kill()
            found.append(words(told.decode()))
        self.assertIn("watcher.one.start", found[0])
        self.assertEqual(*found)
