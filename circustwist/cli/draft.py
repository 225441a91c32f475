"""An ini that is written for somebody who comes from another supervisor."""

from __future__ import annotations

import attrs

from ..model.errors import ConfigError
from ..model.ini import read


@attrs.define(eq=False)
class Draft:
    """
    Sections with comments, and what has no place in them.

    @ivar origin: what it is made from, as people name it.
    @ivar sections: the lines of each by its title.
    @ivar lost: what has no equivalent, a line each, with its place.
    """

    origin: str
    sections: dict[str, list[str]] = attrs.field(factory=dict)
    lost: list[str] = attrs.field(factory=list)

    def put(self, title: str, option: str, value: object, note: str = "") -> None:
        """Set an option; a note stands above it as a comment."""
        lines = self.sections.setdefault(title, [])
        lines += [f"# {note}"] if note else []
        lines.append(f"{option} = {value}".rstrip())

    def remark(self, title: str, text: str) -> None:
        """Write a comment into a section."""
        self.sections.setdefault(title, []).append(f"# {text}")

    def lose(self, place: str, text: str) -> None:
        """Tell of something that has no equivalent."""
        self.lost.append(f"{place}: {text}")

    def text(self) -> str:
        """
        The ini.

        @raise ConfigError: if no stack could start from it, whatever the host is like.
        """
        head = [f"# Made from {self.origin} by circustwist import."]
        head += ["# What has no equivalent:", *(f"#   {line}" for line in self.lost)] if self.lost else []
        parts = ["\n".join(head), *("\n".join([f"[{title}]", *lines]) for title, lines in self.sections.items())]
        found = "\n\n".join(parts) + "\n"
        reading = read("stack.ini", lambda path: found.encode("utf-8", "surrogateescape"), lambda pattern: [], {})
        if reading.fatal:
            raise ConfigError(reading.fatal)
        return found
