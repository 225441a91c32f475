"""
One process that runs, and the status pipe of its launcher while that is open:
descriptors in the reactor whose news go to the L{Keeper}.
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from typing import Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from ..model.errors import SpawnProblem
from ..model.launch import Launch
from . import cgroup, kernel, launcher, programs
from . import tree as trees
from .interfaces import IWorkerProcess, IWorkerProtocol


class Keeper(Protocol):
    """
    Who is told of processes.

    @ivar tree: what they have started.
    """

    tree: trees.Tree

    def ended(self, process: Process) -> None:
        """The process has ended and is still to be waited for."""

    def reported(self, report: Report) -> None:
        """The status pipe has closed."""


@implementer(IWorkerProcess, IReadDescriptor)
class Process:
    """
    One process and its pidfd, which is readable when it has ended.

    @ivar token: see L{trees.Owner}.
    @ivar cause: what is known of its end besides its status; empty if nothing is.
    @ivar cgroup: the folder of its control group; empty if it has none of its own.
    @ivar killMode: what is killed when it has ended.
    @ivar protocol: who is told; None after a refusal, whose launcher is only waited for.
    @ivar report: the launcher's status pipe while it is open.
    """

    __slots__ = ("_fd", "_keeper", "cause", "cgroup", "killMode", "pid", "protocol", "report", "token")

    def __init__(
        self, keeper: Keeper, protocol: IWorkerProtocol, pid: int, pidfd: int, launch: Launch
    ) -> None:
        self.pid = pid
        self.token = os.fsencode(launch.env.get("CIRCUSTWIST_ID", ""))
        self.cause = ""
        self.cgroup = launch.group.folder
        self.killMode = launch.killMode
        self.protocol: IWorkerProtocol | None = protocol
        self.report: Report | None = None
        self._fd = pidfd
        self._keeper = keeper

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return f"pid {self.pid}"

    def doRead(self) -> None:
        self._keeper.ended(self)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; the descriptor is given back by the keeper."""

    def signal(self, signum: int, whom: str, child: int = 0) -> None:
        if self._fd < 0:
            return
        with suppress(ProcessLookupError):
            # The number of one that is not our child may be somebody else's by now, whose children are none of ours.
            signal.pidfd_send_signal(self._fd, 0)
            if whom == "children":
                for child in kernel.children(self.pid):
                    trees.signalChild(child, self.pid, signum)
            elif whom == "child":
                trees.signalChild(child, self.pid, signum)
            elif whom == "tree" and self.cgroup and signum != signal.SIGKILL:
                cgroup.send(self.cgroup, signum)
            elif whom == "tree":
                if self.cgroup:
                    cgroup.kill(self.cgroup)
                self._keeper.tree.signal(self, signum)
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
    """
    The status pipe of one launcher: it closes when the program runs or has failed to.

    @ivar unread: the error number if the pipe cannot be read, so that nobody knows; 0 as long as it can.
    """

    __slots__ = ("_data", "_fd", "_keeper", "launch", "path", "process", "unread")

    def __init__(self, keeper: Keeper, process: Process, fd: int, launch: Launch, path: str) -> None:
        self.process = process
        self.launch = launch
        self.path = path
        self.unread = 0
        self._fd = fd
        self._data = b""
        self._keeper = keeper

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return f"launcher {self.process.pid}"

    def connectionLost(self, reason: Failure) -> None:
        # Either the reactor stops, or poll(2) says POLLHUP without POLLIN, since the last byte was read before.
        if self._fd >= 0:
            self.doRead()

    def doRead(self) -> None:
        try:
            while data := os.read(self._fd, 4096):
                self._data += data
        except BlockingIOError:
            return
        except OSError as error:
            self.unread = error.errno or errno.EIO
        self._keeper.reported(self)

    def problem(self) -> SpawnProblem | None:
        """Why the program does not run; None if it does."""
        if self.unread:
            return SpawnProblem("launcher", self.unread, "its status pipe cannot be read")
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
