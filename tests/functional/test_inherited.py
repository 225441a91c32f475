"""Twisted workers that listen on circus:web."""

from __future__ import annotations

from .stack import SCRIPTS, StackCase
from .test_life import get

INI = f"""
[circus]
name = inherited

[socket:other]
host = 127.0.0.1
port = 0

[socket:web]
host = 127.0.0.1
port = 0

[watcher:named]
cmd = {SCRIPTS / "twist"} --log-format=text web --listen circus:web --path .
listen_fds = web

[watcher:numbered]
cmd = {SCRIPTS / "twist"} --log-format=text web --listen circus:fd=$(circus.sockets.other) --path .
use_sockets = True
"""


class WorkerTests(StackCase):
    """Unmodified programs of Twisted."""

    def test_serve(self) -> None:
        """By name and by number; a worker that is killed comes back to the same socket."""
        daemon = self.run_(INI)
        self.assertEqual(daemon.call("status")["statuses"], {"named": "active", "numbered": "active"})
        for name in ("web", "other"):
            self.assertIn("stack.ini", get(daemon.port(name)))
        daemon.call("reload", name="named", waiting=True)
        self.assertIn("stack.ini", get(daemon.port("web")))
        self.assertEqual(daemon.stop(), 0)
