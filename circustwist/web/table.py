"""
The stack as a plain page: for browsers without scripts, and for programs that only want to see that it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


def page(stack: Mapping[str, Any], style: str) -> str:
    """
    A whole page.

    @param style: where the style sheet is.
    """
    title = escape(f"{stack['name']} - circustwist")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="10">'
        f'<link rel="stylesheet" href="{escape(style)}"></head><body class="plain">{tables(stack)}</body></html>')


def tables(stack: Mapping[str, Any]) -> str:
    """The watchers and the sockets."""
    watchers = [
        (one["name"], one["status"], f"{one['active']}/{one['wanted']}", str(one["restarts"]),
         " ".join(str(worker["pid"]) for worker in one["workers"] if worker["pid"]), one["problem"])
        for one in stack["watchers"]]
    sockets = [(one["name"], one["address"], _waiting(one), one["state"]) for one in stack["sockets"]]
    return (
        f"<main><h1>{escape(stack['name'])}</h1>"
        f"<p>Supervisor {stack['pid']}, version {escape(stack['version'])}, up {_length(stack['uptime'])}</p>"
        + _table("Watchers", ("Watcher", "State", "Running", "Restarts", "Processes", "Problem"), watchers)
        + _table("Sockets", ("Socket", "Address", "Waiting", "State"), sockets) + "</main>")


def _waiting(socket: Mapping[str, Any]) -> str:
    return "" if socket.get("queue") is None else f"{socket['queue']} of {socket['limit']}"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _length(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
