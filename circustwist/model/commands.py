"""
The one table of commands.

Every face translates it: AMP, ZeroMQ, HTTP and the command line have no
command of their own.  Names and arguments are Circus's where it has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from .errors import MessageError

Kind: TypeAlias = Literal["text", "whole", "number", "boolean", "texts", "object", "words"]
Role: TypeAlias = Literal["viewer", "operator", "admin"]
REQUIRED = object()
"""The default of an argument that has none."""

ROLES: tuple[str, ...] = ("viewer", "operator", "admin")


@attrs.frozen
class Argument:
    """
    One argument of a command.

    @ivar kind: its type; C{texts} is a list of text, C{object} a JSON object, C{words}
        text or a list of text.
    @ivar default: what stands for it when it is left out; required if there
        is none.
    """

    name: str
    kind: Kind
    help: str
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED


@attrs.frozen
class Command:
    """
    One command.

    @ivar role: the least role that may give it.
    @ivar changes: whether it starts an operation (and so may be waited for)
        instead of being answered at once.
    @ivar answer: what its answer holds, by key.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    role: Role = "viewer"
    changes: bool = False
    answer: Mapping[str, str] = attrs.field(factory=dict, hash=False)


_NAME = Argument("name", "text", "A watcher, e.g. web.")
_ANY = Argument("name", "text", "A watcher, e.g. web; without it all of them.", "")
_MATCH = Argument("match", "text", "How name is matched: simple, glob or regex.", "glob")
_WAITING = Argument("waiting", "boolean", "Answer when it is done, not when it is accepted.", False)
_NB = Argument("nb", "whole", "How many.", 1)
_OPERATION = {"operation": "the operation's id", "info": "what came of it, if it was waited for"}

COMMANDS: tuple[Command, ...] = (
    Command("ping", "Whether the supervisor answers.", answer={
        "pid": "its pid", "name": "the stack's name", "version": "its version"}),
    Command("status", "The state of the stack, or of one watcher.", (
        _ANY, Argument("detail", "boolean", "Everything that a status page shows.", False),
    ), answer={
        "statuses": "state by watcher", "status": "state of the one that was named",
        "stack": "with detail: the whole stack"}),
    Command("list", "The watchers, or the pids of one.", (_ANY,), answer={
        "watchers": "names, sorted and lower-cased", "pids": "of the one that was named"}),
    Command("numprocesses", "How many processes should run.", (_ANY,), answer={
        "numprocesses": "the number", "watcher_name": "the one that was named"}),
    Command("numwatchers", "How many watchers there are.", answer={"numwatchers": "the number"}),
    Command("options", "The options of a watcher.", (_NAME,), answer={"options": "value by option"}),
    Command("get", "Some options of a watcher.", (
        _NAME, Argument("keys", "texts", "Options, e.g. numprocesses."),
    ), answer={"options": "value by option"}),
    Command("globaloptions", "The endpoints for Circus's own clients.", (
        Argument("option", "text", "Only this one.", ""),
    ), answer={"options": "value by option"}),
    Command("config", "The configuration in force: every option with its place.", role="operator", answer={
        "sections": "the title of each, and name, value and place of its options; no place for a default"}),
    Command("stats", "What the processes use.", (
        _ANY,
        Argument("process", "whole", "Only the process of this pid.", 0),
        Argument("wid", "whole", "Only the worker of this number.", 0),
        Argument("extended", "boolean", "With a name: what the hook extended_stats adds.", False),
        Argument("detail", "boolean", "Numbers too, also of sockets and the supervisor.", False),
    ), answer={
        "infos": "by watcher and pid", "name": "the one that was named", "info": "of the one that was named, by pid",
        "process": "the pid that was given", "sample": "with detail: everything that was measured"}),
    Command("dstats", "What the supervisor itself uses.", answer={"info": "processor, memory, age and so on"}),
    Command("history", "What a watcher, a socket or the supervisor used while somebody watched.", (
        Argument("name", "text", "A watcher, e.g. web.", ""),
        Argument("socket", "text", "A socket.", ""),
        Argument("range", "number", "How many seconds back, at most 7200.", 900),
    ), answer={
        "step": "seconds between two points", "times": "of the points, in seconds since the epoch",
        "cpu": "percent of a processor, of a watcher or the supervisor", "memory": "bytes, likewise",
        "processes": "how many ran, of a watcher", "lag": "seconds, of the supervisor",
        "stack_cpu": "of all watchers, with those of the supervisor", "stack_memory": "likewise",
        "stack_rate": "of all sockets, likewise",
        "rate": "connections a second, of a socket", "open": "connections that stood", "queue": "those that waited",
        "gaps": "from when to when nobody watched, and how many connections came to the socket then"}),
    Command("listsockets", "The sockets of the stack.", answer={
        "sockets": "fd, name, backlog and host, port or path of each, and how many connections came and wait"}),
    Command("start", "Start watchers.", (_ANY, _MATCH, _WAITING), "operator", True, _OPERATION),
    Command("stop", "Stop watchers.", (_ANY, _MATCH, _WAITING), "operator", True, _OPERATION),
    Command("restart", "Stop watchers, then start them.", (_ANY, _MATCH, _WAITING), "operator", True, _OPERATION),
    Command("reload", "Replace the processes, each only after a new one has proved itself.", (
        _ANY, _MATCH, _WAITING,
        Argument("graceful", "boolean", "False: stop them, then start them.", True),
        Argument("sequential", "boolean", "Accepted for Circus's sake; it is always so.", False),
    ), "operator", True, _OPERATION),
    Command("plan", "What applying the configuration on disk would do.", role="operator", answer={
        "items": "kind, name, action and changes of everything that something happens to",
        "lacks": "name, option and reason of each limit that cannot be kept here"}),
    Command("reloadconfig", "Read the configuration again and apply what has changed.", (
        _WAITING, Argument("reload", "boolean", "Reload the watchers that it leaves alone too.", False),
    ), "admin", True, _OPERATION),
    Command("incr", "Run more processes of a watcher.", (_NAME, _NB, _WAITING), "operator", True, {
        **_OPERATION, "numprocesses": "the new number"}),
    Command("decr", "Run fewer processes of a watcher.", (_NAME, _NB, _WAITING), "operator", True, {
        **_OPERATION, "numprocesses": "the new number"}),
    Command("set", "Change options of a watcher, until the stack is stopped.", (
        _NAME, Argument("options", "object", "Value by option."), _WAITING,
    ), "operator", True, _OPERATION),
    Command("add", "Add a watcher, until the stack is stopped.", (
        Argument("name", "text", "What it is to be called."),
        Argument("cmd", "text", "The program and its arguments."),
        Argument("args", "words", "Further arguments.", ""),
        Argument("options", "object", "Value by option.", {}),
        Argument("start", "boolean", "Start it too.", False), _WAITING,
    ), "admin", True, _OPERATION),
    Command("rm", "Stop and remove a watcher, until the configuration is applied again.", (
        _NAME, Argument("nostop", "boolean", "Refused; Circus leaves the processes without a supervisor.", False),
        _WAITING,
    ), "admin", True, _OPERATION),
    Command("kill", "End processes of a watcher; others take their places.", (
        _NAME,
        Argument("pid", "whole", "Only this process.", 0),
        Argument("wid", "whole", "Only the worker of this number.", 0),
        Argument("signum", "text", "The signal that asks them to; stop_signal if there is none.", ""),
        Argument("graceful_timeout", "number", "Seconds until they are killed.", None), _WAITING,
    ), "operator", True, _OPERATION),
    Command("signal", "Signal the processes of a watcher, or one of them.", (
        _NAME,
        Argument("signum", "text", "The signal: a name or a number."),
        Argument("pid", "whole", "Only this process.", 0),
        Argument("wid", "whole", "Only the worker of this number.", 0),
        Argument("children", "boolean", "The direct children instead of the process.", False),
        Argument("childpid", "whole", "Only this child of it.", 0),
        Argument("recursive", "boolean", "The process and all its descendants.", False),
    ), "operator"),
    Command("events", "Send every event from now on to this connection.", (
        Argument("topics", "texts", "Only topics that begin with one of these.", ()),
        Argument("since", "whole", "Begin with those after this number, as far as they are kept; -1 is from now.", -1),
    ), answer={"n": "the number of the last event so far", "start": "which run of the supervisor counts"}),
    Command("tail", "The last lines that workers have written, and every one from now on.", (
        Argument("names", "texts", "Watchers and workers, e.g. web or web/3; without any all of them.", ()),
        Argument("lines", "whole", "How many lines that are there already.", 10),
        Argument("follow", "boolean", "Send every line from now on to this connection, where that can be.", False),
        Argument("since", "number", "None from before this time, in seconds since the epoch.", 0.0),
        Argument("grep", "text", "Only lines that contain this text.", ""),
        Argument("stream", "text", "Only what was written to stdout, or to stderr.", ""),
        Argument("daemon", "boolean", "The supervisor's own log instead.", False),
    ), "operator", answer={"lines": "time, watcher, wid, pid, stream and text of each, the oldest first"}),
    Command("rotate", "Put the log files of watchers aside now, whatever their size.", (_ANY,), "operator", answer={
        "files": "the paths"}),
    Command("reopenlogs", "Open every log file again, after something else has moved them.", role="operator"),
    Command("operation", "What became of an operation.", (
        Argument("id", "whole", "Its id; 0 is all of them.", 0), _WAITING,
    ), answer={"operations": "id, command, state, steps and outcome of each"}),
    Command("cancel", "Do no more of an operation; what is done stays.", (
        Argument("id", "whole", "Its id."),
    ), "operator"),
    Command("console", "A link that opens the console and logs in whoever opens it first, within ten minutes.", (
        Argument("role", "text", "What it lets them do; not more than you may.", "operator"),
    ), answer={"url": "the link", "address": "where the console is"}),
    Command("clients", "Who is connected; of those at the ZeroMQ endpoints nothing is known.", role="operator", answer={
        "clients": "name, role, way in and age in seconds of each, the oldest first"}),
    Command("upgrade", "Become the installed version of circustwist; processes and sockets stay.", (_WAITING,),
            "admin", True, _OPERATION),
    Command("quit", "Stop everything and end the supervisor.", (_WAITING,), "admin", True, _OPERATION),
)

TABLE: Mapping[str, Command] = {command.name: command for command in COMMANDS}

_TYPES: Mapping[Kind, tuple[type | tuple[type, ...], str]] = {
    "text": (str, "a string"),
    "whole": (int, "an integer"),
    "number": ((int, float), "a number"),
    "boolean": (bool, "a valid boolean"),
    "texts": ((list, tuple), "a list of strings"),
    "object": (dict, "a valid object"),
    "words": ((str, list, tuple), "a string or a list of strings"),
}


def complete(command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """
    The arguments of a command, checked and with their defaults.

    @param given: JSON types; what the command does not know is left out.
    @raise MessageError: in Circus's words, if one is missing or of a wrong type.
    """
    found: dict[str, Any] = {}
    for argument in command.arguments:
        value: Any = given.get(argument.name)
        if value is None:
            if argument.required:
                raise MessageError(f"message invalid {argument.name!r} is missing")
            found[argument.name] = argument.default
            continue
        types, what = _TYPES[argument.kind]
        right = isinstance(value, types) and (argument.kind == "boolean" or not isinstance(value, bool))
        if not right or (isinstance(value, list | tuple) and not all(isinstance(v, str) for v in list(value))):
            raise MessageError(f"{argument.name!r} isn't {what}")
        found[argument.name] = value
    return found
