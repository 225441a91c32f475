"""
Who is let through before anything is looked at: rules on the headers of a request.

A page of another site can make a browser send requests here, and can let its own
name point to this host (DNS rebinding).  Hence every request must name a host that
is known, and one that changes something must come from our own page or from a
program that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

LOOPBACK = frozenset(("localhost", "127.0.0.1", "[::1]"))

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?\Z")
_ORIGIN = re.compile(r"(https?)://(.+)\Z")
_PORTS = {"http": "80", "https": "443"}

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"Content-Security-Policy",
     b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
     b"form-action 'self'; frame-ancestors 'none'"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"X-Frame-Options", b"DENY"),
)
"""What every answer says."""

Header = Callable[[str], str]
"""The value of a header of a request; empty if it has none, or several that differ."""


def hostName(host: str) -> str:
    """The name in a C{Host} header, in lower case and without the port; empty if it is none."""
    match = _HOST.match(host)
    return match[1].lower() if match else ""


def admitted(host: str, allowed: Iterable[str]) -> bool:
    """
    Whether a request for that host is meant for us.

    @param allowed: names that count besides those of the loopback interface.
    """
    name = hostName(host)
    return bool(name) and (name in LOOPBACK or name in {each.lower() for each in allowed})


def changeable(header: Header) -> str:
    """
    Whether a request may change something.

    Browsers say by Sec-Fetch-Site where a request comes from, but only to hosts that they trust; otherwise Origin
    says it.  A program sends neither.

    @return: why not; empty if it may.
    """
    if header("Content-Type").partition(";")[0].strip().lower() != "application/json":
        return "the content is not application/json"
    if not header("X-Circustwist"):
        return "the header X-Circustwist is missing"
    site = header("Sec-Fetch-Site")
    if site:
        return "" if site == "same-origin" else "the request comes from another site"
    origin = header("Origin")
    return "" if not origin or _same(origin, header("Host")) else "the request comes from another site"


def _same(origin: str, host: str) -> bool:
    match = _ORIGIN.match(origin)
    theirs, ours = _HOST.match(match[2]) if match else None, _HOST.match(host)
    if match is None or theirs is None or ours is None:
        return False
    usual = _PORTS[match[1]]
    return (theirs[1].lower(), theirs[2] or usual) == (ours[1].lower(), ours[2] or usual)
