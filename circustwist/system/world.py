"""
What an interpreter calls: one edge each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
from twisted.internet.defer import Deferred

from ..model import effects as asked
from ..model.launch import Launch, Names
from ..model.stack import Stack
from .interfaces import IClock, IJournal, IOutputs, IProber, ISockets, ISpawner
from .publish import Publisher
from .swap import Swap


class Planner(Protocol):
    """Knows what workers are started as."""

    def __call__(self, names: Names) -> Launch:
        """
        The plan for one worker that is about to be started.

        @raise WorldError: or C{ValueError} or C{OSError}: if there can be none.
        """

    def streams(self, names: Names) -> tuple[int, ...]:
        """The inodes of the sockets handed to it on which connections are accepted."""

    def doors(self, names: Names) -> frozenset[int | str]:
        """Their ports and paths."""

    def lacks(self, stack: Stack) -> tuple[tuple[str, str, str], ...]:
        """The limits that cannot be kept: the watcher, the option and why."""


@attrs.frozen
class World:
    """
    The edges that an interpreter calls.

    @ivar plan: what a worker is to be started as; raises L{WorldError}.
    @ivar read: reads the configuration again; raises L{ConfigError}.
    @ivar swap: exchanges sockets for those of another configuration.
    @ivar upgrade: rehearses another image and becomes it; what it returns can only fail.
    @ivar quit: called once, with the exit code, when everything has stopped.
    """

    clock: IClock
    spawner: ISpawner
    sockets: ISockets
    outputs: IOutputs
    journal: IJournal
    publisher: Publisher
    prober: IProber
    plan: Planner
    read: Callable[[], Stack]
    swap: Swap
    upgrade: Callable[[asked.Upgrade], Deferred[None]]
    quit: Callable[[int], None]
