"""
What the kernel tells of connections: messages of C{NETLINK_SOCK_DIAG}.

Whatever is read here is taken as hostile: a message that makes no sense is
none.

@see: sock_diag(7), and C{inet_diag.h} and C{unix_diag.h} in the kernel's include/uapi/linux
"""

from __future__ import annotations

import errno
import os
import socket as net
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs

NETLINK_SOCK_DIAG = 4
ENDED = 1 << 0 | 1 << 2
"""The groups SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY."""

Instruction: TypeAlias = tuple[int, int, int, int]
"""Of classic BPF: code, jump if true, jump if false, constant."""

Key: TypeAlias = tuple[int, bytes, int]
"""An address: family, bytes of the address, port."""

ANY: Mapping[int, bytes] = {net.AF_INET: bytes(4), net.AF_INET6: bytes(16)}

_BY_FAMILY, _ERROR, _DONE = 20, 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_HEADER = struct.Struct("=IHHII")
_IDENTITY = struct.Struct("=BBBx")
_PORTS = struct.Struct(">HH")
_ATTRIBUTE = struct.Struct("=HH")
_TRAFFIC = struct.Struct("=QQ")
_INFO = 2
_ATTRIBUTES = 88
"""Where the attributes of an C{inet_diag_msg} begin, with the header."""
_ACKED = 120
"""Where C{tcpi_bytes_acked} and then C{tcpi_bytes_received} stand in C{tcp_info}."""
_STANDING = sum(1 << state for state in (1, 4, 5, 8, 9, 11))
"""ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK and CLOSING."""
_TIME_WAIT = 3
"""C{idiag_timer} of what is only kept for stray packets of a connection that has ended."""
_LONGEST = 65536

_LOAD_HALF, _EQUAL, _RETURN = 0x28, 0x15, 0x06
_SAME_PORT, _JUMP = 11, 1


def portFilter(ports: Iterable[int]) -> list[Instruction]:
    """A program that lets only connections at these ports pass, and no listening socket's own end."""
    found: list[Instruction] = [(_LOAD_HALF, 0, 0, 22), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, 0), (_LOAD_HALF, 0, 0, 20)]
    for port in ports:
        found += [(_EQUAL, 0, 1, port), (_RETURN, 0, 0, 0xFFFFFFFF)]
    return [*found, (_RETURN, 0, 0, 0)]


def ended(data: bytes | bytearray | memoryview, size: int) -> tuple[Key, int, int] | None:
    """
    One notification of a connection's end.

    @param size: how much of the data is the message.
    @return: its local address, and how many bytes were received from and sent
        to the other side, to within one; None if it is something else.
    """
    if size < _ATTRIBUTES or _HEADER.unpack_from(data)[1] != _BY_FAMILY:
        return None
    local, remote = _PORTS.unpack_from(data, 20)
    if not remote:
        return None
    family = data[16]
    address = bytes(data[24:28] if family == net.AF_INET else data[24:40])
    at = _ATTRIBUTES
    while at + 4 <= size:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if kind == _INFO and length >= 4 + _ACKED + 16 and at + length <= size:
            sent, received = _TRAFFIC.unpack_from(data, at + 4 + _ACKED)
            # The end of a connection takes a number of its own in either direction.
            return (family, address, local), max(0, received - 1), max(0, sent - 1)
        if length < 4:
            break
        at += (length + 3) & ~3
    return (family, address, local), 0, 0


def standing(family: int, ports: Sequence[int]) -> bytes:
    """A request for the connections of a family that stand at these ports."""
    code = b""
    for left in range(len(ports) - 1, -1, -1):
        # Equal: on to the jump to the end.  Otherwise: on to the next port, or past the end, which means no.
        code += struct.pack("=BBHBBH", _SAME_PORT, 8, 12 if left else 16, 0, 0, ports[-1 - left])
        code += struct.pack("=BBH", _JUMP, 4, 4 + 12 * left)
    body = struct.pack("=BBBxI", family, net.IPPROTO_TCP, 0, _STANDING) + bytes(48)
    return _request(_DUMP, body + _ATTRIBUTE.pack(4 + len(code), 1) + code)


def local(message: bytes | memoryview) -> Key | None:
    """The local address of a connection that stands; None if it only seems to."""
    if len(message) < _ATTRIBUTES or message[18] == _TIME_WAIT:
        return None
    family = message[16]
    address = bytes(message[24:28] if family == net.AF_INET else message[24:40])
    return family, address, _PORTS.unpack_from(message, 20)[0]


@attrs.frozen
class UnixSocket:
    """
    One UNIX socket.

    @ivar cookie: no other socket has it, before the next boot.
    @ivar name: as bytes; empty if it has none.
    """

    inode: int
    cookie: int
    name: bytes = b""
    queue: int | None = None
    limit: int | None = None


def unixSockets(inode: int = 0, states: int = 1 << 1) -> bytes:
    """
    A request for UNIX sockets.

    @param inode: only this one; else all that are connected.
    """
    show = 1 << 4 if inode else 1 << 0
    body = struct.pack("=BBHIIIII", net.AF_UNIX, 0, 0, states, inode, show, 0xFFFFFFFF, 0xFFFFFFFF)
    return _request(0 if inode else _DUMP, body)


def unixSocket(message: bytes | memoryview) -> UnixSocket | None:
    """One answer to that."""
    if len(message) < 32:
        return None
    inode, low, high = struct.unpack_from("=III", message, 20)
    name, queue, limit, at = b"", None, None, 32
    while at + 4 <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < 4 or at + length > len(message):
            break
        if kind == 0:
            name = bytes(message[at + 4:at + length])
        elif kind == 4 and length >= 12:
            queue, limit = struct.unpack_from("=II", message, at + 4)
        at += (length + 3) & ~3
    return UnixSocket(inode, low | high << 32, name, queue, limit)


def _request(flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST | flags, 1, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """The messages in what was read at once, each with its kind."""
    at, view = 0, memoryview(data)
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield kind, view[at:at + length]
        at += (length + 3) & ~3


def ask(request: bytes) -> Iterator[memoryview]:
    """
    Ask the kernel, and tell what it answers.

    The answers are made while they are read, so nothing here waits.

    @raise OSError: if it refuses, C{ENOENT} if it knows nothing of such sockets.
    """
    dump = bool(_HEADER.unpack_from(request)[2] & _DUMP)
    with net.socket(net.AF_NETLINK, net.SOCK_RAW | net.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as netlink:
        netlink.setblocking(False)
        netlink.bind((0, 0))
        netlink.send(request)
        while True:
            for kind, message in messages(netlink.recv(_LONGEST)):
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", message, 16)[0] if len(message) >= 20 else errno.EPROTO
                    raise OSError(number, os.strerror(number))
                if kind == _DONE:
                    return
                yield message
            if not dump:
                return


def connections(
    keys: Iterable[tuple[int, int]], until: float, seconds: Callable[[], float] = time.monotonic
) -> dict[Key, int] | None:
    """
    How many connections stand, by their local addresses.

    @param keys: families and ports.
    @param until: give up then, on the monotonic clock.
    @return: None if there was not enough time.
    @raise OSError: if the kernel does not tell.
    """
    found: dict[Key, int] = {}
    ports: dict[int, set[int]] = {}
    for family, port in keys:
        ports.setdefault(family, set()).add(port)
    for family, wanted in ports.items():
        for message in ask(standing(family, sorted(wanted))):
            key = local(message)
            if key is not None:
                found[key] = found.get(key, 0) + 1
            if seconds() > until:
                return None
    return found
