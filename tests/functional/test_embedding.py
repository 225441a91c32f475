"""Supervisors in the processes of others: the examples, and what must be left alone."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from circustwist.embedding import Settings, Supervisor, Watcher, fromIni, stack
from circustwist.model.errors import ConfigError, WorldError

from .stack import SCRIPTS, alive

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "embedding"


class ExampleTests(SynchronousTestCase):
    """The examples run, and are as short as they are said to be."""

    def environment(self) -> dict[str, str]:
        """Where their runtime directories are."""
        folder = Path(self.mktemp())
        folder.mkdir(mode=0o700, parents=True)
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder.resolve())}

    def test_loop(self) -> None:
        """A supervisor under asyncio serves a request."""
        done = subprocess.run(
            [sys.executable, "loop.py"], cwd=EXAMPLES, env=self.environment(), capture_output=True, text=True,
            timeout=60, check=False)
        self.assertRegex(done.stdout, r"\AHTTP/1.0 200 OK\n", done.stderr)

    def test_application(self) -> None:
        """A Twisted application with a supervisor in it runs and ends, and its signals are Twisted's."""
        running = subprocess.Popen(
            [SCRIPTS / "twistd", "-ny", "application.py", "--pidfile="], cwd=EXAMPLES, env=self.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line)
            if "web 2/2 ready" in line:
                break
        running.send_signal(signal.SIGTERM)
        rest, _ = running.communicate(timeout=60)
        self.assertIn("stopping: web 2/2", rest, "".join(lines))
        self.assertIn("Server Shut Down", rest)

    def test_short(self) -> None:
        """Each has at most twenty lines of code."""
        for path in (EXAMPLES / "loop.py", EXAMPLES / "application.py"):
            code = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith('"""')]
            self.assertLessEqual(len(code), 22, path)


PROGRAM = """
import sys
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, ensureDeferred
from circustwist.embedding import Settings, Supervisor, Watcher, stack

async def main(reactor):
    supervisor = Supervisor(stack(
        Settings(name="again", runtime_dir=sys.argv[1]), Watcher("one", cmd="sleep 1000", numprocesses=2)))
    supervisor.startService()
    await supervisor.ready()
    print(sorted(supervisor.pids("one").values()), flush=True)
    if len(sys.argv) > 2:
        await supervisor.stopService()
    else:
        await Deferred()

task.react(lambda reactor: ensureDeferred(main(reactor)))
"""


class KilledTests(SynchronousTestCase):
    """A program with a supervisor in it that is killed."""

    def test_adopted(self) -> None:
        """When it comes back it finds its workers, and stops them in the end."""
        folder = tempfile.mkdtemp(prefix="circustwist-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        words = [sys.executable, "-c", PROGRAM, f"{folder}/run"]
        first = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert first.stdout is not None
        told = first.stdout.readline()
        first.kill()
        first.communicate()
        pids = json.loads(told)
        self.assertEqual([pid for pid in pids if not alive(pid)], [])
        again = subprocess.run([*words, "stop"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(json.loads(again.stdout), pids, again.stderr)
        self.assertEqual([pid for pid in pids if alive(pid)], [])


class EmbeddedTests(TestCase):
    """A supervisor is a guest."""

    timeout = 60.0

    def supervisor(self, *parts: Any, **settings: Any) -> Supervisor:
        """One whose files are in a folder of its own."""
        folder = Path(self.mktemp()).resolve()
        made = Supervisor(stack(Settings(name="guest", runtime_dir=f"/tmp/{folder.name}-guest", **settings), *parts))
        self.addCleanup(made.stopService, True)
        return made

    async def test_leavesAlone(self) -> None:
        """The handlers of signals stay as they are."""
        def handlers() -> list[Any]:
            return [signal.getsignal(signum) for signum in (1, 2, 3, 10, 12, 15)]

        before, limit = handlers(), Path("/proc/self/limits").read_text()
        supervisor = self.supervisor(Watcher("one", cmd="sleep 1000"))
        supervisor.asService().startService()
        await supervisor.ready()
        self.assertEqual((handlers(), Path("/proc/self/limits").read_text()), (before, limit))

    async def test_again(self) -> None:
        """A service that was stopped may be started again."""
        supervisor = self.supervisor(Watcher("one", cmd="sleep 1000"))
        for _ in range(2):
            supervisor.startService()
            await supervisor.ready("one")
            self.assertEqual(len(supervisor.pids("one")), 1)
            await supervisor.stopService()
            self.assertEqual(await supervisor.ended(), 0)
            self.assertRaises(WorldError, supervisor.pids, "one")

    async def test_essential(self) -> None:
        """Whoever embeds it is told when it ends by itself, with the exit code."""
        supervisor = self.supervisor(Watcher("one", cmd="sh -c 'exit 7'", respawn="never", essential=True))
        supervisor.startService()
        self.assertEqual(await supervisor.ended(), 7)

    async def test_two(self) -> None:
        """A second supervisor of the same name is refused, and the first is not harmed."""
        supervisor = self.supervisor(Watcher("one", cmd="sleep 1000"))
        supervisor.startService()
        await supervisor.ready()
        second = Supervisor(supervisor.stack, reactor)
        self.assertIn("runs already", str(self.assertRaises(WorldError, second.startService)))
        await supervisor.ready()

    def test_ini(self) -> None:
        """An ini file that is wrong is told with its lines."""
        path = Path(self.mktemp())
        path.write_text("[watcher:web]\ncmd = sleep 60\nnumprocesses = five\n")
        told = str(self.assertRaises(ConfigError, fromIni, str(path)))
        self.assertTrue(re.search(r":3: \[watcher:web\] numprocesses: 'five' is not a whole number", told), told)
