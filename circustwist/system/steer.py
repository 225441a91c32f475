"""
Which of the sockets that share a port are given connections.

With C{SO_REUSEPORT} the kernel spreads connections over all sockets that
listen at an address, those included that nobody accepts on just now.  A small
program in the kernel can choose instead, by the place of a socket in the
group.  A socket comes last when it begins to listen, and when one ends the
last one takes its place: so the places are known as long as every change is.

@see: reuseport_add_sock() and __reuseport_detach_sock() in the kernel's
    net/core/sock_reuseport.c
"""

from __future__ import annotations

import os
import socket as net
import struct
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from . import kernel
from .holders import listeners

MOST = 2000
"""So many sockets at most are chosen among; a program has at most 4096 instructions."""

_RANDOM = 0xFFFFF000 + 56
# Instructions: ld [random]; mod #n; jeq #n, 0, 1; ret #n
_LOAD, _MOD, _IF, _RETURN = 0x20, 0x94, 0x15, 0x06

Address = tuple[object, ...]


def program(places: Collection[int]) -> bytes:
    """Instructions that choose one of these places at random."""
    found = [(_LOAD, 0, 0, _RANDOM), (_MOD, 0, 0, len(places))]
    for number, place in enumerate(places):
        found += [(_IF, 0, 1, number), (_RETURN, 0, 0, place)]
    found.append((_RETURN, 0, 0, 0xFFFFFFFF))
    return b"".join(struct.pack("=HBBI", *each) for each in found)


class Groups:
    """All sockets that listen at a port that they share, by address."""

    def __init__(self) -> None:
        self._members: dict[Address, list[net.socket]] = {}
        self._avoided: set[net.socket] = set()
        self._unknown: set[Address] = set()
        self._steered: set[Address] = set()

    def join(self, socket: net.socket) -> None:
        """A socket listens; those of one address come in the order in which they began to."""
        self._members.setdefault(_address(socket), []).append(socket)
        self._apply(_address(socket))

    def leave(self, socket: net.socket) -> None:
        """End a socket, whoever else holds it."""
        address = _address(socket)
        members = self._members[address]
        # Its place is free at once only if it is not just one of its descriptors that is closed.
        with suppress(OSError):
            socket.shutdown(net.SHUT_RDWR)
        socket.close()
        self._avoided.discard(socket)
        members[members.index(socket)] = members[-1]
        members.pop()
        if not members:
            del self._members[address]
            self._unknown.discard(address)
            self._steered.discard(address)
        self._apply(address)

    def move(self, places: Sequence[net.socket | None]) -> bool:
        """
        Some sockets of one address have ended while nobody looked.

        @param places: who was where, None for those that have ended.
        @return: whether it follows where the others are now; it depends on
            the order in which they have ended if there were more than one.
        """
        found = list(places)
        gone = found.count(None)
        while found and found[-1] is None:
            found.pop()
        if found.count(None) > 1 or (None in found and gone > 1):
            return False
        if None in found:
            found[found.index(None)] = found[-1]
            found.pop()
        members = [socket for socket in found if socket is not None]
        if members:
            self._members[_address(members[0])] = members
            self._apply(_address(members[0]))
        return True

    def forget(self, socket: net.socket) -> None:
        """The places at the address of this one are not known: let the kernel choose until all have ended."""
        self._unknown.add(_address(socket))
        self._steered.add(_address(socket))
        self._apply(_address(socket))

    def avoid(self, sockets: Iterable[net.socket], others: Iterable[net.socket]) -> None:
        """
        Give no connections to some, as long as there are others at their address.

        @param others: those that are given connections again.
        """
        sockets, others = set(sockets), set(others)
        self._avoided = (self._avoided | sockets) - others
        for address in {_address(socket) for socket in sockets | others}:
            self._steered.add(address)  # perhaps by an earlier supervisor
            self._apply(address)

    def avoids(self, socket: net.socket) -> bool:
        """Whether a socket is given no connections."""
        return bool(self._chosen(_address(socket))) and socket in self._avoided

    def ordered(self) -> list[net.socket]:
        """All of them; those of one address by their places."""
        return [socket for members in self._members.values() for socket in members]

    def _chosen(self, address: Address) -> list[int]:
        """The places of those that are given connections; none if the kernel chooses."""
        members = self._members.get(address, [])
        if not self._avoided:
            return []
        chosen = [place for place, socket in enumerate(members) if socket not in self._avoided]
        if address in self._unknown or len(chosen) == len(members) or len(chosen) > MOST or not _alone(members):
            return []
        return chosen

    def _apply(self, address: Address) -> None:
        for socket in self._members.get(address, [])[:1]:
            chosen = self._chosen(address)
            if chosen or address in self._steered:
                with suppress(OSError):  # it is a help, not a need
                    kernel.steer(socket, program(chosen) if chosen else b"")
            (self._steered.add if chosen else self._steered.discard)(address)


def _address(socket: net.socket) -> Address:
    return (socket.family, *socket.getsockname()[:2])


def _alone(members: list[net.socket]) -> bool:
    """Whether nobody else's sockets are in the group."""
    host, port = members[0].getsockname()[:2]
    return listeners(host, port) <= {os.fstat(socket.fileno()).st_ino for socket in members}
