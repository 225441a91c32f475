"""Servers as people run them: whether each is seen waiting for connections, and only then."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread

from circustwist.model.effects import Probe
from circustwist.model.launch import Names
from circustwist.system.prober import Prober

from ..workers import ENV, WorkersCase
from .stack import SCRIPTS

WSGI = """
import sys, time
time.sleep({pause})
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
ASGI = """
import time
time.sleep({pause})
async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}})
        await send({{"type": "http.response.body", "body": b"ok"}})
"""
WSGIREF = """
import socket, sys
sys.path.insert(0, ".")
from app import application
from wsgiref.simple_server import WSGIServer, WSGIRequestHandler
server = WSGIServer(("", 0), WSGIRequestHandler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.server_name, server.server_port = "x", 1
server.setup_environ()
server.set_app(application)
server.serve_forever()
"""
ACTIVATED = {**ENV, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
PAUSE = 0.3
"""Seconds that the application takes to be imported."""


def answer(port: int) -> bytes:
    """What the server answers."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return client.makefile("rb").read()


class ServerTests(WorkersCase):
    """Each of them with an application that takes its time to be imported."""

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        os.set_blocking(self.listener.fileno(), False)  # as the supervisor's are
        self.prober = Prober(reactor, self.clock, "", self.spawner, lambda names: self.fail("runs no command"))
        self.addCleanup(self.prober.close)

    @inlineCallbacks
    def assertSeen(self, program: str, *arguments: str, app: str = WSGI, **options: Any) -> Any:
        """It is seen when it serves, not before, and goes on being seen while it has nothing to do."""
        if not (SCRIPTS / program).exists():
            self.skipTest(f"{program} is not installed")
        (self.folder / "app.py").write_text(app.format(pause=PAUSE))
        with (self.folder / "log").open("wb") as log:
            worker = self.run_(
                str(SCRIPTS / program), *arguments, cwd=str(self.folder), fds={2: log.fileno()}, **options)
        pid = yield worker.started
        begun = self.clock.seconds()
        found: Deferred[tuple[bool, str]] = Deferred()
        probe = Probe(Names(1, "web", 1), "ready", "listening", 1.0, 20.0)
        self.prober.start(probe, pid, (self.inode,), lambda ok, why: found.callback((ok, why)))
        self.assertEqual((yield found), (True, ""), (self.folder / "log").read_text())
        self.assertGreater(self.clock.seconds() - begun, PAUSE)
        response = yield deferToThread(answer, self.listener.getsockname()[1])
        self.assertTrue(response.startswith(b"HTTP/1."), response)
        self.assertTrue(response.endswith(b"ok"), response)
        yield self.until(lambda: self.prober.canSee(pid, (self.inode,)))

    def test_chaussette(self) -> Any:
        """Chaussette with its own backend, on a descriptor."""
        return self.assertSeen("chaussette", "--fd", "3", "app.application")

    def test_chaussetteURL(self) -> Any:
        """The same by the address that Circus's documentation shows."""
        return self.assertSeen("chaussette", "--host", "fd://3", "app.application")

    def test_gunicornSync(self) -> Any:
        """Gunicorn forks: its worker is seen, not its master."""
        return self.assertSeen("gunicorn", "-b", "fd://3", "--no-control-socket", "app:application")

    def test_gunicornThreads(self) -> Any:
        """Gunicorn with threads."""
        return self.assertSeen("gunicorn", "-b", "fd://3", "--no-control-socket", "--threads", "2", "app:application")

    def test_gunicornSystemd(self) -> Any:
        """Gunicorn as a socket-activated service."""
        return self.assertSeen("gunicorn", "--no-control-socket", "app:application", listen=1, env=ACTIVATED)

    def test_uvicorn(self) -> Any:
        """Uvicorn on a descriptor."""
        return self.assertSeen("uvicorn", "--fd", "3", "--lifespan", "off", "app:application", app=ASGI)

    def test_twist(self) -> Any:
        """Twisted's own web server, socket-activated."""
        return self.assertSeen(
            "twist", "web", "--listen", "systemd:domain=INET:index=0", "--wsgi", "app.application", listen=1,
            env={**ACTIVATED, "PYTHONPATH": str(self.folder)})

    def test_wsgiref(self) -> Any:
        """The standard library's."""
        program = os.path.relpath(sys.executable, SCRIPTS)
        return self.assertSeen(program, "-c", WSGIREF)
