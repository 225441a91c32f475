"""Web applications of three servers, as somebody would write them and their ini."""

from __future__ import annotations

import os
from typing import Any

from .load import Load, Seen
from .stack import PYTHON, SCRIPTS, Daemon

SERVERS = {
    "chaussette": "chaussette --fd $(circus.sockets.web) app.application",
    "gunicorn": "gunicorn --bind fd://$(circus.sockets.web) --no-control-socket app:application",
    "uvicorn": "uvicorn --fd $(circus.sockets.web) app:asgi",
}
INI = """
[circus]
name = proof-{pid}

[socket:web]
host = 127.0.0.1
port = 0

[watcher:web]
cmd = {cmd}
use_sockets = True
numprocesses = {count}
stdout_stream.filename = web.log
stderr_stream.filename = web.log
"""
APP = """
import os, time
time.sleep({boot})
TEXT = b"hello from %d" % os.getpid()
HEAD = [("Content-Type", "text/plain"), ("Content-Length", str(len(TEXT)))]

def application(environ, start):
    start("200 OK", HEAD)
    return [TEXT]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({{"type": "lifespan.startup.complete"}})
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    head = [(name.encode(), value.encode()) for name, value in HEAD]
    await send({{"type": "http.response.start", "status": 200, "headers": head}})
    await send({{"type": "http.response.body", "body": TEXT}})
"""
TALKER = """
import itertools, time
for n in itertools.count(1):
    print("line", n, flush=True)
    if n % 10 == 0:
        time.sleep(0.003)
"""
PATH = {"PATH": os.pathsep.join((str(SCRIPTS), os.environ.get("PATH", os.defpath)))}


class Site(Daemon):
    """A supervisor of a web application."""

    def __init__(self, cmd: str, count: int, more: str = "", kind: type[Daemon] = Daemon, **options: Any) -> None:
        """
        @param cmd: see L{SERVERS}; any other command line serves too.
        @param more: what follows the watcher's options.
        """
        super().__init__(INI.format(pid=os.getpid(), cmd=cmd, count=count) + more, env=PATH, **options)
        self.deploy(0)
        (self.folder / "talker.py").write_text(TALKER)

    def deploy(self, boot: float, before: str = "") -> None:
        """Put a version of the application on disk that takes so many seconds to boot."""
        (self.folder / "app.py").write_text(before + APP.format(boot=boot))

    def state(self) -> dict[str, tuple[str, int, int]]:
        """For each watcher: its status, and how many processes run and should."""
        watchers = self.call("status", detail=True)["stack"]["watchers"]
        return {one["name"]: (one["status"], one["active"], one["wanted"]) for one in watchers}

    def settled(self) -> bool:
        """Whether every watcher runs what it should, and nobody else carries its token."""
        if any(status != "active" or active != wanted for status, active, wanted in self.state().values()):
            return False
        return sorted(self.strays()) == sorted(pid for name in self.state() for pid in self.pids(name))

    def said(self, file: str = "talk.log") -> list[str]:
        """All lines of a file and of those that it was before its rotations."""
        files = [(int(path.suffix[1:]) if path.suffix != ".log" else 0, path) for path in self.folder.glob(f"{file}*")]
        return b"".join(path.read_bytes() for _, path in sorted(files, reverse=True)).decode().splitlines()


def counted(lines: list[str]) -> bool:
    """Whether a talker's lines are all there, once and in order; the last may have been cut."""
    return len(lines) > 10 and lines[:-1] == [f"line {n}" for n in range(1, len(lines))]


TALKS = f"""
[watcher:talk]
cmd = {PYTHON} talker.py
stdout_stream.filename = talk.log
"""
__all__ = ["SERVERS", "TALKS", "Load", "Seen", "Site", "counted"]
