"""
Who may do what: the table of every option of C{[user:NAME]}, and how a face finds somebody in it.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from . import keys, values
from .commands import ROLES
from .errors import Place
from .option import option as _option


@attrs.frozen
class User:
    """
    A C{[user:NAME]} section: somebody who may give commands, and how they are recognised.

    @ivar name: as in the section's title; it is shown beside everything that they do.
    @ivar place: where the section stands.
    """

    name: str
    place: Place = attrs.field(default=Place(""), eq=False)
    role: str = _option(
        values.oneOf(*ROLES), "viewer", "What they may do: viewer (see states and numbers; no logs, no environments), "
        "operator (start, stop, reload, read logs) or admin (define what is run).", live="now", example="operator")
    uid: str = _option(
        values.text, "", "The user, name or number, as whom they reach the control socket.", live="now", example="ann")
    group: str = _option(
        values.text, "", "Everybody in this group, name or number, is recognised as this user.", live="now",
        example="ops")
    cert: str = _option(
        keys.fingerprint, "", "SHA-256 fingerprint of their certificate.", live="now",
        example="4f" + ":00" * 30 + ":4e")
    curve_key: str = _option(
        keys.curveKey, "", "Their public CURVE key, for ZeroMQ: 40 letters of Z85, or 64 hex digits.", live="now",
        example="rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")
    password_hash: str = _option(
        keys.passwordHash, "", "The hash of their password for the console, as circustwist passwd makes it.",
        live="now", example=f"scrypt:14:8:1:{'A' * 22}==:{'A' * 43}=")

    @property
    def ways(self) -> tuple[tuple[str, str], ...]:
        """By what they are recognised: the option, and its value."""
        every = ("uid", "group", "cert", "curve_key", "password_hash")
        return tuple((option, value) for option in every if (value := getattr(self, option)))


def byKey(users: Iterable[User], key: str) -> User | None:
    """
    Whose CURVE key this is.

    @param key: in Z85.
    """
    return next((user for user in users if user.curve_key and user.curve_key == key), None)


def byCert(users: Iterable[User], fingerprint: str) -> User | None:
    """
    Whose certificate this is.

    @param fingerprint: 64 hex digits in lower case.
    """
    return next((user for user in users if user.cert and user.cert == fingerprint), None)


def byName(users: Iterable[User], name: str) -> User | None:
    """The user of that name, in any case of letters."""
    return next((user for user in users if user.name.lower() == name.lower()), None)
