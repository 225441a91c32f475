"""A client gives commands as lines, and errors come as lines."""

import json
import tempfile

from twisted.internet import task
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.protocols.basic import LineOnlyReceiver

from circustwist.embedding import fromText
from circustwist.testing.case import RunningStack


class Client(LineOnlyReceiver):
    """Asks one thing after the other."""

    delimiter = b"\n"

    def ask(self, line):
        """Send a line."""
        self.answer = Deferred()
        self.sendLine(line)
        return self.answer

    def lineReceived(self, line):
        """The answer."""
        self.answer.callback(json.loads(line))


async def main(reactor):
    """Run it."""
    folder = tempfile.mkdtemp()
    stack = RunningStack(fromText("[circus]\nname = face\n[watcher:web]\ncmd = sleep 60\n"), folder, True, reactor)
    stack.startService()
    await stack.ready("web")
    client = await connectProtocol(UNIXClientEndpoint(reactor, f"{folder}/run/lines"), Client())
    assert (await client.ask(b'["status", {"name": "web"}]'))["status"] == "active"
    assert "needs the role" in (await client.ask(b'["stop", {}]'))["error"]
    assert "error" in await client.ask(b"x")
    client.transport.loseConnection()
    await stack.end()


task.react(lambda reactor: ensureDeferred(main(reactor)))
