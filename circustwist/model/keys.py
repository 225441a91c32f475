"""
What people are recognised by, as it stands in an ini: hashes of passwords, CURVE keys, certificates.

Nothing here draws random bytes: a salt is passed in.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
"""The letters of Z85; ZeroMQ RFC 32."""

_KEY_LENGTH = 40
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_HASH = re.compile(r"scrypt:(1[0-9]|20):([1-9]|[12][0-9]|3[0-2]):([1-9]|1[0-6]):([\w=-]{16,88}):([\w=-]{43,88})\Z")

COST = 14
"""The logarithm of scrypt's cost; RFC 7914."""


def curveKey(value: str) -> str:
    """
    A public CURVE key.

    @return: in Z85, 40 letters.
    """
    found = value.strip()
    if len(found) == _KEY_LENGTH and set(found) <= set(_LETTERS):
        return found
    if _HEX.match(found.lower()):
        return _z85(bytes.fromhex(found))
    raise ValueError("is no CURVE key; 40 letters of Z85, or 64 hex digits")


def _z85(key: bytes) -> str:
    found = ""
    for at in range(0, len(key), 4):
        number = int.from_bytes(key[at:at + 4], "big")
        found += "".join(_LETTERS[number // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return found


def fingerprint(value: str) -> str:
    """
    The SHA-256 fingerprint of a certificate.

    @return: 64 hex digits.
    """
    found = value.strip().lower().removeprefix("sha256:").replace(":", "")
    if not _HEX.match(found):
        raise ValueError("is no fingerprint; the 64 hex digits that openssl x509 -fingerprint -sha256 gives")
    return found


def passwordHash(value: str) -> str:
    """A password's hash, as C{circustwist passwd} makes it."""
    found = value.strip()
    if not _HASH.match(found):
        raise ValueError("is no hash of a password; circustwist passwd makes one")
    return found


def hashed(password: str, salt: bytes) -> str:
    """
    The hash of a password.

    @param salt: 16 random bytes.
    @see: RFC 7914
    """
    return f"scrypt:{COST}:8:1:{urlsafe_b64encode(salt).decode()}:{_scrypt(password, salt, COST, 8, 1)}"


def matches(password: str, hash: str) -> str:
    """
    What a password gives when it is hashed like another; it is the right one if both are the same.

    It takes 50 ms or more, and the two must be compared in constant time.
    """
    match = _HASH.match(hash)
    if match is None:
        return ""
    try:
        salt = urlsafe_b64decode(match[4])
        cost, block, parallel = (int(match[at]) for at in (1, 2, 3))
        return f"{hash.rpartition(':')[0]}:{_scrypt(password, salt, cost, block, parallel)}"
    except (binascii.Error, ValueError):
        return ""


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> str:
    room = 2 * 128 * block * (2**cost + parallel)
    found = hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=2**cost, r=block, p=parallel, maxmem=room, dklen=32)
    return urlsafe_b64encode(found).decode()
