"""
What C{circustwist top} shows, as rows: functions from answers of the supervisor to cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from . import numbers, show

Json: TypeAlias = Mapping[str, Any]
VIEWS = ("watchers", "workers", "sockets")

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "watchers": ("watcher", "state", "running", "cpu %", "memory", "restarts", "note"),
    "workers": ("worker", "pid", "state", "cpu %", "memory", "threads", "fds", "children", "age"),
    "sockets": ("socket", "address", "connections", "per second", "open", "in", "out", "queue", "drops"),
}


@attrs.frozen
class Row:
    """
    One line of a table.

    @ivar key: what it is about: a watcher's name, C{web/3} or a socket's name.
    @ivar cells: as they are shown, safe for a terminal.
    @ivar order: by what each column is sorted: all numbers or all texts.
    """

    key: str
    cells: tuple[str, ...]
    order: tuple[Any, ...]


@attrs.frozen
class Picture:
    """
    What the supervisor has told.

    @ivar stack: of C{status} with detail.
    @ivar sample: of C{stats} with detail.
    """

    stack: Json
    sample: Json

    def head(self) -> str:
        """The line above all tables."""
        own, stack = self.sample["supervisor"], self.stack
        parts = [
            show.safe(stack["name"]), f"pid {stack['pid']}", f"up {show.span(stack['uptime'])}",
            f"supervisor {own['cpu']:.1f} % {numbers.size(own['memory'])}", f"lag {show.span(own['lag'])}"]
        return "  ".join(parts + (["stopping"] if stack["quitting"] else []))

    def rows(self, view: str) -> list[Row]:
        """The lines of a table."""
        return {"watchers": self._watchers, "workers": self._workers, "sockets": self._sockets}[view]()

    def _watchers(self) -> list[Row]:
        used = {one["name"]: one for one in self.sample["watchers"]}
        return [_row(one["name"], [
            (one["name"], one["name"].lower()), (one["status"], one["status"]),
            (f"{one['active']}/{one['wanted']}", one["active"]),
            *_usage(used.get(one["name"], {})), (str(one["restarts"]), one["restarts"]),
            (show.problem(one), show.problem(one))]) for one in self.stack["watchers"]]

    def _workers(self) -> list[Row]:
        used = {worker["id"]: worker for one in self.sample["watchers"] for worker in one["workers"]}
        return [
            self._worker(f"{one['name']}/{worker['wid']}", worker, used.get(worker["id"], {}))
            for one in self.stack["watchers"] for worker in one["workers"]]

    def _worker(self, key: str, worker: Json, used: Json) -> Row:
        counts = [(numbers.whole(used.get(name)), used.get(name) or 0) for name in ("threads", "fds", "children")]
        watcher, _, number = key.rpartition("/")
        return _row(key, [
            (key, (watcher.lower(), int(number))), (str(worker["pid"] or "-"), worker["pid"]),
            (worker["state"], worker["state"]), *_usage(used), *counts, (show.span(worker["age"]), worker["age"])])

    def _sockets(self) -> list[Row]:
        failed = {one["name"] for one in self.stack["sockets"] if one.get("state") == "failed"}
        return [_row(one["name"], [
            (f"{one['name']} failed" if one["name"] in failed else one["name"], one["name"].lower()),
            (one["address"], one["address"]), (numbers.hits(one), one["connections"] or 0),
            ("-" if one["rate"] is None else f"{one['rate']:.1f}", one["rate"] or 0.0),
            (numbers.whole(one["open"]), one["open"] or 0),
            (numbers.size(one["received"]), one["received"] or 0), (numbers.size(one["sent"]), one["sent"] or 0),
            (numbers.queue(one), one["queue"] or 0), (numbers.whole(one["drops"]), one["drops"] or 0),
        ]) for one in self.sample["sockets"]]


def _usage(used: Json) -> list[tuple[str, float]]:
    cpu, memory = used.get("cpu"), used.get("memory")
    return [("-" if cpu is None else f"{cpu:.1f}", cpu or 0.0), (numbers.size(memory), memory or 0.0)]


def _row(key: str, cells: Sequence[tuple[str, Any]]) -> Row:
    return Row(key, tuple(show.safe(text) for text, _ in cells), tuple(order for _, order in cells))


def arranged(rows: Sequence[Row], text: str, column: int, descending: bool) -> list[Row]:
    """
    Those in whose cells a text occurs, sorted.

    @param column: -1 leaves them as they are.
    """
    found = [row for row in rows if any(text.lower() in cell.lower() for cell in row.cells)]
    return sorted(found, key=lambda row: row.order[column], reverse=descending) if column >= 0 else found


@attrs.frozen
class Action:
    """
    What can be done to a line.

    @ivar views: where.
    @ivar effect: what it brings about, of what is meant.
    @ivar arguments: of the command, of what is meant.
    """

    key: str
    command: str
    views: frozenset[str]
    effect: Callable[[str], str]
    arguments: Callable[[str], dict[str, Any]] = lambda key: {"name": key}


def _worker(key: str) -> dict[str, Any]:
    name, _, wid = key.rpartition("/")
    return {"name": name, "wid": int(wid)}


_WATCHERS = frozenset(("watchers",))
ACTIONS: tuple[Action, ...] = (
    Action("l", "reload", _WATCHERS, lambda key: f"Replace the processes of {key}, each after a new one is ready?"),
    Action("r", "restart", _WATCHERS, lambda key: f"Stop all processes of {key}, then start them?"),
    Action("s", "start", _WATCHERS, lambda key: f"Start {key}?"),
    Action("x", "stop", _WATCHERS, lambda key: f"Stop all processes of {key}?"),
    Action("plus", "incr", _WATCHERS, lambda key: f"Run one process more of {key}?"),
    Action("minus", "decr", _WATCHERS, lambda key: f"Run one process less of {key}?"),
    Action("k", "kill", frozenset(("workers",)), lambda key: f"End {key}? Another takes its place.", _worker),
)
