"""
Sockets that are bound once, held, and never accepted on.

With C{so_reuseport} each seat of a watcher has a listening socket of its own,
called C{SECTION/WATCHER/SEAT}; the one of the section then only keeps the
port.  Everything here is close-on-exec: a worker gets its sockets from the
spawner, by number.
"""

from __future__ import annotations

import errno
import os
import socket as net
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from ..model.errors import WorldError
from ..model.stack import Socket
from .binding import TYPES, Held, Refused, blaming, bound, family, fileAt, listens, resolved, told, waiting
from .interfaces import ISockets
from .steer import Groups

_log = Logger()


@implementer(ISockets)
class Sockets:
    """
    The sockets of a stack.

    @ivar changed: called whenever others are held than before.
    """

    def __init__(self, groups: Groups | None = None) -> None:
        """
        @param groups: of sockets of seats; others may have some in them too.
        """
        self.groups = groups or Groups()
        self._held: dict[str, Held] = {}
        self.changed: Callable[[], None] = lambda: None

    def bind(self, socket: Socket) -> None:
        with told(socket):
            self._hold(socket.name, bound(self._besideSeats(socket), not socket.seated))

    def bindAll(self, sockets: Iterable[Socket]) -> None:
        """
        Bind all of them, or none.

        @raise WorldError: one line for each that could not be bound.
        """
        made, lines = [], []
        for socket in sockets:
            try:
                self.bind(socket)
                made.append(socket.name)
            except WorldError as error:
                lines.append(str(error))
        if lines:
            for name in made:
                self.drop(name, unlink=True)
            raise WorldError("\n".join(lines))

    def adopt(self, socket: Socket, fd: int, ours: bool = True, name: str = "") -> None:
        """
        Hold a socket that somebody else bound.

        @param ours: whether it was one of ours before; the file of a UNIX
            socket of others is not removed, and all seats share a socket of others.
        @param name: of a seat's socket.
        """
        keeper = socket if socket.seated and ours and not name else None
        with told(socket), blaming("", {errno.ENOTSOCK: f"descriptor {fd} is no socket"}):
            try:
                adopted = net.socket(fileno=fd)
                adopted.set_inheritable(False)
                if not ours:
                    # What was ours has it since it was bound; the workers may have changed it, for all of us.
                    adopted.setblocking(socket.blocking)
                if socket.stream and keeper is None:
                    adopted.listen(socket.backlog)
            except OSError:
                os.close(fd)
                raise
        path = os.path.abspath(socket.path) if socket.unix else ""
        self._hold(name or socket.name, Held(adopted, path, fileAt(path) if ours else None, keeper,
                                             socket.backlog * (socket.stream and keeper is None)))

    def update(self, socket: Socket) -> None:
        """
        Apply what can change in a socket that is held: its backlog.

        @raise KeyError: if there is none of that name.
        """
        held = self._held[socket.name]
        if held.seated is not None:
            self._held[socket.name] = attrs.evolve(held, seated=socket)
        for name in self._listening(socket.name) if socket.stream else ():
            self._held[name] = attrs.evolve(self._held[name], backlog=socket.backlog)
            self._held[name].socket.listen(socket.backlog)

    def _listening(self, section: str) -> list[str]:
        """The sockets of a section without the one that only keeps its port."""
        return [name for name, held in self._held.items() if sectionOf(name) == section and held.seated is None]

    def fileno(self, name: str) -> int:
        return self._held[name].socket.fileno()

    def names(self) -> list[str]:
        """All of them, those of seats by their places in their groups."""
        places = {socket: place for place, socket in enumerate(self.groups.ordered())}
        return sorted(self._held, key=lambda name: places.get(self._held[name].socket, -1))

    def sections(self) -> dict[str, net.socket]:
        """Those of the sections, without those of seats."""
        return {name: held.socket for name, held in self._held.items() if sectionOf(name) == name}

    def inodes(self) -> dict[str, int]:
        every = ((name, self._held[name]) for name in self.names())
        return {name: os.fstat(held.socket.fileno()).st_ino for name, held in every if held.seated is None}

    def describe(self, name: str) -> Mapping[str, Any]:
        held = self._held[name]
        queue, limit, drops = waiting(held.socket)
        seats = {}
        if held.seated is not None:
            every = [self._seat(seat) for seat in self._listening(name)]
            seats, queue, limit = {"seats": every}, sum(seat["queue"] for seat in every), held.seated.backlog
            drops = sum(seat["drops"] for seat in every)
        host, port = ("", 0) if held.path else held.socket.getsockname()[:2]
        where = {"path": held.path} if held.path else {"host": host, "port": port}
        inode = os.fstat(held.socket.fileno()).st_ino
        return {**where, **seats, "inode": inode, "queue": queue, "limit": limit, "drops": drops}

    def exchange(self, other: Sockets, names: Iterable[str]) -> None:
        """Give the sockets of these names to another holder, and take its own."""
        mine, theirs = ({name: held[name] for name in held if sectionOf(name) in set(names)}
                        for held in (self._held, other._held))
        for gone, come, held in ((mine, theirs, self._held), (theirs, mine, other._held)):
            for name in gone:
                del held[name]
            held.update(come)
        self.changed()

    def drop(self, name: str, unlink: bool) -> None:
        """
        Let go of one socket; with C{unlink}, remove its file if it is a UNIX socket.

        @raise KeyError: if there is none of that name.
        """
        held = self._held.pop(name)
        if "/" in name:
            self.groups.leave(held.socket)
        held.socket.close()
        self.changed()
        if unlink and held.file is not None and fileAt(held.path) == held.file:
            with suppress(OSError):
                os.unlink(held.path)

    def close(self, unlink: bool) -> None:
        if not unlink:  # they live on elsewhere
            for held in self._held.values():
                held.socket.close()
            self._held.clear()
        for name in list(self._held):
            self.drop(name, unlink)

    def _hold(self, name: str, held: Held) -> None:
        if name in self._held:
            held.socket.close()
            raise ValueError(f"there is a socket {name} already")
        self._held[name] = held
        if "/" in name:
            self.groups.join(held.socket)
        self.changed()

    # Sockets of seats

    def _seat(self, name: str) -> dict[str, Any]:
        """What is told of the socket of a seat."""
        socket = self._held[name].socket
        queue, _, drops = waiting(socket)
        return {"name": name, "queue": queue or 0, "drops": drops or 0, "avoided": self.groups.avoids(socket)}

    def _besideSeats(self, socket: Socket) -> Socket:
        """A section with the port that the sockets of its seats have already, if there are any."""
        seats = self._listening(socket.name) if socket.seated else []
        return attrs.evolve(socket, port=self._held[seats[0]].socket.getsockname()[1]) if seats else socket

    def seat(self, name: str, watcher: str, number: int) -> tuple[str, bool]:
        keeper = self._held[name]
        key = f"{name}/{watcher.lower()}/{number}"
        if keeper.seated is None or key in self._held:
            found = name if keeper.seated is None else key
            self._listenAgain(found)
            return found, False
        host, port = keeper.socket.getsockname()[:2]
        with told(keeper.seated):
            self._hold(key, bound(attrs.evolve(keeper.seated, host=host, port=port), True))
        return key, True

    def _listenAgain(self, name: str) -> None:
        """Undo what a worker may have done that shut a shared socket down; shutdown(2)."""
        held = self._held[name]
        if held.backlog and not listens(held):
            held.socket.listen(held.backlog)
            _log.warn("socket {name} was shut down by a process that has it, and listens again", name=name)

    def doors(self, name: str, watcher: str) -> list[str]:
        return [key for key in self._listening(name) if key == name or _watcherOf(key) == watcher.lower()]

    def avoid(self, watcher: str, numbers: Collection[int]) -> None:
        mine = [(key, held.socket) for key, held in self._held.items() if _watcherOf(key) == watcher.lower()]
        avoided = {socket for key, socket in mine if int(key.rpartition("/")[2]) in numbers}
        self.groups.avoid(avoided, {socket for _, socket in mine} - avoided)

    def queued(self, watcher: str, number: int) -> int:
        every = self._held.items()
        mine = [held for key, held in every if _watcherOf(key) == watcher.lower() and key.endswith(f"/{number}")]
        return sum(waiting(held.socket)[0] or 0 for held in mine)

    def lost(self, names: Iterable[str]) -> None:
        """
        Some that were ours have ended while nobody looked.

        @param names: all that there were, those of seats by their places.
        """
        every = [name for name in names if "/" in name]
        for section in {sectionOf(name) for name in every}:
            there = [name for name in every if sectionOf(name) == section]
            held = [name for name in there if name in self._held]
            if held and not self.groups.move([self._held[name].socket if name in held else None for name in there]):
                self.groups.forget(self._held[held[0]].socket)

    def shuffled(self, names: Iterable[str]) -> None:
        """
        Some of these have come in an order of somebody else.

        @param names: all that have.
        """
        for section in {sectionOf(name) for name in names if "/" in name}:
            held = [name for name in self._held if "/" in name and sectionOf(name) == section]
            if held:
                self.groups.forget(self._held[held[0]].socket)

    def keepSeats(self, watcher: str, numbers: Collection[int], names: Collection[str] | None) -> None:
        for key in [key for key in self._held if _watcherOf(key) == watcher.lower()]:
            section, _, number = key.split("/")
            if int(number) not in numbers or (names is not None and section not in names):
                self.drop(key, False)


def sectionOf(name: str) -> str:
    """The section of a socket, which may be a seat's: C{SECTION/WATCHER/SEAT}."""
    return name.partition("/")[0]


def _watcherOf(name: str) -> str:
    """The watcher to whose seat a socket belongs; empty if to none."""
    return name.split("/")[1] if "/" in name else ""


def fits(socket: Socket, fd: int) -> bool:
    """Whether a socket that somebody else bound is the one that a section asks for."""
    with suppress(OSError, Refused), net.socket(fileno=os.dup(fd)) as other:
        if (other.family, other.type) != (family(socket), TYPES[socket.type]):
            return False
        name = other.getsockname()
        if socket.unix:
            return bool(name == os.path.abspath(socket.path))
        return bool(socket.port in (0, name[1]) and resolved(socket)[0] == name[0])
    return False


def reachable(socket: Socket) -> bool:
    """Whether the file by which a UNIX socket of this section is found is there."""
    return not socket.unix or fileAt(socket.path) is not None
