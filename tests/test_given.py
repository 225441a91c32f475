"""Options as commands give them."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model import given as options
from circustwist.model.errors import MessageError
from circustwist.model.stack import Stack, Watcher
from circustwist.model.streams import STREAMS, Stream
from circustwist.model.tuned import Tuned, applied, kept

WEB = Watcher("web", cmd="web")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5)
KEYS = st.sampled_from((*options.OPTIONS, "env", "rlimit_nofile", "stdout_stream", "stdout_stream.filename", "x"))


class GivenTests(SynchronousTestCase):
    """One watcher and what is given to it."""

    def refused(self, text: str, **given: Any) -> None:
        """It is refused in these words."""
        self.assertEqual(str(self.assertRaises(MessageError, options.tuned, WEB, given)), text)

    def test_types(self) -> None:
        """Circus's words for wrong types."""
        self.refused("'numprocesses' isn't an integer", numprocesses="3")
        self.refused("'stop_signal' isn't an integer", stop_signal="TERM")
        self.refused("'warmup_delay' isn't a number", warmup_delay="x")
        self.refused("'uid' isn't an integer or string", uid=[])
        self.refused("'shell' isn't a valid boolean", shell=1)
        self.refused("'env' isn't a valid object", env=3)
        self.refused("'a' isn't a string", env={"a": 1})
        self.refused("'stdout_stream' isn't a valid object", stdout_stream=3)
        self.refused("'stdout_stream' must have a 'class' key", stdout_stream={})
        self.refused("'x' rlimit value isn't a valid int", rlimit_nofile="x")
        self.refused("'rlimit_zzz' isn't a valid rlimit setting", rlimit_zzz=1)
        self.refused("unknown key 'nope'", nope=1)

    def test_values(self) -> None:
        """Values that cannot be are refused with the option's own words."""
        self.refused("'stop_signal': '999' is not a signal of this system; e.g. TERM, SIGQUIT or 15", stop_signal=999)
        self.refused("'kill_mode': 'x' is none of mixed, control-group, process", kill_mode="x")
        self.refused("'stdout_stream': 'Nope' is no stream; there are " + ", ".join(STREAMS),
                     stdout_stream={"class": "Nope"})
        self.refused("'copy_path' needs copy_env = True", copy_path=True)

    def test_given(self) -> None:
        """JSON types become what the option is."""
        found = options.tuned(WEB, {
            "numprocesses": -2, "uid": 5, "args": ["a b", "c"], "env": {"A": "b"}, "rlimit_nofile": None,
            "respawn": False, "retry_in": 3, "max_age": 60, "working_dir": None, "max_memory": "1k",
            "stdout_stream": {"class": "circus.stream.FileStream", "filename": "/x", "refresh_time": 0.1},
            "stderr_stream.filename": "/y", "stderr_stream.max_bytes": 5})
        self.assertEqual(found, attrs.evolve(
            WEB, numprocesses=0, uid="5", args=("a b", "c"), env={"A": "b"}, rlimits={"nofile": None},
            respawn="never", max_age=60.0, max_memory=1024, stdout_stream=Stream("FileStream", {"filename": "/x"}),
            stderr_stream=Stream("FileStream", {"filename": "/y", "max_bytes": "5"})))

    def test_defines(self) -> None:
        """What says what is run is told from what does not."""
        self.assertEqual([key for key in ("cmd", "env", "uid", "hooks.x", "stdout_stream", "on_failure", "live",
                                          "max_age", "numprocesses", "graceful_timeout") if options.defines(key)],
                         ["cmd", "env", "uid", "hooks.x", "stdout_stream", "on_failure", "live"])

    @settings(deadline=None, database=None)
    @given(st.dictionaries(KEYS, JSON, max_size=3))
    def test_anything(self, given: dict[str, Any]) -> None:
        """Whatever is given, there is a watcher or an error for the asker."""
        try:
            self.assertIsInstance(options.tuned(WEB, given), Watcher)
        except MessageError as error:
            self.assertTrue(str(error))


class TunedTests(SynchronousTestCase):
    """What lies over the files."""

    base = Stack("test", "/test.ini", watchers=(WEB, Watcher("job", cmd="job")))
    every = {
        "web": Tuned("web", options={"max_age": 5, "cmd": "other"}), "job": Tuned("job", removed=True),
        "new": Tuned("New", True, options={"cmd": "new", "numprocesses": 3})}

    def test_applied(self) -> None:
        """Options are set, watchers added and removed; what cannot be is left out."""
        found = applied(self.base, {**self.every, "web": Tuned("web", options={"max_age": 5, "nope": 1})})
        self.assertEqual([(w.name, w.cmd, w.max_age, w.numprocesses) for w in found.watchers],
                         [("New", "new", 0.0, 3), ("web", "web", 5.0, 1)])

    def test_kept(self) -> None:
        """What the files say anew counts again; the rest stays."""
        files = Stack("test", "/test.ini", watchers=(attrs.evolve(WEB, cmd="web2"),))
        found = kept(self.every, self.base, files)
        self.assertEqual({name: dict(one.options) for name, one in found.items()},
                         {"web": {"max_age": 5}, "new": {"cmd": "new", "numprocesses": 3}})
        files = attrs.evolve(files, watchers=(Watcher("new", cmd="mine"),))
        self.assertEqual(kept(self.every, self.base, files), {})
