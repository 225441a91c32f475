"""
Variables: C{$(circus.NAME)}, its twin C{((circus.NAME))}, C{$WID} and plain
C{$VAR}.

Each function goes over a text once: what it has put in is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_MARK = re.compile(r"\$\(((?i:circus)\.[\w.-]+)\)|\(\(((?i:circus)\.[\w.-]+)\)\)|\$WID\b")
_PLAIN = re.compile(r"\$([A-Z][A-Z0-9_]*)")
_ENV = "circus.env."


def _name(match: re.Match[str]) -> str:
    return (match[1] or match[2] or "circus.wid").lower()


def worker(text: str, names: Mapping[str, str]) -> str:
    """
    A command line with its variables replaced, as at each spawn.

    @param names: what each variable stands for, by its name in lower case,
        e.g. C{circus.sockets.web}; what is not in it is left as it stands.
    """
    return _MARK.sub(lambda match: names.get(_name(match), match[0]), text)


def references(text: str) -> list[str]:
    """The variables that a command line names, in lower case and in their order."""
    return [_name(match) for match in _MARK.finditer(text)]


def fromEnv(text: str, env: Mapping[str, str]) -> str:
    """
    A text with C{$(circus.env.X)} replaced, as when the file is read.

    @param env: by lower-cased name; what is not in it is left as it stands.
    """

    def stands(match: re.Match[str]) -> str:
        """What one of them stands for."""
        name = _name(match)
        return env.get(name.removeprefix(_ENV), match[0]) if name.startswith(_ENV) else match[0]

    return _MARK.sub(stands, text)


def environment(value: str, environ: Mapping[str, str]) -> str:
    """
    The value of an environment variable with each plain C{$VAR} replaced.

    @param environ: the supervisor's own environment; what is not in it becomes
        nothing.
    """
    return _PLAIN.sub(lambda match: environ.get(match[1], ""), value)
