"""Tests of C{circustwist top}, driven by its keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from circustwist.cli.board import COLUMNS, VIEWS, Picture, arranged

from .test_tables import HITS, PROCESS, SOCKET

try:
    from circustwist.cli.top import Confirm, Top
except ImportError:
    Top = None  # type: ignore[assignment, misc]


def worker(id: int, wid: int, **more: Any) -> dict[str, Any]:
    """A worker of a status page."""
    return {"id": id, "wid": wid, "pid": 4000 + id, "state": "ready", "age": 5.0, "generation": 0, "said": "", **more}


def watcher(name: str, *workers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A watcher of a status page."""
    return {"name": name, "status": "active", "wanted": len(workers), "active": len(workers), "restarts": 0,
            "problem": "", "workers": list(workers), **more}


def picture(cpu: float = 3.0) -> Picture:
    """Two watchers and a socket."""
    stack = {
        "name": "shop", "pid": 7, "uptime": 60.0, "quitting": False, "sockets": [SOCKET],
        "watchers": [watcher("web", worker(1, 1), worker(2, 2)),
                     watcher("[red]clock\x1b", worker(3, 1, pid=0, state="backoff"), problem="no program", restarts=4)]}
    sample = {
        "supervisor": {**PROCESS, "lag": 0.001},
        "watchers": [
            {**PROCESS, "name": "web", "cpu": cpu,
             "workers": [{**PROCESS, "id": 1, "cpu": 1.0}, {**PROCESS, "id": 2, "cpu": 9.0}]},
            {**PROCESS, "name": "[red]clock\x1b", "cpu": 5.0, "workers": []}],
        "sockets": [{**SOCKET, **HITS, "rate": 12.34}]}
    return Picture(stack, sample)


class RowTests(SynchronousTestCase):
    """What stands in the tables."""

    def test_watchers(self) -> None:
        """Each watcher with what it uses; hostile names are made safe."""
        rows = picture().rows("watchers")
        self.assertEqual(rows[0].cells, ("web", "active", "2/2", "3.0", "29.6M", "0", ""))
        self.assertEqual((rows[1].cells[0], rows[1].cells[6]), ("[red]clock\\x1b", "no program"))

    def test_workers(self) -> None:
        """Each worker; one of which nothing is known yet is there too."""
        rows = picture().rows("workers")
        self.assertEqual(rows[1].cells, ("web/2", "4002", "ready", "9.0", "29.6M", "4", "-", "0", "5 s"))
        self.assertEqual(rows[2].cells[1:5], ("-", "backoff", "-", "-"))

    def test_sockets(self) -> None:
        """Each socket with its connections."""
        (row,) = picture().rows("sockets")
        self.assertEqual(row.cells, ("web", "127.0.0.1:80", "12345", "12.3", "3", "4.8M", "0", "0/128", "2"))

    def test_shape(self) -> None:
        """Every line has a cell, and an order, for each column, and they can be sorted by any."""
        for view in VIEWS:
            rows = picture().rows(view)
            self.assertEqual({len(row.cells) for row in rows} | {len(row.order) for row in rows}, {len(COLUMNS[view])})
            for column in range(len(COLUMNS[view])):
                self.assertEqual(len(arranged(rows, "", column, True)), len(rows))


class _Source:
    """A supervisor that remembers what it was asked."""

    def __init__(self) -> None:
        self.picture: Picture | Exception = picture()
        self.acted: list[tuple[str, dict[str, Any]]] = []
        self.looked = threading.Event()

    def look(self) -> Picture:
        """The picture."""
        self.looked.set()
        if isinstance(self.picture, Exception):
            raise self.picture
        return self.picture

    def act(self, command: str, **arguments: Any) -> str:
        """Remember it."""
        self.acted.append((command, arguments))
        return f"{command} done"

    def close(self) -> None:
        """Nothing."""


@skipIf(Top is None, "textual is not installed")
class TopTests(SynchronousTestCase):
    """Keys, and what they do."""

    def setUp(self) -> None:
        self.source = _Source()
        self.app = Top(self.source, 3600)

    def drive(self, test: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        """Run it in a terminal that nobody sees, from the first picture on."""

        async def driven() -> None:
            async with self.app.run_test(size=(120, 30)) as pilot:
                await self.settled(pilot)
                await test(pilot)

        asyncio.run(driven())

    async def settled(self, pilot: Any) -> None:
        """Let everything happen that waits."""
        await pilot.pause()
        await self.app.workers.wait_for_complete()
        await pilot.pause()

    def shown(self) -> list[list[str]]:
        """The table."""
        return [[str(cell) for cell in self.app.table.get_row_at(n)] for n in range(self.app.table.row_count)]

    def said(self) -> str:
        """The line below it."""
        return str(self.app.query_one("#said").render())

    def test_views(self) -> None:
        """Watchers first; workers and sockets by a key."""

        async def test(pilot: Any) -> None:
            self.assertEqual([row[0] for row in self.shown()], ["web", "[red]clock\\x1b"])
            self.assertIn("shop  pid 7", str(self.app.query_one("#head").render()))
            await pilot.press("2")
            self.assertEqual([row[0] for row in self.shown()], ["web/1", "web/2", "[red]clock\\x1b/1"])
            await pilot.press("3")
            self.assertEqual([row[2] for row in self.shown()], ["12345"])

        self.drive(test)

    def test_sort(self) -> None:
        """By a column after the other, numbers with the largest first; the other way round."""

        async def test(pilot: Any) -> None:
            await pilot.press("2", *"oooo")
            self.assertEqual([row[3] for row in self.shown()], ["9.0", "1.0", "-"])
            self.assertEqual(self.said(), "sorted by cpu %, largest first")
            await pilot.press("O")
            self.assertEqual([row[3] for row in self.shown()], ["-", "1.0", "9.0"])

        self.drive(test)

    def test_filter(self) -> None:
        """Only lines with a text; all again."""

        async def test(pilot: Any) -> None:
            await pilot.press("slash", *"clo", "enter")
            self.assertEqual([row[0] for row in self.shown()], ["[red]clock\\x1b"])
            await pilot.press("escape")
            self.assertEqual(len(self.shown()), 2)

        self.drive(test)

    def test_act(self) -> None:
        """What is done to the line at the cursor is asked before, and its outcome told."""

        async def test(pilot: Any) -> None:
            await pilot.press("down", "r")
            self.assertIsInstance(self.app.screen, Confirm)
            await pilot.press("n", "r", "y")
            await self.settled(pilot)
            self.assertEqual(self.source.acted, [("restart", {"name": "[red]clock\x1b"})])
            self.assertEqual(self.said(), "restart done")
            await pilot.press("2", "down", "k", "y")
            await self.settled(pilot)
            self.assertEqual(self.source.acted[1:], [("kill", {"name": "web", "wid": 2})])
            await pilot.press("3", "l")
            self.assertEqual(self.said(), "reload is for watchers")
            self.assertEqual(len(self.source.acted), 2)

        self.drive(test)

    def test_changes(self) -> None:
        """Another picture changes what is shown; without one the last stays, and the reason is told."""

        async def test(pilot: Any) -> None:
            await pilot.press("down")
            self.source.picture = picture(cpu=77.0)
            self.app.look()
            await self.settled(pilot)
            self.assertEqual((self.shown()[0][3], self.app.table.cursor_row), ("77.0", 1))
            self.source.picture = ConnectionRefusedError("nobody there")
            self.app.look()
            await self.settled(pilot)
            self.assertEqual((self.said(), len(self.shown())), ("nobody there", 2))

        self.drive(test)
