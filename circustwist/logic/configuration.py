"""
The configuration in force, option by option, with the place where each stands.

What looks like a secret is not told, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..model.errors import Place
from ..model.option import options
from ..model.secrets import MASK, hidden
from ..model.settings import Settings
from ..model.stack import Socket
from ..model.stack import Watcher as Spec
from ..model.streams import Stream
from ..model.users import User
from ..model.values import signalName
from .answers import inFile
from .arbiter import Arbiter

ENV = "env"
"""Stands before the name of a variable of the environment."""


def sections(arbiter: Arbiter) -> list[dict[str, Any]]:
    """Every section: its title, and name, value and place of each of its options; no place for a default."""
    stack, origins = arbiter.stack, arbiter.stack.origins

    def made(title: str, found: Iterator[tuple[str, str]]) -> dict[str, Any]:
        """One section."""
        return {"title": title, "options": [
            {"name": name, "value": value, "place": str(origins.get((title, name)) or _given(title, name, origins))}
            for name, value in found]}

    return [
        made("circus", _declared(Settings, stack.settings)),
        *(made(f"user:{user.name}", _declared(User, user)) for user in stack.users),
        *(made(f"socket:{socket.name}", _declared(Socket, socket)) for socket in stack.sockets),
        *(made(f"watcher:{one.name}", _watcher(one.spec, one.seats.wanted)) for one in inFile(arbiter)),
    ]


def _given(title: str, name: str, origins: Mapping[tuple[str, str], Place]) -> Place | str:
    """Where the sections of environments give a watcher a variable; of several places the last counts."""
    kind, _, variable = name.partition(" ")
    watcher = title.removeprefix("watcher:")
    if kind != ENV or not variable:
        return ""
    places = [place for (section, option), place in origins.items() if option == variable and (
        section == "env" or (section.startswith("env:") and any(
            fnmatchcase(watcher, pattern.strip()) for pattern in section[4:].split(","))))]
    return places[-1] if places else ""


def _declared(cls: type, value: object, **instead: object) -> Iterator[tuple[str, str]]:
    for name, option, _ in options(cls):
        found = instead.get(name, getattr(value, name))
        octal = option.convert.__name__ == "octal" if hasattr(option.convert, "__name__") else False
        signal = name == "stop_signal" and isinstance(found, int)
        yield name, hidden(name, f"{found:03o}" if octal and isinstance(found, int) else
                           signalName(found) if signal and isinstance(found, int) else _text(found))


def _watcher(spec: Spec, wanted: int) -> Iterator[tuple[str, str]]:
    yield from _declared(Spec, spec, numprocesses=wanted)
    for name, limit in spec.rlimits.items():
        yield f"rlimit_{name}", "infinity" if limit is None else str(limit)
    for output, stream in (("stdout_stream", spec.stdout_stream), ("stderr_stream", spec.stderr_stream)):
        yield from _stream(output, stream)
    for name, value in spec.extra.items():
        yield name, hidden(name, str(value))
    for name in spec.env:
        yield f"{ENV} {name}", MASK


def _stream(output: str, stream: Stream) -> Iterator[tuple[str, str]]:
    if stream:
        settings: Mapping[str, str] = {"class": stream.kind, **stream.settings}
        yield from ((f"{output}.{name}", hidden(name, str(value))) for name, value in settings.items())


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
