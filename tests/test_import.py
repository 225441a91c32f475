"""Tests of what becomes of the files of other supervisors."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.cli import procfile, supervisord
from circustwist.cli.equivalent import BY_NAME, COMMANDS, ROWS
from circustwist.cli.main import cli
from circustwist.model.errors import ConfigError
from circustwist.model.ini import read
from circustwist.model.stack import Stack
from circustwist.model.streams import STREAMS

OPTIONS = {
    "program": "command process_name numprocs numprocs_start priority autostart startsecs startretries autorestart "
               "exitcodes stopsignal stopwaitsecs stopasgroup killasgroup user redirect_stderr stdout_logfile "
               "stdout_logfile_maxbytes stdout_logfile_backups stdout_capture_maxbytes stdout_events_enabled "
               "stdout_syslog stderr_logfile stderr_logfile_maxbytes stderr_logfile_backups stderr_capture_maxbytes "
               "stderr_events_enabled stderr_syslog environment directory umask serverurl",
    "supervisord": "logfile logfile_maxbytes logfile_backups loglevel pidfile umask nodaemon silent minfds minprocs "
                   "nocleanup childlogdir user directory strip_ansi environment identifier",
    "unix_http_server": "file chmod chown username password",
    "inet_http_server": "port username password",
    "supervisorctl": "serverurl username password prompt history_file",
    "fcgi-program": "socket socket_backlog socket_owner socket_mode",
    "group": "programs priority",
    "include": "files",
}
"""Every option of supervisord 4.3, as its documentation names them."""

SUPERVISORCTL = ("add avail clear exit fg help maintail open pid quit reload remove reread restart shutdown signal "
                 "start status stop tail update version")

SAMPLES = {
    "command": ("run %(program_name)s", "cmd = run x"), "numprocs": ("3", "numprocesses = 3"),
    "priority": ("10", "priority = 989"), "autostart": ("false", "autostart = False"),
    "autorestart": ("true", "respawn = True"), "startsecs": ("5", "min_ready = 5"),
    "startretries": ("7", "start_limit_burst = 8"), "exitcodes": ("0,2", "success_exit_codes = 0 2"),
    "stopsignal": ("INT", "stop_signal = INT"), "stopwaitsecs": ("3", "graceful_timeout = 3"),
    "stopasgroup": ("true", "kill_mode = control-group"), "killasgroup": ("true", ""),
    "user": ("nobody", "uid = nobody"),
    "redirect_stderr": ("true", "redirect_stderr = True"), "directory": ("/srv", "working_dir = /srv"),
    "umask": ("022", "umask = 022"), "environment": ('A="1",B=two', "A = 1\nB = two"),
    "stdout_logfile": ("/x.log", "stdout_stream.filename = /x.log"),
    "stderr_logfile": ("NONE", "close_child_stderr = True"),
    "stdout_syslog": ("true", "stdout_stream.class = SyslogStream"),
    "stderr_syslog": ("true", "stderr_stream.class = SyslogStream"),
    "socket": ("tcp://*:9000", "host = 0.0.0.0\nport = 9000"), "socket_backlog": ("7", "backlog = 7"),
    "socket_owner": ("www:web", "user = www\ngroup = web"), "socket_mode": ("0660", "mode = 0660"),
    "logfile": ("%(here)s/x.log", "logoutput = {here}/x.log"), "loglevel": ("blather", "loglevel = debug"),
    "pidfile": ("/x.pid", "pidfile = /x.pid"), "identifier": ("shop", "name = shop"),
    "port": ("localhost:9001", "httpd = True\nhttpd_host = localhost\nhttpd_port = 9001"),
}
"""A value for each option that has an equivalent, and what it becomes."""


class Base(SynchronousTestCase):
    """Files in a folder of their own."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=self.mktemp_()))

    def mktemp_(self) -> str:
        """A folder that trial removes."""
        path = Path(self.mktemp())
        path.mkdir(parents=True)
        return str(path.resolve())

    def write(self, name: str, text: str) -> str:
        """A file; its path."""
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def stack(self, text: str) -> Stack:
        """The stack that an ini describes."""
        return read("stack.ini", lambda path: text.encode(), lambda pattern: [], {"HOME": "/home/me"}).stack


class SupervisordTests(Base):
    """Tests of a C{supervisord.conf}."""

    def converted(self, text: str) -> str:
        """What it becomes."""
        return supervisord.convert(self.write("supervisord.conf", text)).text()

    def lost(self, text: str) -> list[str]:
        """What has no equivalent."""
        draft = supervisord.convert(self.write("supervisord.conf", text))
        return [line.removeprefix(f"{self.folder}/") for line in draft.lost]

    def test_complete(self) -> None:
        """Every option and command is in the table, with an equivalent that is tested here or a reason."""
        for section, names in OPTIONS.items():
            known = {row.option for row in ROWS if row.section == section}
            self.assertEqual(known, set(names.split()), section)
        self.assertEqual(sorted(COMMANDS), SUPERVISORCTL.split())
        for row in ROWS:
            self.assertTrue(row.note or row.ours, row)
            if row.ours and not row.option.endswith(("_maxbytes", "_backups")):
                self.assertIn(row.option, SAMPLES)

    def test_commands(self) -> None:
        """What a command is called here exists, and what is not there has a reason."""
        for ours, why in COMMANDS.values():
            self.assertTrue(ours or why)
            if ours and not ours.startswith("-"):
                self.assertIn(ours.split()[0], {*cli.commands, "tail"})

    def test_rows(self) -> None:
        """Each option becomes what the table says, and what has no equivalent is told with its place."""
        for row in ROWS:
            if row.section in ("include", "eventlistener", "rpcinterface") or row.option == "command":
                continue
            if row.ours.endswith("_stream.class") and "SyslogStream" not in STREAMS:
                continue
            kind = row.section
            title = f"{kind}:x" if kind in ("program", "fcgi-program", "group") else kind
            value, expected = SAMPLES.get(row.option, ("1", ""))
            text = f"[{title}]\n" + ("command = run\n" if "program" in kind else "") + f"{row.option} = {value}\n"
            if kind == "fcgi-program" and row.option != "socket":
                text += "socket = unix:///x.sock\n"
            found = self.converted(text)
            if row.ours and expected:
                self.assertIn(expected.format(here=self.folder), found, row)
            elif not row.ours and any(row.option in line for line in self.lost(text)):
                line = 3 if "program" in kind else 2
                self.assertEqual(self.lost(text), [f"supervisord.conf:{line}: [{title}] {row.option}: {row.note}"])

    def test_program(self) -> None:
        """Defaults that differ are written out."""
        found = self.converted("[program:web]\ncommand = /bin/web\n  --port 80 ; the port\nstdout_logfile = /w.log\n")
        self.assertEqual(found.partition("[watcher:web]\n")[2], (
            "cmd = /bin/web --port 80\ncopy_env = True\nrespawn = on-failure\ngraceful_timeout = 10\n"
            "start_limit_burst = 4\nstart_limit_interval = 10\nstdout_stream.filename = /w.log\n"
            "stdout_stream.max_bytes = 50MB\nstdout_stream.backup_count = 10\n"))

    def test_numbers(self) -> None:
        """Processes that differ become watchers; those that differ only in name are one."""
        differ = self.stack(self.converted(
            "[program:web]\ncommand = run %(process_num)02d\nnumprocs = 2\nnumprocs_start = 8\n"))
        self.assertEqual([(w.name, w.cmd) for w in differ.watchers], [("web-8", "run 08"), ("web-9", "run 09")])
        same = self.stack(self.converted(
            "[program:web]\ncommand = run\nnumprocs = 2\nprocess_name = %(program_name)s_%(process_num)02d\n"))
        self.assertEqual([(w.name, w.numprocesses) for w in same.watchers], [("web", 2)])

    def test_environment(self) -> None:
        """Variables of the environment stay variables; a $ that is none is told."""
        text = "[program:x]\ncommand = run %(ENV_HOME)s\nenvironment = A=\"a,b\",B='%(ENV_HOME)s',C=$HOME\n"
        found = self.stack(self.converted(text)).watchers[0]
        self.assertEqual((found.cmd, dict(found.env)), ("run /home/me", {"A": "a,b", "B": "/home/me"}))
        self.assertIn("the value of C holds a $", self.lost(text)[0])

    def test_include(self) -> None:
        """Included files are read, and named where something of theirs is lost."""
        self.write("conf.d/a.conf", "[program:a]\ncommand = a\nserverurl = x\nkilling = y\n")
        text = "[include]\nfiles = conf.d/*.conf other.conf\n"
        self.assertEqual([w.name for w in self.stack(self.converted(text)).watchers], ["a"])
        self.assertEqual(self.lost(text), ["conf.d/a.conf:4: [program:a] killing: is not an option of supervisord 4.3"])

    def test_listener(self) -> None:
        """An event listener is told of."""
        self.assertEqual(self.lost("[eventlistener:x]\ncommand = x\n"), [
            f"supervisord.conf:1: [eventlistener:x]: {BY_NAME['eventlistener', 'command'].note}"])

    def test_wrong(self) -> None:
        """What makes no sense is an error with its place, or told."""
        for text, where in (("command = x\n", ":"), ("[program:x]\ncommand = %(nobody)s\n", ":2: [program:x] command"),
                            ("[program:x]\ncommand = 100%\n", ":2: [program:x] command")):
            error = self.assertRaises(ConfigError, self.converted, text)
            self.assertIn(f"supervisord.conf{where}", str(error))
            self.assertNotIn("\n", str(error))
        self.assertEqual(self.lost("[program:x]\ncommand = x\nstopwaitsecs = soon\n"), [
            "supervisord.conf:3: [program:x] stopwaitsecs: 'soon' makes no sense"])


class ProcfileTests(Base):
    """Tests of a C{Procfile}."""

    def test_types(self) -> None:
        """Each type is a watcher run by a shell, with a port of its own as foreman gives it."""
        path = self.write("Procfile", "web: serve $PORT\n# c\n\nclock: a ; b\n")
        self.write(".env", "A=b\n")
        web, clock = reversed(self.stack(procfile.convert(path, {"web": 2}).text()).watchers)
        self.assertEqual(web.cmd, "sh -c 'PORT=$((4999 + $(circus.wid))); export PORT; exec serve $PORT'")
        self.assertEqual((web.numprocesses, web.env["PORT"], web.env_file, web.copy_env), (2, "5000", ".env", True))
        self.assertEqual((clock.cmd, clock.env["PORT"]), ("sh -c ':;a ; b'", "5100"))

    def test_exec(self) -> None:
        """A shell makes room for the program, unless it has more to do."""
        for text, expected in (
            ("serve $PORT", "exec serve $PORT"), ("exec serve", "exec serve"),
            ("A=1 B= serve x", "A=1 B= exec serve x"),
            ("a && b", "a && b"), ("A=$(x) serve", "A=$(x) serve"), ("A='1 2' serve", "A='1 2' serve"),
        ):
            self.assertEqual(shlex.split(procfile.command(text, 5000, 1)), ["sh", "-c", expected])

    def test_wrong(self) -> None:
        """Lines that are none, and types that are not there, are errors with their places."""
        path = self.write("Procfile", "web: x\nnothing\n")
        self.assertEqual(str(self.assertRaises(ConfigError, procfile.convert, path, {})),
                         f"{path}:2: 'nothing' is no NAME: COMMAND")
        self.write("Procfile", "web: x\n")
        self.assertEqual(str(self.assertRaises(ConfigError, procfile.convert, path, {"wbe": 1})),
                         f"{path}: there is no process type wbe")

    @given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
    def test_quoted(self, text: str) -> None:
        """Whatever a command holds, it comes to the shell as it was written."""
        text = text.strip()
        if "$WID" in text or not text:
            return
        line = procfile.command(text, 5000, 1)
        ini = f"[watcher:a]\ncmd = {line}\n"
        reading = read("stack.ini", lambda path: ini.encode(), lambda pattern: [], {})
        self.assertEqual(reading.stack.watchers[0].cmd, line)
