"""
From a C{supervisord.conf} to an ini.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from configparser import Error, RawConfigParser
from glob import glob
from typing import Any

from ..model.errors import ConfigError, Place, Problem
from .draft import Draft
from .equivalent import BY_NAME, QUIET, Row, truth

_ENV = re.compile(r"""\s*(?P<name>[^=\s,]+)\s*=\s*(?P<value>"[^"]*"|'[^']*'|[^,]*)\s*(?:,|\Z)""")


class Variables(dict[str, Any]):
    """
    What C{%(name)s} stands for.

    @ivar used: which were asked for.
    """

    def __init__(self, env: str, known: Mapping[str, object]) -> None:
        """
        @param env: how a variable of the environment is written where this goes.
        """
        super().__init__(known)
        self.used: set[str] = set()
        self._env = env

    def __getitem__(self, name: str) -> Any:
        self.used.add(name)
        return super().__getitem__(name)

    def __missing__(self, name: str) -> str:
        if not name.startswith("ENV_"):
            raise KeyError(name)
        return self._env.format(name.removeprefix("ENV_"))


class Conf:
    """
    A C{supervisord.conf} with what it includes.

    @ivar parser: all of it.
    """

    def __init__(self, path: str) -> None:
        """
        @raise OSError: if it cannot be read.
        @raise ConfigError: if it is none.
        """
        self.path = path
        self.parser = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False, interpolation=None)
        self._lines: dict[tuple[str, str], Place] = {}
        self._read(path)
        for pattern in self.parser.get("include", "files", fallback="").split():
            where = os.path.join(os.path.dirname(path), pattern % Variables("${}", self.here))
            for found in sorted(glob(where)):
                self._read(found)

    @property
    def here(self) -> dict[str, object]:
        """What is known everywhere."""
        return {"here": os.path.dirname(os.path.abspath(self.path)), "host_node_name": os.uname().nodename}

    def _read(self, path: str) -> None:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        try:
            self.parser.read_string(text, path)
        except Error as error:
            raise ConfigError((Problem(Place(path), "", "", " ".join(str(error).split())),)) from None
        title = ""
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("["):
                title = line[1:].partition("]")[0]
                self._lines.setdefault((title, ""), Place(path, number))
            elif line[:1].strip() and line[0] not in ";#":
                self._lines[title, re.split("[=:]", line)[0].strip().lower()] = Place(path, number)

    def place(self, title: str, option: str = "") -> str:
        """Where an option stands, for a message."""
        where = self._lines.get((title, option), Place(self.path))
        return f"{where}: [{title}]" + (f" {option}" if option else "")

    def expanded(self, title: str, option: str, variables: Variables) -> str:
        """
        An option with its variables replaced; a value may go over several lines.

        @raise ConfigError: if they cannot be.
        """
        text = " ".join(self.parser.get(title, option, fallback="").split("\n"))
        try:
            return text % variables
        except (KeyError, ValueError, TypeError) as error:
            where = self._lines.get((title, option), Place(self.path))
            raise ConfigError((Problem(where, title, option, f"{text!r} cannot be replaced: {error}"),)) from None


class Import:
    """
    One file being translated.

    @ivar draft: what comes of it.
    """

    def __init__(self, conf: Conf) -> None:
        self.conf = conf
        self.draft = Draft(conf.path)

    def run(self) -> Draft:
        """Translate every section."""
        for title in self.conf.parser.sections():
            kind, colon, name = title.partition(":")
            if kind in ("program", "fcgi-program") and colon:
                self._program(title, kind, name)
            elif kind == "eventlistener":
                self.draft.lose(self.conf.place(title), BY_NAME[kind, "command"].note)
            else:
                self._plain(title, kind)
        return self.draft

    # The supervisor itself

    def _plain(self, title: str, kind: str) -> None:
        for option in self.conf.parser.options(title):
            text = self.conf.expanded(title, option, Variables("$(circus.env.{})", self.conf.here))
            row = BY_NAME.get((kind, option))
            if row is None or not row.ours:
                self._lost(title, kind, option)
            elif row.option == "environment":
                self._environment("env", title, Variables("${}", self.conf.here))
            elif row.option == "port":
                self._httpd(text)
            elif row.convert is not None:
                self._convert("circus", title, row, text)

    def _httpd(self, text: str) -> None:
        host, _, port = text.rpartition(":")
        if host in ("", "*"):
            self.draft.lose(self.conf.place("inet_http_server", "port"), "the console is for this host only; "
                            "httpd_host = 0.0.0.0 lets others in")
            host = "127.0.0.1"
        self.draft.put("circus", "httpd", True)
        self.draft.put("circus", "httpd_host", host)
        self.draft.put("circus", "httpd_port", port)

    def _lost(self, title: str, kind: str, option: str) -> None:
        if option not in QUIET:
            row = BY_NAME.get((kind, option)) or BY_NAME.get(("program", option))
            self.draft.lose(self.conf.place(title, option), row.note if row else "is not an option of supervisord 4.3")

    def _convert(self, into: str, title: str, row: Row, text: str) -> None:
        assert row.convert is not None
        try:
            value = row.convert(text)
        except ValueError:
            self.draft.lose(self.conf.place(title, row.option), f"{text!r} makes no sense")
            return
        shown = int(value) if isinstance(value, float) and value.is_integer() else value
        self.draft.put(into, row.ours, shown)

    # Programs

    def _program(self, title: str, kind: str, name: str) -> None:
        parser = self.conf.parser
        count, first = (int(parser.get(title, key, fallback=default)) for key, default in (
            ("numprocs", "1"), ("numprocs_start", "0")))
        known = {**self.conf.here, "program_name": name, "group_name": name, "numprocs": count}
        for option in parser.options(title):
            if not ((kind, option) in BY_NAME or ("program", option) in BY_NAME) or not self._ours(kind, option):
                self._lost(title, kind, option)
        if kind == "fcgi-program":
            self._socket(title, name, Variables("$(circus.env.{})", known))
        trial = Variables("", {**known, "process_num": first})
        for option in ("command", "environment", "directory", "stdout_logfile", "stderr_logfile"):
            self.conf.expanded(title, option, trial)
        if count > 1 and "process_num" in trial.used:
            for number in range(first, first + count):
                self._watcher(title, kind, f"{name}-{number}", 1, {**known, "process_num": number})
        else:
            self._watcher(title, kind, name, count, {**known, "process_num": first})

    def _ours(self, kind: str, option: str) -> bool:
        row = BY_NAME.get((kind, option)) or BY_NAME["program", option]
        return bool(row.ours)

    def _watcher(self, title: str, kind: str, name: str, count: int, known: Mapping[str, object]) -> None:
        into, variables = f"watcher:{name}", Variables("$(circus.env.{})", known)
        put = self.draft.put
        put(into, "cmd", self.conf.expanded(title, "command", variables))
        put(into, "copy_env", True)
        if count != 1:
            put(into, "numprocesses", count)
        if kind == "fcgi-program":
            put(into, "stdin_socket", str(known["program_name"]).lower())
        for option, default in (("autorestart", "unexpected"), ("stopwaitsecs", "10"), ("startretries", "3")):
            self._convert(into, title, BY_NAME["program", option],
                          self.conf.expanded(title, option, variables) or default)
        put(into, "start_limit_interval", self._interval(title))
        for option in self.conf.parser.options(title):
            row = BY_NAME.get(("program", option))
            if row is not None and row.convert is not None and not self._late(option):
                self._convert(into, title, row, self.conf.expanded(title, option, variables))
        for output in ("stdout", "stderr"):
            self._output(into, title, output, variables)
        if self.conf.parser.has_option(title, "environment"):
            self._environment(f"env:{name}", title, Variables("${}", known))

    @staticmethod
    def _late(option: str) -> bool:
        """Whether an option is dealt with apart from the others."""
        return option in ("autorestart", "stopwaitsecs", "startretries") or option.startswith(("stdout_", "stderr_"))

    def _interval(self, title: str) -> int:
        """Seconds in which that many tries end if each dies within C{startsecs}: the pauses there are 1, 2, 3 s, ..."""
        tries, alive = (int(float(self.conf.parser.get(title, key, fallback=default))) for key, default in (
            ("startretries", "3"), ("startsecs", "1")))
        return max(1, (tries + 1) * alive + tries * (tries + 1) // 2)

    def _output(self, into: str, title: str, output: str, variables: Variables) -> None:
        """Where one output goes."""
        file = self.conf.expanded(title, f"{output}_logfile", variables)
        parser = self.conf.parser
        if truth(parser.get(title, f"{output}_syslog", fallback="")):
            self.draft.put(into, f"{output}_stream.class", "SyslogStream")
        elif file.upper() == "NONE":
            self.draft.put(into, f"close_child_{output}", True)
        elif file and file.upper() != "AUTO" and file not in ("/dev/stdout", "/dev/stderr"):
            self.draft.put(into, f"{output}_stream.filename", file)
            for option, default in (("maxbytes", "50MB"), ("backups", "10")):
                row = BY_NAME["program", f"{output}_logfile_{option}"]
                self._convert(into, title, row, parser.get(title, row.option, fallback=default))

    def _environment(self, into: str, title: str, variables: Variables) -> None:
        written = dict(assignments(self.conf.parser.get(title, "environment")))
        for name, value in assignments(self.conf.expanded(title, "environment", variables)):
            if re.search(r"\$[A-Z]", written.get(name, "")):
                self.draft.lose(self.conf.place(title, "environment"), f"the value of {name} holds a $, with which a "
                                "variable begins in an ini: give it in an env_file")
            else:
                self.draft.put(into, name, value)

    def _socket(self, title: str, name: str, variables: Variables) -> None:
        """The socket of a FastCGI program."""
        into, text = f"socket:{name}", self.conf.expanded(title, "socket", variables)
        scheme, _, where = text.partition("://")
        if scheme == "unix":
            self.draft.put(into, "path", where)
        else:
            host, _, port = where.rpartition(":")
            self.draft.put(into, "host", "0.0.0.0" if host in ("", "*") else host)
            self.draft.put(into, "port", port)
        for option in self.conf.parser.options(title):
            row = BY_NAME.get(("fcgi-program", option))
            if row is not None and row.convert is not None:
                self._convert(into, title, row, self.conf.expanded(title, option, variables))
        owner, _, group = self.conf.expanded(title, "socket_owner", variables).partition(":")
        for option, value in (("user", owner), ("group", group)):
            if value:
                self.draft.put(into, option, value)


def assignments(text: str) -> Iterator[tuple[str, str]]:
    """The variables in C{KEY="value",OTHER=value}, with their values."""
    at = 0
    while at < len(text) and (found := _ENV.match(text, at)) and found.end() > at:
        value = found["value"].strip()
        words = shlex.split(value) if value[:1] in ("'", '"') else [value]
        yield found["name"], words[0] if words else ""
        at = found.end()


def convert(path: str) -> Draft:
    """
    The ini for a C{supervisord.conf}.

    @raise OSError: if it cannot be read.
    @raise ConfigError: if it makes no sense.
    """
    return Import(Conf(path)).run()
