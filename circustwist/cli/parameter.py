"""
What may stand on the command line after a command's name, made from the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ..model.commands import Argument, Command
from .find import Given, Session

_POSITIONAL = frozenset(("name", "nb", "id", "topics", "signum", "keys", "option"))
_TYPES: Mapping[str, Any] = {"whole": int, "number": float, "text": str, "texts": str, "object": str}


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        setattr(context.ensure_object(Session), str(parameter.name), value)


def everywhere() -> list[click.Parameter]:
    """The options that may stand before and after a command's name."""
    options = (
        (["-s", "--stack"], "NAME|PATH", str, "The stack that is meant."),
        (["-c", "--config"], "INI", str, "The ini of the stack that is meant."),
        (["--timeout"], "S", click.FloatRange(0, min_open=True), "Most seconds to wait for an answer or an end."),
    )
    shared: Given = {"default": None, "expose_value": False, "callback": _remember}
    return [
        *(click.Option(names, metavar=metavar, type=kind, help=text, **shared)
          for names, metavar, kind, text in options),
        click.Option(["--json"], is_flag=True, help="Print answers as JSON.", **shared),
    ]


def parameter(command: Command, argument: Argument) -> list[click.Parameter]:
    """What stands for one argument of a command on the command line."""
    name, kind = argument.name, _TYPES.get(argument.kind, str)
    if name == "wid" and any(other.name == "name" for other in command.arguments):
        return []
    if name == "name" and command.changes and not argument.required:
        return [click.Argument(["names"], metavar="[NAME]...", nargs=-1, shell_complete=complete)]
    if name in _POSITIONAL:
        count = -1 if argument.kind == "texts" else 1
        completed: Given = {"shell_complete": complete} if name == "name" else {}
        return [click.Argument([name], type=kind, required=argument.required, nargs=count, **completed)]
    if argument.kind == "object" or name in ("cmd", "args"):
        return _words(command, argument)
    if name == "waiting":
        return [click.Option(
            ["--wait/--no-wait", "--waiting/ ", "waiting"], default=command.changes,
            help="Wait for the end of it, or only until it is accepted.")]
    flag: Given = {"type": kind, "multiple": argument.kind == "texts"}
    if argument.kind == "boolean":
        flag = {"is_flag": True}
    return [click.Option([f"--{name.replace('_', '-')}"], help=argument.help, default=None, **flag)]


def _words(command: Command, argument: Argument) -> list[click.Parameter]:
    """What takes several words: a program with its arguments, or options with their values."""
    if argument.name == "args":
        return []
    if argument.name == "cmd":
        return [click.Argument(["cmd"], metavar="PROGRAM [ARGUMENT]...", nargs=-1, required=True)]
    if argument.required:
        return [click.Argument([argument.name], metavar="OPTION=VALUE...", nargs=-1, required=True)]
    return [click.Option(["-o", "--option", argument.name], metavar="OPTION=VALUE", help=argument.help, multiple=True)]


def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The watchers whose names begin with what has been typed."""
    try:
        names = context.ensure_object(Session).ask("list")["watchers"]
    except Exception:
        return []
    return [name for name in names if name.startswith(typed)]
