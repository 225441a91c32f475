"""Plugins of Circus's that are not ours, as processes of the package circus."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec

from .stack import Daemon, StackCase

CODE = """
import json, os, pathlib
from circus.plugins import CircusPlugin

HERE = pathlib.Path(__file__).parent

class Mine(CircusPlugin):
    name = "mine"

    def __init__(self, *args, **config):
        super().__init__(*args, **config)
        self.colour = config["colour"]

    def handle_init(self):
        self.note(colour=self.colour, delay=self.check_delay)

    def handle_recv(self, data):
        topic, message = data
        watcher, event, message = self.split_data(data)
        if watcher == "web" and event == "stop":
            self.note(event=event, asked=self.call("status", name="web")["status"])
            self.cast("start", name="web")
        if watcher == "job" and event == "stop":
            answer = self.call("incr", name="web", waiting=True)
            self.note(event=event, told=answer["numprocesses"])

    def note(self, **what):
        with open(HERE / "notes", "a") as file:
            file.write(json.dumps(what) + "\\n")
"""
INI = """
[watcher:web]
cmd = sleep 60
[watcher:job]
cmd = sleep 60
[plugin:mine]
use = mine.Mine
colour = dark red
stop_signal = INT
"""


class ForeignTests(StackCase):
    """An existing subclass of C{CircusPlugin}."""

    timeout = 60
    if find_spec("circus") is None:
        skip = "the package circus is not installed"

    def stack(self) -> Daemon:
        """A stack with such a plugin, which runs."""
        daemon = self.daemon(INI)
        (daemon.folder / "mine.py").write_text(CODE)
        daemon.start().wait("watcher")
        self.noted(daemon, '"colour": "dark red"')
        return daemon

    def noted(self, daemon: Daemon, text: str) -> str:
        """Wait until the plugin has noted something, which begins so; its events come after each other."""
        path = daemon.folder / "notes"
        for _ in range(2000):
            lines = path.read_text().splitlines() if path.exists() else []
            found = next((line for line in lines if text in line), "")
            if found:
                return found
            daemon.call("ping")
        raise AssertionError(f"no {text} in {lines}, {daemon.lines}")

    def heard(self, daemon: Daemon) -> str:
        """Stop and start a watcher until the plugin has heard of it: what it said first is before it listens."""
        path = daemon.folder / "notes"
        for _ in range(200):
            daemon.call("restart", name="job", waiting=True)
            if path.exists() and "told" in path.read_text():
                break
        return self.noted(daemon, '"told"')

    def test_speaks(self) -> None:
        """It is a watcher, hears events, asks and commands, and undoes no stop of others; no endpoint is needed."""
        daemon = self.stack()
        self.assertEqual(daemon.call("status")["statuses"]["plugin:mine"], "active")
        self.assertEqual(daemon.call("options", name="plugin:mine")["options"]["stop_signal"], signal.SIGINT)
        self.assertIn('"told": 2', self.heard(daemon))
        daemon.call("stop", name="web", waiting=True)
        self.assertIn('"asked": "stopped"', self.noted(daemon, '"asked"'))
        self.assertEqual(daemon.call("status", name="web")["status"], "stopped")
        private = daemon.runtime / "private"
        self.assertEqual({path.stat().st_mode & 0o777 for path in private.glob("plugin-*")}, {0o600})
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(daemon.runtime.exists() and list(private.glob("*")))

    def test_survives(self) -> None:
        """When it is killed it comes back; after an upgrade and a kill of the supervisor it goes on."""
        daemon = self.stack()
        (first,) = daemon.pids("plugin:mine")
        os.kill(first, signal.SIGKILL)
        daemon.until(lambda: daemon.pids("plugin:mine") not in ([first], []))
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        (pid,) = daemon.pids("plugin:mine")
        daemon.kill()
        daemon.start().wait("watcher")
        self.assertEqual(daemon.pids("plugin:mine"), [pid])
        (daemon.folder / "notes").unlink()
        self.heard(daemon)

    def test_applied(self) -> None:
        """A plugin that is added to the file is started when the file is applied, and stopped when it is gone."""
        daemon = self.run_(INI.partition("[plugin")[0])
        (daemon.folder / "mine.py").write_text(CODE)
        daemon.ini.write_text(INI)
        daemon.call("reloadconfig", waiting=True)
        self.noted(daemon, '"colour": "dark red"')
        daemon.ini.write_text(INI.partition("[plugin")[0])
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual(set(daemon.call("status")["statuses"]), {"web", "job"})
