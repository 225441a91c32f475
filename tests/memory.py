"""A stack in memory, of watchers as tests make them."""

from __future__ import annotations

from circustwist.model.effects import (
    Answer,
    Effect,
    Forget,
    Probe,
    Publish,
    Quit,
    Record,
    RunHook,
    Signal,
    Spawn,
    Unwatch,
    Wake,
    Watch,
)
from circustwist.model.settings import Settings
from circustwist.model.stack import Socket, Stack, Watcher
from circustwist.testing.memory import ADMIN, MemoryStack

__all__ = ["ADMIN", "Memory"]

KEPT = (Answer, Forget, Probe, Publish, Quit, Record, RunHook, Signal, Spawn, Unwatch, Wake, Watch)


class Memory(MemoryStack):
    """A supervisor without a world."""

    def __init__(
        self, *watchers: Watcher, settings: Settings | None = None, sockets: tuple[Socket, ...] = ()
    ) -> None:
        super().__init__(Stack("test", "/test.ini", settings or Settings(), tuple(watchers), sockets))
        self.agrees = False

    @property
    def others(self) -> list[Effect]:
        """Effects that nothing of its own is made of."""
        return [effect for effect in self.effects if not isinstance(effect, KEPT)]
