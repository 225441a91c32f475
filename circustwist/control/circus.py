"""
Circus's own protocol, as far as it is a matter of texts: requests, answers and events as JSON.

Requests become commands of the table, answers get back Circus's keys.  What
its clients look at is as Circus 0.19 has it, also where that is odd; where it
answers nothing, or with the text of a programming error, an error is answered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..model.commands import TABLE
from ..model.errors import MessageError, NotFound, OperationFailed, RequestError, UnknownCommand
from ..model.events import HOOK, Occurrence
from ..model.settings import PUBSUB, STATS

MULTICAST = "udp://237.219.251.97:12027"
"""Circus's own group, which it tells although nobody configured it."""

Json = dict[str, Any]


class NoJson(RequestError):
    """A request is no JSON."""

    name = "NoJson"
    number = 1


@attrs.frozen
class Call:
    """
    One request.

    @ivar id: echoed in the answer.
    @ivar cast: whether nobody waits for an answer.
    """

    command: str
    properties: Mapping[str, Any] = attrs.field(hash=False)
    id: Any = attrs.field(default=None, hash=False)
    cast: bool = False

    @property
    def waiting(self) -> bool:
        """Whether the answer is to come when all is done."""
        return bool(self.properties.get("waiting"))


@attrs.frozen
class Malformed:
    """
    What is no request.

    @ivar error: what is answered.
    @ivar id: of whatever it was, as far as it had one.
    """

    error: RequestError
    id: Any = None


def parsed(message: bytes) -> Call | Malformed | None:
    """A request; None if there is nothing to be answered."""
    if not message.strip():
        return None
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return Malformed(NoJson("json invalid"))
    if not isinstance(found, dict):
        return Malformed(MessageError("message invalid: it is no object"))
    id, command, properties = found.get("id"), found.get("command"), found.get("properties")
    if not isinstance(command, str):
        return Malformed(MessageError("message invalid 'command' is missing"), id)
    if not isinstance(properties, dict | None):
        return Malformed(MessageError("message invalid: 'properties' is no object"), id)
    return Call(command.lower(), properties or {}, id, found.get("msg_type") == "cast")


# Requests


def arguments(call: Call) -> Json:
    """
    What the table's command is given for a request.

    @raise RequestError: if there is no such command, or it is not for this way.
    """
    if call.command == "listen":
        raise MessageError("invalid message. use a pub/sub socket")
    command = TABLE.get(call.command)
    if command is None or command.name == "events":
        raise UnknownCommand(f"unknown command: {call.command!r}")
    found = {key: value for key, value in call.properties.items() if value is not None}
    for argument in command.arguments:
        if argument.kind == "boolean" and argument.name in found:
            found[argument.name] = bool(found[argument.name])
    return _GIVEN.get(call.command, _same)(found)


def _same(given: Json) -> Json:
    return given


def _whole(given: Json, name: str) -> None:
    """A number may come as text."""
    value = given.get(name)
    if isinstance(value, str) and len(value) < 20 and value.strip().isascii() and value.strip().isdecimal():
        given[name] = int(value)


def _signal(given: Json) -> Json:
    """Signals as numbers or names; pids as numbers or text."""
    if isinstance(given.get("signum"), int) and not isinstance(given["signum"], bool):
        given["signum"] = str(given["signum"])
    if "childpid" in given and "pid" not in given:
        raise MessageError("cannot specify childpid without pid")
    if "child_pid" in given:
        # What Circus's resource_watcher says, and its manual; Circus itself then signals every process of the watcher.
        given["childpid"] = given.pop("child_pid")
    for name in ("pid", "childpid"):
        _whole(given, name)
    return given


def _kill(given: Json) -> Json:
    """The time may come as text, as circusctl sends it."""
    grace = given.get("graceful_timeout")
    if isinstance(grace, str):
        try:
            given["graceful_timeout"] = float(grace)
        except ValueError:
            raise MessageError("'graceful_timeout' isn't a number") from None
    return _signal(given)


def _resize(given: Json) -> Json:
    _whole(given, "nb")
    return given


def _reload(given: Json) -> Json:
    """Its name is no pattern."""
    return {**given, "match": "simple"}


def _keys(given: Json) -> Json:
    if "options" in given and not isinstance(given["options"], dict):
        raise MessageError("'options' property should be an object")
    return given


_GIVEN: Mapping[str, Callable[[Json], Json]] = {
    "signal": _signal, "kill": _kill, "incr": _resize, "decr": _resize, "reload": _reload, "set": _keys, "add": _keys}


# Answers


def answer(call: Call, found: Mapping[str, Any], time: float) -> Json:
    """
    The answer to a request.

    @param found: that of the table's command.
    """
    keys = _ANSWERS.get(call.command, _nothing if TABLE[call.command].changes else _all)(call, found)
    return {"status": "ok", "time": time, "id": call.id, **keys}


def failure(call: Call | Malformed, error: RequestError, time: float) -> Json:
    """What is answered to a request that failed; Circus says that all is well where a watcher cannot be started."""
    if isinstance(call, Call):
        if isinstance(error, OperationFailed) and call.command in ("start", "add"):
            return {"status": "ok", "time": time, "id": call.id, **_none(call), "problem": str(error)}
        if isinstance(error, NotFound) and call.command in ("signal", "kill") and str(error).startswith("process "):
            return {"status": "ok", "time": time, "id": call.id}
    return {"status": "error", "reason": str(error), "tb": None, "time": time, "errno": error.number, "id": call.id}


def _none(call: Call) -> Json:
    """What is answered where nothing could be started."""
    none: Json = {"started": [], "kept": []}
    if call.command == "add":
        return none
    return {"info": none} if call.properties.get("name") else {}


def _all(call: Call, found: Mapping[str, Any]) -> Json:
    return dict(found)


def _nothing(call: Call, found: Mapping[str, Any]) -> Json:
    return {}


def _one(call: Call, found: Mapping[str, Any]) -> Json | None:
    """What an operation did to the one watcher that it was about; None if it was about several, or nobody waits."""
    told = found.get("watchers") or {}
    name = str(call.properties.get("name") or "").lower()
    every = [told[key] for key in told if key.lower() == name] or list(told.values())
    return every[0] if call.waiting and name and len(every) == 1 else None


def _started(call: Call, found: Mapping[str, Any]) -> Json:
    one = _one(call, found)
    return {} if one is None else {"info": {key: one[key] for key in ("started", "kept")}}


def _stopped(call: Call, found: Mapping[str, Any]) -> Json:
    return {} if _one(call, found) is None else {"info": None}


def _changed(call: Call, found: Mapping[str, Any]) -> Json:
    one = _one(call, found)
    return {} if one is None else {"info": {key: one[key] for key in ("stopped", "started", "kept")}}


def _added(call: Call, found: Mapping[str, Any]) -> Json:
    one = _one(call, found)
    return {key: one[key] for key in ("started", "kept")} if one and call.properties.get("start") else {}


def _resized(call: Call, found: Mapping[str, Any]) -> Json:
    if "singleton" in found or call.waiting:
        return {key: found[key] for key in ("numprocesses", "singleton") if key in found}
    return {}


def _stats(call: Call, found: Mapping[str, Any]) -> Json:
    """What is only told in statistics is left out; watchers come in Circus's order."""
    if "infos" in found:
        found = {**found, "infos": dict(sorted(found["infos"].items()))}
    bare: Json = _bare({key: found[key] for key in ("infos", "info", "process") if key in found})
    return bare | {key: found[key] for key in ("name",) if key in found}


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        kept = (key for key, one in value.items() if isinstance(one, dict) or key not in ("name", "subtopic"))
        return {key: _bare(value[key]) for key in kept}
    return [_bare(one) for one in value] if isinstance(value, list) else value


def _status(call: Call, found: Mapping[str, Any]) -> Json:
    return {key: found[key] for key in ("statuses", "status") if key in found}


def _sockets(call: Call, found: Mapping[str, Any]) -> Json:
    keys = ("fd", "name", "backlog", "host", "port", "path")
    return {"sockets": [{key: socket[key] for key in keys if key in socket} for socket in found["sockets"]]}


def _globals(call: Call, found: Mapping[str, Any]) -> Json:
    """Where nothing is configured, what holds then."""
    given = {"pubsub_endpoint": PUBSUB, "stats_endpoint": STATS, "multicast_endpoint": MULTICAST}
    return {"options": {key: value or given.get(key, value) for key, value in found["options"].items()}}


def _options(call: Call, found: Mapping[str, Any]) -> Json:
    options = dict(found["options"])
    if call.command == "options":
        options |= {"env": options["env"] or {}, "executable": None}
    if "working_dir" in options:
        options["working_dir"] = options["working_dir"] or os.getcwd()
    return {"options": options}


_ANSWERS: Mapping[str, Callable[[Call, Mapping[str, Any]], Json]] = {
    "start": _started, "stop": _stopped, "restart": _changed, "reload": _changed, "add": _added, "incr": _resized,
    "decr": _resized, "status": _status, "listsockets": _sockets, "globaloptions": _globals, "options": _options,
    "get": _options, "stats": _stats, "dstats": _stats}


# Events

_KEYS: Mapping[str, tuple[str, ...]] = {
    "spawn": (), "reap": ("exit_code",), "kill": (), "start": (), "stop": (), "reload": (), "updated": (), "add": (),
    "remove": (), "hook_success": ("name",), "hook_failure": ("name", "error")}
"""The events that Circus has, and what they tell besides the time and the process."""

_OF_PROCESSES = frozenset(("spawn", "reap", "kill"))


def event(occurrence: Occurrence) -> tuple[str, Json] | None:
    """
    Topic and payload of an event; None if Circus has no such event.

    It tells of no end that was asked for unless the whole watcher stops;
    plugins that count ends rely on that.
    """
    happened = occurrence.event
    if happened.by == HOOK:
        return occurrence.topic, dict(happened.data)
    if not happened.watcher or happened.name not in _KEYS:
        return None
    if happened.name == "reap" and happened.planned and not happened.data.get("stopped"):
        return None
    payload: Json = {"time": occurrence.time}
    if happened.name in _OF_PROCESSES:
        payload["process_pid"] = happened.pid
    payload |= {key: happened.data.get(key) for key in _KEYS[happened.name]}
    return occurrence.topic, payload
