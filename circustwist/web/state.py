"""
What a browser knows of a stack, and what is sent when that changes.

Times are sent as times of day, so that nothing changes just because time passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SAME_TIME = 2.0
"""A time that differs by less from what was sent before is the same; it comes from rounding."""

Json = dict[str, Any]


def moment(found: float, before: object) -> float:
    """A time of day that does not jitter."""
    if isinstance(before, int | float) and abs(found - before) < SAME_TIME:
        return before
    return round(found, 1)


def picture(stack: Mapping[str, Any], operations: list[Json], now: float, before: Mapping[str, Any]) -> Json:
    """
    Everything that a browser knows.

    @param stack: what C{status} answers with C{detail}.
    @param operations: what C{operation} answers.
    @param before: the last picture; empty at first.
    """
    earlier = before.get("watchers", {})
    return {
        "stack": {
            **{key: stack[key] for key in ("name", "pid", "version", "path", "quitting")},
            "started": moment(now - stack["uptime"], before.get("stack", {}).get("started")),
            "order": [watcher["name"] for watcher in stack["watchers"]],
        },
        "watchers": {
            one["name"]: _watcher(one, now, earlier.get(one["name"], {})) for one in stack["watchers"]},
        "sockets": {socket["name"]: _socket(socket) for socket in stack["sockets"]},
        "operations": {str(operation["id"]): operation for operation in operations[-50:]},
    }


def _watcher(watcher: Mapping[str, Any], now: float, before: Mapping[str, Any]) -> Json:
    earlier = before.get("workers", {})
    found = {key: value for key, value in watcher.items() if key not in ("workers", "last")}
    last = watcher["last"]
    if last is not None:
        at = moment(now - last["ago"], (before.get("last") or {}).get("at"))
        last = {"worker": last["worker"], "reason": last["reason"], "at": at, "back": last["back"]}
    found["last"] = last
    found["workers"] = {
        str(w["id"]): [w["wid"], w["pid"], w["state"], _since(w, now, earlier), w["generation"], w["said"]]
        for w in watcher["workers"]}
    return found


def _since(worker: Mapping[str, Any], now: float, earlier: Mapping[str, list[Any]]) -> float:
    row = earlier.get(str(worker["id"]))
    return moment(now - worker["age"], row[3] if row else None)


_MOVING = frozenset(("queue", "limit", "hits", "open", "drops", "bytes_in", "bytes_out", "rate"))
"""What is measured all the time, and sent with the measurements."""


def _socket(socket: Mapping[str, Any]) -> Json:
    return {key: value for key, value in socket.items() if key not in _MOVING}


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """
    What leads from one picture to another: the parts that are others, None for those that are gone.

    @return: empty if both are the same.
    """
    found: Json = {}
    if old["stack"] != new["stack"]:
        found["stack"] = new["stack"]
    for part in ("watchers", "sockets", "operations"):
        before, after = old[part], new[part]
        changed = {name: value for name, value in after.items() if before.get(name) != value}
        changed.update((name, None) for name in before if name not in after)
        if changed:
            found[part] = changed
    return found
