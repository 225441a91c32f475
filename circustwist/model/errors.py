"""
Every deliberate exception, divided by who is at fault.

L{ConfigError} blames the configuration, L{RequestError} whoever sent a
command, L{WorldError} the host.  Each request error has the number that
Circus's clients know (C{errno} in its protocol) and a name for the others.
"""

from __future__ import annotations

import errno as _errno
from typing import ClassVar

import attrs


@attrs.frozen
class Place:
    """
    Where something stands in a configuration.

    @ivar file: the path as it was given.
    @ivar line: the line, from 1; 0 where there is none.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@attrs.frozen
class Problem:
    """
    One thing wrong with a configuration, told in one line.

    @ivar place: where it stands.
    @ivar section: the section's title, without brackets; empty if none.
    @ivar option: the option; empty if the section as a whole is meant.
    @ivar text: what is wrong and what would be right.
    @ivar fatal: whether it keeps the stack from starting.  C{check} counts
        every problem as an error that says so with C{strict}.
    @ivar strict: whether C{check} counts it as an error although the stack
        starts with it.
    """

    place: Place
    section: str
    option: str
    text: str
    fatal: bool = True
    strict: bool = True

    def __str__(self) -> str:
        where = f"[{self.section}] " if self.section else ""
        name = f"{self.option}: " if self.option else ""
        return f"{self.place}: {where}{name}{self.text}"


class CircusError(Exception):
    """Whatever circustwist raises on purpose; its text is one clear line."""


class ConfigError(CircusError):
    """
    The configuration cannot be used.

    @ivar problems: everything that is wrong with it, never empty.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class RequestError(CircusError):
    """
    A command cannot be obeyed.

    @cvar name: what every face calls this error.
    @cvar number: C{errno} in Circus's protocol.
    """

    name: ClassVar[str] = "RequestError"
    number: ClassVar[int] = 3


class UnknownCommand(RequestError):
    """There is no such command."""

    name = "UnknownCommand"
    number = 2


class MessageError(RequestError):
    """An argument is missing, unknown, or has the wrong type or value."""

    name = "MessageError"
    number = 3


class NotFound(RequestError):
    """The watcher, worker, socket or operation named does not exist."""

    name = "NotFound"
    number = 3


class Denied(RequestError):
    """The asker's role does not allow this command."""

    name = "Denied"
    number = 3


class Conflict(RequestError):
    """Too much is queued, or the supervisor is stopping."""

    name = "Conflict"
    number = 5


class OtherVersion(Conflict):
    """What is to be loaded is of another version than what runs."""


class OperationFailed(RequestError):
    """The command was obeyed, but what it asked for did not come about."""

    name = "OperationFailed"
    number = 6


class InternalError(RequestError):
    """A programming error of ours: it is in the supervisor's log."""

    name = "InternalError"
    number = 5


class WorldError(CircusError):
    """The host refused something; the supervisor goes on, or could not start."""


@attrs.frozen
class SpawnProblem:
    """
    Why a process could not be started.

    @ivar step: what failed, by the name of its system call or option: C{chdir},
        C{execve}, C{setuid}, C{find}, ...
    @ivar errno: the error number, 0 if there is none.
    @ivar detail: what it was about, e.g. the path and where it was looked for.
    """

    step: str
    errno: int = 0
    detail: str = ""

    def __str__(self) -> str:
        name = _errno.errorcode.get(self.errno, str(self.errno)) if self.errno else ""
        return " ".join(filter(None, (f"{self.step}:", name, self.detail)))

    @property
    def shortage(self) -> bool:
        """Whether the host ran out of something, so that a later try may work."""
        return self.errno in (_errno.EAGAIN, _errno.ENOMEM, _errno.EMFILE, _errno.ENFILE, _errno.ETXTBSY)


class Unstartable(WorldError):
    """
    A process cannot be started.

    @ivar problem: the same as a value.
    """

    def __init__(self, problem: SpawnProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


REQUEST_ERRORS: tuple[type[RequestError], ...] = (
    UnknownCommand, MessageError, NotFound, Denied, Conflict, OperationFailed, InternalError,
)
