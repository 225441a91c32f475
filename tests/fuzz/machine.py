"""Changes inputs at random, and says what comes of them."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.logger import globalLogPublisher

from .targets import TARGETS

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
LONGEST = 1 << 16
SLOW = 1.0
"""Seconds that no input may take."""

WORDS = [
    b"[watcher:a]\n", b"[circus]\n", b"cmd = x\n", b"=", b":", b"\n", b"\n ", b";", b"#", b"$(circus.env.x)", b"((",
    b"%(", b"%", b"\0", b"\r\n", b"\xff", b"\xe2\x80\xae", b"9" * 30, b"-1", b"nan", b"{", b"}", b"[", b"]", b'"',
    b"\\u0000", b"1e999", b"null", b"\x00\x04ping", b"_command", b"_ask", b"\0\0", b"\xff\xff", b"chunked",
    b"Content-Length: ", b"GET / HTTP/1.1\r\n", b"READY=1\n", b"STATUS=", b"kind", b"\x1b[", b"name", b"properties",
]


class Found(Exception):
    """An input that does what none may."""


def corpus(target: str) -> list[bytes]:
    """The inputs that are kept."""
    folder = CORPUS / target
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def tried(target: Callable[[bytes], None], data: bytes, slow: float = SLOW) -> float:
    """
    How long a target takes with an input.

    @raise Found: if it raises or logs a failure, or takes too long.
    """
    failures: list[Any] = []

    def observe(event: Any) -> None:
        if "log_failure" in event:
            failures.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    began = time.perf_counter()
    try:
        target(data)
    except Exception as error:
        raise Found(f"{type(error).__name__}: {error}") from error
    finally:
        took = time.perf_counter() - began
        globalLogPublisher.removeObserver(observe)
    if failures:
        raise Found(f"logged: {failures[0].getErrorMessage()}")
    if took > slow:
        raise Found(f"took {took:.2f} s")
    return took


def changed(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """An input, changed in a few places."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(found) + 1)
        end = min(len(found), at + chance.choice((1, 1, 2, 4, 16, 64)))
        kind = chance.randrange(7)
        if kind == 0:
            found[at:end] = b""
        elif kind == 1:
            found[at:at] = chance.choice(WORDS)
        elif kind == 2:
            found[at:at] = found[at:end] * chance.choice((1, 2, 100))
        elif kind == 3:
            found[at:end] = chance.randbytes(end - at)
        elif kind == 4 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 5:
            found[at:] = chance.choice(others)[-chance.randrange(1, 200):]
        else:
            found[at:at] = chance.choice(WORDS) * chance.choice((1, 3, 1000))
    return bytes(found[:LONGEST])


def run(name: str, seconds: float, seed: int, keep: bool = True) -> tuple[int, list[str]]:
    """
    Fuzz one target for a while.

    @param keep: whether an input that finds something is put into the corpus.
    @return: how many inputs were tried, and what was found.
    """
    chance, target, inputs = random.Random(seed), TARGETS[name], corpus(name) or [b""]
    found: dict[str, str] = {}
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until and len(found) < 10:
        data = changed(chance.choice(inputs), inputs, chance)
        count += 1
        try:
            tried(target, data)
        except Found as why:
            if str(why) not in found:
                path = CORPUS / name / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
                found[str(why)] = f"{name}: {why}: {path.name}"
                if keep:
                    path.write_bytes(data)
    return count, list(found.values())
