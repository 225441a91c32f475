"""
Who gave which command, from where, on what, and what came of it: one line of the log each.

Commands that only look are not told unless they are refused.  Of the arguments
there is nothing but a name and which options were given, so that no secret
gets here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from ..model.commands import TABLE
from ..model.errors import Denied, RequestError
from ..model.inputs import Who

LONGEST = 64
_log = Logger(namespace="circustwist.audit")


def target(arguments: Mapping[str, Any]) -> str:
    """What a command is about."""
    words = [_shown(arguments[key]) for key in ("name", "pid", "wid", "id") if arguments.get(key)]
    options = arguments.get("options")
    words += [", ".join(map(_shown, list(options)[:10]))] if isinstance(options, Mapping) and options else []
    return " ".join(words)


def _shown(value: object) -> str:
    return str(value)[:LONGEST].encode("unicode_escape").decode("ascii")


def answered(command: str, arguments: Mapping[str, Any], who: Who, answer: Mapping[str, Any]) -> None:
    """A command was obeyed."""
    if command in TABLE and TABLE[command].role != "viewer":
        number = answer.get("operation")
        told = f"accepted as operation {number}" if isinstance(number, int) else "done"
        _log.info("{who}: {command}: {told}", who=who.name, command=_line(command, arguments), told=told)


def refused(command: str, arguments: Mapping[str, Any], who: Who, failure: Failure) -> None:
    """A command was not obeyed."""
    if command not in TABLE or (TABLE[command].role == "viewer" and not failure.check(Denied)):
        return
    told = failure.value.name if isinstance(failure.value, RequestError) else "InternalError"
    _log.warn("{who}: {command}: {told}", who=who.name, command=_line(command, arguments), told=told)


def _line(command: str, arguments: Mapping[str, Any]) -> str:
    return f"{command} {target(arguments)}".rstrip()
