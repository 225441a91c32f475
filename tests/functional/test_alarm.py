"""Watchers that fail, and who is told."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from .stack import TIMEOUT, StackCase


class AlarmTests(StackCase):
    """The option on_failure."""

    def failing(self, alarm: str) -> str:
        """A watcher whose program is not there."""
        return f"[circus]\nname = alarm\n[watcher:bad]\ncmd = nosuchprogram\nmax_retry = 1\non_failure = {alarm}\n"

    def test_command(self) -> None:
        """A command is run with the watcher and the reason in its environment."""
        daemon = self.daemon(self.failing("exec:sh told.sh") + "copy_env = True\n")
        (daemon.folder / "told.sh").write_text('echo "$CIRCUSTWIST_WATCHER: $CIRCUSTWIST_REASON" > told.new\n'
                                               "mv told.new told\n")
        daemon.start()
        while not (daemon.folder / "told").exists():
            pass
        self.assertRegex((daemon.folder / "told").read_text(), "^bad: bad/1 could not be started: find: ENOENT")
        self.assertEqual(daemon.stop(), 0)

    def test_failsItself(self) -> None:
        """A command that fails is told in the log, and nothing else happens."""
        daemon = self.daemon(self.failing("exec:sh -c \'echo no; exit 3\'") + "copy_env = True\n").start()
        self.assertIn("no", daemon.wait("on_failure of bad"))
        self.assertEqual(daemon.call("status", name="bad")["status"], "failed")
        self.assertEqual(daemon.stop(), 0)

    def test_posted(self) -> None:
        """A URL gets the event as JSON."""
        told = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        server.timeout = TIMEOUT
        self.addCleanup(server.server_close)
        daemon = self.daemon(self.failing(f"http://127.0.0.1:{server.server_port}/alarm")).start()
        server.handle_request()
        self.assertEqual((told[0]["event"], told[0]["watcher"]), ("failed", "bad"))
        self.assertEqual(daemon.stop(), 0)
