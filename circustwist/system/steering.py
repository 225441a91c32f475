"""
How faces in this process steer the supervisor: the way from a command to its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from ..logic.requests import authorise
from ..model import effects as asked
from ..model.commands import TABLE, Command, complete
from ..model.errors import RequestError
from ..model.events import Occurrence
from ..model.inputs import Asked, Looked, Who
from ..model.line import Line, Selection
from . import audit
from .interpret import Interpreter
from .publish import Publisher
from .tail import Following, Tails

if TYPE_CHECKING:
    from ..model.samples import Sample
    from .observatory import Observatory


class LocalSteering:
    """
    What L{Steering<circustwist.logic.requests.Steering>} promises, by an interpreter of this process.

    @ivar tails: the lines that may be followed.
    """

    def __init__(
        self, interpreter: Interpreter, publisher: Publisher, observatory: Callable[[], Observatory], tails: Tails
    ) -> None:
        """
        @param observatory: who takes samples, made when it is asked for.
        """
        self._interpreter = interpreter
        self.tails = tails
        self._publisher = publisher
        self._observatory = observatory
        self._calls: dict[int, Deferred[Mapping[str, Any]]] = {}
        self._lastCall = 0
        self._offered: dict[str, Callable[[Mapping[str, Any], Who], Mapping[str, Any]]] = {}
        interpreter.answered = self._answered
        interpreter.does(asked.Look, self._look)
        interpreter.does(asked.Recall, self._recall)

    def offer(
        self, command: str, reply: Callable[[Mapping[str, Any], Who], Mapping[str, Any]]
    ) -> Callable[[], None]:
        """
        Answer a command here, and not in the logic, which knows nothing of it.

        @param reply: from its checked arguments and who asks to the answer; may raise L{RequestError}.
        @return: ends it.
        """
        self._offered[command] = reply

        def end() -> None:
            self._offered.pop(command, None)

        return end

    def ask(self, command: str, arguments: Mapping[str, Any], who: Who) -> Deferred[Mapping[str, Any]]:
        """Give a command; see L{circustwist.logic.requests.Steering}."""
        answer = self._ask(command, arguments, who)

        def answered(value: Mapping[str, Any]) -> Mapping[str, Any]:
            audit.answered(command, arguments, who, value)
            return value

        def refused(failure: Failure) -> Failure:
            audit.refused(command, arguments, who, failure)
            return failure

        return answer.addCallbacks(answered, refused)

    def _ask(self, command: str, arguments: Mapping[str, Any], who: Who) -> Deferred[Mapping[str, Any]]:
        if command in self._offered:
            return maybeDeferred(self._reply, TABLE[command], arguments, who)
        self._lastCall += 1
        answer: Deferred[Mapping[str, Any]] = Deferred()
        self._calls[self._lastCall] = answer
        input = Asked(self._lastCall, command, arguments, who)
        if command in TABLE and not TABLE[command].changes:
            self._interpreter.read(input)
        else:
            self._interpreter.feed(input)
        return answer

    def _reply(self, command: Command, arguments: Mapping[str, Any], who: Who) -> Mapping[str, Any]:
        authorise(command, who)
        return self._offered[command.name](complete(command, arguments), who)

    def _answered(self, effect: asked.Answer) -> None:
        answer = self._calls.pop(effect.call, None)
        if answer is None:
            return
        if isinstance(effect.value, RequestError):
            answer.errback(effect.value)
        else:
            answer.callback(effect.value)

    def subscribe(self, listener: Callable[[Occurrence], None]) -> Callable[[], None]:
        """Be told of every event from now on; the result ends it."""
        return self._publisher.subscribe(listener)

    def past(self, since: int) -> Sequence[Occurrence]:
        """The events after that number, as far as they are kept."""
        return self._publisher.past(since)

    def observe(self, listener: Callable[[Sample], None], period: float) -> Callable[[], None]:
        """Be told what everything uses, now and then from now on; the result ends it."""
        return self._observatory().observe(listener, period)

    def _look(self, effect: asked.Look) -> None:
        self._observatory().look(lambda sample: self._interpreter.feed(Looked(effect, sample)))

    def follow(self, selection: Selection, listener: Callable[[Sequence[Line], int], bool]) -> Following:
        """Be told of lines; see L{circustwist.logic.requests.Steering}."""
        return self.tails.follow(selection, listener)

    def _recall(self, effect: asked.Recall) -> None:
        found = self._observatory().history.recall(effect.kind, effect.name, effect.length)
        self._answered(asked.Answer(effect.call, found))
