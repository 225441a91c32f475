"""
The console's port: opened when the stack starts, later if it is in use then, and closed at the end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from .model.commands import ROLES
from .model.errors import Denied, MessageError
from .model.inputs import Who
from .model.stack import Stack
from .system.rundir import RuntimeDir
from .system.steering import LocalSteering
from .web.server import Console
from .web.site import QuietSite

FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0


class WebFace:
    """
    The console of a stack.

    @ivar console: what is served.
    """

    _log = Logger(namespace="circustwist")

    def __init__(self, reactor: Any, steering: LocalSteering, stack: Callable[[], Stack], rundir: RuntimeDir) -> None:
        self._reactor = reactor
        self._settings = stack().settings
        self.console = Console(reactor, steering, stack, rundir.sessionsPath)
        self._site = QuietSite(self.console, reactor)
        self._port: Any = None
        self._retry: IDelayedCall | None = None
        self._pause = FIRST_RETRY
        self._unoffer = steering.offer("console", self._link)

    def open(self) -> None:
        """Listen; if the port is in use, say so once and try again."""
        settings = self._settings
        self._retry = None
        try:
            self._port = self._reactor.listenTCP(
                settings.httpd_port, self._site, interface=_address(settings.httpd_host))
        except CannotListenError as error:
            if self._pause == FIRST_RETRY:
                why = error.socketError.strerror or str(error.socketError)
                self._log.warn("httpd_port {port} of {host} cannot be had ({why}): the console waits for it",
                               port=settings.httpd_port, host=settings.httpd_host, why=why)
            self._retry = self._reactor.callLater(self._pause, self.open)
            self._pause = min(2 * self._pause, LONGEST_RETRY)
            return
        self._tell()

    def _tell(self) -> None:
        """Say where it is; a link that lets somebody in must not stand in a log."""
        if _seen(sys.__stdout__):
            print(f"  console {self.link(Who('the link at the start (console)', 'operator'))}", file=sys.__stdout__)
        else:
            self._log.info("  console {address} (circustwist console makes a link)", address=self.address)

    @property
    def address(self) -> str:
        """Where the console is, for people."""
        settings = self._settings
        host = settings.httpd_host
        shown = "localhost" if host in ("", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::") else host
        port = self._port.getHost().port if self._port is not None else settings.httpd_port
        prefix = settings.httpd_prefix.strip("/")
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/{f'{prefix}/' if prefix else ''}"

    def link(self, who: Who) -> str:
        """An address that logs in whoever opens it first."""
        return f"{self.address}#login={self.console.login.links.make(who)}"

    def _link(self, arguments: Mapping[str, Any], who: Who) -> Mapping[str, Any]:
        role = arguments["role"]
        if role not in ROLES:
            raise MessageError(f"'role' is one of {', '.join(ROLES)}")
        if ROLES.index(role) > ROLES.index(who.role):
            raise Denied(f"{who.name} has the role {who.role} and cannot give the role {role}")
        return {"url": self.link(Who(f"link of {who.name}", role)), "address": self.address}

    def close(self) -> None:
        """Let nobody in any more, and send everybody away."""
        self._unoffer()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self.console.feed.close()
        if self._port is not None:
            maybeDeferred(self._port.stopListening)
            self._port = None


def _seen(stream: TextIO | None) -> bool:
    """Whether anybody may read that; a daemon's standard output is the null device."""
    try:
        return stream is not None and not os.path.samestat(os.fstat(stream.fileno()), os.stat(os.devnull))
    except (OSError, ValueError):
        return False


def _address(host: str) -> str:
    """What to listen on: names of the loopback interface are IPv4."""
    return "127.0.0.1" if host == "localhost" else host
