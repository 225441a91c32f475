"""Files by which others run a stack."""

from __future__ import annotations

import os
import shutil
import sys

import click

from . import find, show
from .find import Session
from .local import added
from .outcome import USAGE


def _twistd() -> str:
    """The program, beside ours or on the PATH."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "twistd")
    return beside if os.path.exists(beside) else shutil.which("twistd") or "twistd"


@added(
    click.Argument(["format"], type=click.Choice(["systemd"])),
    click.Argument(["ini"], required=False, type=click.Path()),
    click.Option(["--user"], is_flag=True, help="A unit for your own manager, systemctl --user."))
def export(session: Session, format: str, ini: str | None, user: bool) -> int:
    """Write the unit by which systemd runs a stack, at boot or for you."""
    from ..model.unit import unit, unitName

    path = ini or session.config or next(map(os.path.relpath, find.inisHere()), "")
    if not path:
        raise click.UsageError("which ini? there is no stack.ini, circus.ini or single other one here")
    stack, problems = find.readable(path, os.environ)
    if problems:
        session.complain("ConfigError", "\n".join(map(show.safe, problems)))
        return USAGE
    text = unit(stack, _twistd(), user)
    session.show({"name": f"{unitName(stack)}.service", "unit": text}, lambda: text.splitlines())
    return 0
