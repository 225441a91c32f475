"""Ask a server now and then, tell a statsd of it, and may restart a watcher when there is no answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from .base import Kit
from .statsd import Telling

LARGEST = 1024 * 1024
"""Bytes of an answer that are read."""

FIGURES = frozenset((
    "blocked_clients", "client_biggest_input_buf", "client_longest_output_list", "connected_clients",
    "connected_slaves", "evicted_keys", "expired_keys", "keyspace_hits", "keyspace_misses", "lru_clock",
    "mem_fragmentation_ratio", "pubsub_channels", "pubsub_patterns", "total_commands_processed",
    "total_connections_received", "uptime_in_seconds", "used_cpu_sys", "used_cpu_sys_children", "used_cpu_user",
    "used_memory", "used_memory_peak", "used_memory_rss"))
"""What is told of a Redis."""


class Asking(Telling):
    """A plugin that asks every C{loop_rate} seconds, for C{timeout} seconds at most."""

    def __init__(self, kit: Kit, settings: Any) -> None:
        super().__init__(kit, settings)
        self._asked: Deferred[None] | None = None

    def ready(self) -> None:
        """Ask for the first time."""
        self.at(0)

    def look(self) -> None:
        """Ask."""
        self.at(self.settings.loop_rate)
        if self._asked is None:
            self._asked = self.question()
            self._asked.addTimeout(self.settings.timeout, self.kit.clock)
            self._asked.addErrback(self.failed).addBoth(self._done)

    def _done(self, result: object) -> None:
        self._asked = None

    def stop(self) -> None:
        """End."""
        super().stop()
        if self._asked is not None:
            self._asked.cancel()

    def question(self) -> Deferred[None]:
        """Ask, and tell what there is to tell."""
        raise NotImplementedError

    def failed(self, failure: Failure) -> None:
        """There was no good answer."""
        raise NotImplementedError

    def restart(self, watcher: str, why: str) -> None:
        """Restart a watcher, if one was named."""
        if watcher and not self.stopped:
            self.log.warn("{watcher} is restarted: {why}", watcher=watcher, why=why)
            self.act("restart", watcher)


class BadAnswer(Exception):
    """
    A server has answered with a code of 400 or above.

    @ivar code: the code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the answer is {code}")
        self.code = code


class Drain(Protocol):
    """Reads an answer to its end, as long as it is not too large."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """Some of it."""
        self._size += len(data)
        if self._size > LARGEST and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end of it."""
        if not self.ended.called:
            self.ended.callback(None)


class HttpObserver(Asking):
    """Circus's plugin C{HttpObserver}."""

    def question(self) -> Deferred[None]:
        """Ask the URL."""
        from twisted.web.client import Agent
        from twisted.web.http_headers import Headers

        began = self.kit.clock.seconds()
        agent = Agent(self.kit.reactor, connectTimeout=self.settings.timeout)
        headers = Headers({"User-Agent": ["circustwist"], "Connection": ["close"]})
        asked: Deferred[Any] = agent.request(b"GET", self.settings.check_url.encode(), headers)
        return asked.addCallback(self._answered, began)

    def _answered(self, response: Any, began: float) -> Deferred[None]:
        drain = Drain()
        response.deliverBody(drain)
        return drain.ended.addCallback(lambda _: self._read(response.code, began))

    def _read(self, code: int, began: float) -> None:
        if code >= 400:
            raise BadAnswer(code)
        self.statsd.time("http_stats.request_time", (self.kit.clock.seconds() - began) * 1000)

    def failed(self, failure: Failure) -> None:
        """No answer, or a bad one."""
        if self.stopped:
            return
        code = failure.value.code if isinstance(failure.value, BadAnswer) else 599
        self.statsd.count("http_stats.error")
        self.statsd.count(f"http_stats.error.{code}")
        why = failure.getErrorMessage() or type(failure.value).__name__
        self.log.warn("{url}: {why}", url=self.settings.check_url, why=why)
        if self.settings.restart_on_error:
            self.statsd.count("http_stats.restart_on_error")
        self.restart(self.settings.restart_on_error, why)


class RedisInfo(Protocol):
    """
    Asks a Redis for C{INFO}.

    @ivar answer: its text.
    """

    def __init__(self, password: str, username: str = "") -> None:
        self.answer: Deferred[str] = Deferred(lambda _: self.transport.loseConnection() if self.transport else None)
        words = [username, password] if username else [password]
        self._login = _command("AUTH", *words) if password else b""
        self._data = b""

    def connectionMade(self) -> None:
        """Ask."""
        self._write(self._login + _command("INFO") + _command("QUIT"))

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        """Some of the answer."""
        self._data += data
        if len(self._data) > LARGEST and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """All of it."""
        if self.answer.called:
            return
        error = next((line for line in self._data.split(b"\r\n") if line.startswith(b"-")), b"")
        if error:
            self.answer.errback(RuntimeError(error[1:].decode("utf-8", "replace")))
        elif b":" in self._data:
            self.answer.callback(self._data.decode("utf-8", "replace"))
        else:
            self.answer.errback(reason if reason.check(ConnectionDone) is None else Failure(ConnectionDone()))


def _command(*words: str) -> bytes:
    """A command as a Redis reads it; U{https://redis.io/docs/latest/develop/reference/protocol-spec/}."""
    coded = [word.encode() for word in words]
    return b"*%d\r\n" % len(coded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in coded)


def figures(text: str) -> Iterator[tuple[str, float]]:
    """The figures in the answer to C{INFO}."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in FIGURES:
            try:
                yield name, float(value)
            except ValueError:
                continue


class RedisObserver(Asking):
    """Circus's plugin C{RedisObserver}."""

    def question(self) -> Deferred[None]:
        """Ask the Redis."""
        url = urlsplit(self.settings.redis_url)
        if url.scheme == "unix":
            endpoint: Any = UNIXClientEndpoint(self.kit.reactor, url.path, self.settings.timeout)
        else:
            endpoint = HostnameEndpoint(
                self.kit.reactor, (url.hostname or "localhost").encode(), url.port or 6379, self.settings.timeout)
        info = RedisInfo(unquote(url.password or ""), unquote(url.username or ""))
        made: Deferred[Any] = connectProtocol(endpoint, info)
        return made.addCallback(lambda protocol: protocol.answer).addCallback(self._told)

    def _told(self, text: str) -> None:
        for name, value in figures(text):
            self.statsd.gauge(f"redis_stats.{name}", value)

    def failed(self, failure: Failure) -> None:
        """No answer."""
        if self.stopped:
            return
        self.statsd.count("redis_stats.error")
        why = failure.getErrorMessage() or type(failure.value).__name__
        self.log.warn("{url}: {why}", url=urlsplit(self.settings.redis_url).hostname, why=why)
        if self.settings.restart_on_timeout:
            self.statsd.count("redis_stats.restart_on_error")
        self.restart(self.settings.restart_on_timeout, why)
