"""
Who holds a socket or a pipe: what C{/proc} says of descriptors and addresses.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address


def links(pid: int) -> Iterator[tuple[int, str]]:
    """
    The open descriptors of a process, as far as we may see them, and what
    they are: C{socket:[INODE]}, C{pipe:[INODE]} or a path; proc(5).

    @raise PermissionError: if we may see none of them.
    """
    folder = f"/proc/{pid}/fd"
    try:
        descriptors = os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return
    for fd in descriptors:
        with suppress(OSError):
            yield int(fd), os.readlink(f"{folder}/{fd}")


def holder(inodes: set[int]) -> str:
    """
    Who holds one of these sockets, as words for a message.

    @param inodes: of the sockets.
    @return: C{ by pid 4711 (nginx)}; empty if we cannot see it.
    """
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if wanted else ():
        with suppress(OSError):
            if any(link in wanted for _, link in links(pid)):
                with open(f"/proc/{pid}/comm", errors="replace") as comm:
                    name = "".join(c for c in comm.read() if c.isprintable())
                return " by another socket of this stack" if pid == os.getpid() else f" by pid {pid} ({name})"
    return ""


def inetInodes(stream: bool, host: str, port: int) -> set[int]:
    """
    The inodes of the sockets that are in the way of an address.

    @see: C{/proc/net/tcp} in proc(5).
    """
    kind, listening = ("tcp", "0A") if stream else ("udp", "07")
    ours = _plain(ip_address(host.partition("%")[0]))
    found = set()
    for table in (kind, f"{kind}6"):
        for row in _rows(f"/proc/net/{table}"):
            theirHost, _, theirPort = row[1].partition(":")
            theirs = _plain(_decoded(theirHost))
            clash = theirs == ours or theirs.is_unspecified or ours.is_unspecified
            if int(theirPort, 16) == port and row[3] == listening and clash:
                found.add(int(row[9]))
    return found


def listeners(host: str, port: int) -> set[int]:
    """
    The inodes of the TCP sockets that listen at exactly this address.

    They stand before all others in the tables, which are read no further.
    """
    address = _plain(ip_address(host.partition("%")[0]))
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/net/{table}") as rows:
            next(rows)
            for row in (line.split() for line in rows):
                theirs, _, theirPort = row[1].partition(":")
                if row[3] != "0A":
                    break
                if int(theirPort, 16) == port and _plain(_decoded(theirs)) == address:
                    found.add(int(row[9]))
    return found


def unixInodes(path: str) -> set[int]:
    """The inodes of the sockets bound to a path; C{/proc/net/unix} in proc(5)."""
    return {int(row[6]) for row in _rows("/proc/net/unix", 7) if row[7:] == [path]}


def _rows(table: str, most: int = -1) -> list[list[str]]:
    try:
        with open(table, errors="surrogateescape", newline="\n") as lines:
            return [line.rstrip("\n").split(None, most) for line in lines if line.strip()][1:]
    except OSError:
        return []


def _decoded(digits: str) -> IPv4Address | IPv6Address:
    """An address of C{/proc/net/tcp}: 32-bit words in the host's byte order."""
    words = (int(digits[n : n + 8], 16) for n in range(0, len(digits), 8))
    return ip_address(b"".join(struct.pack("=I", word) for word in words))


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
