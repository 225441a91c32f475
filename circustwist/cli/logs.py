"""
C{circustwist tail}: what workers have written, whosever it is in its colour.
"""

from __future__ import annotations

import os
import re
import sys
import time
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import attrs
import click

from ..model.line import shown
from . import show
from .find import Session, unread
from .parameter import complete, everywhere
from .table import width

Json = Mapping[str, Any]
COLOURS = (36, 33, 32, 35, 34, 91, 96, 93, 92, 95, 94)
"""Of the names that stand before lines, in the order in which they come up; ECMA-48, 8.3.117."""

_AGO = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_CLOCK = ("%H:%M", "%H:%M:%S", "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def moment(text: str, now: float) -> float:
    """
    A point in time as people write it, in seconds since the epoch.

    @param text: C{10min} ago, C{14:30} of today, C{2026-11-25 14:30} or a
        number of seconds since the epoch.
    """
    ago = _AGO.fullmatch(text)
    if ago:
        return now - float(ago[1]) * _UNITS[ago[2]]
    for form in _CLOCK:
        try:
            found = time.strptime(text, form)
        except ValueError:
            continue
        today = time.localtime(now)
        day = found[:3] if "%Y" in form else today[:3]
        return time.mktime((*day, *found[3:6], 0, 0, -1))
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"--since {text!r} is no time; e.g. 10min, 14:30 or '2026-11-25 14:30'") from None


@attrs.define
class Printer:
    """
    Lines as people read them: C{TIME WATCHER/WID | TEXT}.

    @ivar terminal: whether what could harm a terminal is escaped.
    @ivar coloured: whether names are in colours.
    @ivar named: whether names are shown at all.
    """

    terminal: bool
    coloured: bool
    named: bool
    _colours: dict[str, int] = attrs.field(factory=dict)
    _width: int = 0

    def printed(self, line: Json) -> bytes:
        """One line, with its newline."""
        if "missed" in line:
            return f"({show.counted(line['missed'], 'line')} skipped here)\n".encode()
        data = b64decode(line["raw"]) if "raw" in line else line["text"].encode("utf-8", "surrogateescape")
        text = shown(data).encode() if self.terminal else data
        return (self._prefix(line) if self.named else b"") + text + b"\n"

    def _prefix(self, line: Json) -> bytes:
        name = f"{line['watcher']}/{line['wid']}" if line["wid"] else line["watcher"] or "circustwist"
        name = show.safe(name)
        self._width = max(self._width, width(name))
        clock = time.strftime("%H:%M:%S ", time.localtime(line["time"])) if line["time"] else ""
        prefix = f"{clock}{name}{' ' * (self._width - width(name))} | "
        if self.coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        return prefix.encode("utf-8", "backslashreplace")


def _printer(plain: bool) -> Printer:
    terminal = sys.stdout.isatty()
    coloured = show.painter(terminal, os.environ) is show.coloured
    return Printer(terminal, coloured, not plain)


def _write(data: bytes) -> None:
    """Print bytes as they are, and see to it that they arrive."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        unread(sys.stdout)


def _tell(session: Session, printer: Printer, line: Json) -> None:
    if session.json:
        session.show(line, list)
    else:
        _write(printer.printed(line))


def run(session: Session, names: tuple[str, ...], follow: bool, plain: bool, **given: Any) -> int:
    """Show what was written, and go on with it if that is wanted."""
    since = given.pop("since")
    stream = "stderr" if given.pop("stderr") else ""
    arguments = {
        **given, "names": list(names), "since": moment(since, time.time()) if since else 0.0, "stream": stream}
    printer = _printer(plain)
    with session.open() as control:
        lines = control.tail(timeout=session.timeout, **arguments) if follow else control.call(
            "tail", **arguments)["lines"]
        for line in lines:
            _tell(session, printer, line)
    return 0


def command(name: str, help: str) -> click.Command:
    """The command, by one of its names."""
    parameters = [
        click.Argument(["names"], metavar="[WATCHER[/WID]]...", nargs=-1, shell_complete=complete),
        click.Option(["-f", "--follow"], is_flag=True, help="Go on with every line from now on, until interrupted."),
        click.Option(["-n", "--lines"], type=click.IntRange(0), default=10, show_default=True,
                     help="How many lines that are there already."),
        click.Option(["--since"], metavar="TIME", help="None from before: 10min (ago), 14:30, '2026-11-25 14:30'."),
        click.Option(["--grep"], metavar="TEXT", default="", help="Only lines that contain this text."),
        click.Option(["--stderr"], is_flag=True, help="Only what was written to the standard error."),
        click.Option(["--daemon"], is_flag=True, help="The supervisor's own log instead."),
        click.Option(["--plain"], is_flag=True, help="Lines as they are, without whose they are."),
    ]

    def call(**given: Any) -> int:
        return run(click.get_current_context().obj, **given)

    return click.Command(name, params=[*parameters, *everywhere()], callback=call, help=help)
