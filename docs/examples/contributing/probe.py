"""A worker is ready when the file is there, and not before."""

import os
import tempfile

from twisted.internet import task
from twisted.internet.defer import ensureDeferred

from circustwist.embedding import fromText
from circustwist.model.errors import ConfigError
from circustwist.testing.case import RunningStack

folder = tempfile.mkdtemp()
INI = "[circus]\nname = probe\n[watcher:web]\ncmd = sh -c 'touch %s/up; sleep 60'\nready = file:%s\n"


async def main(reactor):
    """Run it."""
    stack = RunningStack(fromText(INI % (folder, f"{folder}/up")), folder, True, reactor)
    stack.startService()
    await stack.ready("web")
    assert os.path.exists(f"{folder}/up")
    await stack.end()


try:
    fromText(INI % (folder, "up"))
except ConfigError as error:
    assert "is no absolute path" in str(error)
else:
    raise AssertionError("a relative path was taken")
task.react(lambda reactor: ensureDeferred(main(reactor)))
