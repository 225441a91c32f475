"""What is fuzzed: one function for each reader of what comes from outside."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from circustwist.control import circus
from circustwist.control.amp import ControlFactory
from circustwist.control.boxes import BoxError, Parser
from circustwist.logic import durable
from circustwist.model import expand
from circustwist.model.commands import TABLE, complete
from circustwist.model.errors import RequestError, WorldError
from circustwist.model.ini import read
from circustwist.model.inputs import Who
from circustwist.model.line import shown
from circustwist.system import diag, launcher, notify
from circustwist.system.journal import Journal
from circustwist.web.site import QuietSite, Refused, answer, content, refuse


def ini(data: bytes) -> None:
    """Configurations."""
    for problem in read("x.ini", lambda path: data, lambda pattern: [], {"X": "y"}).problems:
        str(problem)


def expansion(data: bytes) -> None:
    """What stands for variables."""
    text = data.decode("utf-8", "surrogateescape")
    expand.environment(text, {"X": "$(circus.env.Y)", "Y": "%(x)s"})
    with contextlib.suppress(ValueError, KeyError):
        expand.fromEnv(text, {"X": "y"})


class Nothing:
    """A supervisor that does nothing."""

    async def ask(self, command: str, arguments: Any, who: Any) -> Any:
        """All is well."""
        return {"lines": []}

    def subscribe(self, listener: Any) -> Callable[[], None]:
        """Nobody is told."""
        return lambda: None

    def follow(self, selection: Any, listener: Any) -> Any:
        """Nothing is written."""
        return self

    def past(self, number: int) -> tuple[()]:
        """Nothing has happened."""
        return ()

    def end(self) -> None:
        """It ends."""

    def pause(self) -> None:
        """It pauses."""

    def resume(self) -> None:
        """It goes on."""


def amp(data: bytes) -> None:
    """Boxes of AMP: to the server, and to the client of the standard library."""
    steering: Any = Nothing()
    server: Any = ControlFactory(steering, lambda transport: Who("fuzz", "viewer")).buildProtocol(None)
    transport = StringTransport()
    transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]  # it has none
    server.makeConnection(transport)
    for at in range(0, len(data), 1000):
        if not transport.disconnecting:
            server.dataReceived(data[at:at + 1000])
    with contextlib.suppress(BoxError):
        Parser(64, 1 << 16).feed(data)


def zeromq(data: bytes) -> None:
    """Requests of Circus's clients."""
    call = circus.parsed(data)
    if isinstance(call, circus.Malformed):
        json.dumps(circus.failure(call, call.error, 0.0))
    elif call is not None:
        with contextlib.suppress(RequestError):
            given = circus.arguments(call)
            if call.command in TABLE:
                complete(TABLE[call.command], given)


class Page(Resource):
    """Reads the content as the console does."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """What came, or why it is refused."""
        try:
            return answer(request, 200, sorted(content(request)))
        except Refused as refused:
            return refuse(request, refused)


def http(data: bytes) -> None:
    """Requests to the console."""
    channel: Any = QuietSite(Page(), Clock()).buildProtocol(None)
    transport = StringTransport()
    transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]  # it has none
    channel.makeConnection(transport)
    for at in range(0, len(data), 1000):
        if not transport.disconnecting:
            channel.dataReceived(data[at:at + 1000])


def datagram(data: bytes) -> None:
    """What processes say of themselves."""
    notify.parse(data)


def journal(data: bytes) -> None:
    """What an earlier supervisor has left."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        path.write_bytes(data)
        with contextlib.suppress(WorldError):
            durable.replay(Journal(str(path)).entries())


def netlink(data: bytes) -> None:
    """What the kernel tells of sockets."""
    for _, message in diag.messages(data):
        diag.ended(message, len(message))
        diag.local(message)
        diag.unixSocket(message)


def report(data: bytes) -> None:
    """What the status pipe of a launcher says."""
    with contextlib.suppress(ValueError):
        launcher.parse(data)


def line(data: bytes) -> None:
    """What processes write, for a terminal."""
    shown(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (ini, expansion, amp, zeromq, http, datagram, journal, netlink, report, line)}
"""Each by its name, which its folder of the corpus has too."""
