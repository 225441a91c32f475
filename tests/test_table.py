"""Tests of aligned columns, and of how answers are shown."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.cli import show
from circustwist.cli.table import aligned, width

WEB = {
    "name": "web", "status": "active", "wanted": 5, "active": 5, "restarts": 1, "problem": "",
    "last": {"worker": "web/3", "reason": "killed by SIGKILL", "ago": 2.4, "back": 0.006},
    "workers": [{"id": 9, "wid": 3, "pid": 4720, "state": "ready", "age": 185.0},
                {"id": 10, "wid": 12, "pid": 0, "state": "backoff", "age": 1.0}],
}
CLOCK = {"name": "clock", "status": "active", "wanted": 1, "active": 1, "restarts": 0, "problem": "", "last": None,
         "workers": []}
STACK = {
    "name": "hello", "pid": 4711, "uptime": 180.5, "path": "/srv/docs/examples/hello/stack.ini", "version": "1",
    "watchers": [WEB, CLOCK],
    "sockets": [{"name": "web", "address": "127.0.0.1:8000", "queue": 0, "limit": 2048, "fd": 5, "state": "held"}],
}


class AlignedTests(SynchronousTestCase):
    """Tests of L{aligned}."""

    def test_resized(self) -> None:
        """Another number of processes than the ini has is told with who wanted it, by status and plan."""
        told = {"by": "ann (uid 1000, amp)", "ago": 5.0, "wanted": 7, "configured": 5}
        text = show.resized(told)
        self.assertRegex(text, r"^running 7, ini says 5 \(ann, [0-9][0-9]:[0-9][0-9]\)$")
        web = {**STACK["watchers"][0], "resized": told}
        self.assertIn(text, show.status({**STACK, "watchers": [web]}, show.plain, "/")[1])
        self.assertEqual(
            show.plan([], [{"name": "web", **told}]), ["nothing changes", f"watcher web stays as it is: {text}"])

    def test_columns(self) -> None:
        """Each column begins where its longest cell allows; nothing trails."""
        self.assertEqual(aligned([("a", "bb", ""), ("ccc", "d", "e")], (2, 3)), ["a    bb", "ccc  d    e"])

    def test_ragged(self) -> None:
        """Rows may be of different lengths, or none."""
        self.assertEqual(aligned([("a",), ("b", "c")]), ["a", "b  c"])
        self.assertEqual(aligned([]), [])

    def test_width(self) -> None:
        """Wide characters take two columns, combining ones and colours none."""
        self.assertEqual([width(text) for text in ("web", "時計", "e\u0301", "\x1b[32mok\x1b[0m")], [3, 4, 1, 2])

    @given(st.lists(st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"])), min_size=2, max_size=2)))
    def test_any(self, rows: list[list[str]]) -> None:
        """The second column begins at the same place in every row."""
        start = max((len(row[0]) for row in rows), default=0) + 2
        self.assertEqual([line[start:] for line in aligned(rows)], [row[1].rstrip() for row in rows])


class ShowTests(SynchronousTestCase):
    """Tests of L{show}."""

    def test_status(self) -> None:
        """The status of a stack, as the documentation shows it."""
        self.assertEqual(show.status(STACK, show.plain, "/srv"), [
            "hello  pid 4711  up 3 min  docs/examples/hello/stack.ini",
            "web    active 5/5   1 restart: web/3 killed by SIGKILL 2 s ago, back in 6 ms",
            "clock  active 1/1",
            "socket web 127.0.0.1:8000  queue 0/2048",
        ])

    def test_trouble(self) -> None:
        """A problem is told, and that a worker is not back."""
        web: Any = {**WEB, "status": "failed", "active": 0, "restarts": 7, "problem": "no \x1b program",
                    "last": {"worker": "web/1", "reason": "exited 1", "ago": 0.2, "back": None}}
        self.assertEqual(show.status({**STACK, "watchers": [web]}, show.plain, "/")[1], (
            "web  failed 0/5   no \\x1b program; 7 restarts: last web/1 exited 1 200 ms ago, not back yet"))

    def test_over(self) -> None:
        """What ended by itself says how, unless somebody stopped it or it waits."""
        job: Any = {**CLOCK, "status": "stopped", "active": 0, "completed": True}
        last = {"worker": "clock/1", "reason": "exited 3", "ago": 130, "back": None}
        for more, note in (
                ({}, "   completed"), ({"stopper": "ann"}, ""), ({"completed": None}, ""),
                ({"asleep": True}, "   starts at the next connection"), ({"completed": False}, "   ended by itself"),
                ({"completed": False, "last": last}, "   clock/1 exited 3 2 min ago")):
            shown = show.status({**STACK, "watchers": [{**job, **more}]}, show.plain, "/")[1]
            self.assertEqual(shown, f"clock  stopped 0/1{note}", more)

    def test_watcher(self) -> None:
        """One watcher is shown with its workers."""
        self.assertEqual(show.status(STACK, show.plain, "/", "WEB")[1:], [
            "  web/3   pid 4720  ready    3 min", "  web/12  pid -     backoff  1 s"])

    def test_colours(self) -> None:
        """States are painted on a terminal only, and never against NO_COLOR; columns stay aligned."""
        lines = show.status(STACK, show.painter(True, {}), "/srv")
        self.assertIn("web    \x1b[32mactive\x1b[0m 5/5   1 restart", lines[1])
        for terminal, environ in ((False, {}), (True, {"NO_COLOR": "1"}), (True, {"TERM": "dumb"})):
            self.assertEqual(show.painter(terminal, environ)("active"), "active")

    def test_safe(self) -> None:
        """What does not print is escaped."""
        self.assertEqual(show.safe("a\x1b[31m\n\x9b\u202e\udcffé"), "a\\x1b[31m\\x0a\\x9b\\u202e\\udcffé")

    @given(st.text())
    def test_safeAny(self, text: str) -> None:
        """Nothing that is shown moves the cursor or breaks the line."""
        self.assertTrue(show.safe(text).isprintable())

    def test_span(self) -> None:
        """A length of time has one unit."""
        spans = [show.span(seconds) for seconds in (-1, 0.0061, 1, 119.9, 120, 7200, 172800)]
        self.assertEqual(spans, ["0 ms", "6 ms", "1 s", "119 s", "2 min", "2 h", "2 d"])

    def test_event(self) -> None:
        """An event is one line."""
        happened = {"event": "reap", "time": 1700000000.25, "watcher": "web", "worker": "web/3", "pid": 4720,
                    "by": "", "data": {"reason": "\x07"}, "topic": "watcher.web.reap"}
        self.assertRegex(show.event(happened), r"^\d\d:\d\d:\d\d\.250 reap web/3 pid 4720 reason=\\x07$")
        self.assertEqual(show.event({"event": "missed", "missed": 3}), "(3 events were missed here)")

    def test_operation(self) -> None:
        """An operation tells what it changed, or why it failed."""
        found: dict[str, Any] = {"command": "restart", "state": "done", "reason": "", "info": {
            "watchers": {"web": {"started": [1, 2], "kept": [], "stopped": [3]}, "clock": {"kept": [4]}}}}
        self.assertEqual(show.operation(found), "restart done: web 2 started and 1 stopped, clock unchanged")
        found |= {"state": "failed", "reason": "web: no program"}
        self.assertEqual(show.operation(found), "restart failed: web: no program")

    def test_plainly(self) -> None:
        """Any answer can be shown."""
        self.assertEqual(show.plainly({"watchers": ["clock", "web"]}), ["clock", "web"])
        self.assertEqual(show.plainly({"pid": 7, "name": "a\x00"}), ["pid   7", "name  a\\x00"])
        self.assertEqual(show.plainly({"x": [{"a": 1}, {"a": None, "b": {"c": 2}}]}), ["a  b", "1  -", "-  c=2"])

    def test_options(self) -> None:
        """An option of the ini is told in each kind of section that has it."""
        self.assertEqual([option["section"] for option in show.options("umask")], ["watcher", "socket", "circus"])
        self.assertEqual(show.optionLines(show.options("graceful_timeout"))[2], "  default          30 s")
        self.assertEqual(show.options("colour"), [])
