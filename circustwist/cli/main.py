"""
The C{circustwist} command: one subcommand for each command of the table.

Names, arguments and help come from the table; a command is shown by L{show}
if something is known of it there, and plainly otherwise.  Twisted is not
imported, so that a command is done in a tenth of a second.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

import click

from .. import __version__
from ..control.blocking import ControlError
from ..control.boxes import BoxError
from ..model.commands import COMMANDS, TABLE, Command
from . import export, find, imports, live, local, logs, passwd, setting
from .find import Session
from .known import KNOWN, plainly
from .outcome import INTERRUPTED, fault
from .parameter import everywhere, parameter

ALONE = (export, imports, live, local, passwd)
"""The modules that put commands that are in no table into L{local.LOCAL}."""

SETTING = {"set": setting.set, "add": setting.add, "get": setting.get}


def built(command: Command) -> click.Command:
    """A subcommand."""
    parameters = [made for argument in command.arguments for made in parameter(command, argument)]
    if command.name == "options":
        parameters.append(click.Argument(["option"], required=False))
    if command.name == "events":
        parameters.append(click.Option(["-f", "--follow"], is_flag=True, hidden=True, expose_value=False))

    def run(**given: Any) -> int:
        known = KNOWN.get(command.name) or SETTING.get(command.name, plainly)
        return known(click.get_current_context().obj, command, given)

    return click.Command(command.name, params=[*parameters, *everywhere()], callback=run, help=command.help)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, params=everywhere())
@click.version_option(__version__, "--version", prog_name="circustwist", message="%(prog)s %(version)s")
def cli() -> None:
    """
    Steer a supervisor.

    The supervisor is found by -s, -c, $CIRCUSTWIST_CONTROL, the ini in
    the current folder, or because it is the only one that runs.  A worker is
    written as its watcher and its number: web/3.

    \b
    For completion in bash (zsh, fish), put this into its startup file:
    eval "$(_CIRCUSTWIST_COMPLETE=bash_source circustwist)"
    """


def _fill(group: click.Group) -> None:
    """Add every command of the table, those that are in none, and other names."""
    for command in COMMANDS:
        group.add_command(built(command))
    for alias, name in (("sockets", "listsockets"), ("apply", "reloadconfig"), ("reexec", "upgrade")):
        group.add_command(built(TABLE[name]), alias)
    for alias in ("tail", "logs"):
        group.add_command(logs.command(alias, TABLE["tail"].help))
    for made in local.LOCAL:
        group.add_command(made)


_fill(cli)


# The process


def _run(session: Session, arguments: Sequence[str] | None) -> int:
    try:
        return int(cli.main(arguments, "circustwist", standalone_mode=False, obj=session) or 0)
    except click.ClickException as error:
        if session.json:
            session.complain("UsageError", error.format_message())
        else:
            error.show()
        return error.exit_code
    except (ControlError, find.NoSupervisor, OSError, BoxError) as error:
        return fault(session, error)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    @param arguments: without the program's name; those of the process if there
        are none.
    @return: the exit code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(Session(), arguments)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.exceptions.Exit as error:
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
