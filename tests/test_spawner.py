"""Tests of the making of processes, with real ones."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from circustwist.model.errors import SpawnProblem
from circustwist.model.launch import Launch
from circustwist.system import kernel
from circustwist.system.interfaces import ISpawner, IWorkerProcess, IWorkerProtocol
from circustwist.system.processes import Process
from circustwist.system.spawner import Spawner, closeOnExecEverything, raiseFileLimit

ROOT = os.geteuid() == 0
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CIRCUSTWIST_ID": f"test-{os.getpid()}/1"}
STANDARD = {0: 0, 1: 1, 2: 2}


@implementer(IWorkerProtocol)
class Recorder:
    """
    Keeps what it is told.

    @ivar told: the names of all calls, in order.
    @ivar started: fires with the process or the problem.
    @ivar ended: fires with the status.
    """

    def __init__(self) -> None:
        self.told: list[str] = []
        self.process: Process | None = None
        self.started: Deferred[Any] = Deferred()
        self.ended: Deferred[int] = Deferred()

    def spawned(self, process: Process) -> None:
        self.told.append("spawned")
        self.process = process
        self.started.callback(process)

    def refused(self, problem: SpawnProblem) -> None:
        self.told.append("refused")
        self.started.callback(problem)

    def exited(self, status: int) -> None:
        self.told.append("exited")
        self.ended.callback(status)


def descriptors() -> list[str]:
    """What is open in us, but for the listing itself."""
    return sorted((fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")), key=int)


class SpawnerTestCase(TestCase):
    """A spawner in the real reactor."""

    timeout = 60.0

    def setUp(self) -> None:
        closeOnExecEverything()
        self.spawner = Spawner(reactor)
        self.addCleanup(self.close)

    def close(self) -> None:
        """Leave nothing running."""
        for process in self.spawner.processes.values():
            process.signal(signal.SIGKILL, "tree")
        self.spawner.close()

    def launch(self, *argv: str, **options: Any) -> Launch:
        """A launch in the usual environment."""
        return Launch(argv, **{"env": ENV, **options})

    def spawn(self, *argv: str, fds: dict[int, int] = STANDARD, **options: Any) -> Recorder:
        """Start something."""
        recorder = Recorder()
        self.spawner.spawn(recorder, self.launch(*argv, **options), fds)
        return recorder

    def sh(self, script: str, **options: Any) -> Recorder:
        """Start a script."""
        return self.spawn("/bin/sh", "-c", script, **options)

    @inlineCallbacks
    def quiet(self) -> Any:
        """Wait for what was refused to be waited for, which nobody is told of."""
        while self.spawner.processes:
            yield deferLater(reactor, 0)

    @inlineCallbacks
    def output(self, *argv: str, fds: dict[int, int] | None = None, **options: Any) -> Any:
        """What a process prints, when it has ended."""
        read, write = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            recorder = self.spawn(*argv, fds={0: null, 2: 2, **(fds or {}), 1: write}, **options)
        finally:
            os.close(write)
            os.close(null)
        started = yield recorder.started
        self.assertIsInstance(started, Process)
        yield recorder.ended
        with open(read) as file:
            return file.read()

    @inlineCallbacks
    def problem(self, *argv: str, **options: Any) -> Any:
        """Why something cannot be started."""
        recorder = self.spawn(*argv, **options)
        problem = yield recorder.started
        self.assertIsInstance(problem, SpawnProblem)
        return problem


class LifeTests(SpawnerTestCase):
    """The way from the start to the end, on both roads."""

    roads: tuple[dict[str, Any], ...] = ({}, {"cwd": "/"})

    def test_interfaces(self) -> None:
        """Everything keeps its contract."""
        verifyObject(ISpawner, self.spawner)
        process = Process(self.spawner, Recorder(), 1, -1, self.launch("x"))
        verifyObject(IWorkerProcess, process)
        verifyObject(IReadDescriptor, process)
        verifyObject(IWorkerProtocol, Recorder())

    @inlineCallbacks
    def test_statuses(self) -> Any:
        """The status is the one of waitpid(2), told after the start, once."""
        for options in self.roads:
            for script, status in (
                ("exit 0", 0), ("exit 1", 1 << 8), ("exit 127", 127 << 8), ("exit 255", 255 << 8),
                ("kill -TERM $$", signal.SIGTERM), ("kill -KILL $$", signal.SIGKILL),
            ):
                recorder = self.sh(script, **options)
                self.assertEqual((yield recorder.ended), status)
                self.assertEqual(recorder.told, ["spawned", "exited"])
        self.assertEqual(self.spawner.processes, {})

    @inlineCallbacks
    def test_core(self) -> Any:
        """A core dump shows in the status as it does in waitpid's."""
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        script = "ulimit -c unlimited; kill -ABRT $$"
        plain = subprocess.Popen(["/bin/sh", "-c", script], cwd=folder)
        _, expected = os.waitpid(plain.pid, 0)
        plain.returncode = 0
        status = yield self.sh(script, cwd=folder).ended
        self.assertEqual(status, expected)
        self.assertEqual(os.WTERMSIG(status), signal.SIGABRT)

    def test_asynchronous(self) -> Deferred[Any]:
        """Nobody is told before C{spawn} returns, of a failure neither."""
        recorders = [self.spawn("/bin/true"), self.spawn("/no/such"), self.spawn("/bin/true", cwd="/no/such")]
        self.assertEqual([recorder.told for recorder in recorders], [[], [], []])
        return gatherResults([recorder.started for recorder in recorders])

    @inlineCallbacks
    def test_many(self) -> Any:
        """Many processes on both roads are each told of."""
        recorders = [self.sh(f"exit {n % 256}", **self.roads[n % 5 == 0]) for n in range(200)]
        statuses = yield gatherResults([recorder.ended for recorder in recorders])
        self.assertEqual(statuses, [n % 256 << 8 for n in range(200)])
        self.assertEqual({tuple(recorder.told) for recorder in recorders}, {("spawned", "exited")})

    @inlineCallbacks
    def test_descriptorsBack(self) -> Any:
        """Nothing stays open after a process has ended."""
        yield self.sh("exit", cwd="/").ended
        before = descriptors()
        yield gatherResults([self.sh("exit", **self.roads[n % 2]).ended for n in range(20)])
        self.assertEqual(descriptors(), before)

    @inlineCallbacks
    def test_failingProtocol(self) -> Any:
        """A protocol that fails does not keep others from being told."""
        first, second = Recorder(), Recorder()
        first.spawned = lambda process: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        for recorder in (first, second):
            self.spawner.spawn(recorder, self.launch("/bin/true"), STANDARD)
        yield gatherResults([first.ended, second.ended])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_ignored(self) -> Any:
        """With SIGCHLD ignored the status is had all the same."""
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        read, write = os.pipe()
        try:
            recorder = self.sh("read line; exit 6", fds={0: read})
            yield recorder.started
            os.close(write)
            status = yield recorder.ended
        finally:
            signal.signal(signal.SIGCHLD, before)
            os.close(read)
        self.assertIn(status, (6 << 8, -1))

    @inlineCallbacks
    def test_killedLauncher(self) -> Any:
        """A launcher that is killed before it is done is a refusal, not a start."""
        recorder = self.spawn("/bin/true", cwd="/")
        (process,) = self.spawner.processes.values()
        process.signal(signal.SIGKILL, "process")
        problem = yield recorder.started
        self.assertEqual((problem.step, recorder.told), ("launcher", ["refused"]))

    @inlineCallbacks
    def test_signals(self) -> Any:
        """A process can be signalled; after its end nothing happens."""
        for whom in ("process", "tree"):
            recorder = self.spawn("sleep", "60")
            process = yield recorder.started
            process.signal(signal.SIGTERM, whom)
            self.assertEqual((yield recorder.ended), signal.SIGTERM)
            for each in ("process", "tree", "children"):
                process.signal(signal.SIGTERM, each)

    @inlineCallbacks
    def test_found(self) -> Any:
        """A fallback of the search is told by one line, once."""
        lines: list[str] = []

        def observe(event: Any) -> None:
            if event.get("log_namespace", "").endswith("spawner.Spawner"):
                lines.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        name = os.path.basename(sys.executable)
        env = {"PATH": "/nowhere"}
        yield gatherResults([self.spawn(name, "-c", "", env=env).ended for _ in range(2)])
        self.assertEqual(lines, [f"{name} found beside twistd: {sys.executable}"])


    @inlineCallbacks
    def test_venv(self) -> Any:
        """A Python that only we could find knows in which virtual environment it is."""
        name = os.path.basename(sys.executable)
        said = yield self.output(name, "-c", "import sys; print(sys.prefix)", env={})
        self.assertEqual(said.strip(), sys.prefix)


class SurroundingsTests(SpawnerTestCase):
    """What a process finds itself in."""

    @inlineCallbacks
    def test_exactDescriptors(self) -> Any:
        """Exactly the descriptors that were asked for are open, whatever is open in us."""
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            for road in ({}, {"cwd": "/"}):
                text = yield self.output("/bin/ls", "/proc/self/fd", fds={7: null, 12: 2}, **road)
                self.assertEqual(sorted(map(int, text.split())), [0, 1, 2, 3, 7, 12])  # 3 is the listing
        finally:
            os.close(null)

    @inlineCallbacks
    def test_missingStandard(self) -> Any:
        """A standard descriptor that is not asked for is closed."""
        for road in ({}, {"cwd": "/"}):
            read, write = os.pipe()
            recorder = self.spawn("/bin/ls", "/proc/self/fd", fds={1: write}, **road)
            os.close(write)
            yield recorder.ended
            with open(read) as file:
                self.assertEqual(file.read().split(), ["0", "1"])  # 0 is the listing

    @inlineCallbacks
    def test_crossings(self) -> Any:
        """Any map of descriptors is made, crossing ones and repeated ones included."""
        files = [os.memfd_create(f"crossing{n}") for n in range(6)]
        script = "for f in /proc/self/fd/*; do echo ${f##*/} $(readlink $f); done"
        dice = random.Random(1)
        try:
            for n in range(30):
                targets = dice.sample(range(3, 20), 4) + dice.sample(files, 2)
                fds = {target: dice.choice(files) for target in targets}
                expected = {str(t): f"/memfd:crossing{files.index(s)}" for t, s in fds.items()}
                text = yield self.output("/bin/bash", "-c", script, fds=fds, **({"cwd": "/"} if n % 5 == 0 else {}))
                found = [line.partition(" ")[::2] for line in text.splitlines()]
                crossing = {fd: name.removesuffix(" (deleted)") for fd, name in found if "crossing" in name}
                self.assertEqual(crossing, expected)
        finally:
            for fd in files:
                os.close(fd)

    @inlineCallbacks
    def test_session(self) -> Any:
        """A process leads its session and its group."""
        for road in ({}, {"cwd": "/"}):
            recorder = self.spawn("sleep", "60", **road)
            process = yield recorder.started
            self.assertEqual((os.getsid(process.pid), os.getpgid(process.pid)), (process.pid,) * 2)
            process.signal(signal.SIGKILL, "tree")
            yield recorder.ended

    @inlineCallbacks
    def test_ignoredSignals(self) -> Any:
        """No signal is ignored or blocked that we ignore or block."""
        for signum in (signal.SIGHUP, signal.SIGUSR1):
            before = signal.signal(signum, signal.SIG_IGN)
            self.addCleanup(signal.signal, signum, before)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
        ours = sum(1 << (signum - 1) for signum in signal.valid_signals())
        for road in ({}, {"cwd": "/"}):
            text = yield self.output("/bin/grep", "-E", "SigIgn|SigBlk", "/proc/self/status", **road)
            self.assertEqual([int(line.split()[1], 16) & ours for line in text.splitlines()], [0, 0])

    @inlineCallbacks
    def test_umask(self) -> Any:
        """The umask is the one asked for, and ours is not changed."""
        before = os.umask(0o022)
        self.addCleanup(os.umask, before)
        for road in ({}, {"cwd": "/"}):
            self.assertEqual((yield self.output("/bin/sh", "-c", "umask", umask=0o027, **road)), "0027\n")
            self.assertEqual((yield self.output("/bin/sh", "-c", "umask", **road)), "0022\n")
        self.spawn("/no/such", umask=0o077)
        self.assertEqual(os.umask(0o022), 0o022)

    @inlineCallbacks
    def test_fileLimit(self) -> Any:
        """Children get the limit of descriptors that we had before we raised it."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        soft = min(limits[1], 512)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, limits[1]))
        self.assertEqual(raiseFileLimit(), soft)
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (limits[1],) * 2)
        self.spawner._files = soft
        for road in ({}, {"cwd": "/"}):
            text = yield self.output("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn", **road)
            self.assertEqual(text.split(), [str(soft), str(limits[1])])
        yield self.problem("/no/such")
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (limits[1],) * 2)

    @inlineCallbacks
    def test_environment(self) -> Any:
        """The environment is exactly the one asked for."""
        env = {"A.B": "1", "E": "ä", "X": "a=b\nc"}
        for road in ({}, {"cwd": "/"}):
            text = yield self.output("/usr/bin/env", "-0", env=env, **road)
            self.assertEqual(text, "A.B=1\0E=ä\0X=a=b\nc\0")

    @inlineCallbacks
    def test_specials(self) -> Any:
        """Folder, niceness, limits and LISTEN_PID are those asked for."""
        script = "pwd; nice; ulimit -n; test $LISTEN_PID = $$ && echo same"
        text = yield self.output(
            "/bin/sh", "-c", script, cwd="/usr", nice=3, rlimits={"nofile": 99, "core": 0}, listen=1)
        self.assertEqual(text.split(), ["/usr", str(os.nice(0) + 3), "99", "same"])

    @inlineCallbacks
    def test_identity(self) -> Any:
        """User, group and supplementary groups are really changed."""
        text = yield self.output("/usr/bin/id", uid="nobody")
        expected = subprocess.run(["id", "nobody"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(text, expected)
        text = yield self.output("/bin/sh", "-c", "id -u; id -g", gid="54321")
        self.assertEqual(text.split(), ["0", "54321"])

    if not ROOT:
        test_identity.skip = "only root may become somebody else"  # type: ignore[attr-defined]


class RefusalTests(SpawnerTestCase):
    """Why something could not be started."""

    def file(self, text: str, mode: int = 0o755) -> str:
        """A file to be executed."""
        path = os.path.abspath(self.mktemp())
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    @inlineCallbacks
    def test_execve(self) -> Any:
        """Both roads tell the step, the error number and what it was about."""
        big = ("x" * 130000,) * 100
        for argv, number, words in (
            (("/no/such",), errno.ENOENT, "/no/such"),
            ((self.file("#!/no/such/sh\n"),), errno.ENOENT, "its interpreter /no/such/sh is missing"),
            ((self.file("#!/bin/sh\n", 0o644),), errno.EACCES, "/"),
            ((self.file("echo no\n"),), errno.ENOEXEC, "#!"),
            (("/etc",), errno.EACCES, "folder"),
            (("/bin/true", *big), errno.E2BIG, "too long"),
        ):
            for road in ({}, {"cwd": "/"}):
                problem = yield self.problem(*argv, **road)
                self.assertEqual((problem.step, problem.errno), ("execve", number), str(problem))
                self.assertIn(words, problem.detail)

    @inlineCallbacks
    def test_find(self) -> Any:
        """A name that is nowhere is refused with all folders."""
        for road in ({}, {"cwd": "/"}):
            problem = yield self.problem("no-such-program", **road)
            self.assertEqual((problem.step, problem.errno), ("find", errno.ENOENT))
            self.assertIn("/usr/local/bin", problem.detail)

    @inlineCallbacks
    def test_steps(self) -> Any:
        """A folder, a user, a group, a limit that are not there are each named."""
        for options, step, number, words in (
            ({"cwd": "/no/such"}, "chdir", errno.ENOENT, "/no/such"),
            ({"uid": "nosuchuser"}, "user", 0, "there is no user 'nosuchuser'"),
            ({"gid": "nosuchgroup"}, "group", 0, "there is no group 'nosuchgroup'"),
            ({"rlimits": {"odd": 1}}, "setrlimit", 0, "odd"),
            ({"rlimits": {"nofile": 1 << 40}}, "setrlimit", errno.EPERM, "nofile 1099511627776"),
        ):
            problem = yield self.problem("/bin/true", **options)
            self.assertEqual((problem.step, problem.errno), (step, number))
            self.assertIn(words, problem.detail)

    @inlineCallbacks
    def test_unreadable(self) -> Any:
        """A status pipe that cannot be read is a refusal, and neither the program nor what it has started stays."""
        started = os.path.abspath(self.mktemp())
        token, read = f"test-{os.getpid()}/unreadable", os.read

        def failing(fd: int, size: int) -> bytes:
            if fd not in [each.report.fileno() for each in self.spawner.processes.values() if each.report]:
                return read(fd, size)
            raise OSError(errno.EIO, "by intent") if os.path.exists(started) else BlockingIOError

        def left() -> list[int]:
            found = []
            for pid in filter(str.isdecimal, os.listdir("/proc")):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                    found += [int(pid)] if token.encode() in file.read() else []
            return found

        before = descriptors()
        self.patch(os, "read", failing)
        problem = yield self.problem(
            "/bin/sh", "-c", f"sleep 1300 & setsid sleep 1300 & echo >{started}; wait", cwd="/",
            env={**ENV, "CIRCUSTWIST_ID": token})
        self.assertEqual((problem.step, problem.errno), ("launcher", errno.EIO))
        yield self.quiet()
        while left():
            yield deferLater(reactor, 0.01)
        self.assertLessEqual(len(descriptors()), len(before) + 3)

    @inlineCallbacks
    def test_nul(self) -> Any:
        """NUL in a word is refused."""
        for road in ({}, {"cwd": "/"}):
            problem = yield self.problem("/bin/true", "a\0b", **road)
            self.assertEqual(problem.step, "execve")

    @inlineCallbacks
    def test_leaks(self) -> Any:
        """Hundreds of refusals leave no descriptor and no process."""
        yield self.problem("/no/such", cwd="/")
        yield self.quiet()
        before = descriptors()
        yield gatherResults([self.problem("/no/such") for _ in range(500)])
        yield gatherResults([self.problem("/no/such", cwd="/") for _ in range(20)])
        yield self.quiet()
        self.assertEqual(descriptors(), before)
        self.assertEqual(self.spawner.processes, {})

    @inlineCallbacks
    def test_noDescriptors(self) -> Any:
        """With too few descriptors left a start is refused and there is no process."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        for road in ({}, {"cwd": "/"}):
            for free in range(10):
                before = set(kernel.children(os.getpid()))
                top = max(map(int, descriptors())) + 1 + free
                filler = [os.dup(0) for _ in range(top - len(descriptors()) - free)]
                resource.setrlimit(resource.RLIMIT_NOFILE, (top, limits[1]))
                try:
                    recorder = self.spawn("/bin/true", **road)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                    for fd in filler:
                        os.close(fd)
                made = set(kernel.children(os.getpid())) - before
                started = yield recorder.started
                if isinstance(started, SpawnProblem):
                    self.assertEqual((started.errno, made), (errno.EMFILE, set()))
                    self.assertTrue(started.shortage)
                else:
                    self.assertGreater(free, 3)
                    yield recorder.ended


class AdoptionTests(SpawnerTestCase):
    """Processes that somebody else started."""

    def orphan(self, script: str, *fds: int) -> int:
        """The pid of a process, leading its session, that is not our child; it keeps some descriptors."""
        program = (
            "import os, sys\n"
            "pid = os.fork()\n"
            "if pid: print(pid, flush=True); os._exit(0)\n"
            "os.setsid(); null = os.open('/dev/null', os.O_RDWR); os.dup2(null, 1)\n"
            "os.execve('/bin/sh', ['sh', '-c', sys.argv[1]], dict(os.environ))\n"
        )
        out = subprocess.run([sys.executable, "-c", program, script], check=True, stdout=subprocess.PIPE, text=True,
                             env=ENV, pass_fds=fds)
        return int(out.stdout)

    @inlineCallbacks
    def adopted(self, pid: int, act: Callable[[Process], None]) -> Any:
        """The status of an adopted process after something was done to it."""
        pidfd = os.pidfd_open(pid)
        if os.getpid() == kernel.parent(pid):
            self.skipTest("orphans become our children here")
        recorder = Recorder()
        act(self.spawner.adopt(recorder, pid, pidfd, self.launch("/bin/sh")))
        return (yield recorder.ended)

    @inlineCallbacks
    def test_exit(self) -> Any:
        """Its end is noticed, with its status."""
        status = yield self.adopted(self.orphan("exec sleep 60"), lambda p: p.signal(signal.SIGTERM, "process"))
        self.assertIn(status, (signal.SIGTERM, -1))

    @inlineCallbacks
    def test_rest(self) -> Any:
        """What it leaves behind is killed, known by its token, without our being its parent."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        try:
            pid = self.orphan(f"setsid sh -c 'echo up; exec sleep 60' >/proc/self/fd/{write} & exec sleep 60", write)
        finally:
            os.close(write)
        self.assertEqual(os.read(read, 3), b"up\n")
        yield self.adopted(pid, lambda process: process.signal(signal.SIGKILL, "process"))
        self.assertEqual(os.read(read, 1), b"")  # whoever held the other end is gone


class InheritanceTests(SynchronousTestCase):
    """What we inherited."""

    def test_closeOnExec(self) -> None:
        """Nothing that we inherited is handed on."""
        fd = os.dup(0)
        self.addCleanup(os.close, fd)
        os.set_inheritable(fd, True)
        closeOnExecEverything()
        self.assertFalse(os.get_inheritable(fd))

