"""
Becoming another version of this program without letting go of anything.

execve(2) keeps the pid, the children and every descriptor that is not
close-on-exec.  What the new image has to know of them lies in a memfd whose
number is in its environment; the journal tells the rest.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

import attrs

from ..model.errors import WorldError
from ..model.launch import Names

VARIABLE = "CIRCUSTWIST_HANDOVER"
VERSION = 1
HELD = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1))
"""Signals that wait while there is no program to handle them."""
HASTE = 10
"""So much less nice, as in nice(2), the supervisor is while another image is loaded, if that is permitted."""


@attrs.frozen
class End:
    """
    The reading end of one worker's output.

    @ivar rest: the beginning of a line whose end has not come.
    """

    names: Names
    output: int
    fd: int
    rest: bytes = b""


@attrs.frozen
class Handover:
    """
    What one image of the supervisor leaves to the next.

    @ivar lock: the descriptor that holds the stack's lock.
    @ivar sockets: descriptors by name.
    @ivar start: which run of the supervisor counts the events.
    @ivar last: the number of the last event.
    @ivar since: when the supervisor started, on the monotonic clock.
    @ivar files: the soft limit of descriptors for workers; ours is raised already.
    @ivar restarts: how often processes were restarted, by watcher.
    @ivar operation: the operation that asked for it, as JSON types.
    @ivar nice: the niceness to go back to.
    @ivar outputs: what waits to be written, and the last lines of every watcher; see
        L{Outputs<circustwist.system.output.Outputs>}.
    @ivar hits: what was counted at the sockets; see L{Counter<circustwist.system.hits.Counter>}.
    """

    lock: int
    sockets: Mapping[str, int]
    ends: tuple[End, ...]
    start: str
    last: int
    since: float
    files: int | None
    restarts: Mapping[str, int]
    operation: Mapping[str, Any]
    nice: int = attrs.field(factory=lambda: os.getpriority(os.PRIO_PROCESS, 0))
    hits: Mapping[str, Any] = attrs.field(factory=dict)
    outputs: Mapping[str, Any] = attrs.field(factory=dict)

    def descriptors(self) -> list[int]:
        """All that must stay open."""
        counting = [fd for fd in [self.hits.get("fd", -1)] if fd >= 0]
        return [self.lock, *self.sockets.values(), *(end.fd for end in self.ends), *counting]


def become(argv: Sequence[str], environ: Mapping[str, str], handover: Handover) -> None:
    """
    Execute another image; returns only by raising, with everything as before.

    @param argv: the program's path, and its words.
    @raise OSError: if it cannot be executed.
    """
    memory = os.memfd_create("circustwist-handover", 0)
    kept = [memory, *handover.descriptors()]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        os.write(memory, json.dumps(_coded(handover)).encode())
        for fd in kept:
            os.set_inheritable(fd, True)
        renice(handover.nice - HASTE)
        os.execve(argv[0], list(argv), {**environ, VARIABLE: str(memory)})
    finally:
        renice(handover.nice)
        for fd in kept:
            os.set_inheritable(fd, False)
        os.close(memory)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _coded(handover: Handover) -> dict[str, Any]:
    coded = attrs.asdict(handover)
    for end in coded["ends"]:
        end["rest"] = end["rest"].hex()
    return {"version": VERSION, **coded}


def take(environ: MutableMapping[str, str]) -> Handover | None:
    """
    What an earlier image has left to us; its variable is taken away.

    Signals stay blocked until L{unblock}.

    @return: None if there was none.
    @raise WorldError: if it cannot be understood.
    """
    number = environ.pop(VARIABLE, "")
    if not number:
        return None
    try:
        with open(int(number), "rb") as memory:
            memory.seek(0)
            found = json.load(memory)
        if found.pop("version") != VERSION:
            raise ValueError("it is of another version")
        handover = _decoded(found)
        for fd in handover.descriptors():
            os.set_inheritable(fd, False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WorldError(f"what the supervisor before this one left cannot be used: {error}") from None
    return handover


def _decoded(found: dict[str, Any]) -> Handover:
    ends = tuple(
        End(Names(**end["names"]), end["output"], end["fd"], bytes.fromhex(end["rest"])) for end in found.pop("ends"))
    return Handover(ends=ends, **found)


def renice(nice: int) -> None:
    """Be nearer to the processor, or farther from it, if that is permitted."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def unblock() -> None:
    """Let the signals that have waited come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


def close(handover: Handover, keep: Callable[[int], bool]) -> None:
    """Close what nobody wanted."""
    for fd in handover.descriptors():
        if not keep(fd):
            with suppress(OSError):
                os.close(fd)
