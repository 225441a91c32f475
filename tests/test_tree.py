"""
Tests of the ending of everything that a worker started.

Being a subreaper concerns a whole process: these tests run in one of their own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from twisted.internet import process
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.system import kernel, tree

PROGRAM = r"""
import json, os, signal, sys, time
from twisted.internet import reactor
from circustwist.model.launch import Launch
from circustwist.system import kernel, tree
from circustwist.system.spawner import Spawner, closeOnExecEverything

given = json.loads(sys.argv[1])
closeOnExecEverything()
if given["subreaper"]:
    kernel.setSubreaper()
found = {"strangers": [], "statuses": [], "told": []}
read, write = os.pipe()  # held by everything that a worker starts
up, started = os.pipe()
running = []


class Protocol:
    def spawned(self, process):
        os.read(up, 1)  # some script says that everything of it runs
        running.append(process)
        for process in running if len(running) == given["workers"] else ():
            for signum, whom in given["signals"]:
                process.signal(signum, whom)

    def refused(self, problem):
        found["told"].append(str(problem))
        reactor.stop()

    def exited(self, status):
        found["statuses"].append(status)
        if len(found["statuses"]) == given["workers"]:
            reactor.callLater(0.3, {"exited": reactor.stop, "gone": wait}[given["until"]])


def wait():
    if spawner.tree.strangers or kernel.children(os.getpid()):
        reactor.callLater(0.02, wait)
    else:
        reactor.stop()


def stranger(pid, commandLine):
    found["strangers"].append(commandLine)
    if given["until"] == "gone":
        spawner.killUnattributed()


def launch(n):
    env = {"PATH": os.environ["PATH"], "CIRCUSTWIST_ID": f"tree-{os.getpid()}/{n}"}
    return Launch(("/bin/sh", "-c", given["script"]), env, killMode=given["mode"])


spawner = Spawner(reactor, None, stranger)
null = os.open("/dev/null", os.O_RDWR)
for n in range(given["workers"]):
    spawner.spawn(Protocol(), launch(n), {0: null, 1: null, 2: 2, 8: write, 9: started})
os.close(write)
reactor.run()
found["left"] = spawner.tree.unattributed()
os.set_blocking(read, given["mode"] != "process")
try:
    found["end"] = os.read(read, 1) == b""
except BlockingIOError:
    found["end"] = False
spawner.killUnattributed()
spawner.close()
for pid in kernel.children(os.getpid()):
    tree.killDescendants(pid)
    os.kill(pid, signal.SIGKILL)
print(json.dumps(found))
"""


def run(script: str, **options: Any) -> dict[str, Any]:
    """
    Run a script as a worker until it has ended.

    @return: among others C{end}, whether nobody holds the worker's pipe any more.
    """
    given = {
        "script": script, "mode": "mixed", "signals": [], "until": "exited", "subreaper": True, "workers": 1, **options,
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(given)], stdout=subprocess.PIPE, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class ExitTests(SynchronousTestCase):
    """What is left of a worker when it has ended."""

    def test_group(self) -> None:
        """Its process group is killed, without our being a subreaper too."""
        for subreaper in (True, False):
            found = run("sleep 60 & echo >&9; exit 3", subreaper=subreaper)
            self.assertEqual((found["statuses"], found["end"]), ([3 << 8], True))

    def test_session(self) -> None:
        """A descendant in a session of its own is killed."""
        found = run("setsid sleep 60 & setsid sh -c 'echo >&9; exec sleep 60' & wait", signals=[(9, "process")])
        self.assertEqual((found["statuses"], found["end"], found["strangers"]), ([9], True, []))

    def test_daemon(self) -> None:
        """A descendant that became our child while the worker lived is killed with it."""
        found = run("(setsid sh -c 'sleep 60 & echo >&9; sleep 60' &); sleep 60", signals=[(9, "process")])
        self.assertEqual((found["end"], found["strangers"]), (True, []))

    def test_below(self) -> None:
        """What a descendant started without any mark is killed with it."""
        script = "setsid sh -c 'env -i setsid sh -c \"echo >&9; sleep 60; true\"; true' & wait"
        found = run(script, signals=[(9, "process")])
        self.assertEqual((found["end"], found["strangers"]), (True, []))

    def test_process(self) -> None:
        """With C{kill_mode = process} everything else goes on."""
        found = run("sleep 60 & setsid sleep 60 & echo >&9; sleep 60", signals=[(9, "process")], mode="process")
        self.assertEqual((found["end"], found["strangers"]), (False, []))

    def test_unattributed(self) -> None:
        """What has shed every mark is told once, and killed at the end."""
        script = "env -i setsid sh -c 'echo >&9; exec sleep 61' & wait"
        found = run(script, signals=[(9, "process")], until="gone")
        self.assertEqual((found["strangers"], found["left"], found["end"]), (["sleep 61"], [], True))

    def test_reaped(self) -> None:
        """Nothing that was killed stays a zombie."""
        script = "setsid sleep 60 & setsid sh -c 'sleep 60 & echo >&9; wait' & wait"
        found = run(script, signals=[(9, "process")], until="gone")
        self.assertEqual(found["end"], True)

    def test_many(self) -> None:
        """Many that end together are all cleaned up after."""
        found = run("setsid sleep 60 & echo >&9; exec sleep 60", workers=50, signals=[(9, "process")])
        self.assertEqual((found["statuses"], found["end"], found["strangers"]), ([9] * 50, True, []))


class SignalTests(SynchronousTestCase):
    """Whom a signal reaches."""

    def test_tree(self) -> None:
        """A signal to the tree reaches the group, other sessions and what became our child."""
        script = "sleep 60 & setsid sleep 60 & (setsid sh -c 'echo >&9; exec sleep 60' &) ; exec sleep 60"
        found = run(script, signals=[(signal.SIGTERM, "tree")], mode="process", until="gone")
        self.assertEqual((found["statuses"], found["end"]), ([signal.SIGTERM], True))

    def test_children(self) -> None:
        """A signal to the children does not reach the worker itself."""
        found = run("sleep 60 & echo >&9; wait $!; exit 5", signals=[(signal.SIGKILL, "children")])
        self.assertEqual((found["statuses"], found["end"]), ([5 << 8], True))

    def test_recycled(self) -> None:
        """A process that is no child of the parent it was seen under is left alone."""
        with subprocess.Popen(["sleep", "60"]) as sleep:
            tree.signalChild(sleep.pid, 1, signal.SIGKILL)
            tree.signalChild(sleep.pid, os.getpid(), signal.SIGTERM)
            self.assertEqual(sleep.wait(), -signal.SIGTERM)

    def test_descendants(self) -> None:
        """All generations are found, each with its parent."""
        with subprocess.Popen(["sh", "-c", "sh -c 'sleep 60 & echo; wait'; true"], stdout=subprocess.PIPE) as shell:
            assert shell.stdout is not None
            shell.stdout.readline()
            found = tree.descendants(shell.pid)
            self.assertEqual(len(found), 2)
            self.assertIn(shell.pid, found.values())
            tree.killDescendants(shell.pid)
            self.assertEqual(shell.wait(), 0)


class HookTests(SynchronousTestCase):
    """The hook in Twisted's handling of SIGCHLD."""

    def setUp(self) -> None:
        self.calls: list[Any] = []
        self.reactor: Any = MemoryReactorClock()
        self.reactor.callFromThread = self.calls.append
        self.tree = tree.Tree(self.reactor, {}, lambda pid, commandLine: None)
        self.addCleanup(self.tree.close)

    def test_hook(self) -> None:
        """As a subreaper it looks once for any number of signals, and no more when it is closed."""
        self.patch(kernel, "isSubreaper", lambda: True)
        self.tree.start()
        self.tree.start()
        process.reapAllProcesses()
        process.reapAllProcesses()
        self.assertEqual(len(self.calls), 1)
        self.tree.close()
        self.assertNotIn(os.getpid(), process.reapProcessHandlers)
        self.calls.pop()()
        self.assertEqual(self.tree.strangers, {})

    def test_none(self) -> None:
        """Without strangers there is nothing to look for."""
        self.patch(kernel, "isSubreaper", lambda: False)
        self.tree.start()
        process.reapAllProcesses()
        self.assertEqual(self.calls, [])

    def test_ours(self) -> None:
        """A child of our own session is somebody else's and is not waited for."""
        self.patch(kernel, "isSubreaper", lambda: True)
        self.tree.start()
        with subprocess.Popen(["sh", "-c", "exit 3"]) as child:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            self.tree.sweep()
            self.assertEqual(child.wait(), 3)
