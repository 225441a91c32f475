"""The hooks that a watcher's section names."""

from __future__ import annotations

from .convert import Converter
from .hooks import POINTS, Hook, hook
from .reading import Section, shown


def hooks(converter: Converter, section: Section) -> dict[str, Hook]:
    """The hooks of a watcher; whatever is wrong with them is told."""
    found: dict[str, Hook] = {}
    for entry in section.entries.values():
        head, dot, name = entry.option.partition(".")
        if head != "hooks" or not dot or not entry.text:
            continue
        if name not in POINTS:
            meant = converter.findings.meant(name, POINTS)
            converter.findings.strict(entry, f"is never called: there is no such hook{meant}")
            continue
        try:
            found[name] = hook(entry.text)
        except ValueError as error:
            converter.findings.fatal(entry, f"{shown(entry.text)} {error}")
    return found
