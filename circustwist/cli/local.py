"""Commands that are in no table, because no supervisor is asked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import click

from . import find, show
from .find import Session, say, watcherOf
from .outcome import DOWN, USAGE
from .parameter import complete, everywhere
from .table import aligned

LOCAL: list[click.Command] = []


def added(*parameters: click.Parameter) -> Callable[[Callable[..., int]], click.Command]:
    """A subcommand that is in no table, because no supervisor is asked; its help is its docstring."""

    def add(run: Callable[..., int]) -> click.Command:
        def call(**given: Any) -> int:
            return run(click.get_current_context().obj, **given)

        name = run.__name__.rstrip("_")
        made = click.Command(name, params=[*parameters, *everywhere()], callback=call, help=run.__doc__)
        LOCAL.append(made)
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


@added(click.Argument(["name"], required=False, shell_complete=complete))
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
    group = context.find_root().command
    assert isinstance(group, click.Group)
    command = group.commands.get(topic or "", None if topic else group)
    options = show.options(topic or "")
    if command is None and not options:
        raise click.UsageError(f"there is no command and no option {show.safe(topic)}")
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
