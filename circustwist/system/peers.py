"""
Looks at what a process serves: one TCP connection, or one HTTP request.

A look is one socket in the reactor and nothing else: no timer, no thread
unless a name must be resolved, no object that outlives it.  How long it may
take is the caller's affair, who ends it with C{close}.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads, IReactorInThreads, IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

LONGEST_HEAD = 16384
"""Bytes of the head of a response, beyond which it is none."""
LONGEST_BODY = 65536
"""Bytes of the body that are waited for."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([^\r\n]{0,200}))?\r?\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r?\n", re.I)
# E.g. 103; the response that is meant follows. RFC 9110, 15.2
_INTERIM = re.compile(rb"(?:HTTP/1\.[01] 1\d\d[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n)+")
_CLOSED = "no answer: the connection was closed"
_END = re.compile(rb"\r?\n\r?\n")


class IReactor(IReactorFDSet, IReactorFromThreads, IReactorInThreads):
    """What is needed of a reactor here."""


@attrs.frozen
class Target:
    """
    What is looked at.

    @ivar host: name or address.
    @ivar request: what is sent; empty if being connected is enough.
    @ivar found: the addresses as getaddrinfo(3) gives them; none as long as a name must be resolved.
    """

    host: str
    port: int
    request: bytes = b""
    found: tuple[Any, ...] = attrs.field(init=False, eq=False)

    @found.default
    def _numeric(self) -> tuple[Any, ...]:
        host = "127.0.0.1" if self.host == "localhost" else self.host
        try:
            return (*socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST),)
        except OSError:
            return ()


def target(spec: str) -> Target:
    """
    The target of C{tcp://HOST:PORT} or C{http://HOST[:PORT]/PATH}.

    @raise ValueError: if it is neither.
    """
    found = urlsplit(spec)
    host, port = found.hostname or "", found.port or (80 if found.scheme == "http" else 0)
    harmful = "@" in found.netloc or re.search(r"[^\x21-\x7e]", spec)
    if found.scheme not in ("tcp", "http") or not host or not port or harmful:
        raise ValueError(f"{spec} is neither tcp://HOST:PORT nor http://HOST:PORT/PATH")
    if found.scheme == "tcp":
        return Target(host, port)
    path = (found.path or "/") + (f"?{found.query}" if found.query else "")
    head = (f"GET {path} HTTP/1.1", f"Host: {found.netloc}", "User-Agent: circustwist", "Accept: */*",
            "Connection: close", "", "")
    return Target(host, port, "\r\n".join(head).encode("ascii"))


class Response:
    """
    What has come of an HTTP response.

    @ivar problem: what is wrong with it; None as long as its end has not come.
    """

    __slots__ = ("_data", "problem")

    def __init__(self) -> None:
        self._data = b""
        self.problem: str | None = None

    def received(self, data: bytes) -> None:
        """More of it; nothing is its end."""
        self._data += data
        if interim := _INTERIM.match(self._data):
            self._data = self._data[interim.end():]
        if not data:
            self.problem = "what answers is no HTTP" if self._data else _CLOSED
        status = _STATUS.match(self._data)
        end = _END.search(self._data) if status else None
        if status is None:
            if len(self._data) > 256 or not b"HTTP/1.".startswith(self._data[:7]):
                self.problem = "what answers is no HTTP"
        elif end is None:
            if len(self._data) > LONGEST_HEAD:
                self.problem = "the head of the answer is too long"
        elif not data or len(self._data) - end.end() >= self._length(status[1], end):
            self.problem = _judged(status)

    def _length(self, code: bytes, end: re.Match[bytes]) -> int:
        """How many bytes of the body are waited for."""
        if code in (b"204", b"304"):
            return 0
        length = _LENGTH.search(self._data, 0, end.end())
        return min(int(length[1]), LONGEST_BODY) if length else LONGEST_BODY


def _judged(status: re.Match[bytes]) -> str:
    """Empty if a response with this status line is a good one, else what it says."""
    if status[1][:1] in b"23":
        return ""
    words = b" ".join(filter(None, status.groups())).decode("latin-1")
    return "".join(each if each.isprintable() else "?" for each in words)


@implementer(IReadWriteDescriptor)
class Look:
    """One look; it is over when C{done} is called or when it is closed."""

    __slots__ = ("__provides__", "_done", "_reactor", "_response", "_rest", "_socket", "_target")

    def __init__(self, reactor: IReactor, what: Target, done: Callable[[str], None]) -> None:
        """
        @param done: called once with what is wrong, empty if nothing is.
        """
        self._reactor = reactor
        self._target = what
        self._done: Callable[[str], None] | None = done
        self._response = Response()
        self._rest = what.request
        self._socket: socket.socket | None = None

    def start(self) -> Look:
        """Begin; C{done} may be called before this returns."""
        if self._target.found:
            self._connect(self._target.found)
        else:
            self._reactor.callInThread(self._resolve)
        return self

    def close(self) -> None:
        """End it; C{done} is not called any more."""
        self._done = None
        found, self._socket = self._socket, None
        if found is not None:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            found.close()

    def _resolve(self) -> None:
        """In a thread."""
        found: Any
        try:
            found = socket.getaddrinfo(self._target.host, self._target.port, type=socket.SOCK_STREAM)
        except OSError as error:
            found = error
        self._reactor.callFromThread(self._resolved, found)

    def _resolved(self, found: Any) -> None:
        if isinstance(found, OSError):
            self._end(f"{self._target.host}: {found.strerror}")
        elif self._done is not None:
            self._connect(found)

    def _connect(self, found: Sequence[Any]) -> None:
        family, _, _, _, address = found[0]
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            self._end(_words(error.errno))
            return
        number = self._socket.connect_ex(address)
        if number not in (0, errno.EINPROGRESS):
            self._end(_words(number))
        elif self._target.request:
            # On this host it is connected by now, which saves a turn of the reactor.
            self._send()
        else:
            self._reactor.addWriter(self)

    def _end(self, problem: str) -> None:
        done = self._done
        self.close()
        if done is not None:
            done(problem)

    # IReadWriteDescriptor

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """What the reactor calls it in its log."""
        return f"look at {self._target.host}:{self._target.port}"

    def connectionLost(self, reason: Failure) -> None:
        # Also when the connection was refused, since poll(2) then says POLLHUP alone.
        if self._socket is not None:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._end(_words(number) if number else _CLOSED)

    def doWrite(self) -> None:
        if self._socket is None:
            return
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number or not self._target.request:
            self._end(_words(number) if number else "")
            return
        self._send()

    def _send(self) -> None:
        assert self._socket is not None
        try:
            self._rest = self._rest[self._socket.send(self._rest):]
        except BlockingIOError:
            self._reactor.addWriter(self)
            return
        except OSError as error:
            self._end(_words(error.errno))
            return
        if self._rest:
            self._reactor.addWriter(self)
        else:
            self._reactor.removeWriter(self)
            self._reactor.addReader(self)

    def doRead(self) -> None:
        if self._socket is None:
            return
        try:
            with suppress(BlockingIOError):
                self._response.received(self._socket.recv(LONGEST_BODY))
        except OSError as error:
            self._end(_words(error.errno))
            return
        if self._response.problem is not None:
            self._end(self._response.problem)


def _words(number: int | None) -> str:
    return os.strerror(number or 0)
