"""Tests of the unit that is written for systemd, and of what is said to it."""

from __future__ import annotations

import os
import socket
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.embedding import fromText
from circustwist.model.unit import unit, unitName, word
from circustwist.system.herald import PAUSE, Herald, Manager
from circustwist.unit import extended, keepable, startTime, stopTime

INI = "[circus]\nname = shop\n{more}\n[watcher:web]\ncmd = web\nready_timeout = 40\ngraceful_timeout = 20\n"


class TextTests(SynchronousTestCase):
    """The unit's text."""

    def options(self, user: bool = False, name: str = "/srv/my shop/stack.ini", **settings: str) -> dict[str, str]:
        """The lines of a unit by name."""
        more = "\n".join(f"{key} = {value}" for key, value in settings.items())
        stack = attrs.evolve(fromText(INI.format(more=more)), path=name)
        text = unit(stack, "/opt/venv/bin/twistd", user)
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")

    def test_system(self) -> None:
        """A stack starts at boot, is told apart by its name, and leaves its processes to itself."""
        found = self.options()
        for name, value in (
            ("Type", "notify"), ("KillMode", "process"), ("Delegate", "yes"), ("WantedBy", "multi-user.target"),
            ("ExecReload", "/bin/kill -HUP $MAINPID"), ("RuntimeDirectory", "circustwist/shop"),
            ("ExecStart", '/opt/venv/bin/twistd -n --pidfile= circus -c "/srv/my shop/stack.ini"'),
            ("WorkingDirectory", "/srv/my shop")):
            self.assertEqual(found[name], value)
        self.assertGreater(int(found["WatchdogSec"]), 0)
        self.assertGreater(int(found["FileDescriptorStoreMax"]), 0)

    def test_user(self) -> None:
        """The unit of a user belongs to another target; a configured directory stays the stack's own."""
        self.assertEqual(self.options(True)["WantedBy"], "default.target")
        self.assertNotIn("RuntimeDirectory", self.options(runtime_dir="/run/shop"))

    def test_names(self) -> None:
        """A name that no unit can have is changed."""
        stack = fromText(INI.format(more=""))
        names = {"shop": "shop", "my shop: two": "my-shop-two", "%%": "circustwist", "..": "circustwist"}
        for name, expected in names.items():
            self.assertEqual(unitName(attrs.evolve(stack, name=name)), expected)

    def test_words(self) -> None:
        """What means something to systemd is quoted."""
        for text, expected in (
            ("/a/b-c.ini", "/a/b-c.ini"), ("/a b", '"/a b"'), ("/100%", "/100%%"), ("/$x", "/$$x"),
            ('/"', '"/\\""'), ("/\\", '"/\\\\"'), ("", '""'), ("/a;b", '"/a;b"')):
            self.assertEqual(word(text), expected)


class ManagerTests(SynchronousTestCase):
    """Who has started us."""

    def found(self, **environ: str) -> Any:
        """What an environment says."""
        return Manager.fromEnvironment(environ, 7)

    def test_none(self) -> None:
        """Without an address that can be one there is nobody."""
        for address in ("", "relative", "@", "/"):
            self.assertIsNone(self.found(NOTIFY_SOCKET=address))

    def test_all(self) -> None:
        """An abstract address, a watchdog and a store."""
        found = self.found(NOTIFY_SOCKET="@there", WATCHDOG_USEC="3000000", WATCHDOG_PID="7", FDSTORE="3")
        self.assertEqual(found, Manager("\0there", 3.0, True))

    def test_nonsense(self) -> None:
        """What is meant for others, or no number, is not there."""
        for environ in ({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "8"}, {"WATCHDOG_USEC": "-1"}, {"WATCHDOG_USEC": "x"},
                        {"FDSTORE": "0"}, {"FDSTORE": "no"}):
            self.assertEqual(self.found(NOTIFY_SOCKET="/n", **environ), Manager("/n"))


class HeraldTests(SynchronousTestCase):
    """What is said, and what is said later."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(self.ear.close)
        self.ear.bind("")
        self.herald = Herald(Manager("\0" + self.ear.getsockname()[1:].decode()), self.clock)
        self.addCleanup(self.herald.close)

    def heard(self) -> list[bytes]:
        """What has come."""
        found = []
        while True:
            try:
                found.append(self.ear.recv(4096))
            except BlockingIOError:
                return found

    def test_lines(self) -> None:
        """Lines of one datagram."""
        self.herald.tell("READY=1", "STATUS=web 5/5")
        self.assertEqual(self.heard(), [b"READY=1\nSTATUS=web 5/5"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_descriptor(self) -> None:
        """A descriptor goes along, and ours stays ours."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.herald.tell("FDSTORE=1", fd=write)
        os.close(write)
        _, fds, _, _ = socket.recv_fds(self.ear, 100, 4)
        os.write(fds[0], b"x")
        os.close(fds[0])
        self.assertEqual(os.read(read, 2), b"x")

    def test_full(self) -> None:
        """What does not get through is said later, in order, without waiting."""
        count = 0
        while not self.clock.getDelayedCalls():
            count += 1
            self.herald.tell(f"N={count}")
        self.herald.tell("READY=1")
        heard = self.heard()
        self.clock.advance(PAUSE)
        heard += self.heard()
        self.assertEqual(heard, [*(b"N=%d" % n for n in range(1, count + 1)), b"READY=1"])

    def test_gone(self) -> None:
        """A manager that is not there is told of once, and nothing waits."""
        self.ear.close()
        self.herald.tell("READY=1")
        self.herald.tell("STOPPING=1")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TimeTests(SynchronousTestCase):
    """For how much time the manager is asked, and what it can keep."""

    def test_times(self) -> None:
        """As long as one watcher may take, and a little more."""
        stack = fromText(INI.format(more="warmup_delay = 5"))
        self.assertEqual((startTime(stack), stopTime(stack)), (60.0, 35.0))
        self.assertEqual(stopTime(fromText(INI.format(more="shutdown_timeout = 8"))), 23.0)
        self.assertEqual(extended(1.5), "EXTEND_TIMEOUT_USEC=1500000")

    def test_keepable(self) -> None:
        """A name with a colon or of other letters cannot be kept."""
        found = [keepable(name) for name in ("web", "web/api/0", "a:b", "w\u00e9b", "x" * 250)]
        self.assertEqual(found, [True, True, False, False, False])
