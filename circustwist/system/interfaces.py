"""
All interfaces of this floor.

The contract of each edge stands here, so that a memory implementation and a
real one can be held against the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import Attribute, Interface

from ..model.effects import Probe
from ..model.errors import SpawnProblem
from ..model.launch import Launch, Names
from ..model.line import Line, Selection
from ..model.stack import Socket, Watcher

__all__ = [
    "IClock", "IDelayedCall", "IJournal", "IOutputs", "IProber", "IReactorTime", "ISockets", "ISpawner",
    "IWorkerProcess", "IWorkerProtocol",
]


class IClock(IReactorTime, Interface):
    """A reactor's timers on the monotonic clock."""

    def close() -> None:
        """Give back the timer's descriptor and forget every call."""


class IWorkerProtocol(Interface):
    """
    Who is told of one worker: C{twisted.internet.interfaces.IProcessProtocol}
    without pipes, since L{IOutputs} owns those.
    """

    def spawned(process: Any) -> None:
        """
        The program runs: exec has succeeded.  Never called before C{spawn} returns.

        @param process: an L{IWorkerProcess}.
        """

    def refused(problem: SpawnProblem) -> None:
        """It could not be started and there is no process.  Never called before C{spawn} returns."""

    def exited(status: int) -> None:
        """
        It has ended, once, after C{spawned}; its group and descendants were
        signalled SIGKILL as its kill mode says.

        @param status: as waitpid(2) gives it; -1 if it is not to be had.
        """


class IWorkerProcess(Interface):
    """One running process, ours or adopted."""

    pid: int = Attribute("Its pid.")
    cause: str = Attribute("What is known of its end besides its status, in words; empty if nothing is.")

    def signal(signum: int, whom: str, child: int = 0) -> None:
        """
        Send it a signal, without any risk of a recycled pid.  Nothing happens
        if it has ended.

        @param whom: C{process}, C{tree} (its process group and all of its
            descendants that are known), C{children} (direct children only)
            or C{child} (one of these).
        @param child: that child's pid; nothing happens if it is no child.
        @raise PermissionError: if it runs as a user that we may not signal.
        """


class ISpawner(Interface):
    """Makes processes, and tells of their end."""

    def spawn(protocol: Any, launch: Launch, childFDs: Mapping[int, int]) -> None:
        """
        Start a process.

        @param protocol: an L{IWorkerProtocol}; told asynchronously.
        @param childFDs: for each descriptor of the child the one of ours
            that it is a copy of; exactly these are open in it.  They may be
            closed when this returns.
        """

    def adopt(protocol: Any, pid: int, pidfd: int, launch: Launch) -> Any:
        """
        Take charge of a process that somebody else started.

        @param protocol: an L{IWorkerProtocol}; only C{exited} is called.
        @param pidfd: ours from now on.
        @return: its L{IWorkerProcess}.
        """


class ISockets(Interface):
    """The sockets of the stack: bound once, held, never accepted on."""

    def bind(socket: Socket) -> None:
        """
        Bind and listen.

        @raise WorldError: one line that names the section, the address and
            what is in the way.
        """

    def adopt(socket: Socket, fd: int) -> None:
        """Hold a socket that is bound already; C{fd} is ours from now on."""

    def fileno(name: str) -> int:
        """
        The descriptor of a socket.

        @raise KeyError: if there is none of that name.
        """

    def seat(name: str, watcher: str, number: int) -> tuple[str, bool]:
        """
        Have the socket that a seat is to be handed: with C{so_reuseport} one
        of its own, which listens from now on, else that of the section.

        @return: its name, and whether it was made just now.
        @raise WorldError: one line, if it cannot be made.
        """

    def doors(name: str, watcher: str) -> list[str]:
        """The names of those that the seats of a watcher have already."""

    def avoid(watcher: str, numbers: Collection[int]) -> None:
        """
        Give no connections to the sockets of these seats of a watcher, but to
        all others of its, as long as there are any at the same port.
        """

    def queued(watcher: str, number: int) -> int:
        """How many connections wait at the sockets of a seat."""

    def keepSeats(watcher: str, numbers: Collection[int], names: Collection[str] | None) -> None:
        """Close the sockets of all other seats of a watcher, and of all other sections if any are given."""

    def inodes() -> dict[str, int]:
        """The inode by name of each socket that others may hold too, for the journal."""

    def describe(name: str) -> Mapping[str, Any]:
        """
        What is known of a socket: C{host} and C{port}, or C{path}; C{inode};
        C{queue} (connections that wait), C{limit} and C{drops} (connections
        that were refused because as many waited), None where the kernel does
        not say.

        @raise KeyError: if there is none of that name.
        """

    def close(unlink: bool) -> None:
        """Let go of all; with C{unlink}, remove the files of UNIX sockets too."""


class IOutputs(Interface):
    """Makes and owns the pipes on which workers write, and empties them into sinks."""

    def open(watcher: Watcher) -> None:
        """
        Make the sinks of a watcher; again after a change of its streams.

        @raise WorldError: one line, if a sink cannot be opened.
        """

    def pipe(names: Names, fd: int) -> int:
        """
        Make the pipe for a worker's output 1 or 2.

        @return: the descriptor for the child, opened for reading and writing
            so that the worker outlives us; the caller closes it after the spawn.
        @raise OSError: if there are no descriptors or no memory.
        """

    def started(names: Names, pid: int) -> None:
        """The worker runs; lines may carry its pid from now on."""

    def last(names: Names) -> str:
        """
        The last lines that a worker wrote, standard error first; to be asked
        once, at its end.  Those that went into a file as raw bytes are not known.
        """

    def ended(names: Names) -> None:
        """
        The worker has ended, or was never started: drain its pipes, which
        stay open as long as anyone holds them.
        """

    def tail(selection: Selection, most: int) -> Sequence[Line]:
        """
        The last lines that are wanted, the oldest first; those of files, whose time is not known, come first.

        @param most: so many at most of what is in memory, and of each file.
        """

    def inodes(names: Names) -> Mapping[int, int]:
        """The inodes of a worker's pipes by output, for the journal."""

    def adopt(names: Names, fd: int, end: int, rest: bytes = b"") -> None:
        """
        Go on emptying a pipe of an earlier supervisor.

        @param fd: output 1 or 2.
        @param end: a descriptor to read the pipe by; ours from now on.
        @param rest: the beginning of a line that was read already.
        @raise OSError: if it cannot be opened for reading; it is closed then.
        """

    def bereft(names: Names) -> Mapping[str, int]:
        """
        The supervisor that emptied a worker's pipes was killed: mark in the
        last lines that some may be missing.

        @return: how many bytes may be, at most, of C{stdout} and C{stderr};
            those of plain files are not in it, which lose none.
        """

    def ends() -> tuple[Any, ...]:
        """Every pipe as it is, for another image of this program: L{End<circustwist.system.handover.End>}s."""

    def flush() -> None:
        """Write what waits to be written, as far as it is taken."""

    def handover() -> Mapping[str, Any]:
        """What waits to be written, and the last lines of every watcher, as JSON types."""

    def restore(left: Mapping[str, Any]) -> None:
        """
        Go on with what an earlier image of this program has handed over.

        @param left: what C{handover} returned in it; empty for nothing.
        """

    def keep(watchers: Collection[str]) -> None:
        """
        Forget all other watchers, and close what only they wrote to.

        @param watchers: their names in lower case.
        """

    def rotate(watchers: Collection[str]) -> list[str]:
        """
        Put the files of some watchers aside.

        @return: the paths of the files.
        """

    def reopen() -> None:
        """Open every file sink again, e.g. after logrotate moved it."""

    def close() -> None:
        """Empty what can be read now and close everything."""


class IProber(Interface):
    """Looks at workers: whether they are ready, and whether they still live."""

    def environment(
        names: Names, specs: tuple[str, ...], watchdog: float = 0.0, uid: int = -1
    ) -> Mapping[str, str]:
        """
        What a worker must find in its environment so that it can be looked
        at, e.g. C{NOTIFY_SOCKET}; to be called before it is spawned.

        @param specs: all that it will be probed by; see L{Probe}.
        @param watchdog: so often at least it must say C{WATCHDOG=1}, in seconds; 0 if it need not.
        @param uid: the user that it will run as; -1 is our own.
        @raise OSError: if its notification socket cannot be made.
        """

    def start(probe: Probe, pid: int, sockets: tuple[int, ...], told: Callable[[bool, str], None]) -> None:
        """
        Begin a probe.

        @param sockets: the inodes of the stream sockets that it was handed.
        @param told: called once, never before this returns, with whether it
            is ready (or lives) and why not.
        """

    def heard(names: Names, line: bytes) -> None:
        """A worker has written a line; harmless if nobody looks for any."""

    def stop(id: int) -> None:
        """End all probes of a worker and forget what was made for it; harmless if there is none."""

    def close() -> None:
        """End everything."""


class IJournal(Interface):
    """The append-only state journal, under the lock of this stack."""

    skipped: int = Attribute("How many lines made no sense, after C{entries}.")

    def append(entry: Mapping[str, Any]) -> None:
        """Write one entry; a failure is logged once and does not raise."""

    def entries() -> list[Mapping[str, Any]]:
        """What an earlier supervisor left, in order; lines that make no sense are left out."""

    def compact(entries: Callable[[], list[Mapping[str, Any]]]) -> None:
        """Replace everything by these entries; and again whenever it has grown past its limit."""

    def close(remove: bool) -> None:
        """Release it; with C{remove}, an orderly stop left nothing to remember."""
