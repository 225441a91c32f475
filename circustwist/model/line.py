"""
A line that a worker has written, and which of them somebody wants to see.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from .errors import MessageError

OUTPUTS = {1: "stdout", 2: "stderr"}
"""The names of a worker's outputs."""

MOST_LINES = 10_000
"""So many lines at most are answered at once."""

_HARMFUL = re.compile(r"(\x1b\[[0-9;:]*m)|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_RESET = "\x1b[0m"


@attrs.frozen
class Line:
    """
    One line.

    @ivar time: when it came, in seconds since the epoch; 0 is not known.
    @ivar watcher: whose it is; empty for the supervisor's own log.
    @ivar wid: of the worker; 0 is not known.
    @ivar pid: of the worker; 0 is not known.
    @ivar output: 1 or 2.
    @ivar data: without its newline.
    """

    time: float
    watcher: str
    wid: int
    pid: int
    output: int
    data: bytes

    def json(self) -> dict[str, Any]:
        """As JSON types; what is not UTF-8 is escaped in C{text} and stands in C{raw} in base 64."""
        found: dict[str, Any] = {
            "time": round(self.time, 6) or None, "watcher": self.watcher, "wid": self.wid, "pid": self.pid,
            "stream": OUTPUTS[self.output]}
        return found | spelled(self.data)


def spelled(data: bytes) -> dict[str, str]:
    """The text of a line, and its bytes in base 64 if it is not UTF-8."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"text": data.decode("utf-8", "backslashreplace"), "raw": b64encode(data).decode("ascii")}


@attrs.frozen
class Selection:
    """
    Which lines somebody wants.

    @ivar names: watchers in lower case, each with the number of a worker, or 0
        for all of them; empty is everybody.
    @ivar output: 1 or 2; 0 is both.
    @ivar since: not before this time, in seconds since the epoch.
    @ivar grep: what a line must contain.
    @ivar daemon: the supervisor's own log instead of workers' output.
    """

    names: tuple[tuple[str, int], ...] = ()
    output: int = 0
    since: float = 0.0
    grep: bytes = b""
    daemon: bool = False

    def watcher(self, name: str) -> bool:
        """Whether anything of a watcher is wanted; its name is empty for the supervisor's log."""
        if self.daemon or not name:
            return self.daemon and not name
        return not self.names or any(name.lower() == wanted for wanted, _ in self.names)

    def worker(self, name: str, wid: int, output: int) -> bool:
        """Whether what a worker, of a watcher that is wanted, writes to an output is."""
        if self.output not in (0, output):
            return False
        return not self.names or any(name.lower() == wanted and number in (0, wid) for wanted, number in self.names)

    def lines(self, data: Iterable[bytes]) -> list[bytes]:
        """Those lines that are wanted."""
        return [line for line in data if self.grep in line]


def selected(arguments: Mapping[str, Any]) -> Selection:
    """
    The lines that the arguments of C{tail} ask for.

    @raise MessageError: what is wrong with them.
    """
    found = []
    for name in arguments["names"]:
        watcher, slash, wid = name.partition("/")
        if slash and not (wid.isascii() and wid.isdigit() and len(wid) < 9):
            raise MessageError(f"{name!r} is not a worker; e.g. web/3")
        found.append((watcher.lower(), int(wid or 0)))
    stream = arguments["stream"]
    if stream not in ("", *OUTPUTS.values()):
        raise MessageError(f"'stream' is stdout, stderr or empty, not {stream!r}")
    output = next((number for number, word in OUTPUTS.items() if word == stream), 0)
    grep = arguments["grep"].encode("utf-8", "surrogateescape")
    return Selection(tuple(found), output, arguments["since"], grep, arguments["daemon"])


def shown(line: bytes) -> str:
    r"""
    A line as text that cannot harm a terminal: colours pass and end with the
    line; other control characters, those that turn the direction of writing,
    and bytes that are not UTF-8, are shown as C{\x1b}.

    @see: ECMA-48, 8.3.117 (SGR).
    """
    text = line.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    text = _HARMFUL.sub(_harmless, text)
    return text + _RESET if "\x1b" in text else text


def _harmless(found: re.Match[str]) -> str:
    number = ord(found[0][0])
    return found[1] or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")
