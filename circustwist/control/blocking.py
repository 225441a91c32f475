"""
A client of the standard library alone, for scripts and the command line.

It may be copied into another project together with C{boxes.py}.

    >>> with Control("/run/circustwist/shop/private/control") as control:
    ...     control.call("restart", name="web", waiting=True)
    ...     for event in control.events(["watcher.web"]):
    ...         print(event["topic"], event["worker"])
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from types import TracebackType
from typing import Any

from .boxes import Box, BoxError, Parser, encode, gather

VARIABLE = "CIRCUSTWIST_CONTROL"
TLS = "tls://"
CERTIFICATES = "CIRCUSTWIST_TLS"
"""Names the folder with C{client.pem}, C{client.key} and C{authority.pem}, for TLS."""

KEPT_EVENTS = 10_000
"""So many events are kept between two looks at them; the oldest go first."""


class ControlError(Exception):
    """
    The supervisor refused a command.

    @ivar name: which error it is, e.g. C{NotFound}.
    @ivar text: one clear line.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class Control:
    """
    A connection to a supervisor.

    Its methods raise L{ControlError} if the supervisor refuses, C{TimeoutError}
    if it does not answer in time, and another C{OSError} if it is not there.

    @ivar where: the address of the control socket.
    @ivar timeout: the most seconds for an answer; None is for ever.
    @ivar listener: is told of each event that arrives during a C{call};
        without it they are kept for L{events}.
    """

    def __init__(self, where: str | None = None, timeout: float | None = 5.0) -> None:
        """
        @param where: path of the control socket, or C{@name} of an abstract
            one, or C{tls://HOST:PORT}; without it, C{CIRCUSTWIST_CONTROL} of
            the environment.
        """
        self.timeout = timeout
        self.listener: Callable[[dict[str, Any]], object] | None = None
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self._answers: dict[bytes, Box] = {}
        self._tag = 0
        self._parser = Parser()
        self.where = where = os.environ[VARIABLE] if where is None else where
        if where.startswith(TLS):
            self._socket = _secured(where.removeprefix(TLS), timeout)
            return
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            if timeout is not None:
                # A socket of Python with a timeout never waits for its turn at a UNIX socket; connect(2).
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", *divmod(int(timeout * 1e6), 10**6)))
            self._socket.connect("\0" + where[1:] if where.startswith("@") else where)
            self._socket.settimeout(timeout)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """
        Give a command and wait for its answer.

        @param arguments: by the names in the table of commands; None is left
            out.
        @return: the answer; see the table of commands.
        """
        self._tag += 1
        tag = b"%x" % self._tag
        box = {b"_command": command.encode(), b"_ask": tag}
        box |= {key.encode(): _coded(value) for key, value in arguments.items() if value is not None}
        deadline = self._deadline(self.timeout)
        self._send(encode(box), deadline)
        while tag not in self._answers:
            self._receive(deadline)
            self._tell()
        return _opened(self._answers.pop(tag))

    def events(
        self, topics: Iterable[str] = (), since: int = -1, timeout: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """
        Every event from now on.

        @param topics: only topics that begin with one of these.
        @param since: begin with those after this number, as far as they are kept.
        @param timeout: the most seconds between two events; None is for ever.
        """
        self.call("events", topics=list(topics), since=since)
        return self._each(timeout)

    def tail(
        self, names: Iterable[str] = (), lines: int = 10, timeout: float | None = None, **arguments: Any
    ) -> Iterator[dict[str, Any]]:
        """
        What workers have written: the last lines that are there, and every one from now on.

        Lines that are not taken in time are missed; then there is
        C{{"missed": n}} in their place.

        @param names: watchers and workers, e.g. C{web} or C{web/3}; without any all of them.
        @param timeout: the most seconds between two lines; None is for ever.
        @param arguments: further ones of the command C{tail}.
        """
        yield from self.call("tail", names=list(names), lines=lines, follow=True, **arguments)["lines"]
        for told in self._each(timeout):
            if told.get("missed"):
                yield {"missed": told["missed"]}
            yield from told.get("lines", ())

    def _each(self, timeout: float | None) -> Iterator[dict[str, Any]]:
        while True:
            deadline = self._deadline(timeout)
            while not self._kept:
                self._receive(deadline)
            yield self._kept.popleft()

    def gone(self, timeout: float) -> bool:
        """Whether the supervisor ends the connection within so many seconds."""
        deadline = self._deadline(timeout)
        try:
            while True:
                self._receive(deadline)
        except TimeoutError:
            return False
        except OSError:
            return True

    def _deadline(self, timeout: float | None) -> float | None:
        return None if timeout is None else monotonic() + timeout

    def _patience(self, deadline: float | None) -> None:
        """Let the socket wait until then, no longer."""
        left = None if deadline is None else deadline - monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("the supervisor did not answer in time")
        self._socket.settimeout(left)

    def _send(self, data: bytes, deadline: float | None) -> None:
        self._patience(deadline)
        try:
            self._socket.sendall(data)
        except BrokenPipeError:
            raise ConnectionResetError("the supervisor has closed the connection") from None

    def _receive(self, deadline: float | None) -> None:
        """Take in what arrives next."""
        self._patience(deadline)
        try:
            data = self._socket.recv(1 << 18)
        except TimeoutError:
            raise TimeoutError("the supervisor did not answer in time") from None
        if not data:
            raise ConnectionResetError("the supervisor has closed the connection")
        for box in self._parser.feed(data):
            if b"_command" in box:
                self._kept.append(gather(b"lines" if box[b"_command"] == b"Lines" else b"event", box))
            else:
                self._answers[box.get(b"_answer", box.get(b"_error", b""))] = box

    def _tell(self) -> None:
        while self.listener and self._kept:
            self.listener(self._kept.popleft())


def _secured(where: str, timeout: float | None) -> socket.socket:
    """A connection by TLS, with the certificates in the folder that the environment names."""
    import ssl

    folder = os.environ.get(CERTIFICATES)
    host, _, port = where.rpartition(":")
    if not folder or not port.isdecimal():
        raise OSError(f"tls://HOST:PORT takes a folder in {CERTIFICATES}: client.pem, client.key and authority.pem")
    context = ssl.create_default_context(cafile=os.path.join(folder, "authority.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(os.path.join(folder, "client.pem"), os.path.join(folder, "client.key"))
    plain = socket.create_connection((host.strip("[]"), int(port)), timeout)
    try:
        return context.wrap_socket(plain, server_hostname=host.strip("[]"))
    except BaseException:
        plain.close()
        raise


def _coded(value: Any) -> bytes:
    """An argument as AMP writes it: text, numbers, truth, and JSON for the rest."""
    if isinstance(value, bool | int | float):
        return str(value).encode()
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def _opened(box: Box) -> dict[str, Any]:
    """What an answer says."""
    if b"_error" in box:
        name, text = (box.get(key, b"").decode(errors="replace") for key in (b"_error_code", b"_error_description"))
        raise ControlError(name, text)
    found = gather(b"answer", box)
    if not isinstance(found, dict):
        raise BoxError("the answer is not an object")
    return found
