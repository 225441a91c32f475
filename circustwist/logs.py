"""
The supervisor's own log: plain lines for people, or a file.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from twisted.logger import ILogObserver, LogLevel, PredicateResult, eventAsText, formatEvent, textFileLogObserver
from twisted.python.logfile import LogFile
from zope.interface import implementer

from .model.streams import FACILITIES
from .system.console import Screen
from .system.tail import DAEMON, Tails

AUDIT = "circustwist.audit"

LEVELS = {"critical": "critical", "error": "error", "warning": "warn", "warn": "warn", "info": "info", "debug": "debug"}
_SEVERITIES = {"critical": 2, "error": 3, "warn": 4, "info": 6, "debug": 7}
KEPT_LOGS = 9
"""The runtime directory may be in memory: so many older logs, of a megabyte each, are kept in it."""


def opened(path: str, kept: int | None = None) -> LogFile:
    """
    A file for the log.

    @param kept: how many older ones are kept; None is all of them.
    @raise SystemExit: with one line, if it cannot be written.
    """
    try:
        return LogFile(os.path.basename(path), os.path.dirname(os.path.abspath(path)), maxRotatedFiles=kept)
    except OSError as error:
        raise SystemExit(f"circustwist: {path}: the log cannot be written: {error.strerror}") from None


def screen(file: Any = None) -> Any:
    """The standard output, or another file that may be a pipe or a terminal, for a log that waits for no reader."""
    file = sys.stdout if file is None else file
    try:
        return Screen(file.fileno())
    except (OSError, ValueError):
        return file


@implementer(ILogObserver)
class Json:
    """The log as an object a line: C{time}, C{level}, C{namespace} and C{text}."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __call__(self, event: dict[str, Any]) -> None:
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if text:
            told = {"time": round(event.get("log_time", 0.0), 6), "level": event.get("log_level", LogLevel.info).name,
                    "namespace": str(event.get("log_namespace", "-")), "text": text}
            with suppress(OSError):
                self._file.write(json.dumps(told) + "\n")
                self._file.flush()


@implementer(ILogObserver)
class Syslog:
    """
    The log as messages to syslog; what cannot be sent at once is lost.

    @see: RFC 3164, 4.1.
    """

    def __init__(self, url: str, prefix: str = "circus") -> None:
        """
        @param url: C{syslog://HOST[:PORT][?FACILITY]} or C{syslog:///PATH[?FACILITY]} (Circus).
        @raise SystemExit: with one line, if it makes no sense.
        """
        parts = urlsplit(url)
        facility = parts.query or "user"
        if facility not in FACILITIES:
            raise SystemExit(f"circustwist: {url}: {facility!r} is no facility of syslog; e.g. daemon")
        self._facility = FACILITIES.index(facility) * 8
        self._prefix = prefix
        try:
            self._address: Any = (parts.hostname, parts.port or 514) if parts.hostname else parts.path or "/dev/log"
        except ValueError as error:
            raise SystemExit(f"circustwist: {url}: {error}") from None
        family = socket.AF_INET if parts.hostname else socket.AF_UNIX
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def __call__(self, event: dict[str, Any]) -> None:
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        level = _SEVERITIES.get(event.get("log_level", LogLevel.info).name, 6)
        for line in text.splitlines():
            message = f"<{self._facility + level}>{self._prefix}[{os.getpid()}]: {line}"
            with suppress(OSError):
                self._socket.sendto(message.encode("utf-8", "backslashreplace")[:8192], self._address)


@implementer(ILogObserver)
class Console:
    """
    The log for people, on the standard output: plain lines.

    Ours are shown from C{level} on, everybody else's from warnings on.
    """

    def __init__(self, level: Any) -> None:
        self._level = level
        # Twisted is about to put loggers in their places, which would call us again.
        self._out = screen()
        self._terminal = sys.stdout.isatty()
        self._failures = textFileLogObserver(screen(sys.stderr))

    def __call__(self, event: dict[str, Any]) -> None:
        level = event.get("log_level", LogLevel.info)
        ours = str(event.get("log_namespace", "")).startswith("circustwist")
        if level < (self._level if ours else LogLevel.warn) or (level <= LogLevel.info and self._typed(event)):
            return
        if "log_failure" in event:
            self._failures(event)
            return
        text = formatEvent(event)
        if text:
            prefix = "" if level <= LogLevel.info else f"{level.name.replace('warn', 'warning')}: "
            self._out.write(f"{prefix}{text}\n")

    def _typed(self, event: dict[str, Any]) -> bool:
        """Whether this tells at a terminal who gave which command."""
        return event.get("log_namespace") == AUDIT and self._terminal


def severe(level: Any) -> Any:
    """Which events a log shows: those from a level on, and whatever workers say."""

    def show(event: dict[str, Any]) -> Any:
        worker = event.get("log_namespace") == "circustwist.worker"
        shown = worker or event.get("log_level", LogLevel.info) >= level
        return PredicateResult.maybe if shown else PredicateResult.no

    return show


def remembering(tails: Tails) -> Any:
    """What keeps the last lines of the log, for C{circustwist tail --daemon}."""

    def observe(event: dict[str, Any]) -> None:
        level = event.get("log_level", LogLevel.info)
        if event.get("log_namespace") == "circustwist.worker" or level < LogLevel.info:
            return
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if text:
            block = f"{level.name} {text}\n".encode("utf-8", "backslashreplace")
            tails.told(DAEMON, os.getpid(), 1, block)

    return observe
