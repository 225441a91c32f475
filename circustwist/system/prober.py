"""
Looks at workers: whether they are ready, and whether they still live.

A worker that is waited for until it is ready is asked one L{Question}; one
that is to live is asked another, which has an answer only if it does not.
Every timer is in the clock that was given; what is looked at by connecting or
by running a command is looked at at a time of its own, so that the looks at
many workers do not come together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ..model.effects import Probe
from ..model.launch import Launch, Names
from ..model.values import LONGEST_PATTERN
from . import errand, kernel, listening, notify, peers
from .interfaces import IProber, ISpawner
from .lookout import Lookout, Sought
from .notify import Mailbox, Notice
from .question import Done, Look, Question, Rounds

LONGEST_LOOK = 10.0
"""Seconds after which a look at a worker that is not ready yet is given up and taken again."""
LONGEST_LINE = 4096
"""Bytes of a line of output, beyond which it is not looked at."""
_GOLDEN = 0.6180339887498949
"""Multiples of it spread evenly over a unit, however many there are."""


class Ear:
    """
    What one worker's output is searched for.

    @ivar heard: whether it was there.
    @ivar question: who is told; None as long as nobody has asked.
    """

    __slots__ = ("_pattern", "heard", "question")

    def __init__(self, expression: str) -> None:
        """
        @raise ValueError: if it is no regular expression, or too long.
        """
        if len(expression) > LONGEST_PATTERN:
            raise ValueError(f"a regular expression of more than {LONGEST_PATTERN} characters")
        try:
            self._pattern = re.compile(expression)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"no regular expression: {error}") from None
        self.heard = False
        self.question: Question | None = None

    def hear(self, line: bytes) -> None:
        """A line of the output."""
        if not self.heard and self._pattern.search(line[:LONGEST_LINE].decode("utf-8", "replace")):
            self.heard = True
            if self.question is not None:
                self.question.looked("")


def ignored(names: Names, notice: Notice) -> None:
    """What a L{Prober} does with what workers say of themselves unless told otherwise."""


@implementer(IProber)
class Prober:
    """All looks at all workers."""

    log = Logger()

    def __init__(
        self, reactor: peers.IReactor, clock: IReactorTime, notifyFolder: str, spawner: ISpawner,
        plan: Callable[[Names], Launch], noticed: Callable[[Names, Notice], None] = ignored,
    ) -> None:
        """
        @param notifyFolder: where the notification sockets are; empty if there is no folder for them.
        @param spawner: runs the commands of C{exec:}.
        @param plan: what a worker is started as, for a command that is run in its place.
        @param noticed: told of everything that a worker says by its notification socket.
        """
        self._reactor = reactor
        self._clock = clock
        self._folder = notifyFolder
        self._spawner = spawner
        self._plan = plan
        self._noticed = noticed
        self._lookout = Lookout(clock)
        self._questions: dict[int, list[Question]] = {}
        self._mailboxes: dict[int, Mailbox] = {}
        self._ears: dict[int, Ear] = {}
        self._kinds: dict[str, Callable[[Question, int, tuple[int, ...]], None]] = {
            "listening": self._listening, "notify": self._notify, "log": self._log, "exec": self._exec,
            "http": self._connect, "tcp": self._connect,
        }

    def environment(
        self, names: Names, specs: tuple[str, ...], watchdog: float = 0.0, uid: int = -1
    ) -> Mapping[str, str]:
        """
        What a worker must find in its environment; asked again, it is the same.

        @param watchdog: so often at least it must say C{WATCHDOG=1}, in seconds; 0 if it need not.
        @param uid: the user that it will run as; -1 is our own.
        @raise OSError: if its notification socket cannot be made.
        @raise ValueError: if C{log:} is followed by no regular expression.
        """
        for spec in specs:
            if spec.startswith("log:"):
                self._ears.setdefault(names.id, Ear(spec[4:]))
        if "notify" not in specs:
            return {}
        if names.id not in self._mailboxes:
            self._receive(names, notify.address(self._folder, names.id), uid)
        found = self._mailboxes[names.id].environment
        return {**found, "WATCHDOG_USEC": str(round(watchdog * 1e6))} if watchdog else found

    def start(self, probe: Probe, pid: int, sockets: tuple[int, ...], told: Callable[[bool, str], None]) -> None:
        question = Question(self._clock, probe, told)
        asked = self._questions.setdefault(probe.names.id, [])
        asked.append(question)
        question.atEnd(partial(_discard, asked, question))
        if probe.what == "ready":
            question.allow(probe.timeout)
        try:
            kind = self._kinds.get(probe.spec.partition(":")[0])
            if kind is None or (probe.what == "live" and kind in (self._listening, self._log)):
                raise ValueError(f"there is no such look for {probe.what}")
            kind(question, pid, sockets)
        except (OSError, ValueError) as error:
            self._impossible(question, error)

    def heard(self, names: Names, line: bytes) -> None:
        """A worker has written a line; harmless if nobody looks for any."""
        ear = self._ears.get(names.id)
        if ear is not None:
            ear.hear(line)

    def hears(self, names: Names) -> bool:
        """Whether lines that a worker writes are still looked for."""
        ear = self._ears.get(names.id)
        return ear is not None and not ear.heard

    def canSee(self, pid: int, sockets: Collection[int]) -> bool:
        """
        Whether a process is seen waiting for connections now; what is busy is
        not, so that one look which fails says little.

        @param sockets: the inodes of the sockets that count.
        """
        with suppress(OSError):
            return listening.sees(pid, frozenset(sockets))
        return False

    def stop(self, id: int) -> None:
        for question in tuple(self._questions.pop(id, ())):
            question.close()
        self._ears.pop(id, None)
        mailbox = self._mailboxes.pop(id, None)
        if mailbox is not None:
            mailbox.close()

    def close(self) -> None:
        for id in {*self._questions, *self._mailboxes, *self._ears}:
            self.stop(id)
        self._lookout.close()

    # Kinds

    def _impossible(self, question: Question, error: Exception) -> None:
        """Nobody can look there: a worker that is not ready never will be, but one that is does not die of that."""
        problem = getattr(error, "strerror", None) or str(error)
        question.why = lambda: problem
        if question.probe.what == "ready":
            question.soon(question.refuse)
        else:
            self.log.error(
                "{names} cannot be looked at by {spec}: {problem}",
                names=question.probe.names, spec=question.probe.spec, problem=problem,
            )

    def _listening(self, question: Question, pid: int, sockets: tuple[int, ...]) -> None:
        if not sockets:
            raise ValueError("it was handed no socket on which connections are accepted")
        sought = Sought(pid, sockets, partial(question.looked, ""))
        question.why = partial(_unseen, sought, question.probe.timeout)
        question.atEnd(partial(self._lookout.discard, sought))
        self._lookout.add(sought)

    def _log(self, question: Question, pid: int, sockets: tuple[int, ...]) -> None:
        probe = question.probe
        ear = self._ears.setdefault(probe.names.id, Ear(probe.spec[4:]))
        ear.question = question
        question.why = lambda: f"no such line within {probe.timeout:g} s"
        if ear.heard:
            question.soon(partial(question.looked, ""))

    def _notify(self, question: Question, pid: int, sockets: tuple[int, ...]) -> None:
        names = question.probe.names
        mailbox = self._mailboxes.get(names.id) or self._found(names, pid)
        if question.probe.what == "live":
            question.allow(question.probe.timeout)
            hear = _watchdog
        else:
            hear = _readiness
            if mailbox.ready:
                question.soon(partial(question.looked, ""))
        question.why = partial(_unheard, question, mailbox)
        listener = partial(hear, question)
        mailbox.listeners.append(listener)
        question.atEnd(partial(_discard, mailbox.listeners, listener))

    def _connect(self, question: Question, pid: int, sockets: tuple[int, ...]) -> None:
        what = peers.target(question.probe.spec)
        self._rounds(question, lambda done: peers.Look(self._reactor, what, done).start(), LONGEST_LOOK)

    def _exec(self, question: Question, pid: int, sockets: tuple[int, ...]) -> None:
        names, command = question.probe.names, question.probe.spec[5:]

        def begin(done: Done) -> Look:
            run = errand.Errand(self._reactor, self._spawner, done)
            return run.start(lambda: errand.launched(command, self._plan(names)))

        self._rounds(question, begin, question.probe.timeout)

    def _rounds(self, question: Question, begin: Callable[[Done], Look], longest: float) -> None:
        probe = question.probe
        ready = probe.what == "ready"
        rounds = Rounds(self._clock, question, begin, min(longest, probe.timeout) if ready else probe.timeout)
        rounds.start(0 if ready else probe.interval * (probe.names.id * _GOLDEN % 1))

    # Notification sockets

    def _receive(self, names: Names, place: notify.Address, uid: int) -> Mailbox:
        mailbox = Mailbox(self._reactor, self._clock, place, uid)
        mailbox.listeners.append(partial(self._noticed, names))
        self._mailboxes[names.id] = mailbox
        return mailbox

    def _found(self, names: Names, pid: int) -> Mailbox:
        """The socket of a worker that an earlier supervisor has started, made again where the worker looks for it."""
        place = notify.address(self._folder, names.id)
        if place.abstract:
            place = notify.known(os.fsdecode(kernel.variable(pid, b"NOTIFY_SOCKET"))) or place
        return self._receive(names, place, os.stat(f"/proc/{pid}").st_uid)


def _unseen(sought: Sought, timeout: float) -> str:
    if sought.refused:
        return "we have no right to look into it; ptrace(2)"
    return f"not seen waiting for connections within {timeout:g} s"


def _unheard(question: Question, mailbox: Mailbox) -> str:
    what = "READY=1" if question.probe.what == "ready" else "WATCHDOG=1"
    status = f"; it says: {mailbox.status}" if mailbox.status else ""
    return f"no {what} within {question.probe.timeout:g} s{status}"


def _readiness(question: Question, notice: Notice) -> None:
    if notice.ready:
        question.looked("")
    elif notice.extend:
        question.extend(notice.extend)


def _watchdog(question: Question, notice: Notice) -> None:
    if notice.trigger:
        question.why = lambda: "it said WATCHDOG=trigger"
        question.refuse()
    elif notice.alive:
        question.allow(question.probe.timeout)


def _discard(some: list[Any], one: object) -> None:
    with suppress(ValueError):
        some.remove(one)
