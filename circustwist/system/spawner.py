"""
Processes: started by posix_spawn(3), watched by pidfd.

No Python runs between fork and exec.  What posix_spawn cannot set is set by
the L{launcher}, which becomes the program in turn.  Nothing here has a timer:
all news of one turn of the reactor, that a program runs or has ended, are
told together in the next one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model.errors import SpawnProblem
from ..model.launch import Launch
from . import kernel, launcher, programs, steps, tree
from .interfaces import ISpawner, IWorkerProcess, IWorkerProtocol

_LAUNCHER = (sys.executable, "-I", "-S", os.path.abspath(launcher.__file__))
# All, because exec keeps what is ignored: nohup(1) ignores SIGHUP, Python SIGPIPE.
_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_OURS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""What posix_spawn itself lacks, in place of what execve says of a program."""


class IReactor(IReactorFDSet, IReactorFromThreads):
    """What is needed of a reactor here."""


def closeOnExecEverything() -> None:
    """
    Keep what we inherited from our own parent from our children; once, at the
    start, for everything but the standard descriptors.
    """
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2:
            with suppress(OSError):  # the listing's own
                os.set_inheritable(fd, False)


def raiseFileLimit() -> int:
    """
    Allow ourselves as many descriptors as the hard limit does.

    @return: the soft limit that there was, which children are to get.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


@implementer(IWorkerProcess, IReadDescriptor)
class Process:
    """
    One process and its pidfd, which is readable when it has ended.

    @ivar token: see L{tree.Owner}.
    @ivar killMode: what is killed when it has ended.
    @ivar protocol: who is told; None after a refusal, whose launcher is only waited for.
    @ivar report: the launcher's status pipe while it is open.
    """

    __slots__ = ("_fd", "_spawner", "killMode", "pid", "protocol", "report", "token")

    def __init__(
        self, spawner: Spawner, protocol: IWorkerProtocol, pid: int, pidfd: int, launch: Launch
    ) -> None:
        self.pid = pid
        self.token = os.fsencode(launch.env.get("CIRCUSTWIST_ID", ""))
        self.killMode = launch.killMode
        self.protocol: IWorkerProtocol | None = protocol
        self.report: Report | None = None
        self._fd = pidfd
        self._spawner = spawner

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return f"pid {self.pid}"

    def doRead(self) -> None:
        self._spawner.ended(self)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; the descriptor is given back by the spawner."""

    def signal(self, signum: int, whom: str) -> None:
        if self._fd < 0:
            return
        if whom == "children":
            for child in kernel.children(self.pid):
                tree.signalChild(child, self.pid, signum)
            return
        with suppress(ProcessLookupError):
            if whom == "tree":
                self._spawner.tree.signal(self, signum)
                kernel.signalGroup(self.pid, self._fd, signum)
            else:
                signal.pidfd_send_signal(self._fd, signum)

    def isChild(self) -> bool:
        """Whether it has ended and can be waited for, so that its number cannot be anybody else's."""
        try:
            # With SIGCHLD ignored a child cannot be waited for either.
            return os.waitid(os.P_PIDFD, self._fd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return False

    def wait(self) -> int:
        """How it ended, as waitpid(2) says, -1 if that is not to be had; from then on its number is free."""
        try:
            # Not os.waitpid: only waitid takes a pidfd.
            info = os.waitid(os.P_PIDFD, self._fd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            info = None
        if info is None:
            status = kernel.exitStatus(self.pid, self._fd)
            return -1 if status is None else status
        if info.si_code == os.CLD_EXITED:
            return info.si_status << 8
        return info.si_status | (0x80 if info.si_code == os.CLD_DUMPED else 0)

    def close(self) -> None:
        """Give back the pidfd."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


@implementer(IReadDescriptor)
class Report:
    """The status pipe of one launcher: it closes when the program runs or has failed to."""

    __slots__ = ("_data", "_fd", "_spawner", "launch", "path", "process")

    def __init__(self, spawner: Spawner, process: Process, fd: int, launch: Launch, path: str) -> None:
        self.process = process
        self.launch = launch
        self.path = path
        self._fd = fd
        self._data = b""
        self._spawner = spawner

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return f"launcher {self.process.pid}"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; the descriptor is given back by the spawner."""

    def doRead(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._fd, 4096):
                self._data += data
            self._spawner.reported(self)

    def problem(self) -> SpawnProblem | None:
        """Why the program does not run; None if it does."""
        failed = launcher.parse(self._data)
        if failed is None:
            return None
        step, number, detail = failed
        text = os.fsdecode(detail)
        return SpawnProblem(
            step, number, programs.explain(self.path, number, self.launch.cwd) if step == "execve" and number else text
        )

    def close(self) -> None:
        """Give back the pipe."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def unknown(pid: int, commandLine: str) -> None:
    """Log a stranger that belongs to nobody; what a L{Spawner} does unless told otherwise."""
    Spawner.log.warn(
        "process {pid} ({commandLine}) was left behind by a worker, nobody knows which; it is killed at the end",
        pid=pid, commandLine=commandLine,
    )


@implementer(ISpawner)
class Spawner:
    """
    Makes processes.

    @ivar processes: those that have not been waited for, by pid.
    @ivar tree: what they have started.
    """

    log = Logger()

    def __init__(
        self, reactor: IReactor, files: int | None = None, stranger: Callable[[int, str], None] = unknown
    ) -> None:
        """
        @param files: the soft limit of descriptors that children get, as
            L{raiseFileLimit} returned it; None is ours.
        @param stranger: told once of each process that a worker left behind
            without a mark: its pid and command line.
        """
        self.processes: dict[int, Process] = {}
        self.tree = tree.Tree(reactor, self.processes, stranger)
        self._reactor = reactor
        self._files = files
        self._told: set[str] = set()
        self._news: list[Callable[[], None]] = []
        self._ended: list[Process] = []
        self._scheduled = False

    def start(self) -> None:
        """Look after what is left behind by workers, from the first one on at the latest."""
        self.tree.start()

    def spawn(self, protocol: IWorkerProtocol, launch: Launch, descriptors: Mapping[int, int]) -> None:
        self.start()
        try:
            path = self._find(launch)
            if launch.road == "direct":
                process = self._direct(protocol, launch, path, descriptors)
                self._tell(lambda: protocol.spawned(process))
            else:
                self._launched(protocol, launch, path, descriptors)
        except steps.Refused as refused:
            problem = refused.problem
            self._tell(lambda: protocol.refused(problem))

    def adopt(self, protocol: IWorkerProtocol, pid: int, pidfd: int, launch: Launch) -> Process:
        self.start()
        return self._watched(Process(self, protocol, pid, pidfd, launch))

    def killUnattributed(self) -> None:
        """Kill what workers left behind without a mark, at the end of everything."""
        self.tree.killUnattributed()

    def close(self) -> None:
        """Watch nothing any more; the processes go on."""
        self.tree.close()
        for process in (*self.processes.values(), *self._ended):
            for each in (process, process.report):
                if each is not None:
                    self._reactor.removeReader(each)
                    each.close()
        self.processes.clear()
        self._news.clear()
        self._ended.clear()

    # Starting

    def _find(self, launch: Launch) -> str:
        program = launch.argv[0] if launch.argv else ""
        try:
            found = programs.find(program, launch.env.get("PATH"), launch.cwd)
        except programs.NotFound as error:
            raise steps.Refused(error.problem) from None
        if found.where and str(found) not in self._told:
            self._told.add(str(found))
            self.log.info("{program} {found}", program=program, found=found)
        return found.path

    def _direct(
        self, protocol: IWorkerProtocol, launch: Launch, path: str, descriptors: Mapping[int, int]
    ) -> Process:
        try:
            pid, pidfd = self._posixSpawn(path, launch.argv, launch.env, launch.umask, descriptors)
        except ValueError as error:
            raise steps.Refused(SpawnProblem("execve", 0, f"{path}: {error}")) from None
        except OSError as error:
            number = error.errno or 0
            step, detail = ("posix_spawn", path) if number in _OURS else ("execve", programs.explain(path, number))
            raise steps.Refused(SpawnProblem(step, number, detail)) from None
        return self._watched(Process(self, protocol, pid, pidfd, launch))

    def _launched(
        self, protocol: IWorkerProtocol, launch: Launch, path: str, descriptors: Mapping[int, int]
    ) -> None:
        first = max((2, *descriptors)) + 1
        plan = steps.plan(launch, path, [*descriptors, first + 1])
        held: list[int] = []
        try:
            held.append(steps.memory(plan))
            status, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            held += (status, theirs)
            pid, pidfd = self._posixSpawn(
                _LAUNCHER[0], (*_LAUNCHER, str(first), str(first + 1)), {}, launch.umask,
                {**descriptors, first: held[0], first + 1: theirs},
            )
            held.remove(status)
        except OSError as error:
            raise steps.Refused(SpawnProblem("launcher", error.errno or 0, path)) from None
        finally:
            for fd in held:
                os.close(fd)
        process = self._watched(Process(self, protocol, pid, pidfd, launch))
        process.report = Report(self, process, status, launch, path)
        self._reactor.addReader(process.report)

    def _posixSpawn(
        self, path: str, argv: tuple[str, ...], env: Mapping[str, str], umask: int | None,
        descriptors: Mapping[int, int],
    ) -> tuple[int, int]:
        """Start a process: its pid and pidfd."""
        base = max((2, *descriptors)) + 1
        held: list[int] = []
        try:
            # Above every target, so that no dup2 overwrites what a later one copies.
            for source in descriptors.values():
                held.append(fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, base))
            actions: list[tuple[int, int, int] | tuple[int, int]] = [
                (os.POSIX_SPAWN_DUP2, safe, target) for safe, target in zip(held, descriptors, strict=True)
            ]
            actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in range(3) if fd not in descriptors]
            # Kept for the pidfd: without one there must be no child.
            held.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
            with self._inherited(umask):
                pid = os.posix_spawn(
                    path, argv, env, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_SIGNALS
                )
            os.close(held.pop())
            return pid, self._pidfd(pid)
        finally:
            for fd in held:
                os.close(fd)

    @contextmanager
    def _inherited(self, umask: int | None) -> Iterator[None]:
        """Have for a moment what posix_spawn cannot set but a child inherits."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        before = None if umask is None else os.umask(umask)
        try:
            if self._files not in (None, limits[0]):
                resource.setrlimit(resource.RLIMIT_NOFILE, (self._files, limits[1]))
            yield
        finally:
            if before is not None:
                os.umask(before)
            if self._files not in (None, limits[0]):
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    def _pidfd(self, pid: int) -> int:
        """The pidfd of a child that was just made; the child is ended if there is none to be had."""
        try:
            return os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def _watched(self, process: Process) -> Process:
        self.processes[process.pid] = process
        self._reactor.addReader(process)
        return process

    # Telling

    def reported(self, report: Report) -> None:
        """A launcher is done, one way or the other."""
        self._reactor.removeReader(report)
        report.close()
        process, problem = report.process, report.problem()
        process.report = None
        protocol = process.protocol
        if protocol is not None and problem is not None:
            process.protocol = None
            self._call(lambda: protocol.refused(problem))
        elif protocol is not None:
            self._call(lambda: protocol.spawned(process))

    def ended(self, process: Process) -> None:
        """A process has ended; it is dealt with together with all others of this turn."""
        self._reactor.removeReader(process)
        self._ended.append(process)
        self._schedule()

    def _tell(self, news: Callable[[], None]) -> None:
        self._news.append(news)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            # Not by callLater(0), which waits for an hour when the time of day is set back by one.
            self._reactor.callFromThread(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        news, self._news = self._news, []
        ended, self._ended = self._ended, []
        for tell in news:
            self._call(tell)
        for process in ended:
            # It has ended, so that its pipe says everything that it ever will.
            if process.report is not None:
                process.report.doRead()
        self._killRest([process for process in ended if process.protocol and process.killMode != "process"])
        for process, status in [(process, self._waited(process)) for process in ended]:
            protocol = process.protocol
            if protocol is not None:
                self._call(partial(protocol.exited, status))

    def _killRest(self, ended: list[Process]) -> None:
        """Kill what these have left, while those that are our children still hold their numbers."""
        safe = [(process, process.isChild()) for process in ended]
        for process, isChild in safe:
            if isChild:
                tree.killGroup(process.pid)
        if ended:
            self.tree.kill(ended)
        elsewhere = [process for process, isChild in safe if not isChild]
        if elsewhere:
            tree.killElsewhere(elsewhere)

    def _waited(self, process: Process) -> int:
        status = process.wait()
        process.close()
        if self.processes.get(process.pid) is process:
            del self.processes[process.pid]
        return status

    def _call(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:
            self.log.failure("a worker's news were not taken well")
