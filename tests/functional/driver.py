"""
Runs Circus's own client code in one process, since importing it takes long: one JSON object a line, in and out.

C{{"do": "call", "command": ..., "properties": ...}} asks by C{CircusClient},
C{{"do": "ctl", "argv": [...]}} runs C{circusctl} with that command line,
C{{"do": "raw", "message": ..., "wait": seconds}} sends one frame as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import sys
import time
from typing import Any

import zmq
from circus import circusctl
from circus.client import AsyncCircusClient, CallError, CircusClient
from circus.consumer import CircusConsumer
from circus.stats.client import StatsClient

LONGEST = 20
"""Seconds that one thing may take; then the process ends."""


class Clients:
    """
    What the process can do.

    @ivar endpoint: of the supervisor.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._client = CircusClient(endpoint=endpoint, timeout=10)

    def call(self, command: str, properties: dict[str, Any]) -> Any:
        """One request."""
        try:
            return self._client.call({"command": command, "properties": properties})
        except CallError as error:
            return {"client": str(error)}

    def ctl(self, argv: list[str]) -> Any:
        """One run of circusctl."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        sys.argv = ["circusctl", "--endpoint", self.endpoint, *argv]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                circusctl.main()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
            except Exception as error:
                code = 99
                err.write(f"{type(error).__name__}: {error}")
        return {"code": code, "out": out.getvalue(), "err": err.getvalue()}

    def consume(self, endpoint: str) -> None:
        """Subscribe to all events by C{CircusConsumer}, and wait until that counts."""
        self._consumer = CircusConsumer(["watcher."], context=zmq.Context(), endpoint=endpoint, timeout=20)
        self._heard = iter(self._consumer)
        time.sleep(0.3)  # nothing tells a subscriber that it is one

    def heard(self, least: int) -> Any:
        """The events since the last time: at least so many, if they come, and until there are no more for a moment."""
        found: list[Any] = []
        while self._consumer.pubsub_socket.poll(5000 if len(found) < least else 200 if least else 20):
            topic, message = next(self._heard)
            found.append([topic.decode(), json.loads(message)])
        return found

    def asynchronous(self, command: str, properties: dict[str, Any]) -> Any:
        """One request by C{AsyncCircusClient}."""

        async def ask() -> Any:
            client = AsyncCircusClient(endpoint=self.endpoint, timeout=10)
            try:
                return await client.call({"command": command, "properties": properties})
            finally:
                client.stop()

        return asyncio.run(ask())

    def statistics(self, endpoint: str, seconds: float) -> Any:
        """What C{StatsClient} hears in that time."""
        client, found = StatsClient(endpoint=endpoint), []
        deadline = time.monotonic() + seconds
        for watcher, subtopic, payload in client:
            found.append([watcher, subtopic, payload])
            if time.monotonic() > deadline:
                break
        return found

    def raw(self, message: str, wait: float = 10.0, parts: int = 1) -> Any:
        """One message as it is, on a socket of its own."""
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(self.endpoint)
        try:
            socket.send_multipart([message.encode()] * parts)
            if not socket.poll(int(wait * 1000)):
                return None
            return json.loads(socket.recv())
        finally:
            socket.close()


def main() -> None:
    """Do what is asked for until there is no more."""
    clients = Clients(sys.argv[1])
    for line in sys.stdin:
        what = json.loads(line)
        signal.alarm(LONGEST)
        answer = getattr(clients, what.pop("do"))(**what)
        signal.alarm(0)
        sys.__stdout__.write(json.dumps(answer, default=repr) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
