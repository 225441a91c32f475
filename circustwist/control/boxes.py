"""
The boxes of AMP: rows of keys and values, each preceded by its length.

Only the standard library is used, and nothing here does I/O; L{blocking} needs
no other module of this package.

@see: U{https://amp-protocol.net}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

LONGEST_KEY = 0xFF
LONGEST_VALUE = 0xFFFF

Box = dict[bytes, bytes]


class BoxError(ValueError):
    """The bytes are no box, or one above the limits."""


def encode(box: Mapping[bytes, bytes]) -> bytes:
    """
    The bytes of a box.

    @raise BoxError: if a key or a value is too long, or the box is empty.
    """
    if not box:
        raise BoxError("an empty box")
    parts: list[bytes] = []
    for key, value in sorted(box.items()):
        if not 0 < len(key) <= LONGEST_KEY:
            raise BoxError(f"a key of {len(key)} bytes")
        if len(value) > LONGEST_VALUE:
            raise BoxError(f"{key.decode(errors='backslashreplace')}: a value of {len(value)} bytes")
        parts += (len(key).to_bytes(2, "big"), key, len(value).to_bytes(2, "big"), value)
    return b"".join((*parts, b"\0\0"))


class Parser:
    """
    From bytes, cut anywhere, to boxes.

    It holds no more than one unfinished box and one unfinished string.

    @ivar maxKeys: the most keys in a box.
    @ivar maxBytes: the most bytes in a box, keys and values together.
    """

    def __init__(self, maxKeys: int = 65536, maxBytes: int = 1 << 30) -> None:
        self.maxKeys = maxKeys
        self.maxBytes = maxBytes
        self._rest = bytearray()
        self._box: Box = {}
        self._key: bytes | None = None
        self._keys = 0
        self._bytes = 0

    def feed(self, data: bytes) -> list[Box]:
        """
        The boxes that are complete now.

        @raise BoxError: the connection is of no more use.
        """
        self._rest += data
        rest, at, found = self._rest, 0, []
        while len(rest) >= at + 2:
            length = int.from_bytes(rest[at : at + 2], "big")
            self._check(length)
            if len(rest) < at + 2 + length:
                break
            if self._take(bytes(rest[at + 2 : at + 2 + length])):
                found.append(self._box)
                self._box, self._keys, self._bytes = {}, 0, 0
            at += 2 + length
        del rest[:at]
        return found

    def _check(self, length: int) -> None:
        if self._key is None and length > LONGEST_KEY:
            raise BoxError(f"a key of {length} bytes")
        if self._bytes + length > self.maxBytes:
            raise BoxError(f"a box of more than {self.maxBytes} bytes")
        if self._key is None and length and self._keys == self.maxKeys:
            raise BoxError(f"a box of more than {self.maxKeys} keys")

    def _take(self, string: bytes) -> bool:
        """Whether this string ends the box."""
        self._bytes += len(string)
        if self._key is not None:
            self._box[self._key], self._key = string, None
        elif string:
            self._key, self._keys = string, self._keys + 1
        elif not self._box:
            raise BoxError("an empty box")
        else:
            return True
        return False


def spread(key: bytes, value: Any) -> Box:
    """A JSON value under C{key}, C{key.1}, C{key.2}, ... as far as it takes."""
    text = json.dumps(value, separators=(",", ":")).encode("ascii")
    pieces = [text[at : at + LONGEST_VALUE] for at in range(0, len(text), LONGEST_VALUE)]
    return {key if not number else b"%s.%d" % (key, number): piece for number, piece in enumerate(pieces)}


def gather(key: bytes, box: Mapping[bytes, bytes]) -> Any:
    """
    The JSON value that L{spread} has put into a box.

    @raise BoxError: if there is none.
    """
    pieces = [box.get(key, b"")]
    for number in count(1):
        piece = box.get(b"%s.%d" % (key, number))
        if piece is None:
            break
        pieces.append(piece)
    try:
        return json.loads(b"".join(pieces))
    except (ValueError, RecursionError) as error:
        raise BoxError(f"{key.decode(errors='backslashreplace')} is not JSON: {error}") from None
