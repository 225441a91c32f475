"""
From the text of an option to its value.

Every converter takes the text as it stands in the file and either returns a
value or raises C{ValueError} with the end of a sentence that begins with the
text itself: what it is not, and an example of what would be right.
"""

from __future__ import annotations

import math
import re
import shlex
import signal
from collections.abc import Callable
from typing import TypeAlias

import attrs

MOST_PROCESSES = 100_000
LONGEST_PATTERN = 200
"""Characters of a regular expression that output is searched for: a longer one may take too long to match."""

CONDITIONS = ("started", "ready", "completed")
"""What may have to hold of a watcher on which another one depends."""

Converter: TypeAlias = Callable[[str], object]

_TRUE = frozenset(("yes", "true", "on", "1"))
_FALSE = frozenset(("no", "false", "off", "0"))
_DURATION = re.compile(r"(-?\d+(?:\.\d*)?|-?\.\d+)\s*(ms|s|m|h|d)?\Z", re.I)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*(?:([kmgt])i?b?|b)?\Z", re.I)
_VARIABLE = re.compile(r"\$\([\w.-]+\)|\(\([\w.-]+\)\)|\$WID\b")
_TARGET = re.compile(r"//(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?([/?][!-~]*)?\Z")
_ENDPOINT = re.compile(r"(\*|\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5}|\*)\Z")
_NAME = re.compile(r"[^/\x00-\x1f\x7f-\x9f]{1,64}\Z")


def text(value: str) -> str:
    """Any text."""
    return value


def boolean(value: str) -> bool:
    """C{yes true on 1} or C{no false off 0}, in any case (Circus)."""
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("is neither true nor false; e.g. True")


def whole(value: str) -> int:
    """A whole number."""
    try:
        return int(value)
    except ValueError:
        raise ValueError("is not a whole number; e.g. 5") from None


def natural(value: str) -> int:
    """A whole number that is not negative."""
    number = whole(value)
    if number < 0:
        raise ValueError("is negative; the least is 0")
    return number


def count(value: str) -> int:
    """A number of processes: 0 to 100,000."""
    number = natural(value)
    if number > MOST_PROCESSES:
        raise ValueError(f"is more than {MOST_PROCESSES}")
    return number


def retries(value: str) -> int:
    """A number of tries, -1 for ever (Circus's C{max_retry})."""
    number = whole(value)
    if number < -1:
        raise ValueError("is less than -1, which means for ever")
    return number


def surge(value: str) -> int:
    """
    How many processes may be started in advance.

    @return: the number; 0 for C{all}.
    """
    if value.strip().lower() == "all":
        return 0
    number = natural(value)
    if number == 0:
        raise ValueError("is none; the least is 1, or all")
    return number


def port(value: str) -> int:
    """A port: 0 (any free one) to 65535."""
    number = whole(value)
    if not 0 <= number <= 65535:
        raise ValueError("is not a port; 0 (any free one) to 65535")
    return number


def seconds(value: str) -> float:
    """A duration: seconds, or a number with C{ms}, C{s}, C{m}, C{h} or C{d}."""
    match = _DURATION.match(value.strip())
    if match is None:
        raise ValueError("is not a duration; e.g. 30, 0.5, 500ms or 2m")
    number = float(match[1]) * _SECONDS[(match[2] or "s").lower()]
    if number < 0 or not math.isfinite(number) or number > 1e9:
        raise ValueError("is not a duration of 0 seconds or more")
    return number


def size(value: str) -> int:
    """A size in bytes, with C{k}, C{M}, C{G} or C{T} for powers of 1024."""
    match = _SIZE.match(value.strip())
    if match is None:
        raise ValueError("is not a size; e.g. 1048576 or 10MB")
    if len(match[1]) > 20:
        raise ValueError("is too large a size; e.g. 10MB")
    power = " kmgt".index(match[2].lower()) if match[2] else 0
    return int(float(match[1]) * 1024**power)


def cores(value: str) -> float:
    """How much of the processors: a number of them, or per cent of one."""
    word = value.strip()
    try:
        found = float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 10_000:
        raise ValueError("is not a number of processors; e.g. 0.5, 2 or 150%")
    return found


def weight(value: str) -> int:
    """A share among others: 1 to 10000; 0 for none."""
    found = natural(value)
    if found > 10_000:
        raise ValueError("is out of range; 1 to 10000")
    return found


def octal(value: str) -> int:
    """Permission bits in octal, as chmod(1) and umask(1) take them."""
    try:
        bits = int(value.strip(), 8)
    except ValueError:
        raise ValueError("is not an octal number; e.g. 022") from None
    if not 0 <= bits <= 0o7777:
        raise ValueError("is out of range; 0 to 7777 (octal)")
    return bits


def signum(value: str) -> int:
    """
    A signal: its number, C{QUIT}, C{SIGQUIT}, C{quit} or C{SIGRTMIN+1}.

    @return: its number, which exists on this system.
    """
    word = value.strip()
    if word.isascii() and word.isdigit():
        number = int(word)
    else:
        name, _, more = word.upper().partition("+")
        name = name if name.startswith("SIG") else "SIG" + name
        found = getattr(signal, name, None)
        if not isinstance(found, signal.Signals) or (more and not more.isdigit()):
            raise ValueError("is not a signal; e.g. TERM, SIGQUIT or 15")
        number = int(found) + int(more or 0)
    if number not in signal.valid_signals():
        raise ValueError("is not a signal of this system; e.g. TERM, SIGQUIT or 15")
    return number


def signalName(number: int) -> str:
    """The POSIX name of a signal, e.g. C{SIGKILL}; real-time ones as C{SIGRTMIN+n}."""
    try:
        return signal.Signals(number).name
    except ValueError:
        low = int(signal.SIGRTMIN)
        return f"SIGRTMIN+{number - low}" if number > low else f"signal {number}"


def limit(value: str) -> int | None:
    """A resource limit: a number, or nothing (or C{infinity}) for none."""
    word = value.strip().lower()
    if word in ("", "infinity", "unlimited", "-1"):
        return None
    return natural(word)


def respawn(value: str) -> str:
    """C{always} (any true word), C{never} (any false one) or C{on-failure}."""
    word = value.strip().lower()
    if word in ("on-failure", "on_failure"):
        return "on-failure"
    if word in ("always", "never"):
        return word
    try:
        return "always" if boolean(word) else "never"
    except ValueError:
        raise ValueError("is none of True, False, on-failure") from None


def exitCodes(value: str) -> tuple[int, ...]:
    """
    Exit codes and signals, blank-separated: C{0 3 SIGTERM}.

    @return: exit codes as they are, signals as negative numbers.
    """
    codes = []
    for word in value.replace(",", " ").split():
        if word.isascii() and word.isdigit():
            if int(word) > 255:
                raise ValueError("has an exit code above 255; e.g. 0 3 SIGTERM")
            codes.append(int(word))
        else:
            codes.append(-signum(word))
    return tuple(codes)


def words(value: str) -> tuple[str, ...]:
    """Names parted by blanks or commas."""
    return tuple(value.replace(",", " ").split())


def dependencies(value: str) -> tuple[str, ...]:
    """
    Watchers and what must hold of them, parted by commas: C{redis:ready, migrate:completed}.

    @return: each as C{NAME:CONDITION}; without a condition it is C{ready}.
    """
    found = []
    for word in filter(None, (part.strip() for part in value.replace("\n", ",").split(","))):
        name, colon, condition = word.rpartition(":")
        if not colon:
            name, condition = word, "ready"
        if not name.strip() or condition.strip().lower() not in CONDITIONS:
            raise ValueError(f"has {word!r}, which is no NAME:{', NAME:'.join(CONDITIONS)}; e.g. redis:ready")
        found.append(f"{name.strip()}:{condition.strip().lower()}")
    return tuple(found)


def probe(value: str) -> str:
    """
    A look at a process: C{listening}, C{after}, C{notify},
    C{http://HOST:PORT/PATH}, C{tcp://HOST:PORT}, C{exec:COMMAND} or
    C{log:REGEX}; nothing stays nothing.

    @return: the text with its first word in lower case.
    """
    kind, colon, rest = value.strip().partition(":")
    kind = kind.lower()
    if kind in ("", "listening", "after", "notify") and not colon:
        return kind
    if kind in _PROBES and colon:
        # A variable stands for what is only known when a process is started.
        _PROBES[kind](_VARIABLE.sub("1", rest))
        return f"{kind}:{rest}"
    raise ValueError(
        "is none of listening, after, notify, http://HOST:PORT/PATH, tcp://HOST:PORT, exec:COMMAND, log:REGEX")


def live(value: str) -> str:
    """A look at a process that is ready: C{notify}, C{http:...}, C{tcp:...} or C{exec:...}; nothing stays nothing."""
    found = probe(value)
    if found in ("listening", "after") or found.startswith("log:"):
        raise ValueError(
            "tells once that a process is ready, not whether it still does its work; "
            "e.g. notify, http://HOST:PORT/PATH, tcp://HOST:PORT or exec:COMMAND")
    return found


def endpoint(value: str) -> str:
    """An address of ZeroMQ: C{tcp://HOST:PORT} or C{ipc://PATH}; nothing stays nothing."""
    found = value.strip()
    kind, _, rest = found.partition("://")
    port = rest.rpartition(":")[2]
    right = (kind == "ipc" and rest.startswith(("/", "@"))) or (
        kind == "tcp" and _ENDPOINT.match(rest) is not None and (port == "*" or int(port) < 65536))
    if found and not right:
        raise ValueError("is no endpoint; e.g. tcp://127.0.0.1:5555 or ipc:///run/shop/circus")
    return found


def address(value: str) -> str:
    """An address to listen at: C{HOST:PORT}; nothing stays nothing."""
    found = value.strip()
    if found and (_ENDPOINT.match(found) is None or not found.rpartition(":")[2].isdecimal()
                  or int(found.rpartition(":")[2]) > 65535):
        raise ValueError("is no address; e.g. 0.0.0.0:7000, [::1]:7000 or *:7000")
    return found


def multicast(value: str) -> str:
    """An address to be discovered at: C{udp://GROUP:PORT}; nothing stays nothing."""
    found = value.strip()
    if found and not re.match(r"udp://(22[4-9]|23\d)(\.\d{1,3}){3}:\d{1,5}\Z", found):
        raise ValueError("is no group to be found in; e.g. udp://237.219.251.97:12027")
    return found


def alarm(value: str) -> str:
    """Whom to tell: C{exec:COMMAND}, C{https://...} or C{http://...}; nothing stays nothing."""
    found = value.strip()
    kind, colon, rest = found.partition(":")
    if found and kind.lower() == "exec" and colon:
        _exec(rest)
        return f"exec:{rest}"
    if found and not (kind.lower() in ("http", "https") and re.match(r"//[!-.0-~]", rest) and found.isascii()):
        raise ValueError("is no one to tell; e.g. exec:/usr/local/bin/page or https://example.org/alarm")
    return found


def _http(rest: str) -> None:
    match = _TARGET.match(rest)
    if match is None or not 0 < int(match[1] or 80) < 65536:
        raise ValueError("is not an address to get; e.g. http://127.0.0.1:8000/health")


def _https(rest: str) -> None:
    raise ValueError("is https, which no look can speak; e.g. http://127.0.0.1:8000/health, or exec: with curl -f")


def _tcp(rest: str) -> None:
    match = _TARGET.match(rest)
    if match is None or match[2] or not 0 < int(match[1] or 0) < 65536:
        raise ValueError("is not an address to connect to; e.g. tcp://127.0.0.1:6379")


def _exec(rest: str) -> None:
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise ValueError(f"has a command that cannot be split: {error}; e.g. exec:pg_isready -q") from None
    if not words:
        raise ValueError("has no command; e.g. exec:pg_isready -q")


def _log(rest: str) -> None:
    if not rest:
        raise ValueError("has no regular expression; e.g. log:ready to accept")
    if len(rest) > LONGEST_PATTERN:
        raise ValueError(f"has a regular expression of more than {LONGEST_PATTERN} characters")
    try:
        re.compile(rest)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"has what is no regular expression: {error}") from None


_PROBES: dict[str, Callable[[str], None]] = {"http": _http, "https": _https, "tcp": _tcp, "exec": _exec, "log": _log}


@attrs.frozen
class Choice:
    """
    A converter which takes one of some words, in any case.

    @ivar words: in lower case.
    """

    words: tuple[str, ...]

    def __call__(self, value: str) -> str:
        """The word in lower case."""
        word = value.strip().lower()
        if word not in self.words:
            raise ValueError(f"is none of {', '.join(self.words)}")
        return word


def oneOf(*choices: str) -> Choice:
    """A converter which takes one of these words, in any case."""
    return Choice(choices)


def name(value: str) -> str:
    """The name of a watcher or socket: 1 to 64 printable characters without C{/}."""
    if not _NAME.match(value) or not value.isprintable() or not value.strip():
        raise ValueError("is not a name; 1 to 64 printable characters without /")
    return value
