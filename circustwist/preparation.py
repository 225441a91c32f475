"""
What must happen before a daemon forks: the journal, the survivors, the sockets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import attrs
from twisted.logger import Logger

from .logic import durable
from .model.stack import Stack
from .system import activation, survive
from .system.handover import Handover
from .system.interfaces import IJournal
from .system.journal import Journal, MemoryJournal
from .system.rundir import RuntimeDir
from .system.sockets import Sockets, fits

_log = Logger(namespace="circustwist")


@attrs.frozen
class Prepared:
    """
    What is held before a daemon forks.

    @ivar environ: the supervisor's environment, as it was found.
    @ivar survivors: what an earlier supervisor left and still runs.
    @ivar left: all that it left.
    @ivar handover: what an earlier image of this very process left; None if there was none.
    """

    stack: Stack
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
    if takeover:
        survive.takeover(left, stack.name)
        left = attrs.evolve(left, workers=())
    elif unclean:
        _endLost(left, stack.name, journal.skipped > 0)
    survivors = survive.find(left, stack.name)
    sockets = Sockets()
    for socket in stack.sockets:
        if handover is not None and socket.name in handover.sockets:
            sockets.adopt(socket, handover.sockets[socket.name])
    environ = activation.take(sockets, stack.sockets, environ, os.getpid())
    given = sockets.inodes()
    for socket in stack.sockets:
        fd = survivors.sockets.get(socket.name)
        if fd is not None and socket.name not in given and fits(socket, fd):
            sockets.adopt(socket, fd)
        elif fd is not None:
            os.close(fd)
    held = sockets.inodes()
    sockets.bindAll(socket for socket in stack.sockets if socket.name not in held)
    return Prepared(stack, environ, rundir, journal, sockets, left, survivors, handover)


def _endLost(left: durable.Left, name: str, damaged: bool) -> None:
    """A journal that was cut short does not tell of everyone who runs."""
    ended = survive.endLost(left, name, damaged)
    if ended:
        _log.warn("{count} processes of an earlier supervisor were ended, since its journal does not tell of them: "
                  "{pids}", count=len(ended), pids=", ".join(map(str, ended[:10])))
