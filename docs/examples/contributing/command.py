"""The command works in memory, on the command line and over AMP."""

from circustwist.cli.main import cli
from circustwist.control.amp import REQUESTS
from circustwist.testing import memoryStack

stack = memoryStack("[watcher:web]\ncmd = web\n").begin()
stack.advance(60)
assert stack.ask("uptime")["seconds"] > 60
assert "For how long" in cli.commands["uptime"].help
assert "uptime" in REQUESTS
