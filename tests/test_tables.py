"""Tests of numbers as people read them in a terminal."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.cli import numbers, show

PROCESS = {"pid": 4720, "cpu": 12.34, "memory": 31_000_000, "threads": 4, "fds": None, "children": 0, "age": 300.0}
SAMPLE: dict[str, Any] = {
    "watchers": [
        {**PROCESS, "name": "web", "cpu": 112.3, "workers": [{**PROCESS, "wid": 1}, {**PROCESS, "wid": 12}]},
        {**PROCESS, "name": "clo\x1bck", "workers": [{**PROCESS, "wid": 1, "memory": 900}]}],
    "supervisor": {**PROCESS, "pid": 7},
}
HITS = {"connections": 12345, "exact": True, "method": "counted", "open": 3, "received": 5_000_000, "sent": 0}
SOCKET = {"name": "web", "address": "127.0.0.1:80", "hits": HITS, "queue": 0, "limit": 128, "drops": 2, "state": "held"}


class ProcessTests(SynchronousTestCase):
    """What processes use."""

    def test_all(self) -> None:
        """Workers, a sum where there are several, and the supervisor; hostile names are harmless."""
        self.assertEqual(numbers.processes(SAMPLE), [
            "                  pid  cpu %  memory  threads  fds  children    age",
            "web/1            4720   12.3   29.6M        4    -         0  5 min",
            "web/12           4720   12.3   29.6M        4    -         0  5 min",
            "web          2 in all  112.3   29.6M        4    -         0  5 min",
            "clo\\x1bck/1      4720   12.3     900        4    -         0  5 min",
            "supervisor          7   12.3   29.6M        4    -         0  5 min"])

    def test_one(self) -> None:
        """One watcher, or one of its workers."""
        self.assertEqual(len(numbers.processes(SAMPLE, "WEB")), 4)
        (_, line) = numbers.processes(SAMPLE, "web", 12)
        self.assertTrue(line.startswith("web/12  4720"))


class SocketTests(SynchronousTestCase):
    """Connections of sockets."""

    def test_sockets(self) -> None:
        """What is not exact, and what has failed, is said."""
        seat = {"name": "web/web/0", "queue": 1, "drops": 0, "avoided": True}
        other = {**SOCKET, "name": "u", "address": "/run/u", "state": "failed", "queue": None, "drops": None,
                 "hits": {**HITS, "exact": False, "sent": None, "connections": 2}}
        self.assertEqual(numbers.sockets([{**SOCKET, "seats": [seat]}, other], show.plain), [
            "socket       address       connections  open    in  out  queue  drops",
            "web          127.0.0.1:80        12345     3  4.8M    0  0/128      2",
            "  web/web/0  avoided                                         1      0",
            "u failed     /run/u                >=2     3  4.8M    -      -      -",
            ">=: at least so many; others may have come and gone unseen"])

    def test_status(self) -> None:
        """A status page tells them too."""
        self.assertEqual(show.sockets([SOCKET], show.plain), [
            "socket web 127.0.0.1:80  connections 12345  queue 0/128"])

    @given(st.integers(0, 10**16))
    def test_size(self, number: int) -> None:
        """A size has at most four figures and is of the same magnitude."""
        text = numbers.size(number)
        factor = 1024 ** (" KMGTP".index(text[-1]) if text[-1].isalpha() else 0)
        self.assertLessEqual(abs(float(text.rstrip("KMGTP")) * factor - number), number / 19)
        self.assertLessEqual(len(text), 5)
