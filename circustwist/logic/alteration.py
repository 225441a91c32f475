"""
The commands that look at and change the options of watchers at run time, and the watchers themselves.

Their names, arguments and the words of their errors are Circus's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from ..model import given, values
from ..model.effects import Answer, Effects, Publish, Record
from ..model.errors import Conflict, Denied, MessageError, NotFound
from ..model.events import Event
from ..model.inputs import Asked
from ..model.needs import needs
from ..model.stack import Watcher as Spec
from ..model.tuned import Tuned
from . import answers, durable, killing
from .change import Change
from .dependency import step
from .operations import DEEPEST_LINE
from .watcher import Watcher
from .worker import Ending, Worker

if TYPE_CHECKING:
    from .requests import Requests

Run: TypeAlias = "Callable[[Requests, Asked, dict[str, Any], float], Effects]"

GLOBAL = ("endpoint", "stats_endpoint", "pubsub_endpoint", "check_delay", "multicast_endpoint")
"""What Circus tells of its C{[circus]} section."""

MOST_OPTIONS = 50_000
"""Characters of JSON that the options given to one watcher may take; an entry of the journal holds no more."""


def get(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """Some options of a watcher."""
    known = answers.watcherOptions(requests.one(arguments["name"]), asked.who.role, True)
    for key in arguments["keys"]:
        if key not in known:
            raise MessageError(f"{key!r} option not found")
    return (Answer(asked.call, {"options": {key: known[key] for key in arguments["keys"]}}),)


def globaloptions(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """The settings that Circus tells."""
    settings = requests.arbiter.stack.settings
    name = arguments["option"]
    if name and name not in GLOBAL:
        raise MessageError(f"{name!r} not an existing option")
    found = {key: getattr(settings, key) for key in GLOBAL if name in ("", key)}
    return (Answer(asked.call, {"options": found}),)


def set(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """Other options for a watcher."""
    watcher, options = requests.one(arguments["name"]), dict(arguments["options"])
    _mayDefine(asked, *options)
    number = options.get("numprocesses")
    if watcher.spec.singleton and isinstance(number, int) and number > 1:
        raise Conflict("Singleton watcher has a single process")
    spec = given.tuned(watcher.spec, options)
    wanted = watcher.seats.wanted if number is None else spec.numprocesses
    requests.room([watcher])
    told: Effects = tuple(watcher.event("updated", by=asked.who.name, key=key) for key in options)
    if wanted != watcher.seats.wanted:
        told += watcher.resize(now, wanted, asked.who.name)
    options.pop("numprocesses", None)
    if not options:
        return told + requests.change(asked, arguments, [[step(watcher, "settle")]], now)
    before = requests.arbiter.tuning.every.get(watcher.name.lower(), Tuned(watcher.name))
    tuned = attrs.evolve(before, options=merged(before.options, options), by=asked.who.name, at=now)
    return told + _tune(requests, asked, arguments, tuned, now)


def merged(before: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options set after others; a whole stream takes the place of its parts."""
    wholes = {f"{key}." for key in options}
    found = {key: value for key, value in before.items() if not any(key.startswith(whole) for whole in wholes)}
    for key, value in options.items():
        found.pop(key, None)
        found[key] = value
    return found


def add(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """One watcher more."""
    name = arguments["name"]
    if not name:
        return (Answer(asked.call, {}),)
    _mayDefine(asked, "cmd")
    if name.lower() in requests.arbiter.watchers:
        raise Conflict(f"{name!r} already exist")
    try:
        values.name(name)
    except ValueError as error:
        raise MessageError(f"{name!r} {error}") from None
    options = {"cmd": arguments["cmd"], "args": arguments["args"], **arguments["options"]}
    spec = given.tuned(Spec(name), options)
    if not spec.cmd.strip():
        raise MessageError("'cmd' is missing; e.g. sleep 60")
    tuned = Tuned(name, True, options=options, by=asked.who.name, at=now)
    told = (Publish(Event("add", name, by=asked.who.name)),
            Record(durable.wanted(name, arguments["start"], spec.numprocesses)))
    return told + _tune(requests, asked, arguments, tuned, now, arguments["start"])


def rm(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """One watcher less."""
    watcher = requests.one(arguments["name"])
    if arguments["nostop"]:
        raise MessageError("'nostop': a process that nobody supervises is left to nobody; stop it, or leave it here")
    requests.room([watcher])
    users = [other.name for other in requests.arbiter.watchers.values()
             if any(need.watcher == watcher.name.lower() for need in needs(other.spec))]
    if users:
        raise Conflict(f"{', '.join(users)} depends on {watcher.name}")
    tuned = Tuned(watcher.name, removed=True, by=asked.who.name, at=now)
    return (watcher.event("remove", by=asked.who.name), *_tune(requests, asked, arguments, tuned, now))


def _mayDefine(asked: Asked, *keys: str) -> None:
    """
    @raise Denied: if one of these options says what is run, and the asker may not say that.
    """
    key = next(filter(given.defines, keys), None)
    if key is None:
        return
    if asked.who.role != "admin":
        raise Denied(f"{key} needs the role admin; {asked.who.name} has {asked.who.role}")
    if not asked.who.defines:
        raise Denied(f"{key} says what is run, which {asked.who.name} may not; see endpoint_insecure")


def _tune(
    requests: Requests, asked: Asked, arguments: dict[str, Any], tuned: Tuned, now: float, starts: bool = False
) -> Effects:
    """Begin an operation that changes one watcher."""
    arbiter = requests.arbiter
    if len(json.dumps(dict(tuned.options))) > MOST_OPTIONS:
        raise MessageError(f"'options' are more than {MOST_OPTIONS} characters, all in all")
    if len(arbiter.tuning.waiting) >= DEEPEST_LINE:
        raise Conflict(f"arbiter is already running {arbiter.tuning.waiting[0].operation.command} command")
    operation = arbiter.operations.new(asked.command, asked.who.name, [])
    begun = requests.begun(asked, arguments, operation, {})
    return begun + arbiter.reconfigure(Change(operation, tuned=tuned, starts=starts), now)


def kill(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """End processes of a watcher as a stop would; others take their places."""
    watcher = requests.one(arguments["name"])
    usual = watcher.ending(asked.who.name)
    signum = requests.signum(arguments["signum"]) if arguments["signum"] else usual.signum
    grace = arguments["graceful_timeout"]
    if grace is not None and not 0 <= grace <= 1e9:
        raise MessageError("'graceful_timeout' isn't a duration of 0 seconds or more")
    ending = Ending(signum, usual.grace if grace is None else grace, usual.killMode, usual.by)
    chosen = chosenWorkers(watcher, arguments)
    requests.room([watcher])
    effects = killing.kill(watcher, chosen, now, ending)
    return effects + requests.change(asked, arguments, [[step(watcher, "settle")]], now)


def chosenWorkers(watcher: Watcher, arguments: Mapping[str, Any]) -> list[Worker]:
    """
    The workers that C{pid} and C{wid} mean; without both all that have a process.

    @raise NotFound: if one is meant and there is none.
    """
    pid, wid = arguments["pid"], arguments["wid"]
    found = [worker for worker in watcher.seats.workers.values()
             if worker.pid and pid in (0, worker.pid) and wid in (0, worker.names.wid)]
    if not found and (pid or wid):
        which = f"process {pid}" if pid else f"worker {wid}"
        raise NotFound(f"{which} not found in {watcher.name!r}")
    return found


COMMANDS: Mapping[str, Run] = {
    "get": get, "globaloptions": globaloptions, "set": set, "add": add, "rm": rm, "kill": kill}
"""What is done at each of these commands."""

