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
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

import attrs
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from zope.interface import implementer

from ..model.errors import SpawnProblem, Unstartable
from ..model.launch import Launch
from . import cgroup, launcher, programs, steps, tree
from .interfaces import ISpawner, IWorkerProtocol
from .processes import Process, Report

_LAUNCHER = (sys.executable, "-I", "-S", os.path.abspath(launcher.__file__))
# All, because exec keeps what is ignored: nohup(1) ignores SIGHUP, Python SIGPIPE.
_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_OURS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESRCH)
"""What is wrong with us, in place of what execve says of a program."""
_ALL_BUT_E2BIG = errno.errorcode.keys() - {errno.E2BIG}
"""The same for the launcher, whose words and environment are those of the program."""


class IReactor(tree.IReactor, IReactorFDSet):
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


@contextmanager
def _explained(step: str, ours: Container[int], path: str) -> Iterator[None]:
    """
    Turn what can go wrong at a spawn into what it means.

    @param step: what has failed if the error number is one of C{ours};
        otherwise the execve of this path.
    """
    try:
        yield
    except ValueError as error:
        raise Unstartable(SpawnProblem("execve", 0, f"{path}: {error}")) from None
    except OSError as error:
        number = error.errno or 0
        problem = (step, number, path) if number in ours else ("execve", number, programs.explain(path, number))
        raise Unstartable(SpawnProblem(*problem)) from None


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
        self._found: dict[tuple[str, str | None, str], programs.Found] = {}
        self._news: list[Callable[[], None]] = []
        self._ended: list[Process] = []
        self._scheduled = False
        self._cgroups = cgroup.Remover(reactor)

    def start(self) -> None:
        """Look after what is left behind by workers, from the first one on at the latest."""
        self.tree.start()

    def spawn(self, protocol: IWorkerProtocol, launch: Launch, childFDs: Mapping[int, int]) -> None:
        self.start()
        try:
            path, launch = self._find(launch)
            if launch.road == "direct":
                process = self._direct(protocol, launch, path, childFDs)
                self._tell(lambda: protocol.spawned(process))
            else:
                self._launched(protocol, launch, path, childFDs)
        except Unstartable as refused:
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
        self._cgroups.close()
        for process in (*self.processes.values(), *self._ended):
            for each in (process, process.report):
                if each is not None:
                    self._reactor.removeReader(each)
                    each.close()
        self.processes.clear()
        self._news.clear()
        self._ended.clear()

    # Starting

    def _find(self, launch: Launch) -> tuple[str, Launch]:
        """The program's path; who could not find it by its own PATH is told the path, as Python in a venv needs."""
        program = launch.argv[0] if launch.argv else ""
        if "/" in program:
            return program, launch
        key = (program, launch.env.get("PATH"), launch.cwd)
        found = self._found.get(key) or programs.find(*key)
        # Forgotten in the next turn, so that what is installed later is found.
        self._found[key] = found
        self._schedule()
        if found.where and str(found) not in self._told:
            self._told.add(str(found))
            self.log.info("{program} {found}", program=program, found=found)
        return found.path, attrs.evolve(launch, argv=(found.path, *launch.argv[1:])) if found.where else launch

    def _direct(
        self, protocol: IWorkerProtocol, launch: Launch, path: str, childFDs: Mapping[int, int]
    ) -> Process:
        with _explained("posix_spawn", _OURS, path):
            pid, pidfd = self._posixSpawn(path, launch.argv, launch.env, launch.umask, childFDs)
        return self._watched(Process(self, protocol, pid, pidfd, launch))

    def _launched(
        self, protocol: IWorkerProtocol, launch: Launch, path: str, childFDs: Mapping[int, int]
    ) -> None:
        number = max((2, *childFDs)) + 1
        argv: tuple[str | bytes, ...] = (*_LAUNCHER, str(number), *steps.plan(launch, path, [*childFDs, number]))
        env = launcher.environment(launch.env)
        if launch.group.folder:
            cgroup.make(launch.group.folder, launch.group.limits)
        with self._unmade(launch.group.folder), _explained("launcher", _ALL_BUT_E2BIG, path):
            status, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                pid, pidfd = self._posixSpawn(_LAUNCHER[0], argv, env, launch.umask, {**childFDs, number: theirs})
            except BaseException:
                os.close(status)
                raise
            finally:
                os.close(theirs)
        process = self._watched(Process(self, protocol, pid, pidfd, launch))
        process.report = Report(self, process, status, launch, path)
        self._reactor.addReader(process.report)

    @contextmanager
    def _unmade(self, folder: str) -> Iterator[None]:
        """Remove a control group if nobody came to be in it."""
        try:
            yield
        except BaseException:
            if folder:
                self._cgroups.remove(folder)
            raise

    def _posixSpawn(
        self, path: str, argv: tuple[str | bytes, ...], env: Mapping[str, str], umask: int | None,
        childFDs: Mapping[int, int],
    ) -> tuple[int, int]:
        """Start a process: its pid and pidfd."""
        base = max((2, *childFDs)) + 1
        held: list[int] = []
        actions: list[tuple[int, int, int] | tuple[int, int]] = []
        try:
            for target, source in childFDs.items():
                # Above every target, so that no dup2 overwrites what a later one copies.
                if source < base:
                    source = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, base)
                    held.append(source)
                actions.append((os.POSIX_SPAWN_DUP2, source, target))
            actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in range(3) if fd not in childFDs]
            # Kept for the pidfd: without one there must be no child.
            held.append(os.eventfd(0, os.EFD_CLOEXEC))
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
        except ProcessLookupError:
            raise  # It has ended already and SIGCHLD is ignored, so that nothing of it is left.
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
        if report.unread:
            # It may run by now, and have children: they were never told of, and must not stay.
            process.signal(signal.SIGKILL, "tree")
            self.tree.ended([process], True)
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
        self._found.clear()
        news, self._news = self._news, []
        ended, self._ended = self._ended, []
        for tell in news:
            self._call(tell)
        for process in ended:
            # It has ended, so that its pipe says everything that it ever will.
            if process.report is not None:
                process.report.doRead()
        ended = [process for process in ended if process.fileno() >= 0]  # somebody who was told may have closed us
        told = [process for process in ended if process.protocol is not None]
        self._killRest([process for process in told if process.killMode != "process"])
        self.tree.ended([process for process in told if process.killMode == "process"], False)
        for process, status in [(process, self._waited(process)) for process in ended]:
            protocol = process.protocol
            if protocol is not None:
                self._call(partial(protocol.exited, status))

    def _killRest(self, ended: list[Process]) -> None:
        """Kill what these have left, while those that are our children still hold their numbers."""
        safe = [(process, process.isChild()) for process in ended]
        for process, isChild in safe:
            if process.cgroup:
                cgroup.kill(process.cgroup)
            if isChild:
                tree.killGroup(process.pid)
        self.tree.ended(ended, True)
        elsewhere = [process for process, isChild in safe if not isChild]
        if elsewhere:
            tree.killElsewhere(elsewhere)

    def _waited(self, process: Process) -> int:
        status = process.wait()
        if process.cgroup:
            process.cause = "out of memory" if cgroup.starved(process.cgroup) else ""
            self._cgroups.remove(process.cgroup)
        process.close()
        if self.processes.get(process.pid) is process:
            del self.processes[process.pid]
        return status

    def _call(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:
            self.log.failure("a worker's news were not taken well")
