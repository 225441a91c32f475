"""
Clients at full speed, in a process of their own.

Two keep their connections, two make one for each request.  Whoever runs this
writes a line to get what happened since the last one, and closes the standard
input to end it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from types import TracebackType

import attrs

PATIENCE = 20.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
KINDS = (b"", b"", b"Connection: close\r\n", b"Connection: close\r\n")
"""What each client says besides: the latter two make a connection for each request."""


@attrs.define
class Seen:
    """
    What clients saw since somebody asked last.

    @ivar requests: how many were made.
    @ivar failed: why requests failed.
    @ivar slowest: the longest that one took, in seconds.
    @ivar stale: how often a kept connection had been closed before a request on it, which then went over a new one.
    """

    requests: int = 0
    failed: list[str] = attrs.field(factory=list)
    slowest: float = 0.0
    stale: int = 0


class Stale(Exception):
    """A connection was closed between two requests; RFC 9112, 9.3.1, lets a client repeat the second."""


class Client:
    """One client."""

    def __init__(self, port: int, more: bytes) -> None:
        self._port = port
        self._request = REQUEST % more
        self._keeps = not more
        self._connection: socket.socket | None = None
        self.seen = Seen()

    def run(self) -> None:
        """Ask for ever."""
        while True:
            began = time.monotonic()
            seen = self.seen
            try:
                self._once(seen)
            except OSError as error:
                self._close()
                seen.failed.append(f"{type(error).__name__}: {error}")
            seen.requests += 1
            seen.slowest = max(seen.slowest, time.monotonic() - began)

    def _once(self, seen: Seen) -> None:
        try:
            self._ask()
        except Stale:
            seen.stale += 1
            self._ask()

    def _ask(self) -> None:
        fresh = self._connection is None
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = b""
        try:
            self._connection.sendall(self._request)
            answer = self._connection.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            if fresh:
                raise
        if not answer and not fresh:
            self._close()
            raise Stale
        self._finish(self._connection, answer)

    def _finish(self, connection: socket.socket, answer: bytes) -> None:
        """Read the rest of an answer."""
        while b"\r\n\r\n" not in answer:
            answer += _more(connection)
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise ConnectionError(f"answered {head[:40]!r}")
        fields = head.lower()
        length = int(fields.partition(b"content-length:")[2].split(b"\r\n")[0] or -1)
        while len(body) < length:
            body += _more(connection)
        if not self._keeps or length < 0 or fields.startswith(b"http/1.0") or b"connection: close" in fields:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("closed in the middle of an answer")
    return data


def main(port: int) -> None:
    """Run the clients, and tell what they saw as often as a line is read."""
    clients = [Client(port, more) for more in KINDS]
    for client in clients:
        threading.Thread(target=client.run, daemon=True).start()
    for _ in sys.stdin:
        found = []
        for client in clients:
            seen, client.seen = client.seen, Seen()
            found.append(seen)
        total = Seen(sum(s.requests for s in found), [why for s in found for why in s.failed],
                     max(s.slowest for s in found), sum(s.stale for s in found))
        print(json.dumps(attrs.asdict(total)), flush=True)


class Load:
    """The clients, while a block of code runs."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Load:
        while not self.seen().requests:
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def seen(self) -> Seen:
        """What the clients saw since this was asked last."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return Seen(**json.loads(self._process.stdout.readline()))

    def steady(self, seconds: float) -> Seen:
        """What they see in so many seconds in which nothing is done."""
        self.seen()
        time.sleep(seconds)
        return self.seen()


if __name__ == "__main__":
    main(int(sys.argv[1]))
