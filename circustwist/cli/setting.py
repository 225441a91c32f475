"""
Commands that set options: from words on the command line to the JSON types that the supervisor takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from ..model import values
from ..model.commands import Command
from ..model.given import OPTIONS
from .find import Given, Session, targeted
from .known import change
from .show import plainly


def value(key: str, written: str) -> Any:
    """
    The value of an option as the supervisor takes it.

    @raise click.UsageError: if it is none.
    """
    if key.startswith("rlimit_"):
        return _converted(key, written, values.limit)
    if key not in OPTIONS or written == "":
        return written
    converted = _converted(key, written, OPTIONS[key][0].convert)
    if key == "respawn":
        return {"always": True, "never": False}.get(str(converted), converted)
    if isinstance(converted, float) and converted.is_integer():
        return int(converted)
    return converted if isinstance(converted, bool | int | float) and key not in ("uid", "gid") else written


def _converted(key: str, written: str, convert: values.Converter) -> Any:
    try:
        return convert(written)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"{key}: {written!r} {error}") from None


def pairs(words: Iterable[str]) -> dict[str, Any]:
    """
    Options from words such as C{max_age=60}, or C{max_age} followed by C{60}.

    @raise click.UsageError: if a value is missing.
    """
    found: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        key, equals, written = word.partition("=")
        if not equals:
            written = next(rest, "\0")
        if written == "\0":
            raise click.UsageError(f"what is {key} to be? e.g. {key}=VALUE")
        output, dot, name = key.partition(".")
        if output == "env" and dot:
            found.setdefault("env", {})[name] = written
        else:
            found[key] = value(key, written)
    return found


def set(session: Session, command: Command, given: Given) -> int:
    """Other options for a watcher."""
    return change(session, command, {**given, "options": pairs(given["options"])})


def add(session: Session, command: Command, given: Given) -> int:
    """One watcher more."""
    program, *rest = given["cmd"]
    return change(session, command, {
        **given, "cmd": program, "args": list(rest) or None, "options": pairs(given["options"])})


def get(session: Session, command: Command, given: Given) -> int:
    """Some options of a watcher."""
    answer = session.ask("get", **targeted(command, {**given, "keys": list(given["keys"])}))
    session.show(answer, lambda: plainly(answer["options"]))
    return 0
