"""
What the reading commands answer, with Circus's keys and a few more.

Functions from the logic's state to JSON types; they change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from ..model.launch import Names, socketNumbers
from ..model.line import Line, Selection
from ..model.option import options
from ..model.reason import hears, last
from ..model.secrets import MASK, masked
from ..model.stack import Socket, Stack
from ..model.stack import Watcher as Spec
from ..model.streams import Stream
from . import limits
from .arbiter import Arbiter
from .past import Death
from .readiness import handed
from .tuning import resized, told
from .watcher import Watcher


@attrs.frozen
class About:
    """
    What the logic is told of the world when somebody asks.

    @ivar pid: the supervisor's.
    @ivar version: the supervisor's.
    @ivar since: when it started, on the monotonic clock.
    @ivar socket: what is known of a socket now, by its name; see
        C{ISockets.describe}.
    @ivar tail: so many of the last lines of some outputs; see C{IOutputs.tail}.
    @ivar dropped: how much output was dropped: C{bytes} and C{lines} by watcher and C{stdout} or C{stderr}.
    """

    pid: int
    version: str
    since: float
    socket: Callable[[str], Mapping[str, Any]]
    tail: Callable[[Selection, int], Sequence[Line]] = lambda wanted, most: ()
    dropped: Callable[[], Mapping[str, Mapping[str, Mapping[str, int]]]] = dict


def statuses(arbiter: Arbiter) -> dict[str, str]:
    """The status of each watcher, by its name as it was written."""
    return {watcher.name: watcher.status for watcher in arbiter.watchers.values()}


def overview(arbiter: Arbiter, about: About, now: float, role: str = "") -> dict[str, Any]:
    """Everything that a status page shows to somebody of that role."""
    dropped = about.dropped()
    return {
        "name": arbiter.stack.name, "pid": about.pid, "uptime": round(now - about.since, 3), "version": about.version,
        "path": arbiter.stack.path, "quitting": arbiter.quitting is not None,
        "watchers": [
            {**watcherDetail(watcher, now, role), "waits": ", ".join(map(str, arbiter.waits(watcher))),
             "dropped": dropped.get(watcher.name, {})}
            for watcher in inFile(arbiter)],
        "sockets": sockets(arbiter.stack, about), "tuned": told(arbiter.tuning.every, now),
    }


def inFile(arbiter: Arbiter) -> list[Watcher]:
    """The watchers in the order in which the configuration has them."""
    return sorted(arbiter.watchers.values(), key=lambda watcher: (watcher.spec.place.file, watcher.spec.place.line))


def watcherDetail(watcher: Watcher, now: float, role: str = "") -> dict[str, Any]:
    """One watcher on a status page."""
    problem = watcher.past.problem or watcher.past.stale
    return {
        "name": watcher.name, "status": watcher.status, "wanted": watcher.seats.wanted,
        "configured": watcher.spec.numprocesses, "resized": resized(watcher, now), "active": watcher.seats.active(),
        "restarts": watcher.past.restarts, "problem": problem,
        **(last(problem) if hears(role) else {}),
        "stopper": watcher.past.stopper, "completed": watcher.past.completed,
        "asleep": watcher.demand.asleep, "generation": watcher.seats.generation,
        "last": _death(watcher.past.last, now), "limits": limits.told(watcher.spec),
        "workers": [
            {"id": id, "wid": w.names.wid, "pid": w.pid, "state": w.state, "age": round(now - w.since, 3),
             "generation": w.names.generation, "said": w.said}
            for id, w in watcher.seats.workers.items()
        ],
    }


def _death(last: Death | None, now: float) -> dict[str, Any] | None:
    if last is None:
        return None
    back = None if last.back is None else round(last.back, 6)
    return {"worker": last.worker, "reason": last.reason, "ago": round(now - last.at, 3), "back": back}


def running(arbiter: Arbiter) -> list[tuple[str, list[tuple[Names, int]]]]:
    """The processes of each watcher, in the order in which the configuration has the watchers."""
    return [(watcher.name, [(worker.names, worker.pid) for worker in watcher.seats.workers.values() if worker.pid])
            for watcher in inFile(arbiter)]


def pids(watcher: Watcher) -> list[int]:
    """The pids of a watcher's processes, oldest first."""
    return [worker.pid for worker in watcher.seats.workers.values() if worker.pid]


def sockets(stack: Stack, about: About) -> list[dict[str, Any]]:
    """The sockets, as C{listsockets} answers, sorted by their number in the workers."""
    numbers = socketNumbers(stack)
    holders: dict[str, list[str]] = {name: [] for name in numbers}
    for watcher in stack.watchers:
        for name in handed(stack, watcher):
            holders[name].append(watcher.name)
    return [
        {**_socket(socket, numbers[socket.name], about), "watchers": holders[socket.name]} for socket in stack.sockets]


def _socket(socket: Socket, number: int, about: About) -> dict[str, Any]:
    known = dict(about.socket(socket.name))
    found: dict[str, Any] = {"fd": number, "name": socket.name, "backlog": socket.backlog}
    if socket.unix:
        found |= {"path": socket.path, "address": socket.path}
    else:
        host, port = known.get("host", socket.host), known.get("port", socket.port)
        shown = f"[{host}]" if ":" in str(host) else host
        found |= {"host": host, "port": port, "address": f"{shown}:{port}"}
    found |= {"seats": known["seats"]} if "seats" in known else {}
    found |= {key: known.get(key) for key in ("queue", "limit", "drops", "hits")}
    return found | {"state": known.get("state", "held")}


def watcherOptions(watcher: Watcher, role: str, show: bool = False) -> dict[str, Any]:
    """
    The options of a watcher as they are in force; what looks like a secret is for administrators.

    @param show: whether to tell them the values of its environment too.
    """
    admin = role == "admin"
    spec: Spec = watcher.spec
    found: dict[str, Any] = {name: getattr(spec, name) for name, _, _ in options(Spec)}
    found["respawn"] = spec.respawn if spec.respawn == "on-failure" else spec.respawn == "always"
    found["numprocesses"] = watcher.seats.wanted
    for name in ("shell_args", "working_dir", "uid", "gid", "virtualenv", "env_file", "stdin_socket"):
        found[name] = found[name] or None
    found["env"] = {key: value if show and admin else MASK for key, value in spec.env.items()} or None
    found |= {f"rlimit_{name}": value for name, value in spec.rlimits.items()}
    for name, stream in (("stdout_stream_conf", spec.stdout_stream), ("stderr_stream_conf", spec.stderr_stream)):
        found[name] = _stream(stream)
    found = {**spec.extra, **found}
    return found if admin else {name: masked(name, value) for name, value in found.items()}


def _stream(stream: Stream) -> dict[str, str]:
    return {"class": stream.kind, **stream.settings} if stream else {}
