"""
What each option of supervisord 4.3, and each command of supervisorctl, is here.

@see: U{http://supervisord.org/configuration.html}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from ..model import values

Translate: TypeAlias = "Callable[[str], object]"


@attrs.frozen
class Row:
    """
    One option of supervisord.

    @ivar section: where it stands, e.g. C{program}.
    @ivar ours: what it becomes; empty if there is no equivalent.
    @ivar note: how they differ, or why there is none.
    @ivar convert: from its value to ours, where nothing but the name and the form differ.
    """

    section: str
    option: str
    ours: str = ""
    note: str = ""
    convert: Translate | None = attrs.field(default=None, eq=False)


def truth(text: str) -> bool:
    """What supervisord takes for true."""
    return text.lower() in ("true", "on", "yes", "1")


def _respawn(text: str) -> str:
    return "on-failure" if text.lower() == "unexpected" else str(truth(text))


def _killMode(text: str) -> str:
    return "control-group" if truth(text) else "mixed"


def _level(text: str) -> str:
    return {"trace": "debug", "blather": "debug"}.get(text.lower(), text.lower())


def _size(text: str) -> str:
    return text if values.size(text) else "0"


_ALONE = "the supervisor is the owner of its runtime directory; see control_group and [user:NAME]"
_EVENTS = "events go to whoever subscribes to them over AMP or ZeroMQ, and to plugins"
_STREAM = "without a file the output is kept in memory for circustwist tail"

ROWS: tuple[Row, ...] = (
    Row("program", "command", "cmd", "%(name)s is replaced; %(ENV_X)s becomes $(circus.env.X)"),
    Row("program", "process_name", "", "a process is called by its watcher and number: web/1"),
    Row("program", "numprocs", "numprocesses", "one watcher each where %(process_num)d stands outside process_name"),
    Row("program", "numprocs_start", "", "it only counts in %(process_num)d, which is replaced"),
    Row("program", "priority", "priority", "the other way round: higher starts first", lambda t: 999 - int(t)),
    Row("program", "autostart", "autostart", "", truth),
    Row("program", "autorestart", "respawn", "unexpected is on-failure", _respawn),
    Row("program", "startsecs", "min_ready", "a reload waits so long; a run is healthy after one second, or when it is "
        "ready", float),
    Row("program", "startretries", "start_limit_burst", "with start_limit_interval", lambda t: int(t) + 1),
    Row("program", "exitcodes", "success_exit_codes", "", lambda t: " ".join(t.replace(",", " ").split())),
    Row("program", "stopsignal", "stop_signal", "", str),
    Row("program", "stopwaitsecs", "graceful_timeout", "10 s where nothing is said, as there", float),
    Row("program", "stopasgroup", "kill_mode", "True is control-group", _killMode),
    Row("program", "killasgroup", "kill_mode", "what a process leaves behind is always killed, unless kill_mode = "
        "process"),
    Row("program", "user", "uid", "with the user's groups", str),
    Row("program", "redirect_stderr", "redirect_stderr", "", truth),
    Row("program", "directory", "working_dir", "", str),
    Row("program", "umask", "umask", "", str),
    Row("program", "environment", "[env:NAME]", "a section of its own"),
    Row("program", "serverurl", "", "a process finds its supervisor by CIRCUSTWIST_CONTROL, if it is given one"),
    *(row for output in ("stdout", "stderr") for row in (
        Row("program", f"{output}_logfile", f"{output}_stream.filename", f"NONE is close_child_{output}; AUTO is no "
            f"stream: {_STREAM}"),
        Row("program", f"{output}_logfile_maxbytes", f"{output}_stream.max_bytes", "", _size),
        Row("program", f"{output}_logfile_backups", f"{output}_stream.backup_count", "", int),
        Row("program", f"{output}_syslog", f"{output}_stream.class", "True is SyslogStream"),
        Row("program", f"{output}_capture_maxbytes", "", "there is no communication mode; see sd_notify(3)"),
        Row("program", f"{output}_events_enabled", "", _EVENTS))),
    Row("fcgi-program", "socket", "[socket:NAME]", "handed over as the standard input: stdin_socket"),
    Row("fcgi-program", "socket_backlog", "backlog", "", int),
    Row("fcgi-program", "socket_owner", "user", "and group"),
    Row("fcgi-program", "socket_mode", "mode", "", str),
    Row("eventlistener", "command", "", f"there are no event listeners: {_EVENTS}; on_failure runs a command"),
    Row("group", "programs", "", "circustwist takes several names, and patterns: restart 'web*'"),
    Row("group", "priority", "", "give the watchers a priority each, or depends_on"),
    Row("supervisord", "logfile", "logoutput", "the supervisor's own log", str),
    Row("supervisord", "loglevel", "loglevel", "trace and blather are debug", _level),
    Row("supervisord", "logfile_maxbytes", "", "the log is put aside by itself; see docs/logs"),
    Row("supervisord", "logfile_backups", "", "the log is put aside by itself; see docs/logs"),
    Row("supervisord", "pidfile", "pidfile", "", str),
    Row("supervisord", "umask", "umask", "", str),
    Row("supervisord", "identifier", "name", "", str),
    Row("supervisord", "environment", "[env]", "for all watchers"),
    Row("supervisord", "nodaemon", "", "twistd -n"),
    Row("supervisord", "silent", "", "twistd -n circus --log-output FILE"),
    Row("supervisord", "minfds", "", "the limit of descriptors is raised as far as it goes, and given back to workers"),
    Row("supervisord", "minprocs", "", "a stack that cannot start all of its processes says so, and tries again"),
    Row("supervisord", "nocleanup", "", "no log files are made that would have to be cleaned up"),
    Row("supervisord", "childlogdir", "", _STREAM),
    Row("supervisord", "user", "", "start it as that user; see circustwist export systemd"),
    Row("supervisord", "directory", "", "twistd --rundir"),
    Row("supervisord", "strip_ansi", "", "control characters are made harmless where they are shown"),
    Row("unix_http_server", "file", "", "the control socket lies in the runtime directory"),
    Row("unix_http_server", "chmod", "", _ALONE),
    Row("unix_http_server", "chown", "", _ALONE),
    Row("unix_http_server", "username", "", _ALONE),
    Row("unix_http_server", "password", "", _ALONE),
    Row("inet_http_server", "port", "httpd_port", "with httpd and httpd_host"),
    Row("inet_http_server", "username", "", "make a [user:NAME] section with circustwist passwd"),
    Row("inet_http_server", "password", "", "make a [user:NAME] section with circustwist passwd"),
    Row("supervisorctl", "serverurl", "", "circustwist finds the supervisor; -s names one"),
    Row("supervisorctl", "username", "", "the kernel says who you are"),
    Row("supervisorctl", "password", "", "the kernel says who you are"),
    Row("supervisorctl", "prompt", "", "there is no shell within the shell"),
    Row("supervisorctl", "history_file", "", "there is no shell within the shell"),
    Row("include", "files", "", "what they say is in this ini"),
    Row("rpcinterface", "supervisor.rpcinterface_factory", "", "AMP, ZeroMQ and HTTP are built from the table of "
        "commands"),
)
"""Every option that supervisord has."""

BY_NAME: Mapping[tuple[str, str], Row] = {(row.section, row.option): row for row in ROWS}
"""The same by section and option."""

COMMANDS: Mapping[str, tuple[str, str]] = {
    "add": ("apply", "a program that is new in the file"),
    "avail": ("status", ""),
    "clear": ("", "the ring of tail forgets by itself; a log file is put aside by reopenlogs or its size"),
    "exit": ("", "there is no shell within the shell"),
    "fg": ("tail -f", "a worker's standard input is /dev/null or a socket, so that nobody can type into it"),
    "help": ("help", ""),
    "maintail": ("tail --daemon", ""),
    "open": ("-s NAME", "which supervisor is meant"),
    "pid": ("pid", ""),
    "quit": ("", "there is no shell within the shell"),
    "reload": ("upgrade", "processes stay"),
    "remove": ("apply", "a program that is gone from the file"),
    "reread": ("plan", "what would change"),
    "restart": ("restart", "or reload, which replaces each process only after its successor has proved itself"),
    "shutdown": ("quit", ""),
    "signal": ("signal", "the name comes first: circustwist signal web HUP"),
    "start": ("start", ""),
    "status": ("status", ""),
    "stop": ("stop", ""),
    "tail": ("tail", ""),
    "update": ("apply", ""),
    "version": ("--version", ""),
}
"""What each command of supervisorctl is called here; empty if there is none, and why."""

QUIET = frozenset((
    "process_name", "numprocs_start", "nodaemon", "nocleanup", "files", "file", "serverurl", "prompt", "history_file",
    "supervisor.rpcinterface_factory", "supervisor.ctl_factory", "silent", "childlogdir", "strip_ansi"))
"""What nobody misses, so that it is not told."""
