"""
The C{circustwist} command: one subcommand for each command of the table.

Names, arguments and help come from the table; a command is shown by L{show}
if something is known of it there, and plainly otherwise.  Twisted is not
imported, so that a command is done in a tenth of a second.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import click

from .. import __version__
from ..control.blocking import ControlError
from ..control.boxes import BoxError
from ..model.commands import COMMANDS, TABLE, Argument, Command
from . import find, show
from .find import Given, Session, say, targeted, watcherOf
from .table import aligned

FAILED, USAGE, DOWN, NO_SUPERVISOR, TIMED_OUT, INTERRUPTED = 1, 2, 3, 4, 124, 130
_POSITIONAL = frozenset(("name", "nb", "id", "topics", "signum"))
_TYPES: Mapping[str, Any] = {"whole": int, "number": float, "text": str, "texts": str, "object": str}


def paint() -> show.Paint:
    """How states are painted on the standard output."""
    return show.painter(sys.stdout.isatty(), os.environ)


# What every command can do


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


def plainly(session: Session, command: Command, given: Given) -> int:
    """A command of which nothing special is known."""
    if command.changes:
        return change(session, command, given)
    answer = session.ask(command.name, **targeted(command, given))
    session.show(answer, lambda: show.plainly(answer) if answer else [])
    return 0


# Changes


def change(session: Session, command: Command, given: Given) -> int:
    """A command that starts an operation for each name, and waits for their end."""
    wait, names = given.pop("waiting"), given.pop("names", None) or [given.pop("name", None)]
    asked = [targeted(command, {**given, "name": name}) for name in names]
    with session.open() as control:
        running = show.Progress(control)
        if wait and sys.stderr.isatty() and not session.json:
            running.watch()
        code, begun = 0, []
        for arguments in asked:
            try:
                begun.append(control.call(command.name, **arguments))
            except ControlError as error:
                code = fault(session, error)
        if wait:
            control.timeout = session.timeout
            return max(code, ended(session, command, running, begun))
        session.show(begun[0] if len(begun) == 1 else begun, lambda: [_accepted(answer) for answer in begun])
        return code


def _accepted(answer: Given) -> str:
    return f"operation {answer['operation']}" if "operation" in answer else "  ".join(show.plainly(answer))


def ended(session: Session, command: Command, running: show.Progress, begun: Sequence[Given]) -> int:
    """Wait for the end of what has begun."""
    code, outcomes = 0, []
    for answer in begun:
        if "operation" not in answer:
            session.show(answer, partial(show.plainly, answer))
            continue
        found = running.end(answer["operation"], command.name)
        outcomes.append(found)
        if found["state"] != "done":
            code = FAILED
        if not session.json:
            say(show.operation(found), file=sys.stdout if found["state"] == "done" else sys.stderr)
    if session.json and outcomes:
        say(json.dumps({"operations": outcomes}))
    return code


# Commands of which something is known


def status(session: Session, command: Command, given: Given) -> int:
    """The state of the stack, of a watcher or of a worker."""
    name, wid = watcherOf(given["name"])
    answer = session.ask("status", name=name or None, detail=True)
    stack = answer["stack"]
    meant = [one for one in stack["watchers"] if name.lower() in ("", one["name"].lower())]
    if wid:
        meant = [{**one, "workers": [w for w in one["workers"] if w["wid"] == wid]} for one in meant]
        session.show(answer, lambda: show.workers(meant, paint()))
        return 0 if any(worker["pid"] for one in meant for worker in one["workers"]) else DOWN
    session.show(answer, lambda: show.status(stack, paint(), os.getcwd(), name))
    up = (one["status"] in ("stopped", "stopping") or _full(one) for one in meant)
    return 0 if all(up) else DOWN


def _full(watcher: Given) -> bool:
    return bool(watcher["status"] == "active" and watcher["active"] >= watcher["wanted"])


def options(session: Session, command: Command, given: Given) -> int:
    """The options of a watcher, or one of them."""
    wanted = given.pop("option", None)
    answer = session.ask("options", **targeted(command, given))
    if wanted and wanted not in answer["options"]:
        session.complain("NotFound", f"there is no option {wanted}; circustwist options {given['name']} lists them")
        return FAILED
    shown = answer["options"][wanted] if wanted else answer["options"]
    session.show({"options": {wanted: shown}} if wanted else answer, lambda: show.plainly(shown))
    return 0


def listsockets(session: Session, command: Command, given: Given) -> int:
    """The sockets."""
    answer = session.ask("listsockets")
    session.show(answer, lambda: show.sockets(answer["sockets"], paint()))
    return 0


def numprocesses(session: Session, command: Command, given: Given) -> int:
    """How many processes should run."""
    answer = session.ask("numprocesses", **targeted(command, given))
    session.show(answer, lambda: show.plainly(answer["numprocesses"]))
    return 0


def events(session: Session, command: Command, given: Given) -> int:
    """Every event from now on, until interrupted; web is short for watcher.web."""
    topics = [find.topic(topic) for topic in given["topics"]]
    with session.open() as control:
        since = -1 if given["since"] is None else given["since"]
        for event in control.events(topics, since, session.timeout):
            session.show(event, partial(lambda happened: [show.event(happened)], event))
    return 0


def operation(session: Session, command: Command, given: Given) -> int:
    """What became of an operation, or of all of them."""
    with session.open() as control:
        control.timeout = session.timeout if given["waiting"] else control.timeout
        answer = control.call("operation", id=given["id"], waiting=given["waiting"])
    found = answer["operations"]
    session.show(answer, lambda: [f"{one['id']} {show.operation(one)}" for one in found])
    return FAILED if given["id"] and found[0]["state"] not in ("done", "running") else 0


def plan(session: Session, command: Command, given: Given) -> int:
    """What applying the configuration would do."""
    answer = session.ask("plan")
    session.show(answer, lambda: show.plan(answer["items"]))
    return 0


KNOWN: Mapping[str, Callable[[Session, Command, Given], int]] = {
    "status": status, "plan": plan, "options": options, "listsockets": listsockets, "numprocesses": numprocesses,
    "events": events, "operation": operation,
}


# From the table to the command line


def _parameter(command: Command, argument: Argument) -> list[click.Parameter]:
    """What stands for one argument of a command on the command line."""
    name, kind = argument.name, _TYPES.get(argument.kind, str)
    if name == "wid" and any(other.name == "name" for other in command.arguments):
        return []
    if name == "name" and command.changes and not argument.required:
        return [click.Argument(["names"], metavar="[NAME]...", nargs=-1, shell_complete=_complete)]
    if name in _POSITIONAL:
        count = -1 if argument.kind == "texts" else 1
        complete: Given = {"shell_complete": _complete} if name == "name" else {}
        return [click.Argument([name], type=kind, required=argument.required, nargs=count, **complete)]
    if name == "waiting":
        return [click.Option(
            ["--wait/--no-wait", "--waiting/ ", "waiting"], default=command.changes,
            help="Wait for the end of it, or only until it is accepted.")]
    flag: Given = {"type": kind, "multiple": argument.kind == "texts"}
    if argument.kind == "boolean":
        flag = {"is_flag": True}
    return [click.Option([f"--{name.replace('_', '-')}"], help=argument.help, default=None, **flag)]


def _complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The watchers whose names begin with what has been typed."""
    try:
        names = context.ensure_object(Session).ask("list")["watchers"]
    except Exception:
        return []
    return [name for name in names if name.startswith(typed)]


def built(command: Command) -> click.Command:
    """A subcommand."""
    parameters = [made for argument in command.arguments for made in _parameter(command, argument)]
    if command.name == "options":
        parameters.append(click.Argument(["option"], required=False))
    if command.name == "events":
        parameters.append(click.Option(["-f", "--follow"], is_flag=True, hidden=True, expose_value=False))

    def run(**given: Any) -> int:
        known = KNOWN.get(command.name, plainly)
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


for _command in COMMANDS:
    cli.add_command(built(_command))
for _alias, _name in (("sockets", "listsockets"), ("apply", "reloadconfig"), ("reexec", "upgrade")):
    cli.add_command(built(TABLE[_name]), _alias)


def added(*parameters: click.Parameter) -> Callable[[Callable[..., int]], click.Command]:
    """A subcommand that is in no table, because no supervisor is asked; its help is its docstring."""

    def add(run: Callable[..., int]) -> click.Command:
        def call(**given: Any) -> int:
            return run(click.get_current_context().obj, **given)

        made = click.Command(run.__name__, params=[*parameters, *everywhere()], callback=call, help=run.__doc__)
        cli.add_command(made)
        return made

    return add


@added()
def ls(session: Session) -> int:
    """The stacks of mine that run."""
    every = find.stacks(os.environ)
    answer = [{"name": one.name, "pid": one.pid, "ini": one.ini, "directory": one.directory} for one in every]
    rows = [(show.safe(one.name), f"pid {one.pid}", show.safe(show.shortPath(one.ini, os.getcwd()))) for one in every]
    session.show(answer, lambda: aligned(rows) or ["no stack of yours runs"])
    return 0


@added(click.Argument(["name"], required=False, shell_complete=_complete))
def pid(session: Session, name: str | None) -> int:
    """The pid of a worker, the pids of a watcher, or the supervisor's."""
    watcher, wid = watcherOf(name)
    if not watcher:
        found = [session.ask("ping")["pid"]]
    else:
        stack = session.ask("status", name=watcher, detail=True)["stack"]
        workers = [w for one in stack["watchers"] if one["name"].lower() == watcher.lower() for w in one["workers"]]
        found = [worker["pid"] for worker in workers if worker["pid"] and wid in (0, worker["wid"])]
    if not found:
        session.complain("NotFound", f"{name} does not run")
        return DOWN
    session.show({"pids": found}, lambda: [str(number) for number in found])
    return 0


@added(click.Argument(["ini"], required=False, type=click.Path()))
def check(session: Session, ini: str | None) -> int:
    """Whether a stack could start from an ini: everything that is wrong with it."""
    path = ini or session.config or next(map(os.path.relpath, find.inisHere()), "")
    if not path:
        raise click.UsageError("which ini? there is no stack.ini, circus.ini or single other one here")
    stack, errors, warnings = find.examined(path, os.environ)
    answer = {"errors": errors, "warnings": warnings}
    workers = sum(watcher.numprocesses for watcher in stack.watchers)
    counted = ", ".join(show.counted(number, word) for number, word in (
        (len(stack.sockets), "socket"), (len(stack.watchers), "watcher"), (workers, "worker")))
    last = f"{show.counted(len(errors), 'error')}, nothing started" if errors else f"{path}: {counted}: fine"
    session.show(answer, lambda: [*map(show.safe, (*errors, *warnings, last))])
    return USAGE if errors else 0


@added(click.Argument(["topic"], required=False, metavar="[OPTION|COMMAND]"))
def help(session: Session, topic: str | None) -> int:
    """What an option of the ini, or a command, does."""
    context = click.get_current_context()
    command = cli.commands.get(topic or "", None if topic else cli)
    options = show.options(topic or "")
    if command is None and not options:
        raise click.UsageError(f"there is no command and no option {topic}")
    if command is not None and not session.json:
        with click.Context(command, info_name=topic, parent=context.parent if topic else None) as inner:
            say(command.get_help(inner))
    if options:
        session.show(options, lambda: show.optionLines(options))
    return 0


@added()
def schema(session: Session) -> int:
    """The JSON Schema of an ini: what sections and options there may be."""
    from ..model.schema import document

    say(json.dumps(document(), indent=2))
    return 0


# The process


_OUTCOMES: tuple[tuple[type[Exception], int], ...] = (
    (find.NoSupervisor, NO_SUPERVISOR), (TimeoutError, TIMED_OUT), (ConnectionError, NO_SUPERVISOR), (OSError, FAILED),
    (BoxError, FAILED))


def fault(session: Session, error: Exception) -> int:
    """Tell of an error, and the exit code that it means."""
    if isinstance(error, ControlError):
        session.complain(error.name, error.text)
        return USAGE if error.name in ("MessageError", "UnknownCommand") else FAILED
    session.complain(type(error).__name__, str(error))
    return next(code for kind, code in _OUTCOMES if isinstance(error, kind))


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
