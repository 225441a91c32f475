"""
One socket of ZeroMQ in the reactor: read for a few milliseconds at a time, with bounded queues.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Any

import zmq
from txzmq import ZmqEndpoint, ZmqEndpointType, ZmqFactory
from txzmq.connection import ZmqConnection

from ..model.errors import WorldError
from .guard import private

LARGEST = 1 << 20
"""Bytes of one frame from a client; libzmq cuts off a peer that sends more."""

DEEPEST = 1000
"""So many messages wait for one peer, or from it."""

BUDGET = 0.005
"""Seconds for which messages are read in a row."""



class Factory(ZmqFactory):  # type: ignore[misc]  # txzmq has no types
    """Waits for nothing when it ends."""

    lingerPeriod = 0


class Connection(ZmqConnection):  # type: ignore[misc]  # txzmq has no types
    """
    A socket of ZeroMQ in the reactor, which is never read for long.

    @cvar linger: milliseconds that what was sent may take to go out when it is closed.
    """

    highWaterMark = DEEPEST
    linger = 0
    read_scheduled: Any
    factory: Any

    def __init__(self, factory: ZmqFactory, secret: bytes = b"") -> None:
        """
        @param secret: the secret CURVE key of the endpoint, in Z85; without it anybody is let in.
        """
        self._file: tuple[str, int] | None = None
        super().__init__(factory)
        self.socket.setsockopt(zmq.LINGER, self.linger)
        self.socket.setsockopt(zmq.MAXMSGSIZE, LARGEST)
        if secret:
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
            self.socket.setsockopt(zmq.ZAP_DOMAIN, b"circus")

    def bind(self, endpoint: str, owner: tuple[int, int] | None = None) -> None:
        """
        Let peers come.

        @param owner: user and group to whom an ipc:// endpoint is to belong; None for us.
        @raise WorldError: one line, if that cannot be.
        """
        path = endpoint.removeprefix("ipc://") if private(endpoint) else ""
        umask = os.umask(0o177)
        try:
            if path and _taken(path):
                raise WorldError(f"endpoint {endpoint} is in use by another program")
            if not path and endpoint.startswith("tcp://["):
                self.socket.setsockopt(zmq.IPV6, 1)
            self.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, endpoint)])
            if path:
                # Somebody who may write in its folder could have put something else there meanwhile.
                os.chown(path, *(owner or (-1, -1)), follow_symlinks=False)
                self._file = path, os.lstat(path).st_ino
        except (zmq.ZMQError, OSError) as error:
            raise WorldError(f"endpoint {endpoint} cannot be opened: {error.strerror}") from None
        finally:
            os.umask(umask)
        # What was touched outside of doRead may have swallowed a wake-up; zmq_getsockopt(3), ZMQ_FD.
        self._soon()

    def _soon(self) -> None:
        if self.read_scheduled is None:
            self.read_scheduled = self.factory.reactor.callLater(0, self.doRead)

    def doRead(self) -> None:
        """Take what has come, until the budget is spent."""
        if self.read_scheduled is not None:
            if not self.read_scheduled.called:
                self.read_scheduled.cancel()
            self.read_scheduled = None
        until = time.monotonic() + BUDGET
        while self.factory is not None and self.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            if time.monotonic() >= until:
                self._soon()
                return
            try:
                self.messageReceived(self.socket.recv_multipart(zmq.NOBLOCK, copy=False))
            except zmq.Again:
                continue

    def shutdown(self) -> None:
        """Close it, and leave no file of ours behind."""
        super().shutdown()
        with suppress(OSError):
            if self._file is not None and os.lstat(self._file[0]).st_ino == self._file[1]:
                os.unlink(self._file[0])

    def put(self, parts: list[bytes]) -> None:
        """Send a message, unless the peer has not read too many already."""
        if self.factory is None:
            return
        try:
            for part in parts[:-1]:
                self.socket.send(part, zmq.NOBLOCK | zmq.SNDMORE)
            self.socket.send(parts[-1], zmq.NOBLOCK)
        except zmq.ZMQError:
            return
        finally:
            self._soon()


def _taken(path: str) -> bool:
    """Whether somebody listens at a path, which libzmq would take away from them."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
