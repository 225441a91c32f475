"""
What must happen before a daemon forks: the journal, the survivors, the sockets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import attrs
from twisted.logger import Logger

from .foreign import withProcesses
from .logic import durable
from .logic.readiness import handed
from .model.errors import Problem, WorldError
from .model.stack import Socket, Stack
from .model.streams import OUTPUTS, Stream
from .model.tuned import applied
from .system import activation, survive
from .system.files import unwritable
from .system.handover import Handover
from .system.interfaces import IJournal
from .system.journal import Journal, MemoryJournal
from .system.rundir import RuntimeDir
from .system.sockets import Sockets, fits, reachable, sectionOf

_log = Logger(namespace="circustwist")


@attrs.frozen
class Prepared:
    """
    What is held before a daemon forks.

    @ivar stack: what is in force, with what was changed at run time.
    @ivar base: the same as it stands in the files.
    @ivar environ: the supervisor's environment, as it was found.
    @ivar survivors: what an earlier supervisor left and still runs.
    @ivar left: all that it left.
    @ivar handover: what an earlier image of this very process left; None if there was none.
    """

    stack: Stack
    base: Stack
    environ: Mapping[str, str] = attrs.field(repr=False)
    rundir: RuntimeDir
    journal: IJournal
    sockets: Sockets
    left: durable.Left
    survivors: survive.Survivors
    handover: Handover | None = None


def prepare(
    stack: Stack, rundir: RuntimeDir, environ: Mapping[str, str], takeover: bool = False,
    handover: Handover | None = None,
) -> Prepared:
    """
    Open the journal, find what an earlier supervisor left, and bind the sockets.

    @param rundir: locked.
    @param takeover: whether to end the workers that an earlier supervisor left.
    @raise WorldError: one line for each thing that is in the way; nothing is held then.
    """
    unclean = handover is None and os.path.exists(rundir.journalPath)
    journal: IJournal = Journal(rundir.journalPath) if rundir.journalPath else MemoryJournal()
    left = durable.replay(journal.entries())
    stack = withProcesses(stack, rundir.private)
    base, stack = stack, applied(stack, left.tuned)
    if takeover:
        survive.takeover(left, rundir.mark)
        left = attrs.evolve(left, workers=())
    elif unclean:
        _endLost(left, rundir.mark, journal.skipped > 0)
    survivors = survive.find(left, rundir.mark)
    if handover is None and not survivors.living:
        _outputs(stack)
    sockets = Sockets()
    for name, fd in handover.sockets.items() if handover is not None else ():
        if not _adopt(sockets, stack, name, fd):
            os.close(fd)
    kept = activation.kept(environ, os.getpid(), [one.name for one in stack.sockets if reachable(one)])
    environ = activation.take(sockets, stack.sockets, environ, os.getpid())
    given = {*sockets.names()}
    places = {name: place for place, name in enumerate(left.sockets)}
    found = sorted(survivors.sockets.items(), key=lambda item: places[item[0]])
    for name, fd in (*kept.items(), *found):
        socket = _section(stack, name)
        ours = socket is not None and not {name, socket.name} & given and fits(socket, fd)
        if not ours or name in sockets.names() or not _adopt(sockets, stack, name, fd):
            os.close(fd)
    sockets.shuffled(kept)
    sockets.lost(handover.sockets if handover is not None else left.sockets)
    held = sockets.names()
    sockets.bindAll(socket for socket in stack.sockets if socket.name not in held)
    return Prepared(stack, base, environ, rundir, journal, sockets, left, survivors, handover)


def _outputs(stack: Stack) -> None:
    """
    Look whether what workers write can be kept.

    @raise WorldError: one line for each file that cannot be written.
    """
    problems = []
    for watcher in stack.watchers:
        for output in OUTPUTS:
            stream: Stream = getattr(watcher, output)
            path = stream.settings.get("filename", "")
            problem = unwritable(path) if path else ""
            if problem:
                title, option = f"watcher:{watcher.name}", f"{output}.filename"
                place = stack.origins.get((title, option), watcher.place)
                problems.append(str(Problem(place, title, option, problem)))
    if problems:
        raise WorldError("\n".join(problems))


def _endLost(left: durable.Left, mark: str, damaged: bool) -> None:
    """A journal that was cut short does not tell of everyone who runs."""
    ended = survive.endLost(left, mark, damaged)
    if ended:
        _log.warn("{count} processes of an earlier supervisor were ended, since its journal does not tell of them: "
                  "{pids}", count=len(ended), pids=", ".join(map(str, ended[:10])))


def _section(stack: Stack, name: str) -> Socket | None:
    """The section of a socket."""
    return next((socket for socket in stack.sockets if socket.name == sectionOf(name)), None)


def _adopt(sockets: Sockets, stack: Stack, name: str, fd: int) -> bool:
    """
    Hold a socket of an earlier supervisor, or of a seat of one.

    @return: whether the stack has any use for it.
    """
    socket = _section(stack, name)
    section, _, seat = name.partition("/")
    watcher = stack.watcher(seat.rpartition("/")[0]) if seat else None
    if socket is None or (seat and (not socket.seated or watcher is None or section not in handed(stack, watcher))):
        return False
    sockets.adopt(socket, fd, name=name if seat else "")
    return True
