"""Tests of how the configuration in force is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.arbiter import Arbiter
from circustwist.logic.configuration import sections
from circustwist.logic.schedule import Serial
from circustwist.model.ini import read
from circustwist.model.inputs import Asked, Who
from circustwist.model.keys import hashed
from circustwist.model.secrets import hidden, masked
from circustwist.model.stack import Watcher
from circustwist.model.streams import Stream

from .memory import Memory

INI = f"""[circus]
name = shop
[watcher:web]
cmd = app --password=canary --db postgres://ann:canary@db/x
stop_signal = QUIT
umask = 027
rlimit_core =
stdout_stream.class = FileStream
stdout_stream.filename = /tmp/x
shade = green
api_token = canary
[env:w*, other]
SECRET = canary
[user:ann]
password_hash = {hashed("canary1234", b"canarycanarycana")}
"""


class SectionTests(SynchronousTestCase):
    """Tests of the sections."""

    def setUp(self) -> None:
        stack = read("stack.ini", lambda path: INI.encode(), lambda pattern: [], {}).stack
        self.found = sections(Arbiter(stack, lambda: 0.0, Serial(1)))
        self.options = {
            f"{section['title']} {one['name']}": (one["value"], one["place"])
            for section in self.found for one in section["options"]}

    def test_places(self) -> None:
        """What the file says has its line, a default has none."""
        self.assertEqual(self.options["circus name"], ("shop", "stack.ini:2"))
        self.assertEqual(self.options["watcher:web stop_signal"], ("SIGQUIT", "stack.ini:5"))
        self.assertEqual(self.options["watcher:web umask"], ("027", "stack.ini:6"))
        self.assertEqual(self.options["watcher:web rlimit_core"], ("infinity", "stack.ini:7"))
        self.assertEqual(self.options["watcher:web stdout_stream.filename"], ("/tmp/x", "stack.ini:9"))
        self.assertEqual(self.options["watcher:web shade"], ("green", "stack.ini:10"))
        self.assertEqual(self.options["watcher:web numprocesses"], ("1", ""))
        self.assertEqual(self.options["watcher:web env SECRET"], ("***", "stack.ini:13"))

    def test_secrets(self) -> None:
        """Nothing that looks like a secret is told."""
        self.assertNotIn("canary", str(self.found))
        self.assertEqual(self.options["watcher:web cmd"][0], "app --password=*** --db postgres://ann:***@db/x")
        self.assertEqual(self.options["user:ann password_hash"][0], "***")

    def test_masked(self) -> None:
        """Lists and mappings of options, as JSON."""
        self.assertEqual(masked("args", ["--token", "a b", "-v"]), ["--token", "***", "-v"])
        self.assertEqual(masked("args", ("-v", "--token=x")), ["-v", "--token=***"])
        self.assertEqual(masked("args", ()), [])
        self.assertEqual(masked("conf", {"password": "x", "path": "/x", "n": 5}),
                         {"password": "***", "path": "/x", "n": 5})

    def test_options(self) -> None:
        """Of the options of a watcher only administrators are told what looks like a secret."""
        memory = Memory(Watcher(
            "web", cmd="web --token canary", args=("--password", "canary"), env={"A": "canary"},
            ready="exec:look --token=canary", stdout_stream=Stream("FileStream", {"api_key": "canary"}))).begin()
        for call, role in ((50, "viewer"), (52, "operator"), (54, "admin")):
            memory.feed(Asked(call, "options", {"name": "web"}, Who("bob", role)))
            memory.feed(Asked(call + 1, "get", {"name": "web", "keys": ["cmd", "args", "ready"]}, Who("bob", role)))
            for answer in (memory.answers[call], memory.answers[call + 1]):
                self.assertEqual("canary" in str(answer), role == "admin", answer)

    def test_hidden(self) -> None:
        """What is hidden, and what is not."""
        self.assertEqual(hidden("cmd", "a --token x y"), "a --token *** y")
        self.assertEqual(hidden("cmd", "run tokenizer at http://host:80/"), "run tokenizer at http://host:80/")
        self.assertEqual(hidden("secret", ""), "")
        self.assertEqual(hidden("curve_secret_key_file", "/etc/key"), "/etc/key")
