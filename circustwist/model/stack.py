"""
What an ini file says, as frozen values, and the table of every option.

The fields of L{Settings}, L{Watcher}, L{Socket} and L{User} that carry an L{Option} in
their metadata are the only declaration of the options there are: the reader,
C{circustwist help}, the documentation and the plan of a reload follow them.
Their names are the ini's, so they are in snake_case.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping

import attrs

from . import values
from .errors import Place
from .hooks import Hook
from .option import option as _option
from .plugins import Plugin
from .settings import Settings
from .streams import NO_STREAM, Stream
from .users import User


@attrs.frozen
class Socket:
    """
    A C{[socket:NAME]} section: a socket that the supervisor binds and holds.

    @ivar name: as in the section's title, lower-cased.
    @ivar place: where the section stands.
    """

    name: str
    place: Place = attrs.field(default=Place(""), eq=False)
    host: str = _option(
        values.text, "localhost", "Name or address to bind to; empty means localhost.", live="restart",
        example="127.0.0.1")
    port: int = _option(
        values.port, 8080, "Port to bind to; 0 is any free one.", live="restart", example="8000")
    family: str = _option(
        values.oneOf("af_inet", "af_inet6", "af_unix"), "af_inet", "AF_INET, AF_INET6 or AF_UNIX.",
        live="restart", example="AF_INET6")
    type: str = _option(
        values.oneOf("sock_stream", "sock_dgram", "sock_seqpacket"), "sock_stream",
        "SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.", live="restart", example="SOCK_DGRAM")
    path: str = _option(
        values.text, "", "Path of a UNIX socket; giving it makes the family AF_UNIX.", live="restart",
        example="/run/web.sock")
    backlog: int = _option(
        values.natural, 2048, "How many connections may wait to be accepted; listen(2).", live="now", example="128")
    umask: int | None = _option(
        values.octal, None, "The umask under which a UNIX socket's file is made, in octal.", live="restart",
        example="007")
    mode: int | None = _option(
        values.octal, None, "Permission bits of a UNIX socket's file, in octal (systemd's SocketMode).",
        live="restart", example="0660")
    user: str = _option(
        values.text, "", "Owner of a UNIX socket's file.", live="restart", example="www-data")
    group: str = _option(
        values.text, "", "Group of a UNIX socket's file.", live="restart", example="www-data")
    replace: bool = _option(
        values.boolean, False, "Remove whatever socket file is at the path first, even one in use.", live="restart")
    blocking: bool = _option(
        values.boolean, False, "Leave the socket in blocking mode.", live="restart")
    interface: str = _option(
        values.text, "", "Network interface to bind to; SO_BINDTODEVICE, socket(7).", live="restart", example="eth0")
    so_reuseport: bool = _option(
        values.boolean, False, "One socket per process, among which the kernel spreads connections; socket(7). A "
        "process that takes the place of another gets its socket. Only for TCP; others are shared all the same.",
        live="restart")

    @property
    def unix(self) -> bool:
        """Whether it is a UNIX socket."""
        return bool(self.path) or self.family == "af_unix"

    @property
    def stream(self) -> bool:
        """Whether connections are accepted on it."""
        return self.type != "sock_dgram"

    @property
    def seated(self) -> bool:
        """Whether each process is handed one of its own."""
        return self.so_reuseport and self.stream and not self.unix

    @property
    def address(self) -> str:
        """The configured address as people write it."""
        if self.unix:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@attrs.frozen
class Watcher:
    """
    A C{[watcher:NAME]} section: a program and how many of it should run.

    @ivar name: as in the section's title.
    @ivar place: where the section stands.
    @ivar env: the environment that the C{[env]} sections give it, after
        expansion of plain C{$VAR}; without what C{copy_env} adds.
    @ivar rlimits: resource limits by the C{RLIMIT_} name in lower case; None
        is no limit.
    @ivar hooks: functions that are called at points of its life, by L{POINTS<circustwist.model.hooks.POINTS>}.
    @ivar extra: free-form options, which plugins and hooks read.
    """

    name: str
    place: Place = attrs.field(default=Place(""), eq=False)
    env: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    rlimits: Mapping[str, int | None] = attrs.field(factory=dict, hash=False)
    hooks: Mapping[str, Hook] = attrs.field(factory=dict, hash=False)
    extra: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    cmd: str = _option(
        values.text, "", "The program and its arguments, split into words as a POSIX shell does.",
        example="gunicorn -b fd://$(circus.sockets.web) app")
    args: str | tuple[str, ...] = _option(
        values.text, "", "Further arguments, split the same way.", example="--workers 1")
    numprocesses: int = _option(
        values.count, 1, "How many processes should run.", live="now", example="5")
    working_dir: str = _option(
        values.text, "", "Folder in which the processes run; without it the supervisor's.", example="/srv/shop")
    copy_env: bool = _option(
        values.boolean, False, "Give the processes the supervisor's environment, below the env sections.")
    env_file: str = _option(
        values.text, "", "File of KEY=value lines for the environment; its values are never shown.",
        example="/etc/shop.env")
    use_sockets: bool = _option(
        values.boolean, False,
        "Hand the stack's sockets to the processes, under the numbers of $(circus.sockets.NAME).")
    stdin_socket: str = _option(
        values.text, "", "Name of a socket to hand over as the standard input.", example="web")
    listen_fds: tuple[str, ...] = _option(
        values.words, (), "Sockets to hand over from descriptor 3 on with LISTEN_FDS; sd_listen_fds(3).", example="web")
    stop_signal: int = _option(
        values.signum, int(signal.SIGTERM), "The signal that asks a process to end.", live="now", example="QUIT")
    graceful_timeout: float = _option(
        values.seconds, 30.0, "How long a process may take to end before it is killed.", live="now", unit="s",
        example="10")
    kill_mode: str = _option(
        values.oneOf("mixed", "control-group", "process"), "mixed",
        "Who is signalled at a stop: mixed = the process, and when it has ended whatever it left is killed; "
        "control-group = its whole group and children at once; process = only the process (systemd's KillMode).",
        live="now")
    stop_children: bool = _option(
        values.boolean, False, "Signal the children too; the same as kill_mode = control-group.", live="now")
    send_hup: bool = _option(
        values.boolean, False, "A reload sends SIGHUP instead of replacing the processes.", live="now")
    ready: str = _option(
        values.probe, "",
        "How a new process shows that it does its work: listening (seen waiting for connections on a socket it was "
        "handed; the default if it was handed any), after (it was executed; the default otherwise), notify "
        "(READY=1; sd_notify(3)), http://HOST:PORT/PATH, tcp://HOST:PORT, exec:COMMAND or log:REGEX.",
        example="notify")
    ready_timeout: float = _option(
        values.seconds, 60.0, "How long a new process may take to be ready.", live="now", unit="s", example="10")
    ready_interval: float = _option(
        values.seconds, 1.0, "Pause between two looks whether it is.", live="now", unit="s", example="0.2")
    live: str = _option(
        values.live, "",
        "How a process shows that it still does its work: notify (WATCHDOG=1; sd_watchdog_enabled(3)), "
        "http://HOST:PORT/PATH, tcp://HOST:PORT or exec:COMMAND.  One that does not is replaced.",
        example="notify")
    live_interval: float = _option(
        values.seconds, 10.0, "Pause between two looks whether it does.", live="now", unit="s", example="5")
    live_timeout: float = _option(
        values.seconds, 5.0, "Longest time for one look, and for WATCHDOG=1 to come.", live="now", unit="s",
        example="2")
    live_threshold: int = _option(
        values.natural, 3, "How many looks in a row must fail.", live="now", example="1")
    min_ready: float = _option(
        values.seconds, 2.0, "How long a new process must have been ready before a reload ends an old one.", live="now",
        unit="s", example="5")
    max_surge: int = _option(
        values.surge, 1, "How many new processes a reload starts at a time; all keeps every old one until all new "
        "ones have proved themselves.", live="now", example="all")
    max_unavailable: int = _option(
        values.natural, 0, "How many old processes a reload may end before their successors are started, so that there "
        "are fewer for a while; 0 is none.", live="now", example="1")
    priority: int = _option(
        values.whole, 0, "Watchers of higher priority start first and stop last.", live="now", example="10")
    depends_on: tuple[str, ...] = _option(
        values.dependencies, (), "Watchers without which this one is not started, with what must hold: started (it "
        "was executed), ready (it does its work; the default) or completed (it ended by itself with success).",
        live="now", example="redis:ready, migrate:completed")
    warmup_delay: float = _option(
        values.seconds, 0.0, "Pause between the starts of two processes.", live="now", unit="s", example="0.5")
    autostart: bool = _option(
        values.boolean, True, "Start with the stack, and by a start that names no watcher.", live="now")
    on_demand: bool = _option(
        values.boolean, False, "Start at the first connection to a socket that the processes are handed; when all of "
        "them have ended by themselves, wait for the next one.", live="now")
    idle_timeout: float = _option(
        values.seconds, 0.0, "With on_demand: when no connection has been open for so long, end all processes and wait "
        "for the next one; 0 is never.", live="now", unit="s", example="300")
    singleton: bool = _option(
        values.boolean, False, "At most one process.", live="now")
    respawn: str = _option(
        values.respawn, "always", "Start a process again that ended by itself: True, False or on-failure.", live="now",
        example="on-failure")
    success_exit_codes: tuple[int, ...] = _option(
        values.exitCodes, (0,), "Exit codes and signals that count as success for respawn = on-failure.", live="now",
        example="0 3 SIGTERM")
    max_retry: int = _option(
        values.retries, 5, "Tries to execute the program before the watcher has failed; -1 is for ever.", live="now",
        example="10")
    restart_delay_max: float = _option(
        values.seconds, 10.0, "Longest pause before a process that keeps dying is started again.", live="now",
        unit="s", example="60")
    start_limit_burst: int = _option(
        values.natural, 0, "Unplanned ends within start_limit_interval after which the watcher has failed; 0 is never.",
        live="now", example="5")
    start_limit_interval: float = _option(
        values.seconds, 10.0, "The interval of start_limit_burst.", live="now", unit="s", example="60")
    max_age: float = _option(
        values.seconds, 0.0, "Age at which a process is replaced; 0 is never.", live="now", unit="s", example="1h")
    max_age_variance: float = _option(
        values.seconds, 30.0, "Up to so much is added to max_age, drawn once per process.", live="now", unit="s")
    max_memory: int = _option(
        values.size, 0, "Resident memory of a process (without its children), looked at every 10 s, at which it is "
        "replaced; 0 is no limit.", live="now", unit="B", example="500MB")
    max_memory_kill: int = _option(
        values.size, 0, "The same, at which it is killed at once.", live="now", unit="B", example="1GB")
    memory_max: int = _option(
        values.size, 0, "Memory that a process and whatever it starts may use; beyond it the kernel kills them. Like "
        "the three below it needs a control group delegated to the supervisor; 0: no limit.", unit="B", example="500MB")
    cpu_weight: int = _option(
        values.weight, 0, "Share of the processors when they are scarce, among others of the same group; 100 is the "
        "kernel's default.", example="50")
    cpu_max: float = _option(
        values.cores, 0.0, "Processors that a process and whatever it starts may use; 0 is no limit.", example="150%")
    pids_max: int = _option(
        values.natural, 0, "How many processes and threads there may be of a process and whatever it starts; 0 is no "
        "limit.", example="100")
    max_requests: int = _option(
        values.natural, 0, "Replace a process that says X_REQUESTS=n, sd_notify(3); 0: never.", live="now", example="9")
    on_failure: str = _option(
        values.alarm, "", "Whom to tell when the watcher has failed: exec:COMMAND, which finds CIRCUSTWIST_WATCHER and "
        "CIRCUSTWIST_REASON in its environment, or a URL to which the event is posted as JSON; at most once a minute.",
        live="now", example="exec:/usr/local/bin/page")
    hook_timeout: float = _option(
        values.seconds, 120.0, "How long a hook may take to answer; then it has failed.", live="now", unit="s",
        example="10")
    essential: bool = _option(
        values.boolean, False, "The whole stack stops, with this exit code, when the watcher ends or fails.",
        live="now")
    close_child_stdin: bool = _option(
        values.boolean, True, "Give the processes /dev/null as standard input.")
    close_child_stdout: bool = _option(
        values.boolean, False, "Give the processes /dev/null as standard output.")
    close_child_stderr: bool = _option(
        values.boolean, False, "Give the processes /dev/null as standard error.")
    capture: bool = _option(
        values.boolean, True,
        "Without a stream, read the output and pass it on; False leaves it to the supervisor's own.")
    redirect_stderr: bool = _option(
        values.boolean, False, "Send the standard error where the standard output goes, in the order of writing.")
    tail_bytes: int = _option(
        values.size, 256 * 1024, "Memory for the last output of the watcher, which circustwist tail shows; 0: none.",
        live="now", unit="B", example="1MB")
    shell: bool = _option(
        values.boolean, False, "Run the words, quoted again, by sh -c (Circus).")
    shell_args: str = _option(
        values.text, "", "Further arguments of sh -c: $0, $1, ...")
    uid: str = _option(
        values.text, "", "User to run as: name or number.", example="www-data")
    gid: str = _option(
        values.text, "", "Group to run as: name or number.", example="www-data")
    umask: int | None = _option(
        values.octal, None, "The umask of the processes, in octal.", example="027")
    nice: int | None = _option(
        values.whole, None, "Niceness of the processes; nice(2).", example="5")
    virtualenv: str = _option(
        values.text, "", "Virtual environment whose bin and site-packages come first; needs copy_env.",
        example="/srv/shop/venv")
    virtualenv_py_ver: str = _option(
        values.text, "", "Python version of the virtual environment; without it the supervisor's.", example="3.12")
    copy_path: bool = _option(
        values.boolean, False, "Give the supervisor's import path as PYTHONPATH; needs copy_env.")
    stdout_stream: Stream = attrs.field(default=NO_STREAM)
    stderr_stream: Stream = attrs.field(default=NO_STREAM)

    @property
    def killMode(self) -> str:
        """C{kill_mode}, with Circus's C{stop_children} taken into account."""
        return "control-group" if self.stop_children else self.kill_mode


@attrs.frozen
class Stack:
    """
    A whole configuration.

    @ivar name: the stack's name; see L{Settings}.
    @ivar path: the ini's absolute path, symbolic links as they are.
    @ivar watchers: sorted by name, as Circus does; this breaks ties of priority.
    @ivar sockets: sorted by name.
    @ivar origins: where each option stands, by section title and option.
    @ivar users: in the order of the files.
    @ivar plugins: sorted by name.
    """

    name: str
    path: str
    settings: Settings = attrs.field(factory=Settings)
    watchers: tuple[Watcher, ...] = ()
    sockets: tuple[Socket, ...] = ()
    origins: Mapping[tuple[str, str], Place] = attrs.field(factory=dict, hash=False, eq=False, repr=False)
    users: tuple[User, ...] = ()
    plugins: tuple[Plugin, ...] = ()

    def watcher(self, name: str) -> Watcher | None:
        """The watcher of that name, in any case of letters."""
        return next((w for w in self.watchers if w.name.lower() == name.lower()), None)
