"""
From files to sections: Circus's dialect of ini.

 - A section or an option that comes again adds to the first; the first value
   wins, also across files.
 - C{#}, C{;} or the word C{rem} in the first column make a comment; inside a
   value only a C{;} after a blank does, if it is the value's first C{;}.
 - An indented line continues the option above it.
 - What C{[DEFAULT]} says holds in every section.

Nothing here knows what an option means, except C{include} and C{include_dir}.
"""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from typing import TypeAlias

import attrs

from . import expand, values
from .errors import Place, Problem

OpenFile: TypeAlias = Callable[[str], bytes]
"""The bytes of a file; raises OSError."""

ListFiles: TypeAlias = Callable[[str], list[str]]
"""The files that a pattern names, as glob(3) does; raises OSError."""

LARGEST = 10 * 1024 * 1024
"""Bytes beyond which a file is refused."""

DEFAULT = "DEFAULT"

_MOST_PROBLEMS = 100
_MOST_GUESSES = 50
_MOST_CANDIDATES = 1000
_LONGEST_GUESS = 100

_TITLE = re.compile(r"\[(.+?)\]\s*(?:[;#].*)?\Z|\[([^]]+)\]")
_SEPARATOR = re.compile("[:=]")
_COMMENT = re.compile(r"[#;]|rem(?:\s|\Z)", re.I)
# Python's surrogateescape puts bytes that are not UTF-8 into this range.
_UNREADABLE = re.compile("[\0\udc80-\udcff]")
_MAGIC = re.compile(r"([*?[])")


@attrs.frozen
class Entry:
    """
    One option, or the head of a section.

    @ivar section: the title of the section it stands in.
    @ivar option: its name; empty for the head itself.
    @ivar text: its value, with the lines that continue it.
    """

    section: str
    option: str
    text: str
    place: Place


@attrs.frozen
class Section:
    """
    A section, merged from wherever it stands.

    @ivar title: without brackets.
    @ivar place: where it stands first.
    @ivar entries: by option, with those of C{[DEFAULT]}.
    """

    title: str
    place: Place
    entries: dict[str, Entry] = attrs.field(factory=dict)

    def at(self, option: str) -> Entry:
        """The entry of an option; an empty one where the section begins if it has none."""
        return self.entries.get(option) or Entry(self.title, option, "", self.place)


class Findings:
    """
    The problems found so far.

    @ivar files: the files that were read, in order.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self._problems: list[Problem] = []
        self._guesses: dict[tuple[str, tuple[str, ...]], str] = {}

    def fatal(self, entry: Entry, text: str) -> None:
        """Tell of what keeps the stack from starting."""
        self._problems.append(Problem(entry.place, entry.section, entry.option, text))

    def strict(self, entry: Entry, text: str) -> None:
        """Tell of what is an error for C{check} and a warning at start."""
        self._problems.append(Problem(entry.place, entry.section, entry.option, text, fatal=False))

    def warn(self, entry: Entry, text: str) -> None:
        """Tell of what is only a warning."""
        self._problems.append(Problem(entry.place, entry.section, entry.option, text, fatal=False, strict=False))

    def near(self, word: str, candidates: tuple[str, ...], cutoff: float = 0.6) -> str:
        """
        What may have been meant; nothing if there is no guess.

        @param cutoff: how alike, from 0 to 1.
        """
        key = (word.lower(), candidates)
        if key not in self._guesses:
            if len(self._guesses) >= _MOST_GUESSES or len(word) > _LONGEST_GUESS:
                return ""
            import difflib  # only somebody who has made a mistake needs it

            found = difflib.get_close_matches(key[0], candidates[:_MOST_CANDIDATES], 1, cutoff)
            self._guesses[key] = found[0] if found else ""
        return self._guesses[key]

    def meant(self, word: str, candidates: Iterable[str]) -> str:
        """The end of a message: C{; did you mean web?}, or nothing."""
        if len(self._guesses) >= _MOST_GUESSES:
            return ""
        near = self.near(word, tuple(islice(candidates, _MOST_CANDIDATES)))
        return f"; did you mean {near}?" if near else ""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Each problem once, in the order of the files and lines."""
        order = {file: number for number, file in enumerate(self.files)}
        return tuple(sorted(dict.fromkeys(self._problems), key=lambda p: (order.get(p.place.file, -1), p.place.line)))


def shown(text: str) -> str:
    """A value as messages quote it: on one line, and not too long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def lowered(env: Mapping[str, str]) -> dict[str, str]:
    """An environment by lower-cased names; of two the later counts."""
    return {name.lower(): value for name, value in env.items()}


def _value(text: str) -> str:
    """The value in what follows the separator on its line."""
    semicolon = text.find(";")
    if semicolon > 0 and text[semicolon - 1].isspace():
        text = text[:semicolon]
    text = text.strip()
    return "" if text == '""' else text


@attrs.define
class _Row:
    section: str
    option: str
    parts: list[str]
    line: int


class _Scanner:
    """Takes the lines of one file, one after the other."""

    def __init__(self, file: str, findings: Findings) -> None:
        self.rows: list[_Row] = []
        self._file = file
        self._findings = findings
        self._section = ""
        self._told = 0

    def scan(self, data: bytes) -> None:
        """Take a whole file."""
        text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        doubtful = _UNREADABLE.search(text) is not None
        for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
            if self._told >= _MOST_PROBLEMS:
                self._tell(number, "too many problems; the rest of the file was not read")
                return
            self._line(number, self._readable(number, line) if doubtful else line)

    def _tell(self, number: int, text: str) -> None:
        self._told += 1
        self._findings.fatal(Entry(self._section, "", "", Place(self._file, number)), text)

    def _readable(self, number: int, line: str) -> str:
        bad = _UNREADABLE.search(line)
        if bad is None:
            return line
        self._tell(number, "has a NUL byte" if bad[0] == "\0" else "is not UTF-8")
        return _UNREADABLE.sub("\ufffd", line)

    def _line(self, number: int, line: str) -> None:
        if not line or _COMMENT.match(line) or line.isspace():
            return
        indented = line[0].isspace()
        if indented and self.rows and self.rows[-1].option:
            self.rows[-1].parts.append(line.strip())
            return
        line = line.strip()
        if indented and _COMMENT.match(line):
            return
        title = _TITLE.match(line)
        if title:
            self._section = title[1] or title[2]
            self.rows.append(_Row(self._section, "", [], number))
        else:
            self._option(number, line)

    def _option(self, number: int, line: str) -> None:
        separator = _SEPARATOR.search(line)
        name = line[:separator.start()].rstrip() if separator else ""
        if line[0] == "[":
            self._tell(number, f"{shown(line)} is not the title of a section; e.g. [watcher:web]")
        elif not self._section:
            self._tell(number, f"{shown(line)} stands before the first section; e.g. [watcher:web]")
        elif separator is None or not name:
            self._tell(number, f"{shown(line)} is neither a section nor an option; e.g. cmd = sleep 60")
        else:
            self.rows.append(_Row(self._section, name, [_value(line[separator.end():])], number))


def scan(data: bytes, file: str, findings: Findings) -> Iterator[Entry]:
    """
    The heads of sections and the options of one file, as they stand.

    @param file: what its places are called.
    """
    scanner = _Scanner(file, findings)
    scanner.scan(data)
    for row in scanner.rows:
        yield Entry(row.section, row.option, "\n".join(row.parts).strip(), Place(file, row.line))


class _Collector:
    """Reads files into sections, where the first value wins."""

    def __init__(self, openFile: OpenFile, listFiles: ListFiles, findings: Findings) -> None:
        self.sections: dict[str, Section] = {}
        self._openFile = openFile
        self._listFiles = listFiles
        self._findings = findings
        self._seen: set[str] = set()

    def add(self, file: str) -> None:
        """
        Read one file; nothing happens if it was read before.

        @raise OSError: if it cannot be read, or is too large.
        """
        normal = posixpath.normpath(file)
        if normal in self._seen:
            return
        data = self._openFile(file)
        if len(data) > LARGEST:
            raise OSError(errno.EFBIG, f"it is larger than {LARGEST // 1024**2} MB")
        self._seen.add(normal)
        self._findings.files.append(file)
        for entry in scan(data, file, self._findings):
            section = self.sections.get(entry.section)
            if section is None:
                section = self.sections[entry.section] = Section(entry.section, entry.place)
            first = section.entries.setdefault(entry.option, entry) if entry.option else entry
            if first is not entry and first.place.file == file and first.text != entry.text:
                self._findings.warn(entry, f"stands in line {first.place.line} already, which counts")

    def include(self, folder: str, entry: Entry, env: Mapping[str, str]) -> None:
        """Read the files that an C{include} or C{include_dir} names."""
        for word in expand.fromEnv(entry.text, env).split():
            named = entry.option == "include" and not _MAGIC.search(word)
            try:
                files = [posixpath.join(folder, word)] if named else self._matches(folder, word, entry)
            except OSError as error:
                self._findings.fatal(entry, f"{word} cannot be read: {_reason(error)}")
                continue
            for file in files:
                try:
                    self.add(file)
                except OSError as error:
                    tell = self._findings.fatal if named else self._findings.strict
                    tell(entry, f"{file} cannot be read: {_reason(error)}")

    def _matches(self, folder: str, word: str, entry: Entry) -> list[str]:
        if entry.option == "include_dir":
            pattern = posixpath.join(_literal(posixpath.join(folder, word)), "*.ini")
        else:
            pattern = posixpath.join(_literal(folder), word)
        files = sorted(self._listFiles(pattern))
        if not files:
            self._findings.warn(entry, f"no file matches {pattern}")
        return files


def _literal(path: str) -> str:
    """A pattern that stands for exactly this path; glob(7)."""
    return _MAGIC.sub(r"[\1]", path)


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def collect(
    path: str, openFile: OpenFile, listFiles: ListFiles, environ: Mapping[str, str], findings: Findings
) -> dict[str, Section]:
    """
    Everything that an ini and the files which it includes say.

    @param path: the main file; its C{include} and C{include_dir} count, those
        of other files do not.
    @param environ: for C{$(circus.env.X)} in these two.
    @return: the sections by title, without C{[DEFAULT]}, in the order of files
        and lines.
    """
    collector = _Collector(openFile, listFiles, findings)
    try:
        collector.add(path)
    except OSError as error:
        findings.fatal(Entry("", "", "", Place(path)), f"cannot be read: {_reason(error)}")
    circus = collector.sections.get("circus")
    wanted = [circus.entries[key] for key in ("include", "include_dir") if key in circus.entries] if circus else []
    for entry in wanted:
        collector.include(posixpath.dirname(path), entry, lowered(environ))
    sections = collector.sections
    defaults = sections.pop(DEFAULT, Section(DEFAULT, Place(path))).entries
    if not defaults:
        return sections
    return {
        title: attrs.evolve(section, entries={**defaults, **section.entries}) for title, section in sections.items()
    }


@attrs.frozen
class Scope:
    """
    What C{$(circus.env.X)} stands for in one section, by lower-cased name.

    @ivar env: what the C{[env]} sections give, under its own names.
    """

    typed: Mapping[str, str]
    text: Mapping[str, str]
    env: Mapping[str, str]

    def expand(self, entry: Entry, convert: values.Converter = values.text) -> str:
        """An entry's text, for this converter; numbers and the like see the common environment first (Circus)."""
        return expand.fromEnv(entry.text, self.text if convert is values.text else self.typed)


class Environments:
    """The C{[env]} sections."""

    def __init__(self, sections: Mapping[str, Section], environ: Mapping[str, str]) -> None:
        outer = lowered(environ)
        everywhere = self._given(sections.get("env"), outer, environ)
        common = outer | lowered(everywhere)
        self.common = Scope(common, common, everywhere)
        self._scopes: dict[tuple[int, ...], Scope] = {(): self.common}
        self._special = [
            ([pattern.strip() for pattern in title[4:].split(",")], self._given(section, common, environ))
            for title, section in sections.items() if title.startswith("env:")
        ]

    @staticmethod
    def _given(section: Section | None, names: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
        entries = section.entries if section else {}
        return {
            name: expand.fromEnv(expand.environment(entry.text, environ), names) for name, entry in entries.items()
        }

    def of(self, watcher: str) -> Scope:
        """The scope of a watcher; of two sections that match the later counts."""
        matching = tuple(
            number for number, (patterns, _) in enumerate(self._special)
            if any(fnmatchcase(watcher, pattern) for pattern in patterns)
        )
        if matching not in self._scopes:
            env = dict(self.common.env)
            for number in matching:
                env.update(self._special[number][1])
            text = {**self.common.text, **lowered(env)}
            self._scopes[matching] = Scope({**text, **self.common.typed}, text, env)
        return self._scopes[matching]
