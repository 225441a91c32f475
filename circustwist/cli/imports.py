"""C{circustwist import}: coming from another supervisor."""

from __future__ import annotations

import os
import sys

import click

from ..model.errors import ConfigError
from .find import Session, say
from .local import added
from .outcome import FAILED, USAGE


def _formation(text: str | None) -> dict[str, int]:
    """
    How many processes of each type run.

    @raise click.UsageError: if it is not written as C{web=2,worker=1}.
    """
    found = {}
    for part in filter(None, (text or "").split(",")):
        name, equals, number = part.partition("=")
        if not equals or not number.isdecimal():
            raise click.UsageError(f"--formation is written like web=2,worker=1, not {part!r}")
        found[name.strip()] = int(number)
    return found


@added(
    click.Argument(["path"], type=click.Path(), metavar="SUPERVISORD.CONF|PROCFILE"),
    click.Option(["-o", "--output"], metavar="INI", help="Where to write the ini, which must not exist; "
                 "without it to the standard output."),
    click.Option(["-m", "--formation"], metavar="NAME=N,...", help="Of a Procfile: how many processes of each type."),
)
def import_(session: Session, path: str, output: str | None, formation: str | None) -> int:
    """Write the ini for a supervisord.conf or a Procfile, and tell what has no equivalent."""
    from . import procfile, supervisord

    isProcfile = os.path.basename(path).lower().startswith("procfile")
    try:
        draft = procfile.convert(path, _formation(formation)) if isProcfile else supervisord.convert(path)
        text = draft.text()
        if output:
            with open(output, "x", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
    except ConfigError as error:
        session.complain("ConfigError", str(error))
        return USAGE
    except OSError as error:
        session.complain("OSError", f"{error.filename}: {error.strerror}")
        return FAILED
    session.show({"ini": text, "lost": draft.lost}, lambda: [] if output else text.splitlines())
    if not session.json:
        for line in draft.lost:
            say(line, file=sys.stderr)
    return 0
