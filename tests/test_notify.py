"""Tests of notification sockets, with real and hostile senders."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.interfaces import IReadDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from circustwist.system import notify
from circustwist.system.notify import NOTHING, Mailbox, Notice

from .functional.inside import NOBODY, everybodys
from .workers import WorkersCase, descriptors

ROOT = os.geteuid() == 0


class ParseTests(SynchronousTestCase):
    """From bytes to what they say."""

    def test_words(self) -> None:
        """Every word that is known is understood, several in one datagram too."""
        for data, expected in {
            b"READY=1": Notice(ready=True),
            b"READY=1\nSTATUS=up\n": Notice(ready=True, status="up"),
            b"WATCHDOG=1": Notice(alive=True),
            b"WATCHDOG=trigger": Notice(trigger=True),
            b"STOPPING=1": Notice(stopping=True),
            b"RELOADING=1\nMONOTONIC_USEC=12": Notice(reloading=True),
            b"EXTEND_TIMEOUT_USEC=2500000": Notice(extend=2.5),
            b"X_REQUESTS=17": Notice(requests=17),
            b"X_REQUESTS=0": Notice(requests=0),
            b"STATUS=a=b\nSTATUS=c=d": Notice(status="c=d"),
            b"STATUS=": Notice(status=""),
        }.items():
            self.assertEqual(notify.parse(data), expected, data)

    def test_garbage(self) -> None:
        """What makes no sense says nothing."""
        for data in (
            b"", b"\n\n", b"READY", b"READY=0", b"READY=11", b"ready=1", b" READY=1", b"READY=1\r", b"READY=1\0",
            b"MAINPID=1", b"FDSTORE=1", b"BARRIER=1", b"WATCHDOG=", b"WATCHDOG_USEC=5", b"X_REQUESTS=-1",
            b"X_REQUESTS=1e5", b"X_REQUESTS=" + b"9" * 50, "X_REQUESTS=\u0663".encode(), b"EXTEND_TIMEOUT_USEC=-5",
            b"EXTEND_TIMEOUT_USEC=x", b"\xff\xfe=1",
        ):
            self.assertEqual(notify.parse(data), NOTHING, data)

    def test_bounds(self) -> None:
        """Nothing gets longer than it may, nor harms a terminal."""
        self.assertEqual(notify.parse(b"EXTEND_TIMEOUT_USEC=999999999999999999").extend, notify.LONGEST_EXTENSION)
        self.assertEqual(notify.parse(b"STATUS=" + b"x" * 4000).status, "x" * 256)
        self.assertEqual(notify.parse(b"STATUS=\x1b[2J\x07\xc3\xbc\xff").status, "?[2J?\u00fc\ufffd")

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=200) | st.from_regex(
        rb"((READY|WATCHDOG|STATUS|X_REQUESTS|EXTEND_TIMEOUT_USEC)=[ -~]{0,20}\n?){0,4}", fullmatch=True))
    def test_anything(self, data: bytes) -> None:
        """Anything can be parsed, and what comes of it is within its bounds."""
        notice = notify.parse(data)
        self.assertTrue(0 <= notice.extend <= notify.LONGEST_EXTENSION)
        self.assertTrue(notice.status is None or notice.status.isprintable())


class MailboxTests(WorkersCase):
    """Real sockets."""

    def setUp(self) -> None:
        super().setUp()
        self.before = descriptors()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, self.folder)
        os.chmod(self.folder, 0o711)
        self.notices: list[Notice] = []

    def make(self, place: notify.Address | None = None, uid: int = -1) -> Mailbox:
        """A socket whose notices are kept."""
        mailbox = Mailbox(reactor, self.clock, place or notify.address(self.folder, 7), uid)
        mailbox.listeners.append(self.notices.append)
        self.addCleanup(mailbox.close)
        return mailbox

    def send(self, mailbox: Mailbox, *datagrams: bytes) -> None:
        """Send as a worker of ours does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(mailbox.address.path)
            for datagram in datagrams:
                sender.send(datagram)

    @inlineCallbacks
    def received(self, *expected: Notice) -> Any:
        """Wait until exactly these have come."""
        yield self.until(lambda: len(self.notices) >= len(expected))
        self.assertEqual(self.notices, list(expected))

    def test_file(self) -> None:
        """Its file is named by the id, is ours alone, and goes with it; nothing stays open."""
        mailbox = self.make()
        verifyObject(IReadDescriptor, mailbox)
        self.assertEqual(os.listdir(self.folder), ["7"])
        found = os.stat(mailbox.address.path)
        self.assertEqual(stat.S_IMODE(found.st_mode), 0o600)
        self.assertEqual(mailbox.environment, {"NOTIFY_SOCKET": f"{self.folder}/7"})
        self.assertFalse(os.get_inheritable(mailbox.fileno()))
        mailbox.close()
        mailbox.close()
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(descriptors(), self.before)

    def test_leftover(self) -> None:
        """The file of an earlier supervisor is taken over; a folder in its place is an error that leaves nothing."""
        first = notify.bind(notify.address(self.folder, 7), -1)
        first.close()
        self.make().close()
        os.mkdir(f"{self.folder}/7")
        self.assertRaises(OSError, self.make)
        os.rmdir(f"{self.folder}/7")
        self.assertRaises(OSError, self.make, notify.address(f"{self.folder}/none", 7))
        self.assertEqual(descriptors(), self.before)

    def test_address(self) -> None:
        """Without a folder, or where its path would be too long, the address is abstract and cannot be guessed."""
        self.assertEqual(notify.address("/run/x/notify", 12), notify.Address("/run/x/notify/12"))
        self.assertFalse(notify.address("/" + "x" * 99, 12).abstract)
        for folder in ("", "/" + "x" * 101):
            found = notify.address(folder, 12)
            self.assertTrue(found.abstract)
            self.assertRegex(found.variable, r"\A@circustwist/\d+/[0-9a-f]{16}/12\Z")
            self.assertEqual(notify.known(found.variable), found)
        for foreign in ("", "@/tmp/x", "/etc/passwd", "@circustwist/1/00/12"):
            self.assertIsNone(notify.known(foreign))

    @inlineCallbacks
    def test_abstract(self) -> Any:
        """An abstract one works the same way."""
        mailbox = self.make(notify.address("", 7))
        self.send(mailbox, b"READY=1")
        yield self.received(Notice(ready=True))
        self.assertTrue(mailbox.ready)

    @inlineCallbacks
    def test_hostile(self) -> Any:
        """What is too long or makes no sense is dropped, and what follows it is heard."""
        mailbox = self.make()
        self.send(mailbox, b"", b"\xff" * 4096, b"READY=1\n" + b"x" * 4089, b"STATUS=" + b"\n" * 4000,
                  b"MAINPID=1", b"X_REQUESTS=3")
        yield self.received(Notice(status=""), Notice(requests=3))
        self.assertFalse(mailbox.ready)
        self.assertEqual(mailbox.status, "")

    @inlineCallbacks
    def test_longest(self) -> Any:
        """The longest datagram is still taken."""
        self.send(self.make(), b"READY=1\n" + b"x" * 4088)
        yield self.received(Notice(ready=True))

    @inlineCallbacks
    def test_descriptors(self) -> Any:
        """Descriptors that are sent along never reach us and are closed, as systemd's barrier waits for."""
        mailbox = self.make()
        self.send(mailbox, b"WATCHDOG=1")
        yield self.received(Notice(alive=True))
        self.notices.clear()
        opened = descriptors()
        read, write = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(mailbox.address.path)
            socket.send_fds(sender, [b"BARRIER=1"], [write])
            socket.send_fds(sender, [b"READY=1\nFDSTORE=1"], [write] * 50)
        os.close(write)
        yield self.received(Notice(ready=True))
        self.assertEqual(os.read(read, 1), b"")
        os.close(read)
        self.assertEqual(descriptors(), opened)

    @inlineCallbacks
    def test_flood(self) -> Any:
        """Who talks without end is read slowly, and one who is closed meanwhile leaves no timer."""
        mailbox = self.make()
        script = (
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            f"s.connect({mailbox.address.path!r})\n"
            "while True: s.send(b'WATCHDOG=1')")
        yield self.python(script).started
        begun = self.clock.seconds()
        yield self.until(lambda: len(self.notices) > 3 * notify.BURST)
        self.assertGreater(self.clock.seconds() - begun, 2 * notify.PAUSE)
        mailbox.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @inlineCallbacks
    def test_listeners(self) -> Any:
        """One who fails keeps nobody else from hearing it; one may close the socket."""
        mailbox = self.make()
        mailbox.listeners[:0] = [lambda notice: 1 / 0]
        mailbox.listeners.append(lambda notice: mailbox.close())
        self.send(mailbox, b"READY=1", b"STOPPING=1")
        yield self.received(Notice(ready=True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(os.listdir(self.folder), [])

    @inlineCallbacks
    def test_user(self) -> Any:
        """The worker's own user can send, through the file alone; another one's datagrams are dropped."""
        python = self.nobodys()
        mine = self.make(uid=NOBODY)
        self.assertEqual(os.stat(mine.address.path).st_uid, NOBODY)
        yield self.sendAs(python, mine)
        yield self.received(Notice(ready=True))

    @inlineCallbacks
    def test_stranger(self) -> Any:
        """Another user cannot reach the file; what it sends to an abstract address is dropped."""
        python = self.nobodys()
        status = yield self.sendAs(python, self.make())
        self.assertNotEqual(status, 0)
        abstract = self.make(notify.address("", 7), uid=NOBODY - 1)
        status = yield self.sendAs(python, abstract)
        self.assertEqual(status, 0)
        self.send(abstract, b"STOPPING=1")
        yield self.received(Notice(stopping=True))

    def nobodys(self) -> str:
        """An interpreter that another user can run; skips the test if there can be none."""
        python = everybodys() if ROOT else ""
        if not python:
            self.skipTest("only root can run something as another user, with an interpreter that everybody may run")
        return python

    def sendAs(self, python: str, mailbox: Mailbox) -> Any:
        """Say READY=1 as nobody; fires with the sender's exit status."""
        script = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
            "s.connect(sys.argv[1].replace('@', '\\0')); s.send(b'READY=1')")
        return self.run_(python, "-S", "-c", script, mailbox.address.variable, uid=str(NOBODY), gid=str(NOBODY),
                         fds={2: 2}).ended
