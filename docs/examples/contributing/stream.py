"""The stream is read and explained, and what was written can still be asked for."""

import tempfile

from twisted.internet import task
from twisted.internet.defer import ensureDeferred

from circustwist.embedding import fromText
from circustwist.model.reference import streamEntries
from circustwist.testing.case import RunningStack

INI = """
[circus]
name = stream

[watcher:web]
cmd = sh -c 'echo hello; sleep 60'
ready = log:hello
stdout_stream.class = DiscardStream
"""


async def main(reactor):
    """Run it."""
    stack = RunningStack(fromText(INI), tempfile.mkdtemp(), True, reactor)
    stack.startService()
    await stack.ready("web")
    assert "hello" in str(await stack.ask("tail", names=["web"]))
    await stack.end()


assert {entry.name for entry in streamEntries("DiscardStream")}
task.react(lambda reactor: ensureDeferred(main(reactor)))
