"""
Authorise and run a command: what every face uses.

A face knows nothing but L{Steering}: it turns bytes into a command and
arguments, says who asks, and turns the answer back into bytes.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..model import values
from ..model.commands import ROLES, TABLE, Command, complete
from ..model.effects import NOTHING, Answer, Aside, Effects, Signal, Whom
from ..model.errors import Conflict, Denied, MessageError, NotFound, RequestError, UnknownCommand
from ..model.events import Occurrence
from ..model.inputs import Asked, Input, Looked, Who
from ..model.line import Line, Selection, selected
from . import alteration, answers, configuration, extending, figures, hooking, plugged
from .arbiter import Arbiter
from .change import Change
from .dependency import required, startStages, step, stopStages
from .operations import Operation, Step
from .pattern import matcher
from .seats import joined
from .watcher import Watcher

if TYPE_CHECKING:
    from ..model.samples import Sample

QUIT_STILL_ANSWERS = frozenset(("quit", "operation"))

ELSEWHERE = {**alteration.COMMANDS, **figures.COMMANDS}
"""Commands that have modules of their own."""


class Steering(Protocol):
    """How a face reaches the supervisor."""

    def ask(self, command: str, arguments: Mapping[str, Any], who: Who) -> Awaitable[Mapping[str, Any]]:
        """
        Give a command.

        @param arguments: JSON types, by the names in the table of commands.
        @return: its answer (a Deferred); fails with
            L{RequestError<circustwist.model.errors.RequestError>} only.
        """

    def subscribe(self, listener: Callable[[Occurrence], None]) -> Callable[[], None]:
        """
        Be told of every event from now on.

        @return: ends it; harmless when called again.
        """

    def past(self, since: int) -> Sequence[Occurrence]:
        """The events after that number, as far as they are kept."""

    def observe(self, listener: Callable[[Sample], None], period: float) -> Callable[[], None]:
        """
        Be told what everything uses, now and then from now on; nothing is
        measured while nobody observes.

        @param period: seconds between two samples.  Differences in a sample
            are those to the sample before it, which may have been made for
            somebody else.
        @return: ends it; harmless when called again.
        """

    def follow(self, selection: Selection, listener: Callable[[Sequence[Line], int], bool]) -> Following:
        """
        Be told of lines from now on, as soon as the result is asked to C{resume}.
        Who may see them is for the caller to say; the command C{tail} tells
        what there is already.

        @param listener: called with some lines, and with how many were missed
            before them because it did not take them in time; it answers whether
            it takes more at once.  If not, nothing waits for it: it goes on with
            C{resume}, after what is still there by then.
        """


class Following(Protocol):
    """One who follows lines."""

    def __call__(self) -> None:
        """End it; harmless when called again."""

    def resume(self) -> None:
        """The listener takes lines again."""


def authorise(command: Command, who: Who) -> None:
    """
    @raise Denied: if the role is too little for the command.
    """
    if who.role not in ROLES or ROLES.index(who.role) < ROLES.index(command.role):
        raise Denied(f"{command.name} needs the role {command.role}; {who.name} has {who.role or 'none'}")


class Requests:
    """
    The logic as the interpreter sees it: commands here, the rest in the arbiter.

    @ivar arbiter: all watchers.
    """

    def __init__(self, arbiter: Arbiter, about: answers.About) -> None:
        self.arbiter = arbiter
        self._about = about
        self._run: dict[str, Callable[[Asked, dict[str, Any], float], Effects]] = {
            name: getattr(self, f"_{name}") for name in TABLE if name != "events" and name not in ELSEWHERE
        } | {name: partial(run, self) for name, run in ELSEWHERE.items()}

    def handle(self, input: Input, now: float) -> Effects:
        """What follows from an input; see L{Arbiter.handle}."""
        if isinstance(input, Looked):
            watcher = self.arbiter.watchers.get(str(input.look.arguments.get("watcher", "")).lower())
            return extending.extend(watcher, input.look, figures.looked(input.look, input.sample))
        if not isinstance(input, Asked):
            return self.arbiter.handle(input, now)
        try:
            return self._asked(input, now)
        except RequestError as error:
            return (Answer(input.call, error),)

    def _asked(self, asked: Asked, now: float) -> Effects:
        run = self._run.get(asked.command)
        if run is None:
            raise UnknownCommand(f"unknown command: {asked.command!r}")
        command = TABLE[asked.command]
        authorise(command, asked.who)
        arguments = complete(command, asked.arguments)
        if command.changes and self.arbiter.quitting is not None and command.name not in QUIT_STILL_ANSWERS:
            raise Conflict("the supervisor is stopping")
        return run(asked, arguments, now)

    # Who is meant

    def one(self, name: str) -> Watcher:
        """
        A watcher by its name, in any case.

        @raise NotFound: if there is none.
        """
        watcher = self.arbiter.watchers.get(name.lower())
        if watcher is None:
            raise NotFound(f"program {name} not found")
        return watcher

    def _permitted(self, asked: Asked, arguments: Mapping[str, Any]) -> list[Watcher]:
        """The watchers that are meant and that the asker may change."""
        return plugged.permitted(asked, self._matching(arguments["name"], arguments["match"]), self.arbiter.lines)

    def _matching(self, name: str, match: str) -> list[Watcher]:
        """The watchers whose name matches, in order of start; those with autostart if no name is given."""
        every = self.arbiter.watchers.items()
        if not name:
            return [w for _, w in every if w.spec.autostart or w.status != "stopped" or w.demand.asleep]
        matches = _matcher(name, match, [key for key, _ in every])
        found = [watcher for key, watcher in every if matches(key)]
        if not found:
            raise NotFound(f"program {name} not found")
        return found

    # Reading

    def _ping(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        about = self._about
        return (Answer(asked.call, {"pid": about.pid, "name": self.arbiter.stack.name, "version": about.version}),)

    def _status(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        name = arguments["name"]
        found: dict[str, Any] = (
            {"status": self.one(name).status} if name else {"statuses": answers.statuses(self.arbiter)})
        if arguments["detail"]:
            found["stack"] = answers.overview(self.arbiter, self._about, now, asked.who.role)
        return (Answer(asked.call, found),)

    def _list(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        if arguments["name"]:
            return (Answer(asked.call, {"pids": answers.pids(self.one(arguments["name"]))}),)
        return (Answer(asked.call, {"watchers": sorted(self.arbiter.watchers)}),)

    def _numprocesses(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        name = arguments["name"]
        if name:
            watcher = self.one(name)
            return (Answer(asked.call, {"numprocesses": watcher.seats.held, "watcher_name": name}),)
        total = sum(watcher.seats.held for watcher in self.arbiter.watchers.values())
        return (Answer(asked.call, {"numprocesses": total}),)

    def _numwatchers(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        return (Answer(asked.call, {"numwatchers": len(self.arbiter.watchers)}),)

    def _options(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        return (Answer(asked.call, {"options": answers.watcherOptions(self.one(arguments["name"]), asked.who.role)}),)

    def _listsockets(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        return (Answer(asked.call, {"sockets": answers.sockets(self.arbiter.stack, self._about)}),)

    def _operation(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        role = asked.who.role
        if not arguments["id"]:
            return (Answer(asked.call, {"operations": [op.json(role) for op in self.arbiter.operations]}),)
        operation = self.arbiter.operations.get(arguments["id"])
        if operation is None:
            raise NotFound(f"operation {arguments['id']} not found")
        if arguments["waiting"] and operation.finished is None:
            operation.calls.append((asked.call, "operation", role))
            return NOTHING
        return (Answer(asked.call, {"operations": [operation.json(role)]}),)

    def _cancel(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        operation = self.arbiter.operations.get(arguments["id"])
        if operation is None:
            raise NotFound(f"operation {arguments['id']} not found")
        if operation.finished is not None:
            raise Conflict(f"operation {operation.id} is {operation.state}")
        if operation.command in ("quit", "upgrade"):
            raise Conflict(f"{operation.command} cannot be cancelled")
        effects = self.arbiter.cancel(operation, asked.who.name, now) + self.arbiter.unblock(now)
        return (*effects, Answer(asked.call, {}))

    def _config(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        return (Answer(asked.call, {"sections": configuration.sections(self.arbiter)}),)

    def _console(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        raise Conflict("there is no console; httpd = True in [circus] gives one")

    def _clients(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        return (Answer(asked.call, {"clients": []}),)

    def _tail(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        wanted = selected(arguments)
        for name, _ in wanted.names:
            self.one(name)
        lines = self._about.tail(wanted, arguments["lines"])
        return (Answer(asked.call, {"lines": [line.json() for line in lines]}),)

    def _rotate(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        found = [self.one(arguments["name"])] if arguments["name"] else self.arbiter.watchers.values()
        return (Aside(asked.call, tuple(watcher.name for watcher in found)),)

    def _reopenlogs(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        return (Aside(asked.call, ()),)

    # Changing

    def _start(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        found = self._permitted(asked, arguments)
        return self.change(asked, arguments, startStages(required(found, self.arbiter.watchers)), now)

    def _stop(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        found = self._permitted(asked, arguments)
        return self.change(asked, arguments, stopStages(found), now)

    def _restart(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        found = self._permitted(asked, arguments)
        stages = [[step(watcher, "stop", "start") for watcher in found]]
        if any(watcher.spec.depends_on for watcher in found):
            stages = [*stopStages(found), *startStages(required(found, self.arbiter.watchers))]
        return self.change(asked, arguments, stages, now)

    def _reload(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        if not arguments["graceful"]:
            return self._restart(asked, arguments, now)
        found = self._permitted(asked, arguments)
        # One that is stopped is started, as Circus does.
        stages = [[step(watcher, "reload" if watcher.running else "start")] for watcher in found]
        if any(watcher.spec.depends_on and not watcher.running for watcher in found):
            stopped = [watcher for watcher in found if not watcher.running]
            stages = [[step(watcher, "reload")] for watcher in found if watcher.running]
            stages += startStages(required(stopped, self.arbiter.watchers))
        return self.change(asked, arguments, stages, now)

    def _plan(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        operation = self.arbiter.operations.new("plan", asked.who.name, [])
        operation.calls.append((asked.call, "plan", asked.who.role))
        return self.arbiter.reconfigure(Change(operation), now)

    def _reloadconfig(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        if self.arbiter.reconfiguring:
            raise Conflict("arbiter is already running reloadconfig command")
        operation = self.arbiter.operations.new("reloadconfig", asked.who.name, [])
        begun = self.begun(asked, arguments, operation, {})
        return begun + self.arbiter.reconfigure(Change(operation, arguments["reload"]), now)

    def _upgrade(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        if any(operation.finished is None for operation in self.arbiter.operations):
            raise Conflict("something else is being done; see the command operation")
        operation = self.arbiter.operations.new("upgrade", asked.who.name, [])
        return self.begun(asked, arguments, operation, {}) + self.arbiter.upgrade(operation)

    def _incr(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        return self._resize(asked, arguments, arguments["nb"], now)

    def _decr(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        return self._resize(asked, arguments, -arguments["nb"], now)

    def _resize(self, asked: Asked, arguments: dict[str, Any], more: int, now: float) -> Effects:
        watcher = self.one(arguments["name"])
        if watcher.spec.singleton:
            return (Answer(asked.call, {"numprocesses": watcher.seats.wanted, "singleton": True}),)
        wanted = max(0, watcher.seats.wanted + more)
        if wanted > values.MOST_PROCESSES:
            raise MessageError(f"'nb' makes {wanted} processes; the most is {values.MOST_PROCESSES}")
        self.room([watcher])
        effects = watcher.resize(now, wanted, asked.who.name)
        return effects + self.change(asked, arguments, [[step(watcher, "settle")]], now, numprocesses=wanted)

    def signum(self, text: str) -> int:
        """
        A signal by its name or number.

        @raise MessageError: if there is none.
        """
        try:
            return values.signum(text)
        except ValueError as error:
            raise MessageError(f"signal invalid: {text!r} {error}") from None

    def change(
        self, asked: Asked, arguments: dict[str, Any], stages: list[list[Step]], now: float, **info: Any
    ) -> Effects:
        """Begin an operation, and answer at once or at its end."""
        self.room(self.one(each.watcher) for stage in stages for each in stage)
        operation = self.arbiter.operations.new(asked.command, asked.who.name, stages)
        operation.info.update(info)
        return self.begun(asked, arguments, operation, info) + self.arbiter.begin(operation, now)

    def begun(
        self, asked: Asked, arguments: dict[str, Any], operation: Operation, info: Mapping[str, Any]
    ) -> Effects:
        """Let the asker wait for the end of an operation, or answer that it begins."""
        if arguments["waiting"]:
            operation.calls.append((asked.call, asked.command, asked.who.role))
            return NOTHING
        return (Answer(asked.call, {"operation": operation.id, **info}),)

    def room(self, watchers: Iterable[Watcher]) -> None:
        """
        @raise Conflict: if too much waits for one of these watchers.
        """
        for watcher in watchers:
            line = self.arbiter.lines[watcher.name.lower()]
            if line.full and line.current is not None:
                raise Conflict(f"arbiter is already running {line.current.operation.command} command")

    def _signal(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        watcher = self.one(arguments["name"])
        signum = self.signum(arguments["signum"])
        whom: Whom = "children" if arguments["children"] else "tree" if arguments["recursive"] else "process"
        child = arguments["childpid"]
        if not 0 <= child < 2**31:
            raise MessageError("'childpid' is no pid")
        whom = "child" if child else whom
        chosen = alteration.chosenWorkers(watcher, arguments)
        sent = [hooking.send(watcher, worker, Signal(worker.names.id, signum, whom, child)) for worker in chosen]
        return (*joined(sent), Answer(asked.call, {}))

    def _quit(self, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
        effects = self.arbiter.quit(now, asked.who.name)
        operation = self.arbiter.quitting
        assert operation is not None
        if operation.finished is not None:
            return (Answer(asked.call, {"operation": operation.id}), *effects)
        return self.begun(asked, arguments, operation, {}) + effects


def _matcher(name: str, match: str, keys: list[str]) -> Callable[[str], bool]:
    """
    How names in lower case are matched; Circus's words.

    @param keys: the names.
    @raise MessageError: if it is a regular expression that cannot be read, or could take too long.
    """
    if match == "simple":
        return lambda key: key == name.lower()
    if match == "glob":
        return lambda key: fnmatch.fnmatchcase(key, name.lower())
    if match != "regex":
        raise MessageError(f"unknown match method {match}")
    try:
        return matcher(name, max(map(len, keys), default=0), len(keys))
    except ValueError as error:
        raise MessageError(f"'name' is no simple regular expression: {error}") from None
