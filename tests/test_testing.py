"""Tests of the kit with which people test their stacks: the stack in memory."""

from __future__ import annotations

import errno
import signal

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.effects import Spawn
from circustwist.model.errors import ConfigError, NotFound
from circustwist.testing import MemoryStack, memoryStack

INI = """
[watcher:web]
cmd = web
numprocesses = 2
ready = notify
graceful_timeout = 10
start_limit_burst = 3

[watcher:idle]
cmd = idle
on_demand = True
listen_fds = front

[socket:front]
port = 0
"""


class MemoryStackTests(SynchronousTestCase):
    """A test says what happens and looks at what follows."""

    def setUp(self) -> None:
        self.stack: MemoryStack = memoryStack(INI)

    def ready(self) -> None:
        """Both workers of web do their work."""
        self.stack.begin()
        self.stack.probed("web/1")
        self.stack.probed("web/2")

    def test_start(self) -> None:
        """Workers are asked for; each is ready when its probe says so."""
        self.ready()
        self.assertEqual(self.stack.topics().count("ready"), 2)
        self.assertEqual(self.stack.wids("web"), [1, 2])
        self.assertEqual(sum(isinstance(effect, Spawn) for effect in self.stack.effects), 2)

    def test_exit(self) -> None:
        """A worker that dies young comes again when the pause is over."""
        self.ready()
        self.stack.exit("web/1", signal.SIGKILL)
        self.assertIn("reap", self.stack.topics())
        self.stack.advance(1)
        self.assertEqual(len(self.stack.wids("web")), 2)

    def test_refuse(self) -> None:
        """A program that is not there is told with its error."""
        self.stack.auto = False
        self.stack.begin()
        self.stack.refuse("web/1", errno.EACCES)
        (event,) = [event for event in self.stack.events if event.name == "spawn_failure"]
        self.assertEqual(event.data["error"], "execve: EACCES")

    def test_unready(self) -> None:
        """A probe that says no is told."""
        self.stack.begin()
        self.stack.probed("web/2", ok=False)
        self.assertIn("unfit", self.stack.topics())

    def test_stop(self) -> None:
        """Whoever does not obey in time is killed."""
        self.ready()
        self.stack.ask("stop", name="web")
        self.assertEqual({signum for _, signum in self.stack.signals}, {signal.SIGTERM, signal.SIGCONT})
        self.stack.exit("web/1")
        self.stack.advance(10)
        self.assertEqual(self.stack.signals[-1], (self.stack.id("web/2"), signal.SIGKILL))
        self.stack.obey()
        self.assertEqual(self.stack.status("web"), "stopped")

    def test_knock(self) -> None:
        """A connection starts a watcher that waits for one."""
        self.stack.begin()
        self.assertEqual(self.stack.wids("idle"), [])
        self.stack.knock("front")
        self.assertEqual(self.stack.wids("idle"), [1])

    def test_wrong(self) -> None:
        """An ini that is wrong, and a worker that is not there, are told."""
        self.assertRaises(ConfigError, memoryStack, "[watcher:web]\nnumprocesses = x")
        self.assertRaises(NotFound, self.stack.exit, "web/9")
        self.assertEqual(self.stack.fails("stop", name="wbe").name, "NotFound")
