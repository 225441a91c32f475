"""Tests of a stack: python -m twisted.trial test_stack.py, or pytest."""

import signal
import sys
from pathlib import Path
from urllib.request import urlopen

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from circustwist.testing import StackTestCase, memoryStack

INI = f"""
[socket:web]
host = 127.0.0.1
port = 8000

[watcher:web]
cmd = {sys.executable} {Path(__file__).parents[1] / "hello" / "web.py"} --fd $(circus.sockets.web)
use_sockets = True
numprocesses = 2
"""


class RealTests(StackTestCase):
    """The stack as it runs, on a free port."""

    async def test_killed(self):
        """A worker that is killed is replaced, and the other one serves meanwhile."""
        stack = self.runStack(INI)
        await stack.ready("web")
        await stack.kill("web", 1)
        url = f"http://127.0.0.1:{stack.socket('web').port}/"
        self.assertEqual((await deferToThread(urlopen, url)).status, 200)
        await stack.ready("web")
        self.assertEqual(len(stack.pids("web")), 2)
        self.assertIn("serving on fd", stack.logs("web")[0])


class MemoryTests(SynchronousTestCase):
    """The same stack without a process and without waiting."""

    def test_stubborn(self):
        """A worker that does not end within 30 seconds is killed."""
        stack = memoryStack(INI)
        stack.begin()
        for worker in ("web/1", "web/2"):
            stack.probed(worker)
        stack.ask("stop", name="web")
        stack.exit("web/1")
        stack.advance(30)
        self.assertEqual(stack.signals[-1], (stack.id("web/2"), signal.SIGKILL))
