"""
Connections that are seen by looking: those of UNIX sockets, and all of them
where the kernel does not tell of connections that end.
"""

from __future__ import annotations

import socket as net
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

import attrs

from . import diag
from .diag import Key


@attrs.define
class Sightings:
    """
    What was seen of one socket.

    @ivar now: what stood at the last look, each by something that no other has.
    @ivar total: how many have been seen.
    """

    now: frozenset[Any] = frozenset()
    total: int = 0

    def look(self, now: frozenset[Any]) -> None:
        """Take in what stands now."""
        self.total += len(now - self.now)
        self.now = now


def unix(paths: Collection[bytes], until: float) -> dict[bytes, frozenset[int]]:
    """
    The connections that stand at UNIX sockets of these names, by cookies.

    @param until: when to be content with those that were found, on the monotonic clock.
    """
    found: dict[bytes, set[int]] = {path: set() for path in paths}
    with suppress(OSError):
        for message in diag.ask(diag.unixSockets()):
            socket = diag.unixSocket(message)
            if time.monotonic() > until:
                break
            if socket is not None and (name := socket.name.rstrip(b"\0")) in found:
                found[name].add(socket.cookie)
    return {path: frozenset(cookies) for path, cookies in found.items()}


def tcp(ports: Collection[int]) -> Iterator[tuple[Key, str]]:
    """
    The connections that stand at these ports: the local address, and a text that tells the remote one.

    @see: C{/proc/net/tcp} in proc(5)
    """
    for family, path in ((net.AF_INET, "/proc/net/tcp"), (net.AF_INET6, "/proc/net/tcp6")):
        with suppress(OSError), open(path, encoding="ascii") as file:
            next(file, None)
            for line in file:
                with suppress(ValueError, IndexError):
                    _, local, remote, state, *_ = line.split()
                    address, _, port = local.partition(":")
                    # 06 is TIME_WAIT, 07 CLOSE and 0A LISTEN.
                    if int(port, 16) in ports and state not in ("06", "07", "0A"):
                        yield (family, _address(address), int(port, 16)), remote


def _address(text: str) -> bytes:
    """An address as the file has it: words of four bytes, each in the host's order."""
    words = [int(text[at:at + 8], 16) for at in range(0, len(text), 8)]
    return struct.pack(f"={len(words)}I", *words)
