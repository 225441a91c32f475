"""Every kind of option that inis written for Circus use is read, and means what it means there."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.hooks import POINTS
from circustwist.model.stack import Stack

from .test_ini import reading

UNUSED = "has no effect"
SETTINGS = """
check_delay = 60
endpoint = tcp://127.0.0.1:6555
pubsub_endpoint = tcp://127.0.0.1:6556
stats_endpoint = tcp://127.0.0.1:6557
multicast_endpoint = udp://237.219.251.97:12027
statsd = True
httpd = True
httpd_host = 0.0.0.0
httpd_port = 9000
debug = 1
umask = 027
warmup_delay = 0.5
pidfile = run.pid
loglevel = DEBUG
logoutput = -
"""
SETTINGS_FOUND = {
    "check_delay": 60.0, "endpoint": "tcp://127.0.0.1:6555", "pubsub_endpoint": "tcp://127.0.0.1:6556",
    "stats_endpoint": "tcp://127.0.0.1:6557", "multicast_endpoint": "udp://237.219.251.97:12027", "statsd": True,
    "httpd": True, "httpd_host": "0.0.0.0", "httpd_port": 9000, "debug": True, "umask": 0o027, "warmup_delay": 0.5,
    "pidfile": "run.pid", "loglevel": "debug", "logoutput": "-",
}
OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("args = -u fly.py $(circus.wid) $WID", {"args": "-u fly.py $(circus.wid) $WID"}),
    ("warmup_delay = 0\nnumprocesses = 10", {"warmup_delay": 0.0, "numprocesses": 10}),
    ("singleton = 1\nuse_sockets = 1", {"singleton": True, "use_sockets": True}),
    ("shell = True\nshell_args = one two", {"shell": True, "shell_args": "one two"}),
    ("rlimit_nofile = 300\nrlimit_nproc = 10\nrlimit_core =", {"rlimits": {"nofile": 300, "nproc": 10, "core": None}}),
    ("max_age = 10\nmax_age_variance = 5", {"max_age": 10.0, "max_age_variance": 5.0}),
    ("max_retry = -1\nrespawn = 0\nautostart = off", {"max_retry": -1, "respawn": "never", "autostart": False}),
    ("send_hup = true\nstop_children = True", {"send_hup": True, "stop_children": True}),
    ("stop_signal = QUIT\ngraceful_timeout = 5", {"stop_signal": 3, "graceful_timeout": 5.0}),
    ("stop_signal = SIGRTMIN+1", {"stop_signal": 35}),
    ("close_child_stdin = False\nclose_child_stdout = 1", {"close_child_stdin": False, "close_child_stdout": True}),
    ("close_child_stderr = on", {"close_child_stderr": True}),
    ("copy_env = 1\ncopy_path = yes", {"copy_env": True, "copy_path": True}),
    ("copy_env = 1\nvirtualenv = v\nvirtualenv_py_ver = 3.11", {"virtualenv": "v", "virtualenv_py_ver": "3.11"}),
    ("uid = root\ngid = 0\npriority = 3", {"uid": "root", "gid": "0", "priority": 3}),
    ("working_dir = /tmp", {"working_dir": "/tmp"}),
    ("flapping.max_retry = 2", {"extra": {"flapping.max_retry": "2"}}),
)
STREAMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("class = FileStream\nfilename = a.log\ntime_format = %H\nmax_bytes = 1073741824\nbackup_count = 5", "FileStream", {
        "filename": "a.log", "time_format": "%H", "max_bytes": "1073741824", "backup_count": "5"}),
    ("class = TimedRotatingFileStream\nfilename = a.log\nrotate_when = H\nrotate_interval = 2\nutc = True",
     "TimedRotatingFileStream", {"filename": "a.log", "rotate_when": "H", "rotate_interval": "2", "utc": "True"}),
    ("class = WatchedFileStream\nfilename = a.log", "WatchedFileStream", {"filename": "a.log"}),
    ("class = StdoutStream", "StdoutStream", {}),
    ("class = circus.stream.StdoutStream", "StdoutStream", {}),
    ("class = FancyStdoutStream\ncolor = green\ntime_format = %H", "FancyStdoutStream", {
        "color": "green", "time_format": "%H"}),
    ("class = QueueStream", "QueueStream", {}),
)
SOCKETS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("host = 127.0.0.1\nport = 8888", {"host": "127.0.0.1", "port": 8888}),
    ("path = /tmp/s\nfamily = AF_UNIX\numask = 000", {"path": "/tmp/s", "unix": True, "umask": 0}),
    ("path = /tmp/s\ntype = SOCK_SEQPACKET\nreplace = True", {"path": "/tmp/s", "replace": True}),
    ("host = ::1\nport = 0\nfamily = af_inet6", {"family": "af_inet6"}),
    ("host = 0.0.0.0\nport = 53\ntype = sock_dgram", {"type": "sock_dgram"}),
    ("port = 9\nso_reuseport = True\nbacklog = 64\nblocking = 1\ninterface = lo", {
        "so_reuseport": True, "backlog": 64, "blocking": True, "interface": "lo"}),
)
PLUGINS = {
    "flapping.Flapping": "retry_in = 3\nmax_retry = 2", "watchdog.WatchDog": 'loop_rate = 4\nwatchers_regex = "^w.*$"',
    "statsd.StatsdEmitter": "host = localhost\nport = 8125\nsample_rate = 1.0\napplication_name = app",
    "statsd.FullStats": "", "_statsd.StatsdEmitter": "", "resource_watcher.ResourceWatcher":
    "service = web\nmax_mem = 1\nmax_cpu = 4", "command_reloader.CommandReloader": "loop_rate = 1",
    "http_observer.HttpObserver": "", "redis_observer.RedisObserver": "",
}
IGNORED = {
    "circus": ("debug_gc = 1", "fqdn_prefix = a", "loggerconfig = default", "httpd_close_outputs = 1",
               "statsd_close_outputs = 1", "stream_backend = gevent", "use_papa = 1", "papa_endpoint = x"),
    "watcher:web": ("executable = python", "check_flapping = 1", "stream_backend = thread",
                    "stdout_stream.filename = a.log\nstdout_stream.refresh_time = 0.3"),
    "socket:web": ("proto = tcp",),
}
"""What Circus takes, and nobody needs here."""


class FeatureTests(SynchronousTestCase):
    """Nothing of it is worth a word to people who move from Circus, but what has no effect."""

    def read(self, text: str) -> Stack:
        """The stack of an ini in which nothing is wrong."""
        found = reading("[watcher:web]\ncmd = run\n" + text, {"HOME": "/h"})
        self.assertEqual(list(map(str, found.problems)), [], text)
        return found.stack

    def assertHas(self, value: object, expected: dict[str, Any], text: str) -> None:
        """It has these attributes."""
        self.assertEqual({name: getattr(value, name) for name in expected}, expected, text)

    def test_settings(self) -> None:
        """C{[circus]}."""
        self.assertHas(self.read("[circus]" + SETTINGS).settings, SETTINGS_FOUND, SETTINGS)

    def test_options(self) -> None:
        """C{[watcher:NAME]}."""
        for text, expected in OPTIONS:
            self.assertHas(self.read(text).watchers[0], expected, text)

    def test_streams(self) -> None:
        """Streams of both outputs."""
        for text, kind, settings in STREAMS:
            for output in "stdout_stream", "stderr_stream":
                lines = "\n".join(f"{output}.{line}" for line in text.split("\n"))
                stream = getattr(self.read(lines).watchers[0], output)
                self.assertEqual((stream.kind, stream.settings), (kind, settings), text)

    def test_sockets(self) -> None:
        """C{[socket:NAME]}, and a command line with its descriptor."""
        for text, expected in SOCKETS:
            handed = "args = --fd $(circus.sockets.s) ((circus.sockets.s))\nuse_sockets = 1\n"
            stack = self.read(f"{handed}[socket:s]\n{text}")
            self.assertHas(stack.sockets[0], expected, text)

    def test_hooks(self) -> None:
        """Each hook, and a variable that a hook sets before the process is started."""
        for point in POINTS:
            stack = self.read(f"args = $(circus.env.set_by_hook)\nhooks.{point} = shop.hooks.one, true\n")
            self.assertEqual(list(stack.watchers[0].hooks), [point])

    def test_environment(self) -> None:
        """Sections of the environment."""
        stack = self.read("[env]\nA = $HOME\n[env:w*, x]\nB = ((circus.env.a))/b\n[DEFAULT]\nrespawn = False\n")
        self.assertEqual((stack.watchers[0].env, stack.watchers[0].respawn), (
            {"A": "/h", "B": "/h/b", "respawn": "False"}, "never"))

    def test_plugins(self) -> None:
        """Those that come with Circus."""
        for use, settings in PLUGINS.items():
            self.assertEqual(len(self.read(f"[plugin:p]\nuse = circus.plugins.{use}\n{settings}\n").plugins), 1, use)

    def test_ignored(self) -> None:
        """What has no effect is one warning, with the reason."""
        for title, lines in IGNORED.items():
            for line in lines:
                problems = reading(f"[watcher:web]\ncmd = run\n[{title}]\n{line}\n").problems
                self.assertEqual([(each.strict, each.fatal) for each in problems], [(False, False)], line)
                self.assertIn(UNUSED, str(problems[0]))
