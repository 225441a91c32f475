"""A console as a program reaches it, one request after another."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .stack import TIMEOUT, Daemon

LINK = re.compile(r"http://localhost:(\d+)/\S*#login=([\w-]+)")
OURS = {"Content-Type": "application/json", "X-Circustwist": "1"}


def linked(line: str) -> tuple[int, str]:
    """The port and the secret of a login link."""
    match = LINK.search(line)
    assert match, line
    return int(match[1]), match[2]


class Visitor:
    """
    Somebody who asks.

    @ivar headers: what every request says.
    @ivar cookie: what the console gave; empty if it gave nothing.
    """

    def __init__(self, port: int, **headers: str) -> None:
        self.port = port
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.cookie = ""
        self.given: dict[str, str] = {}

    def ask(self, method: str, path: str, content: object = None, **headers: str) -> tuple[int, Any]:
        """The status and the content of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        every = {"Host": f"localhost:{self.port}", **self.headers, **headers}
        every |= {"Cookie": self.cookie} if self.cookie else {}
        body = None if content is None else content if isinstance(content, str) else json.dumps(content)
        connection.request(method, path, body, every)
        answer = connection.getresponse()
        self.given = dict(answer.getheaders())
        text = answer.read().decode()
        connection.close()
        if "Set-Cookie" in self.given:
            self.cookie = self.given["Set-Cookie"].split(";")[0]
        return answer.status, json.loads(text) if text and "json" in self.given.get("Content-Type", "") else text

    def post(self, path: str, content: object = None) -> tuple[int, Any]:
        """Something that our own page would send."""
        return self.ask("POST", path, content or {}, **OURS)

    def command(self, name: str, /, **arguments: Any) -> tuple[int, Any]:
        """Give a command."""
        status, found = self.post("/command", {"command": name, "arguments": arguments})
        return status, found["answer"] if status == 200 else found["error"]["name"]

    def answers(self, path: str) -> bool:
        """Whether anybody answers there, and well."""
        try:
            return self.ask("GET", path)[0] == 200
        except OSError:
            return False

    def hello(self, path: str = "/stream") -> dict[str, Any]:
        """What a stream begins with."""
        with self.looking(path) as found:
            return found

    @contextmanager
    def looking(self, path: str = "/stream") -> Iterator[dict[str, Any]]:
        """Look on: what a stream begins with."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        connection.request("GET", path, headers={
            "Host": f"localhost:{self.port}", **({"Cookie": self.cookie} if self.cookie else {})})
        answer = connection.getresponse()
        lines = [answer.readline().decode() for _ in range(2)]
        try:
            yield json.loads(lines[1].removeprefix("data: "))
        finally:
            answer.close()
            connection.close()


def served(daemon: Daemon) -> tuple[Visitor, str]:
    """A visitor of a console that has just started, and the secret of its link."""
    port, token = linked(daemon.wait("#login="))
    return Visitor(port), token


def until(true: Callable[[], bool]) -> None:
    """Look again and again whether something is true: programs of others do not tell when they are ready."""
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
