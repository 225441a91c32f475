"""Tests of the looks at workers, with real workers and peers."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from circustwist.model.effects import Probe
from circustwist.model.launch import Launch, Names
from circustwist.model.reason import words
from circustwist.system import kernel
from circustwist.system.interfaces import IProber
from circustwist.system.notify import Notice
from circustwist.system.prober import Ear, Prober

from .test_peers import Server
from .workers import ENV, Worker, WorkersCase, descriptors

WEB = Names(7, "web", 1)
NOTIFY = (
    "def notify(text):\n"
    "    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "    s.sendto(text, os.environ['NOTIFY_SOCKET'].replace('@', '\\0'))\n")


class EarTests(SynchronousTestCase):
    """What is heard in a line."""

    def test_lines(self) -> None:
        """The expression may match anywhere in a line's beginning."""
        for expression, line, heard in (
            ("ready$", b"I am ready", True), ("^ready", b"I am ready", False), ("\u00fc", b"\xc3\xbc", True),
            ("x", b"y" * 4096 + b"x", False), ("\ufffd", b"\xff", True),
        ):
            ear = Ear(expression)
            ear.hear(line)
            self.assertEqual(ear.heard, heard, expression)

    def test_refused(self) -> None:
        """What is no expression, or too long, is refused."""
        for expression in ("(", "x" * 201, "a{99999999999}"):
            self.assertRaises(ValueError, Ear, expression)


class ProberCase(WorkersCase):
    """A prober in the real reactor."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, self.folder)
        self.said: list[tuple[int, Notice]] = []
        self.launch = Launch(("web",), ENV)
        self.prober = self.make(self.folder)

    def make(self, folder: str, clock: Any = None) -> Prober:
        """A prober, which is closed at the end."""
        prober = Prober(
            reactor, clock or self.clock, folder, self.spawner, lambda names: self.launch,
            lambda names, notice: self.said.append((names.id, notice)))
        self.addCleanup(prober.close)
        return prober

    def ask(
        self, spec: str, pid: int = 0, what: str = "ready", names: Names = WEB, interval: float = 0.05,
        timeout: float = 5.0, threshold: int = 1, sockets: tuple[int, ...] | None = None,
    ) -> Deferred[tuple[bool, str]]:
        """Begin a probe; fires with its answer."""
        answer: Deferred[tuple[bool, str]] = Deferred()
        probe = Probe(names, what, spec, interval, timeout, threshold)  # type: ignore[arg-type]
        self.prober.start(
            probe, pid or os.getpid(), (self.inode,) if sockets is None else sockets,
            lambda ok, why: answer.callback((ok, why)))
        self.assertFalse(answer.called, "never before start returns")
        return answer

    def notifier(self, script: str, names: Names = WEB, **options: Any) -> Worker:
        """Start a worker that can notify."""
        env = {**ENV, **self.prober.environment(names, ("notify",), **options)}
        return self.python(NOTIFY + script, env=env)


class ListeningTests(ProberCase):
    """C{ready = listening}."""

    @inlineCallbacks
    def test_ready(self) -> Any:
        """A worker is ready when it waits for connections, and is seen to wait later on."""
        pid = yield self.python("server.accept()").started
        self.assertEqual((yield self.ask("listening", pid)), (True, ""))
        self.assertTrue(self.prober.canSee(pid, (self.inode,)))
        self.assertFalse(self.prober.canSee(pid, (self.inode + 1,)))
        self.assertFalse(self.prober.canSee(2**22 + 1, (self.inode,)))

    @inlineCallbacks
    def test_never(self) -> Any:
        """One that does not is not, and that is said."""
        pid = yield self.python("time.sleep(60)").started
        answer = yield self.ask("listening", pid, timeout=0.2)
        self.assertEqual(answer, (False, "listening: not seen waiting for connections within 0.2 s"))

    @inlineCallbacks
    def test_noSocket(self) -> Any:
        """One that was handed no socket never will be."""
        answer = yield self.ask("listening", sockets=())
        self.assertEqual(answer, (False, "listening: it was handed no socket on which connections are accepted"))


class NotifyTests(ProberCase):
    """C{ready = notify} and C{live = notify}."""

    def test_environment(self) -> None:
        """Only who notifies gets a socket, and the same one when asked again."""
        verifyObject(IProber, self.prober)
        self.assertEqual(self.prober.environment(WEB, ("listening", "http://h/")), {})
        self.assertEqual(os.listdir(self.folder), [])
        found = self.prober.environment(WEB, ("notify", "http://h/"), watchdog=2.5)
        self.assertEqual(found, {"NOTIFY_SOCKET": f"{self.folder}/7", "WATCHDOG_USEC": "2500000"})
        inode = os.stat(f"{self.folder}/7").st_ino
        self.assertEqual(self.prober.environment(WEB, ("notify",)), {"NOTIFY_SOCKET": f"{self.folder}/7"})
        self.assertEqual(os.stat(f"{self.folder}/7").st_ino, inode)
        self.assertRaises(ValueError, self.prober.environment, WEB, ("log:(",))

    @inlineCallbacks
    def test_ready(self) -> Any:
        """READY=1 counts, whether it comes before or after somebody asks; everything said is passed on."""
        for early in (True, False):
            names = Names(8 + early, "web", 1)
            script = "notify(b'STATUS=up\\nREADY=1\\nX_REQUESTS=3\\nMAINPID=1')\ntime.sleep(60)"
            pid = yield self.notifier(script, names).started
            if early:
                yield self.until(lambda: self.said)
            self.assertEqual((yield self.ask("notify", pid, names=names)), (True, ""))
            self.assertEqual(self.said, [(names.id, Notice(ready=True, status="up", requests=3))])
            self.said.clear()
            self.prober.stop(names.id)

    @inlineCallbacks
    def test_never(self) -> Any:
        """Without READY=1 the answer is no, with what it says of itself."""
        pid = yield self.notifier("notify(b'STATUS=loading\\nREADY=0')\ntime.sleep(60)").started
        yield self.until(lambda: self.said)
        answer = yield self.ask("notify", pid, timeout=0.1)
        self.assertEqual(answer, (False, "notify: no READY=1 within 0.1 s; it says: loading"))

    @inlineCallbacks
    def test_extend(self) -> Any:
        """Who asks for more time gets it."""
        script = "notify(b'EXTEND_TIMEOUT_USEC=4000000')\ntime.sleep(0.5)\nnotify(b'READY=1')\ntime.sleep(60)"
        pid = yield self.notifier(script).started
        self.assertEqual((yield self.ask("notify", pid, timeout=0.4)), (True, ""))

    @inlineCallbacks
    def test_watchdog(self) -> Any:
        """Who says WATCHDOG=1 lives; who falls silent does not."""
        script = "for _ in range(3): notify(b'WATCHDOG=1'); time.sleep(0.1)\ntime.sleep(60)"
        pid = yield self.notifier(script, watchdog=0.3).started
        yield self.until(lambda: self.said)
        begun = self.clock.seconds()
        answer = yield self.ask("notify", pid, "live", timeout=0.3, threshold=3)
        self.assertEqual(answer, (False, "notify: no WATCHDOG=1 within 0.3 s"))
        self.assertGreater(self.clock.seconds() - begun, 0.35)

    @inlineCallbacks
    def test_trigger(self) -> Any:
        """WATCHDOG=trigger is an end at once."""
        script = "os.read(4, 1)\nnotify(b'WATCHDOG=trigger')\ntime.sleep(60)"
        read, write = os.pipe()
        env = {**ENV, **self.prober.environment(WEB, ("notify",), watchdog=30)}
        pid = yield self.python(NOTIFY + script, env=env, fds={4: read}).started
        os.close(read)
        answer = self.ask("notify", pid, "live", timeout=30, threshold=3)
        os.close(write)
        answer = yield answer
        self.assertEqual(answer, (False, "notify: it said WATCHDOG=trigger"))

    @inlineCallbacks
    def test_adopted(self) -> Any:
        """A worker of an earlier supervisor is heard where it was told to speak, in a file and without one."""
        for folder in (self.folder, ""):
            self.prober = self.make(folder)
            script = "os.read(4, 1)\nnotify(b'READY=1')\ntime.sleep(60)"
            read, write = os.pipe()
            env = {**ENV, **self.prober.environment(WEB, ("notify",))}
            pid = yield self.python(NOTIFY + script, env=env, fds={4: read}).started
            os.close(read)
            # A moment before its exec is complete its environment is still empty.
            yield self.until(lambda pid=pid: kernel.variable(pid, b"NOTIFY_SOCKET"))
            self.prober.close()
            self.prober = self.make(folder)
            answer = self.ask("notify", pid)
            os.write(write, b"x")
            os.close(write)
            self.assertEqual((yield answer), (True, ""))
            self.prober.close()

    @inlineCallbacks
    def test_noSocket(self) -> Any:
        """Where there can be no socket, one that is not ready fails, and one that is stays."""
        self.prober = self.make("/no/such/folder")
        self.assertRaises(OSError, self.prober.environment, WEB, ("notify",))
        answer = yield self.ask("notify")
        self.assertEqual(answer, (False, "notify: No such file or directory"))
        live = self.ask("notify", what="live", timeout=0)
        yield deferLater(reactor, 0)
        self.assertFalse(live.called)


class OtherTests(ProberCase):
    """The other kinds."""

    @inlineCallbacks
    def test_log(self) -> Any:
        """A line counts, whether it comes before or after somebody asks; of others' lines none does."""
        self.prober.environment(WEB, ("log:up on \\d+",))
        self.assertTrue(self.prober.hears(WEB))
        self.prober.heard(WEB, b"up on x")
        self.prober.heard(WEB, b"web: up on 80")
        self.assertFalse(self.prober.hears(WEB))
        self.assertEqual((yield self.ask("log:up on \\d+")), (True, ""))
        other = Names(8, "web", 2)
        self.assertFalse(self.prober.hears(other))
        answer = self.ask("log:up", names=other)
        self.prober.heard(WEB, b"up")
        self.assertFalse(answer.called)
        self.prober.heard(other, b"up")
        self.assertEqual((yield answer), (True, ""))
        answer = yield self.ask("log:up", names=Names(9, "web", 3), timeout=0.05)
        self.assertEqual(answer, (False, "log:up: no such line within 0.05 s"))

    @inlineCallbacks
    def test_http(self) -> Any:
        """A worker is ready when its answer is good, and does not live when it is bad so often."""
        server = Server()
        server.answer = b"HTTP/1.1 503 Service Unavailable\r\n\r\n"
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        spec = f"http://127.0.0.1:{port.getHost().port}/health"
        self.assertEqual((yield self.ask(spec, timeout=0.2)), (False, f"{spec}: 503 Service Unavailable"))
        ready = self.ask(spec)
        yield self.until(lambda: len(server.requests) > 6)
        server.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        self.assertEqual((yield ready), (True, ""))
        del server.requests[:]
        live = self.ask(spec, what="live", threshold=2)
        yield self.until(lambda: len(server.requests) > 3)
        self.assertFalse(live.called)
        server.answer = b"HTTP/1.1 500 \r\n\r\n"
        self.assertEqual((yield live), (False, f"{spec}: 500"))
        yield port.stopListening()
        yield self.until(lambda: not server.connections)

    @inlineCallbacks
    def test_tcp(self) -> Any:
        """Being connected is enough; a listener that nobody serves is connected too."""
        spec = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.assertEqual((yield self.ask(spec)), (True, ""))
        self.listener.close()
        self.assertEqual((yield self.ask(spec, timeout=0.1)), (False, f"{spec}: Connection refused"))

    @inlineCallbacks
    def test_hung(self) -> Any:
        """A peer that takes the request and says nothing does not live."""
        spec = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        answer = yield self.ask(spec, what="live", timeout=0.1)
        self.assertEqual(answer, (False, f"{spec}: no answer within 0.1 s"))

    @inlineCallbacks
    def test_exec(self) -> Any:
        """A command answers by its exit code, beside the worker."""
        self.launch = Launch(("web",), {**ENV, "NAME": "ann"}, cwd=self.folder)
        self.assertEqual((yield self.ask("exec:sh -c 'test $NAME = ann -a $PWD = " + self.folder + "'")), (True, ""))
        answer = yield self.ask("exec:sh -c 'echo no table; exit 3'", what="live", threshold=2)
        self.assertEqual(answer, (False, "exec:sh -c 'echo no table; exit 3': exit code 3"))
        self.assertEqual(words(answer[1]), "the command wrote: no table")
        answer = yield self.ask("exec:sleep 60", timeout=0.2)
        self.assertEqual(answer, (False, "exec:sleep 60: no answer within 0.2 s"))
        yield self.until(lambda: not self.spawner.processes)

    @inlineCallbacks
    def test_unknown(self) -> Any:
        """What is no look is said, and is nobody's death."""
        for spec in ("after", "https://h/", "tcp://h", "log:(", "exec:", "x"):
            ok, why = yield self.ask(spec, timeout=0.1)
            self.assertFalse(ok)
            self.assertTrue(why.startswith(spec), why)
        live = [self.ask(spec, what="live", interval=0) for spec in ("listening", "log:x", "tcp://h")]
        yield deferLater(reactor, 0.001)
        self.assertFalse(any(each.called for each in live))


class EndTests(ProberCase):
    """What is left: nothing."""

    @inlineCallbacks
    def test_nothingLeft(self) -> Any:
        """After the end of a worker's looks there is no file, descriptor, timer or command of theirs, and no answer."""
        yield self.python("").ended
        before = descriptors()
        address = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        specs = ("notify", "listening", "log:x", "exec:sleep 60", address)
        for end in (lambda: self.prober.stop(7), self.prober.close):
            self.prober.environment(WEB, specs)
            asked = [self.ask(spec) for spec in specs]
            asked += [self.ask(spec, what="live", interval=0) for spec in ("notify", "exec:sleep 60")]
            yield self.until(lambda: len(self.spawner.processes) == 2)
            end()
            end()
            self.assertEqual(os.listdir(self.folder), [])
            self.assertEqual(self.clock.getDelayedCalls(), [])
            yield self.until(lambda: not self.spawner.processes)
            self.assertFalse(any(each.called for each in asked))
        self.clock.close()
        self.assertLessEqual(descriptors().keys(), before.keys())

    @inlineCallbacks
    def test_stopWithin(self) -> Any:
        """Who is told may end everything of that worker."""
        answer: Deferred[None] = Deferred()

        def told(ok: bool, why: str) -> None:
            self.prober.stop(7)
            answer.callback(None)

        self.prober.environment(WEB, ("notify",))
        self.prober.start(Probe(WEB, "ready", "tcp://127.0.0.1:1", 0.05, 0.1), 1, (), told)
        self.prober.start(Probe(WEB, "ready", "notify", 0.05, 5), 1, (), lambda ok, why: self.fail("is over"))
        yield answer
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_spread(self) -> None:
        """The looks at many do not come together."""
        clock = Clock()
        self.prober = self.make(self.folder, clock)
        for id in range(1, 201):
            self.ask("tcp://127.0.0.1:1", what="live", names=Names(id, "web", id), interval=10)
        seconds = [int(call.getTime()) for call in clock.getDelayedCalls()]
        self.assertEqual(len(seconds), 200)
        self.assertLessEqual(max(seconds.count(second) for second in range(10)), 22)
        self.prober.close()
        self.assertEqual(clock.getDelayedCalls(), [])


class ManyTests(ProberCase):
    """Many workers at once."""

    timeout = 60.0

    @inlineCallbacks
    def test_many(self) -> Any:
        """Many workers, each listening and notifying, are all seen to be ready."""
        names = [Names(id, "web", id) for id in range(1, 61)]
        answers = []
        for each in names:
            worker = self.notifier("notify(b'READY=1')\nserver.accept()", each)
            spec = "notify" if each.id % 2 else "listening"
            worker.started.addCallback(lambda pid, each=each, spec=spec: self.ask(spec, pid, names=each, timeout=30))
            answers.append(worker.started)
        found = yield gatherResults(answers)
        self.assertEqual(set(found), {(True, "")})
        self.assertEqual(len(os.listdir(self.folder)), 60)
        self.prober.close()
        self.assertEqual(os.listdir(self.folder), [])

    @inlineCallbacks
    def test_cost(self) -> Any:
        """A look by HTTP costs so little that two hundred in ten seconds take a hundredth of the time."""
        script = (
            "while True:\n"
            "    s = server.accept()[0]; s.recv(4096); s.send(b'HTTP/1.1 200 OK\\r\\n\\r\\n'); s.close()")
        yield self.python(script).started
        spec = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        yield self.ask(spec)
        begun = time.process_time()
        yield gatherResults([self.ask(spec, names=Names(id, "web", id)) for id in range(200)])
        self.assertLess(time.process_time() - begun, 0.2, sys.version)
