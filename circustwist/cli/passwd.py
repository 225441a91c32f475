"""A password's hash, for a C{[user:NAME]} section."""

from __future__ import annotations

import os
import sys

import click

from ..model.keys import hashed
from .find import Session
from .local import added

SHORTEST = 8


@added()
def passwd(session: Session) -> int:
    """Make the hash of a password, for password_hash in a [user:NAME] section."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST:
        raise click.UsageError(f"a password has at least {SHORTEST} characters")
    found = hashed(password, os.urandom(16))
    session.show({"password_hash": found}, lambda: [f"password_hash = {found}"])
    return 0
