"""Numbers as people read them: what processes use, and the connections of sockets."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..model.commands import Command
from . import show
from .find import Given, Session, targeted
from .table import aligned, width

Json = Mapping[str, Any]
_UNITS = "KMGTP"


def size(number: float | None) -> str:
    """A number of bytes, in one unit."""
    if number is None:
        return "-"
    scaled, at = float(number), -1
    while scaled >= 1023.5 and at + 1 < len(_UNITS):
        scaled, at = scaled / 1024, at + 1
    unit = _UNITS[at] if at >= 0 else ""
    return f"{scaled:.1f}{unit}" if unit and scaled < 99.95 else f"{scaled:.0f}{unit}"


def whole(number: float | None) -> str:
    """A number, if it is known."""
    return "-" if number is None else f"{number:.0f}"


def hits(found: Json) -> str:
    """How many connections there were; C{>=} where it may have been more."""
    if found.get("connections") is None:
        return "-"
    return f"{'' if found['exact'] else '>='}{found['connections']}"


def tabled(head: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> list[str]:
    """
    A table.

    @param words: so many columns at the left are words; the others are numbers, and stand at the right.
    """
    widths = [max(width(row[at]) for row in (head, *rows)) for at in range(len(head))]
    placed = [[
        cell if at < words else " " * (widths[at] - width(cell)) + cell for at, cell in enumerate(row)
    ] for row in (head, *rows)]
    return aligned(placed)


# Processes


_PROCESSES = ("", "pid", "cpu %", "memory", "threads", "fds", "children", "age")


def processes(sample: Json, watcher: str = "", wid: int = 0) -> list[str]:
    """
    What processes use.

    @param watcher: only this one, in any case.
    @param wid: only this worker of it.
    """
    rows = []
    for one in sample["watchers"]:
        if watcher.lower() in ("", one["name"].lower()):
            workers = [worker for worker in one["workers"] if wid in (0, worker["wid"])]
            rows += [_row(f"{one['name']}/{worker['wid']}", worker) for worker in workers]
            if len(workers) > 1:
                rows.append(_row(one["name"], {**one, "pid": f"{len(workers)} in all"}))
    if not watcher:
        rows.append(_row("supervisor", sample["supervisor"]))
    return tabled(_PROCESSES, rows, 1)


def _row(name: str, found: Json) -> tuple[str, ...]:
    return (
        show.safe(name), str(found["pid"]), f"{found['cpu']:.1f}", size(found["memory"]), whole(found["threads"]),
        whole(found["fds"]), whole(found["children"]), show.span(found["age"]))


def stats(session: Session, command: Command, given: Given) -> int:
    """What processes use."""
    asked = targeted(command, {**given, "detail": True})
    answer = session.ask("stats", **asked)
    watcher, wid = asked.get("name") or "", asked.get("wid") or 0
    session.show(answer, lambda: processes(answer["sample"], watcher, wid))
    return 0


# Sockets


_SOCKETS = ("socket", "address", "connections", "open", "in", "out", "queue", "drops")


def sockets(found: Sequence[Json], paint: show.Paint) -> list[str]:
    """The sockets and their connections."""
    rows = [row for socket in found for row in (_socket(socket, paint), *map(_seat, socket.get("seats", ())))]
    notes = []
    if any(not socket["hits"]["exact"] for socket in found if socket.get("hits")):
        notes.append(">=: at least so many; others may have come and gone unseen")
    return [*tabled(_SOCKETS, rows, 2), *notes]


def _socket(socket: Json, paint: show.Paint) -> tuple[str, ...]:
    counted = socket.get("hits") or {}
    name = show.safe(socket["name"]) + (f" {paint('failed')}" if socket.get("state") == "failed" else "")
    return (
        name, show.safe(socket["address"]), hits(counted), whole(counted.get("open")), size(counted.get("received")),
        size(counted.get("sent")), queue(socket), whole(socket.get("drops")))


def _seat(seat: Json) -> tuple[str, ...]:
    avoided = "avoided" if seat.get("avoided") else ""
    return (f"  {show.safe(seat['name'])}", avoided, "", "", "", "", whole(seat["queue"]), whole(seat.get("drops")))


def queue(socket: Json) -> str:
    """How many connections wait, and how many may."""
    if socket.get("queue") is None:
        return "-"
    limit = socket.get("limit")
    return str(socket["queue"]) if limit is None else f"{socket['queue']}/{limit}"


def listsockets(session: Session, command: Command, given: Given) -> int:
    """The sockets."""
    answer = session.ask("listsockets")
    paint = show.painter(sys.stdout.isatty(), os.environ)
    session.show(answer, lambda: sockets(answer["sockets"], paint))
    return 0
