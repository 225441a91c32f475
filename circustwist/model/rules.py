"""What the options of one section, and those of several watchers together, must obey."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

from .naming import LONGEST_SOCKET_PATH
from .needs import circles, needs
from .reading import Findings, Section
from .stack import Watcher
from .users import User

Rule: TypeAlias = tuple[str, Callable[[Any], bool], str]
"""The option to blame, whether the rule is broken, and what to say then."""

WATCHER: tuple[Rule, ...] = (
    ("cmd", lambda watcher: not watcher.cmd.strip(), "is missing; e.g. cmd = sleep 60"),
    ("singleton", lambda watcher: watcher.singleton and watcher.numprocesses > 1,
     "allows one process, but numprocesses asks for more"),
    ("copy_path", lambda watcher: watcher.copy_path and not watcher.copy_env, "needs copy_env = True"),
    ("virtualenv", lambda watcher: watcher.virtualenv and not watcher.copy_env, "needs copy_env = True"),
    ("max_requests", lambda watcher: watcher.max_requests and "notify" not in (watcher.ready, watcher.live),
     "needs ready = notify or live = notify, since only a process that notifies can tell how many it has answered"),
    ("max_memory_kill", lambda watcher: 0 < watcher.max_memory_kill <= watcher.max_memory,
     "is not above max_memory, so that nothing would be replaced before it is killed"),
    ("live_timeout", lambda watcher: watcher.live and not watcher.live_timeout,
     "is 0, so that no look could ever succeed; e.g. 5"),
)
SOCKET: tuple[Rule, ...] = (
    ("path", lambda socket: socket.unix and not socket.path, "is missing; a UNIX socket needs one, e.g. /run/web.sock"),
    ("path", lambda socket: len(socket.path.encode(errors="replace")) > LONGEST_SOCKET_PATH,
     f"is longer than {LONGEST_SOCKET_PATH} bytes; unix(7)"),
)

_ENDPOINTS = ("endpoint", "pubsub_endpoint", "stats_endpoint")


def _endpoints() -> Iterable[Rule]:
    for name in _ENDPOINTS:
        yield (name, partial(_open, name),
               "is open to other hosts, which takes CURVE: a curve_secret_key_file, and the curve_key of each "
               "[user:NAME]; or let it be tcp://127.0.0.1:PORT, or ipc:///PATH")
    yield ("curve_secret_key_file", lambda settings: settings.curve_secret_key_file and not settings.endpoint,
           "is of no use without an endpoint; e.g. endpoint = tcp://*:5555")


def _open(name: str, settings: Any) -> bool:
    return not settings.curve_secret_key_file and _far(getattr(settings, name))


def _far(endpoint: str) -> bool:
    """Whether other hosts reach an endpoint."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    near = host in ("localhost", "[::1]") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None
    return endpoint.startswith("tcp://") and not near


_TLS = ("control_tls_certificate", "control_tls_key", "control_tls_clients")


def _secured() -> Iterable[Rule]:
    for name in _TLS:
        yield (name, partial(_untold, name), "is missing; control_tls needs it: a file in PEM")
        yield (name, partial(_useless, name), "is of no use without control_tls; e.g. control_tls = 0.0.0.0:7000")


def _untold(name: str, settings: Any) -> bool:
    return bool(settings.control_tls) and not getattr(settings, name)


def _useless(name: str, settings: Any) -> bool:
    return bool(getattr(settings, name)) and not settings.control_tls


SETTINGS: tuple[Rule, ...] = (*_endpoints(), *_secured())


USER: tuple[Rule, ...] = (
    ("", lambda user: not user.ways, "nobody can be recognised by it; give it a uid, group, cert, curve_key or "
     "password_hash"),
)


def users(found: Iterable[User], sections: Mapping[str, Section], findings: Findings) -> None:
    """
    Tell of users that are recognised by the same.

    @param sections: by title.
    """
    first: dict[tuple[str, str], User] = {}
    for user in found:
        for way in user.ways:
            other = first.setdefault(way, user)
            if other is not user and way[0] != "password_hash":
                findings.fatal(sections[f"user:{user.name}"].at(way[0]), f"is that of [user:{other.name}] too")


def dependencies(watchers: Iterable[Watcher], sections: Mapping[str, Section], findings: Findings) -> None:
    """
    Tell of watchers that depend on what is not there, on what never comes about, or on themselves.

    @param sections: by title.
    """
    known = {watcher.name.lower(): watcher for watcher in watchers}
    for watcher in known.values():
        entry = sections[f"watcher:{watcher.name}"].at("depends_on")
        for need in needs(watcher):
            found = known.get(need.watcher)
            if found is None:
                meant = findings.meant(need.watcher, known) or "; names are parted by commas"
                findings.fatal(entry, f"there is no [watcher:{need.watcher}]{meant}")
            elif need.condition == "completed" and found.respawn == "always":
                findings.fatal(entry, f"{need} never comes about, since {found.name} is started again whenever it "
                                      f"ends; e.g. respawn = on-failure in [watcher:{found.name}]")
    for circle in circles(known.values()):
        entry = sections[f"watcher:{circle[0]}"].at("depends_on")
        findings.fatal(entry, f"goes round in a circle: {' -> '.join([*circle, circle[0]])}")
