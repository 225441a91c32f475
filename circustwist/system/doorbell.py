"""
Tells when a connection waits at a listening socket; it is left to the worker.

A socket with a connection that nobody has accepted stays readable.  So a bell
rings once and is taken away before anybody is told: until it is hung up again
there is nothing to wake the reactor.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadDescriptor)
class _Bell:
    """One socket, by a descriptor of its own: reactors know one reader for each."""

    def __init__(self, fd: int, ring: Callable[[], None]) -> None:
        self._fd = os.dup(fd)
        self._ring = ring

    def fileno(self) -> int:
        return self._fd

    def doRead(self) -> None:
        self._ring()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has removed it by itself: nobody can be told any more."""

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return "circustwist.doorbell"


class Doorbell:
    """Everybody who waits for a connection."""

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor
        self._bells: dict[str, list[_Bell]] = {}

    def watch(self, watcher: str, descriptors: Iterable[int], knocked: Callable[[], None]) -> None:
        """
        Call once when a connection waits at one of these sockets.

        @param watcher: for whom; what it waited for before is forgotten.
        """
        self.unwatch(watcher)

        def ring() -> None:
            self.unwatch(watcher)
            knocked()

        bells = self._bells[watcher] = []
        for fd in descriptors:
            bells.append(_Bell(fd, ring))
            self._reactor.addReader(bells[-1])

    def unwatch(self, watcher: str) -> None:
        """Forget it; harmless if it does not wait."""
        for bell in self._bells.pop(watcher, ()):
            self._reactor.removeReader(bell)
            os.close(bell.fileno())

    def close(self) -> None:
        """Forget everybody."""
        for watcher in list(self._bells):
            self.unwatch(watcher)
