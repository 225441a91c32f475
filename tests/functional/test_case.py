"""The kit with which people test their stacks: real stacks inside test cases, of which nothing is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet.utils import getProcessOutput
from twisted.trial.unittest import SynchronousTestCase

from circustwist.embedding import Settings, Socket, Watcher, stack
from circustwist.model.errors import NotFound, OperationFailed
from circustwist.testing import StackTestCase

from .stack import HELLO, PYTHON, alive

WEB = f"""
[watcher:web]
cmd = {PYTHON} {HELLO / "web.py"} --fd $(circus.sockets.web)
use_sockets = True
numprocesses = 2

[socket:web]
host = 127.0.0.1
"""
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "testing" / "test_stack.py"
FETCH = "import sys, urllib.request as r; print(r.urlopen(f'http://127.0.0.1:{sys.argv[1]}/').status)"


class StackTests(StackTestCase):
    """What a test can do with a stack."""

    async def test_web(self) -> None:
        """A stack serves on a free port; a worker that is killed comes again."""
        running = self.runStack(WEB)
        await running.ready("web")
        address = running.socket("web")
        self.assertNotIn(address.port, (0, 8080))
        said = await getProcessOutput(PYTHON, ["-c", FETCH, str(address.port)])
        self.assertEqual(said.strip(), b"200")
        before = running.pids("web")
        self.assertEqual(await running.kill("web", 1), before[1])
        await running.ready("web")
        after = running.pids("web")
        self.assertEqual((sorted(after), after[2]), ([1, 2], before[2]))
        self.assertNotEqual(after[1], before[1])
        self.assertIn("serving on fd", " ".join(running.logs("web")))

    async def test_values(self) -> None:
        """A stack of values runs too, and may become another."""
        running = self.runStack(stack(Settings(name="values"), Watcher("one", cmd="sleep 1000")))
        await running.ready()
        more = stack(Settings(name="values"), Watcher("one", cmd="sleep 1000"), Watcher("two", cmd="sleep 1000"))
        await running.apply(more)
        await running.ready("two")
        self.assertEqual((await running.ask("list"))["watchers"], ["one", "two"])

    async def test_path(self) -> None:
        """A UNIX socket is in the stack's folder."""
        running = self.runStack(stack(
            Settings(name="path"), Socket("web", path="web.sock"), Watcher("one", cmd="sleep 1000")))
        self.assertEqual(running.socket("web").path, os.path.join(running.folder, "web.sock"))

    async def test_failed(self) -> None:
        """Waiting for what has failed ends with the reason."""
        running = self.runStack("[watcher:bad]\ncmd = /nowhere/bad\nmax_retry = 1")
        failed = running.event("failed", watcher="bad")
        told = await self.assertFailure(running.ready("bad"), OperationFailed)
        self.assertIn("/nowhere/bad", str(told))
        await failed

    async def test_unknown(self) -> None:
        """A watcher, worker or socket that is not there is told."""
        running = self.runStack("[watcher:one]\ncmd = sleep 1000")
        for call in (lambda: running.ready("two"), lambda: running.kill("one", 7), lambda: running.socket("web"),
                     lambda: running.logs("two")):
            self.assertRaises(NotFound, call)


class NothingLeftTests(SynchronousTestCase):
    """Whatever a test does, nothing of its stack is left."""

    def marked(self, name: str) -> list[str]:
        """The processes that have the mark of a stack in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"CIRCUSTWIST_ID={name}/".encode() in (entry / "environ").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
        return found

    def run_(self, test: str) -> Any:
        """Run one of the rude tests in a process of its own."""
        code = (
            ""
            "from twisted.trial.reporter import TestResult\nfrom tests.functional.rude import Rude\n"
            f"result = TestResult()\nRude('{test}').run(result)\nprint(len(result.failures), len(result.errors))\n"
            "print(*Rude.running[0])\n")
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2],
            check=False)

    def check(self, test: str, *outcome: str) -> None:
        """Run one and look at what is left."""
        done = self.run_(test)
        counts, about = done.stdout.splitlines()[:2]
        self.assertEqual(tuple(counts.split()), outcome, done.stdout + done.stderr)
        pid, folder = about.split()
        self.assertFalse(alive(int(pid)))
        self.assertFalse(os.path.exists(folder))
        self.assertEqual(self.marked("stubborn"), [])

    def test_fails(self) -> None:
        """A test that fails."""
        self.check("test_fails", "1", "0")

    def test_never(self) -> None:
        """A test that runs out of time."""
        self.check("test_never", "0", "1")

    def test_removes(self) -> None:
        """A test that stops a process with SIGSTOP."""
        self.check("test_removes", "0", "0")

    def test_quits(self) -> None:
        """A test in which the supervisor was told to end, and did not have the time."""
        self.check("test_quits", "0", "0")


class ExampleTests(SynchronousTestCase):
    """The example runs under trial and under pytest."""

    def run_(self, *words: str) -> str:
        """What a test runner says of it."""
        folder = tempfile.mkdtemp(prefix="circustwist-")
        self.addCleanup(shutil.rmtree, folder)
        done = subprocess.run(
            [sys.executable, *words, str(EXAMPLE)], capture_output=True, text=True, timeout=120, cwd=folder,
            check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_trial(self) -> None:
        """Under trial."""
        self.assertIn("successes=2", self.run_("-m", "twisted.trial"))

    def test_pytest(self) -> None:
        """Under pytest."""
        if find_spec("pytest") is None:
            raise SkipTest("pytest is not installed")
        self.assertIn("2 passed", self.run_("-m", "pytest", "-q", "-p", "no:cacheprovider"))
