"""Tests that leave as much behind as they can; others run them and look."""

from __future__ import annotations

import os
import signal
from typing import ClassVar

from twisted.internet.defer import Deferred

from circustwist.embedding import Settings, Watcher, stack
from circustwist.testing import RunningStack, StackTestCase

STUBBORN = stack(
    Settings(name="stubborn"),
    Watcher("stubborn", cmd="sh -c 'trap \"\" TERM; setsid sleep 1000 & echo up; wait; sleep 1000'", ready="log:up"))


class Rude(StackTestCase):
    """Tests that leave as much behind as they can."""

    running: ClassVar[list[tuple[int, str]]] = []

    async def start(self) -> RunningStack:
        """A stack whose process ignores SIGTERM and has a child that left its group."""
        running = self.runStack(STUBBORN)
        await running.ready()
        self.running.append((running.pids("stubborn")[1], running.folder))
        return running

    async def test_fails(self) -> None:
        await self.start()
        self.fail("on purpose")

    async def test_never(self) -> None:
        await self.start()
        await Deferred()

    test_never.timeout = 2  # type: ignore[attr-defined]

    async def test_removes(self) -> None:
        running = await self.start()
        os.kill(running.pids("stubborn")[1], signal.SIGSTOP)
        del running

    async def test_quits(self) -> None:
        running = await self.start()
        running.ask("quit")
