"""
Whether a process is seen waiting for connections.

A thread that is blocked in accept(2), or in poll(2), select(2) or
epoll_wait(2) over a listening socket, can be recognised from outside: by the
number and the arguments of its system call, and by the inode of the socket.
Nothing is attached to it and it notices nothing.  What waits through io_uring
cannot be seen, nor what we have no ptrace rights on.

Who is never at rest is recognised by a connection that it has accepted: its
local address is that of the listening socket.

@see: C{/proc/PID/syscall}, C{/proc/PID/fd}, C{/proc/PID/fdinfo} and
    C{/proc/PID/mem} in proc(5)
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

from . import kernel
from .holders import links

MOST_PROCESSES = 256
"""So many processes of one worker are looked at."""
MOST_THREADS = 256
"""So many threads of one process are looked at."""
MOST_DESCRIPTORS = 4096
"""So many descriptors that one thread waits on are looked at."""
MOST_CONNECTIONS = 64
"""So many sockets of one process are taken for connections that it may have accepted."""

_Arguments: TypeAlias = list[int]
_Waiting: TypeAlias = Callable[[int, _Arguments, frozenset[int]], bool]

_READABLE = select.POLLIN | select.POLLRDNORM
_POLLFD = struct.Struct("ihh")


def sees(pid: int, sockets: frozenset[int]) -> bool:
    """
    Whether a process, or one that descends from it, waits for a connection
    now, or has one that it has accepted.

    @param sockets: the inodes of the listening sockets that count.
    @raise PermissionError: if we may not look into any of those that are there.
    """
    ahead, done, refused = [pid], 0, False
    while ahead and done < MOST_PROCESSES:
        process = ahead.pop()
        done += 1
        try:
            if any(_waits(process, call, sockets) for call in _calls(process)) or _serves(process, sockets):
                return True
        except PermissionError:
            refused = True
        ahead += kernel.children(process)
    if refused:
        raise PermissionError(f"no right to look into process {pid}")
    return False


def _calls(pid: int) -> Iterator[_Arguments]:
    """The number and the arguments of the system call in which each thread of a process is blocked."""
    threads: list[str] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        threads = os.listdir(f"/proc/{pid}/task")
    for thread in threads[:MOST_THREADS]:
        with suppress(FileNotFoundError, ProcessLookupError):
            call = _read(f"/proc/{pid}/task/{thread}/syscall", 256).split()
            # "running" is one word; "-1 SP PC" is blocked elsewhere; what has ended has none.
            if len(call) == 9:
                yield [int(word, 0) for word in call[:7]]


def _waits(pid: int, call: _Arguments, sockets: frozenset[int]) -> bool:
    """Whether this system call waits for one of these sockets."""
    waiting = _WAITING.get(call[0])
    if waiting is None:
        return False
    with suppress(FileNotFoundError, ProcessLookupError, ValueError, struct.error):
        return waiting(pid, call[1:], sockets)
    return False


def _serves(pid: int, sockets: frozenset[int]) -> bool:
    """Whether a process has accepted a connection on one of these sockets."""
    listeners: list[int] = []
    others: list[int] = []
    for fd, link in links(pid):
        if link.startswith("socket:["):
            (listeners if int(link[8:-1]) in sockets else others).append(fd)
    if not listeners or not others:
        return False
    with suppress(ProcessLookupError), _Copies(pid) as copies:
        addresses = {copies.address(fd) for fd in listeners} - {None}
        return any(copies.connected(fd) in addresses for fd in others[:MOST_CONNECTIONS])
    return False


_Address: TypeAlias = tuple[int, object] | None
"""The family, and the port or the path."""


class _Copies:
    """Copies of a process's descriptors, each as long as it is looked at."""

    def __init__(self, pid: int) -> None:
        self._pidfd = os.pidfd_open(pid)

    def __enter__(self) -> _Copies:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._pidfd)

    def address(self, fd: int) -> _Address:
        """Where a socket is bound; None if it is nowhere."""
        return self._of(fd, lambda copy: None)

    def connected(self, fd: int) -> _Address:
        """The local address of a socket that is connected; None if it is not."""
        return self._of(fd, socket.socket.getpeername)

    def _of(self, fd: int, check: Callable[[socket.socket], object]) -> _Address:
        try:
            with socket.socket(fileno=kernel.pidfdGetFD(self._pidfd, fd)) as copy:
                check(copy)
                name = copy.getsockname()
                return (copy.family, name[1] if isinstance(name, tuple) else name) if name else None
        except PermissionError:
            raise
        except OSError:
            return None


def _accept(pid: int, arguments: _Arguments, sockets: frozenset[int]) -> bool:
    return _isOneOf(pid, _int(arguments[0]), sockets)


def _poll(pid: int, arguments: _Arguments, sockets: frozenset[int]) -> bool:
    address, count = arguments[:2]
    if count > MOST_DESCRIPTORS:
        return False
    entries = _memory(pid, address, count * _POLLFD.size)
    return any(events & _READABLE and _isOneOf(pid, fd, sockets) for fd, events, _ in _POLLFD.iter_unpack(entries))


def _select(pid: int, arguments: _Arguments, sockets: frozenset[int]) -> bool:
    count, address = arguments[:2]
    if count > MOST_DESCRIPTORS or not address:
        return False
    # An fd_set is made of longs, and both machines that we know are little-endian.
    bits = int.from_bytes(_memory(pid, address, (count + 63) // 64 * 8), "little")
    return any(bits >> fd & 1 and _isOneOf(pid, fd, sockets) for fd in range(count))


def _epoll(pid: int, arguments: _Arguments, sockets: frozenset[int]) -> bool:
    info = _read(f"/proc/{pid}/fdinfo/{_int(arguments[0])}", 128 * MOST_DESCRIPTORS)
    for line in info.splitlines():
        # tfd: 3 events: 19 data: 3 pos:0 ino:484e1 sdev:9
        if line.startswith(b"tfd:"):
            _, _, _, events, *rest = line.split()
            inode = next((int(word[4:], 16) for word in rest if word.startswith(b"ino:")), -1)
            if inode in sockets and int(events, 16) & _READABLE:
                return True
    return False


def _isOneOf(pid: int, fd: int, sockets: frozenset[int]) -> bool:
    """Whether a descriptor of a process is one of these sockets."""
    if fd < 0:
        return False
    with suppress(FileNotFoundError):
        link = os.readlink(f"/proc/{pid}/fd/{fd}")
        return link.startswith("socket:[") and int(link[8:-1]) in sockets
    return False


def _int(argument: int) -> int:
    """A register as the C int that it holds."""
    return (argument & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def _memory(pid: int, address: int, size: int) -> bytes:
    """What a process has there; shorter, or empty, where there is nothing."""
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, address)
    except PermissionError:
        raise
    except (OSError, OverflowError):
        return b""
    finally:
        os.close(fd)


def _read(path: str, size: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = piece = os.read(fd, size)
        while piece and len(data) < size:
            piece = os.read(fd, size - len(data))
            data += piece
        return data
    finally:
        os.close(fd)


_X86_64: dict[int, _Waiting] = {
    7: _poll, 23: _select, 43: _accept, 232: _epoll, 270: _select, 271: _poll, 281: _epoll, 288: _accept, 441: _epoll,
}
"""By the numbers of C{asm/unistd_64.h}."""
_GENERIC: dict[int, _Waiting] = {
    22: _epoll, 72: _select, 73: _poll, 202: _accept, 242: _accept, 441: _epoll,
}
"""By the numbers of C{asm-generic/unistd.h}: aarch64, riscv64, loongarch64."""
_WAITING: dict[int, _Waiting] = {
    "x86_64": _X86_64, "aarch64": _GENERIC, "riscv64": _GENERIC, "loongarch64": _GENERIC,
}.get(os.uname().machine, {})
