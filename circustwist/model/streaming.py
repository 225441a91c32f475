"""
From the options of a section to the stream that an output of a watcher goes to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .convert import OPTIONS, Converter
from .reading import Entry, Scope, Section, shown
from .streams import NEED_FILE, NO_STREAM, STREAMS, Stream, declaring, isOwn

CIRCUS_STREAM = re.compile(r"circus\.stream(\.\w+)?[.:]")


def stream(converter: Converter, section: Section, output: str, scope: Scope) -> Stream:
    """The stream of an output; none if nothing is said of it, or, which is told of, nothing right."""
    given = {e.option[len(output) + 1:]: e for e in section.entries.values() if e.option.split(".")[0] == output}
    if not given:
        return NO_STREAM
    entry = given.pop("class", None) or next(iter(given.values()))
    if entry.option == f"{output}.class":
        kind = CIRCUS_STREAM.sub("", scope.expand(entry))
    else:
        kind = "FileStream" if "filename" in given else ""
    if kind not in STREAMS and not isOwn(kind):
        what = f"{shown(kind)} is no stream" if kind else f"needs {output}.class or {output}.filename"
        converter.findings.fatal(entry, f"{what}; there are {', '.join(STREAMS)}, and your own: module.Class")
        return NO_STREAM
    settings = _settings(converter, kind, given, scope)
    if kind in NEED_FILE and not settings.get("filename"):
        converter.findings.fatal(entry, f"{kind} needs {output}.filename; e.g. /var/log/web.log")
    return Stream(kind, settings)


def _settings(converter: Converter, kind: str, given: Mapping[str, Entry], scope: Scope) -> dict[str, str]:
    known = OPTIONS[declaring(kind)]
    found = {}
    for name, entry in given.items():
        if name == "refresh_time" and not isOwn(kind):
            converter.findings.warn(entry, "has no effect: output is passed on at once")
        elif name not in known and isOwn(kind):
            found[name] = scope.expand(entry)
        elif name not in known:
            meant = converter.findings.meant(name, known)
            tell = converter.findings.strict if meant else converter.findings.warn
            tell(entry, f"unknown option of {kind}{meant or '; it has no effect'}")
        elif converter.converted(entry, known[name][0].convert, scope) is not None:
            found[name] = scope.expand(entry, known[name][0].convert)
    return found
