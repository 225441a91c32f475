"""Commands of the table of which something special is known."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ..control.blocking import ControlError
from ..model.commands import Command
from . import find, numbers, show
from .find import Given, Session, say, targeted, watcherOf
from .outcome import DOWN, FAILED, fault


def paint() -> show.Paint:
    """How states are painted on the standard output."""
    return show.painter(sys.stdout.isatty(), os.environ)


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
    session.show(answer, lambda: show.plan(
        answer["items"], answer.get("tuned", ()), answer.get("kept", ()), answer.get("lacks", ())))
    return 0


def console(session: Session, command: Command, given: Given) -> int:
    """A link that opens the console."""
    answer = session.ask("console", **targeted(command, given))
    session.show(answer, lambda: [answer["url"]])
    return 0


KNOWN: Mapping[str, Callable[[Session, Command, Given], int]] = {
    "status": status, "plan": plan, "options": options, "numprocesses": numprocesses,
    "listsockets": numbers.listsockets, "stats": numbers.stats, "events": events, "operation": operation,
    "console": console,
}
