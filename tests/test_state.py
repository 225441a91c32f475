"""Tests of what a browser knows of a stack."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.web.state import difference, picture


def stack(uptime: float = 10.0, age: float = 5.0, **more: Any) -> dict[str, Any]:
    """What the command status answers."""
    worker = {"id": 7, "wid": 1, "pid": 70, "state": "ready", "age": age, "generation": 0, "said": ""}
    last = {"worker": "web/1", "reason": "exited with 3", "ago": age, "back": 0.1}
    watcher = {"name": "web", "status": "active", "wanted": 1, "active": 1, "workers": [worker], "last": last, **more}
    socket = {"name": "web", "fd": 3, "address": "a", "queue": age, "limit": 5}
    return {"name": "s", "pid": 1, "version": "1", "path": "/s.ini", "quitting": False, "uptime": uptime,
            "watchers": [watcher], "sockets": [socket]}


class PictureTests(SynchronousTestCase):
    """Tests of the picture."""

    def test_times(self) -> None:
        """Times are times of day."""
        found = picture(stack(), [], 1000.0, {})
        self.assertEqual(found["stack"]["started"], 990.0)
        self.assertEqual(found["watchers"]["web"]["workers"], {"7": [1, 70, "ready", 995.0, 0, ""]})
        self.assertEqual(found["watchers"]["web"]["last"]["at"], 995.0)

    def test_same(self) -> None:
        """Nothing changes just because time passes, or a queue is longer."""
        first = picture(stack(), [], 1000.0, {})
        second = picture(stack(20.04, 15.03), [], 1010.0, first)
        self.assertEqual(difference(first, second), {})

    def test_changed(self) -> None:
        """Only what changes is told, and what is gone."""
        first = picture(stack(), [{"id": 1}], 1000.0, {})
        second = picture({**stack(status="stopped"), "sockets": []}, [{"id": 1}], 1000.0, first)
        found = difference(first, second)
        self.assertEqual(found["sockets"], {"web": None})
        self.assertEqual(found["watchers"]["web"]["status"], "stopped")
        self.assertEqual(found.keys(), {"watchers", "sockets"})


PARTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), max_size=4)
PICTURES = st.fixed_dictionaries({"stack": PARTS, "watchers": PARTS, "sockets": PARTS, "operations": PARTS})


class DifferenceTests(SynchronousTestCase):
    """Tests of the difference of any two pictures."""

    @given(PICTURES, PICTURES)
    def test_leads(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        """It leads from the one to the other, as a browser applies it."""
        found = difference(old, new)
        made = {**old, **({"stack": found["stack"]} if "stack" in found else {})}
        for part in ("watchers", "sockets", "operations"):
            both = {**old[part], **found.get(part, {})}
            made[part] = {name: value for name, value in both.items() if value is not None}
        self.assertEqual(made, new)
