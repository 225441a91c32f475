"""Exchanges the sockets of a stack for those of a changed configuration, and back if need be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool

from ..model.stack import Socket
from .binding import looked, named
from .sockets import Sockets, sectionOf


class Swap:
    """New sockets beside the old ones, until it is decided which are kept."""

    def __init__(self, reactor: Any, sockets: Sockets) -> None:
        self._reactor = reactor
        self._sockets = sockets
        self._other = Sockets(sockets.groups)
        self._made: list[str] = []

    def change(self, make: Collection[Socket], update: Collection[Socket]) -> Deferred[dict[str, int]]:
        """
        Bind new sockets and hold them instead of those of the same names, which stay open.

        @param update: those of which only the backlog changes.
        @return: the inodes of all that are held now, by name.  Fails with a
            L{WorldError<circustwist.model.errors.WorldError>}, one line for each
            that could not be bound; nothing is changed then.
        """
        if any(map(named, make)):
            # A name server that does not answer is waited for in a thread.
            found = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), looked, make)
        else:
            found = succeed([*make])
        return found.addCallback(self._change, update)

    def _change(self, make: Sequence[Socket], update: Collection[Socket]) -> dict[str, int]:
        self._other.bindAll(make)
        self._made = [socket.name for socket in make]
        self._sockets.exchange(self._other, self._made)
        for socket in update:
            self._sockets.update(socket)
        return self._sockets.inodes()

    def keep(self, new: bool, names: Collection[str]) -> dict[str, int]:
        """
        Decide, and close the others.

        @param names: those that the stack still has; all others are closed.
        @return: the inodes of those that are kept, by name.
        """
        if not new:
            self._sockets.exchange(self._other, self._made)
        self._made = []
        self._other.close(True)
        for name in self._sockets.names():
            if sectionOf(name) not in names:
                self._sockets.drop(name, True)
        return self._sockets.inodes()
