"""The way in for Circus's clients, as far as it can be told without anybody coming in."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from circustwist import endpoints
from circustwist.model.ini import read
from circustwist.model.settings import Settings
from circustwist.model.stack import Stack


def problems(text: str) -> list[str]:
    """What is wrong with an ini."""
    found = read("s.ini", lambda path: (text + "\n[watcher:w]\ncmd = x\n").encode(), lambda pattern: [], {})
    return [f"{problem.option}: {problem.text}" for problem in found.errors]


class EndpointTests(SynchronousTestCase):
    """What the configuration asks for."""

    def opened(self, **settings: Any) -> tuple[Any, list[str]]:
        """What comes of these settings, and what is logged."""
        stack = Stack("test", "/test.ini", Settings(**settings))
        with capturedLogs() as captured:
            found = endpoints.open(MemoryReactorClock(), lambda: stack, None)  # type: ignore[arg-type]
        levels = [f"{event['log_level'].name} {event['log_format'].format(**event)}" for event in captured]
        return found, levels

    def test_none(self) -> None:
        """Without an endpoint one line says how there could be one; louder where Circus's clients are expected."""
        for settings, level in (({}, "debug"), ({"statsd": True}, "info"), ({"stats_endpoint": "ipc:///x"}, "info")):
            found, (line,) = self.opened(**settings)
            self.assertIsNone(found)
            self.assertTrue(line.startswith(f"{level} no endpoint in [circus]"), line)
            self.assertIn("endpoint = tcp://127.0.0.1:5555", line)

    def test_cannot(self) -> None:
        """What cannot be is told in one line, and the stack runs without."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        (folder / "key").write_text("x")
        (folder / "key").chmod(0o600)
        for settings, text in (
                ({"endpoint_owner": "no such user"}, "endpoint_owner: there is no user"),
                ({"curve_secret_key_file": str(folder / "nothing")}, "cannot be read: No such file"),
                ({"curve_secret_key_file": str(folder / "key")}, "there is no key in"),
                ({"pubsub_endpoint": f"ipc://{folder}/no/such"}, "cannot be opened: No such file")):
            found, lines = self.opened(endpoint=f"ipc://{folder}/e", **settings)
            self.assertIsNone(found)
            self.assertIn(text, lines[-1])
            self.assertIn("Circus's clients cannot connect", lines[-1])

    def test_secret(self) -> None:
        """A secret key that others may read is told of."""
        path = Path(self.mktemp())
        path.write_text("a" * 40)
        path.chmod(0o644)
        _, lines = self.opened(endpoint="ipc:///no/such/folder", curve_secret_key_file=str(path))
        self.assertIn("others than its owner may read", lines[0])

    def test_rules(self) -> None:
        """No other host reaches an endpoint without CURVE."""
        key = "curve_secret_key_file = /key\n"
        for endpoint in ("tcp://127.0.0.1:5", "tcp://localhost:5", "tcp://127.3.2.1:*", "tcp://[::1]:5", "ipc:///x"):
            self.assertEqual(problems(f"[circus]\nendpoint = {endpoint}\n"), [], endpoint)
        for endpoint in ("tcp://*:5", "tcp://0.0.0.0:5", "tcp://example.org:5", "tcp://[::]:5", "tcp://127.0.0.1.x.org:5"):
            (told,) = problems(f"[circus]\nendpoint = {endpoint}\n")
            self.assertIn("is open to other hosts", told)
            self.assertEqual(problems(f"[circus]\n{key}endpoint = {endpoint}\n"), [], endpoint)
        for wrong in ("udp://127.0.0.1:5", "tcp://127.0.0.1", "tcp://127.0.0.1:70000", "ipc://x", "5555"):
            self.assertIn("is no endpoint", problems(f"[circus]\nendpoint = {wrong}\n")[0])
        self.assertIn("is of no use without an endpoint", problems(f"[circus]\n{key}")[0])
