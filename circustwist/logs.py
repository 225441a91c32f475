"""
The supervisor's own log: plain lines for people, or a file.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from twisted.logger import ILogObserver, LogLevel, PredicateResult, eventAsText, formatEvent, textFileLogObserver
from twisted.python.logfile import LogFile
from zope.interface import implementer

from .system.tail import DAEMON, Tails

LEVELS = {"critical": "critical", "error": "error", "warning": "warn", "warn": "warn", "info": "info", "debug": "debug"}
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


@implementer(ILogObserver)
class Console:
    """
    The log for people, on the standard output: plain lines.

    Ours are shown from C{level} on, everybody else's from warnings on.
    """

    def __init__(self, level: Any) -> None:
        self._level = level
        # Twisted is about to put loggers in their places, which would call us again.
        self._out = sys.stdout
        self._failures = textFileLogObserver(sys.stderr)

    def __call__(self, event: dict[str, Any]) -> None:
        level = event.get("log_level", LogLevel.info)
        ours = str(event.get("log_namespace", "")).startswith("circustwist")
        if level < (self._level if ours else LogLevel.warn):
            return
        if "log_failure" in event:
            self._failures(event)
            return
        text = formatEvent(event)
        if text:
            prefix = "" if level <= LogLevel.info else f"{level.name.replace('warn', 'warning')}: "
            with suppress(OSError):
                self._out.write(f"{prefix}{text}\n")
                self._out.flush()


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
