"""
The stack of docs/examples/webstack: each server on its own, and all together.

A server that is not installed is left out, and its test skipped.  Nothing is
installed unless C{CIRCUSTWIST_INSTALL=1} is set.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import http.client
import importlib.util
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import SkipTest

import psutil

from .stack import HELLO, SCRIPTS, TIMEOUT, Daemon, StackCase, alive

EXAMPLE = HELLO.parent / "webstack"
PATH = os.pathsep.join((str(SCRIPTS), os.environ.get("PATH", os.defpath), "/usr/sbin"))
LOCAL = "/run/webstack.sock"

NEEDS = {
    "web": ("chaussette", "django"),
    "local": ("chaussette", "django", "root and www-data"),
    "nginx": ("chaussette", "django", "root and www-data", "nginx"),
    "gunicorn": ("gunicorn",),
    "uvicorn": ("uvicorn",),
    "uwsgi": ("uwsgi",),
    "twist": ("twist",),
    "puma": ("ruby", "puma"),
    "node": ("node",),
    "java": ("java",),
    "redis": ("redis-server",),
}
"""What each watcher needs, by watcher."""
BEHIND = {"nginx": ("web", "local")}
"""The watchers that others ask."""
SAYS = {"web": "django", "local": "django", "nginx": "django", "gunicorn": "wsgi", "uvicorn": "asgi", "uwsgi": "wsgi"}
"""Who answers where it is not the watcher itself."""
PIP = ("chaussette", "django", "gunicorn", "uvicorn", "pyuwsgi")
APT = ("nginx", "redis-server", "ruby", "puma", "nodejs", "default-jre-headless")


@functools.cache
def install() -> None:
    """Install what can be installed, if that is wanted."""
    if os.environ.get("CIRCUSTWIST_INSTALL") != "1":
        return
    run = functools.partial(
        subprocess.run, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    for package in PIP:
        run([sys.executable, "-m", "pip", "install", "-q", package])
    importlib.invalidate_caches()
    if os.getuid() == 0 and shutil.which("apt-get"):
        run(["apt-get", "update"])
        for package in APT:
            run(["apt-get", "install", "-y", "--no-install-recommends", package])


def there(need: str) -> bool:
    """Whether something that a server needs is there."""
    if need == "django":
        return importlib.util.find_spec(need) is not None
    if need == "root and www-data":
        return os.getuid() == 0 and any(entry.pw_name == "www-data" for entry in pwd.getpwall())
    if shutil.which(need, path=PATH) is None:
        return False
    return need != "java" or compiles()


@functools.cache
def compiles() -> bool:
    """Whether java runs a file of source."""
    found = subprocess.run(
        ["java", "--list-modules"], env={**os.environ, "PATH": PATH}, capture_output=True, timeout=TIMEOUT)
    return b"jdk.compiler@" in found.stdout


def missing(name: str) -> str:
    """What a watcher lacks, as words; empty if nothing."""
    install()
    lacks = [need for need in NEEDS[name] if not there(need)]
    return f"{', '.join(lacks)} not available" if lacks else ""


def available() -> list[str]:
    """The watchers whose servers are there."""
    names = [name for name in NEEDS if not missing(name)]
    if not names:
        raise SkipTest("no server is available")
    return names


def cut(names: set[str], ports: dict[str, int], folder: Path) -> None:
    """Write the example with these watchers only; every socket gets the given port, or any free one."""
    ini = configparser.ConfigParser(interpolation=None, delimiters="=", comment_prefixes=";")
    ini.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser's documentation has it
    ini.read(EXAMPLE / "stack.ini")
    sockets = names | ({"front"} if "nginx" in names else set())
    for section in ini.sections():
        kind, _, name = section.partition(":")
        if name and name not in (sockets if kind == "socket" else names):
            ini.remove_section(section)
        elif section == "socket:local":
            ini[section]["path"] = str(folder / "local.sock")
        elif kind == "socket":
            ini[section]["port"] = str(ports.get(name, 0))
    if "redis" in names:
        ini["watcher:redis"]["cmd"] = ini["watcher:redis"]["cmd"].replace("8009", str(ports["redis"]))
    with (folder / "stack.ini").open("w") as file:
        ini.write(file)


def configured(ports: dict[str, int], folder: Path) -> None:
    """Write nginx's configuration with these ports."""
    found = {"8000": str(ports["front"]), "8001": str(ports["web"]), LOCAL: str(folder / "local.sock")}
    text = (EXAMPLE / "nginx.conf").read_text()
    (folder / "nginx.conf").write_text(re.sub("|".join(found), lambda match: found[match[0]], text))


class Unix(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def fetch(connection: http.client.HTTPConnection, path: str = "/") -> str:
    """The answer to one request; whoever is not up yet has it wait in the socket's queue."""
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@contextlib.contextmanager
def user(name: str) -> Iterator[None]:
    """Be another user for a while."""
    entry = pwd.getpwnam(name)
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class WebstackTests(StackCase):
    """
    Servers on sockets that the supervisor holds.

    @ivar ports: those that are not any free one.
    @ivar read: how many lines were there when Redis was last seen to be ready.
    """

    ports: dict[str, int]
    read = 0

    def reserve(self) -> int:
        """A port that stays free: a bound socket that does not listen keeps it from everybody but an explicit bind."""
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        return int(holder.getsockname()[1])

    def stack(self, *names: str) -> Daemon:
        """The example, cut down to these watchers and those behind them; it runs."""
        wanted = {*names, *(behind for name in names for behind in BEHIND.get(name, ()))}
        daemon = self.daemon("", env={"PATH": PATH})
        shutil.copytree(EXAMPLE, daemon.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tmp"))
        (daemon.folder / "tmp").mkdir()
        daemon.folder.chmod(0o755)  # for www-data
        self.ports = {name: self.reserve() for name in ("front", "web", "redis")}
        cut(wanted, self.ports, daemon.folder)
        configured(self.ports, daemon.folder)
        daemon.start()
        self.addCleanup(self.sweep, daemon)
        daemon.wait("webstack: ")
        return daemon

    def sweep(self, daemon: Daemon) -> None:
        """Kill the supervisor's family, because nginx hides the token by which strays are found."""
        if daemon.process.poll() is None:
            self.end(self.family(daemon))

    def end(self, family: list[psutil.Process]) -> None:
        """Kill whoever is left."""
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def family(self, daemon: Daemon) -> list[psutil.Process]:
        """Everybody who descends from the supervisor."""
        return psutil.Process(daemon.process.pid).children(recursive=True)

    def answer(self, daemon: Daemon, name: str) -> str:
        """What a server says."""
        asks: dict[str, Callable[[], str]] = {
            "local": lambda: fetch(Unix(str(daemon.folder / "local.sock"))),
            "nginx": lambda: self.throughNginx(daemon),
            "redis": lambda: self.ready(daemon),
        }
        return asks.get(name, lambda: fetch(http.client.HTTPConnection("127.0.0.1", daemon.port(name), TIMEOUT)))()

    def throughNginx(self, daemon: Daemon) -> str:
        """What Django says through nginx; the same over TCP and over the UNIX socket."""
        texts = []
        for path, name in ("/", "web"), ("/local", "local"):
            text = fetch(http.client.HTTPConnection("127.0.0.1", self.ports["front"], timeout=TIMEOUT), path)
            self.assertIn(int(text.split()[-1]), daemon.pids(name))
            texts.append(text)
        return texts[0]

    def ready(self, daemon: Daemon) -> str:
        """What Redis says after a start; its port is there only when it is up."""
        if not any("Ready to accept connections" in line for line in daemon.lines[self.read:]):
            daemon.wait("Ready to accept connections")
        self.read = len(daemon.lines)
        return self.ping()

    def ping(self) -> str:
        """What Redis says."""
        with socket.create_connection(("127.0.0.1", self.ports["redis"]), TIMEOUT) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100).decode()

    def answers(self, daemon: Daemon, name: str) -> str:
        """Have a server answer."""
        text = self.answer(daemon, name)
        if name == "twist":
            self.assertEqual(text, "twist: a static page\n")
        elif name == "redis":
            self.assertEqual(text, "+PONG\r\n")
        else:
            self.assertTrue(re.fullmatch(rf"{SAYS.get(name, name)} from \d+\n", text), f"{name} says {text!r}")
        return text

    def restarted(self, daemon: Daemon, *names: str) -> None:
        """Restart watchers, or all of them, and see that they are new."""
        before = {name: set(daemon.pids(name)) for name in names or daemon.call("list")["watchers"]}
        done = daemon.cli("restart", *names)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for name, pids in before.items():
            after = set(daemon.pids(name))
            self.assertEqual((len(after), after & pids), (len(pids), set()), name)

    def stopped(self, daemon: Daemon) -> None:
        """Stop everything, and see that nobody is left."""
        family = self.family(daemon)
        self.assertEqual(daemon.stop(), 0, daemon.lines)
        self.assertEqual([process for process in family if alive(process.pid)], [])
        self.assertEqual(daemon.strays(), [])

    def try_(self, name: str) -> None:
        """Have one server answer, restart it, and have it answer again."""
        if lacks := missing(name):
            raise SkipTest(lacks)
        daemon = self.stack(name)
        first = self.answers(daemon, name)
        self.restarted(daemon, name)
        second = self.answers(daemon, name)
        if name not in ("twist", "redis", "nginx"):
            self.assertNotEqual(first, second)
        self.stopped(daemon)

    def test_django(self) -> None:
        """Django answers on five workers of chaussette."""
        self.try_("web")

    def test_nginx(self) -> None:
        """nginx, on a descriptor from the supervisor, passes on to Django over TCP and over a UNIX socket."""
        self.try_("nginx")

    def test_local(self) -> None:
        """The UNIX socket is for www-data, and another user is refused."""
        if lacks := missing("local"):
            raise SkipTest(lacks)
        daemon = self.stack("local")
        path = daemon.folder / "local.sock"
        found = path.stat()
        self.assertEqual((pwd.getpwuid(found.st_uid).pw_name, stat.S_IMODE(found.st_mode)), ("www-data", 0o660))
        with user("nobody"), self.assertRaises(PermissionError):
            fetch(Unix(str(path)))
        with user("www-data"):
            self.answers(daemon, "local")
        self.answers(daemon, "local")
        self.restarted(daemon, "local")
        self.answers(daemon, "local")
        self.stopped(daemon)
        self.assertFalse(path.exists())

    def test_gunicorn(self) -> None:
        """gunicorn answers."""
        self.try_("gunicorn")

    def test_uvicorn(self) -> None:
        """uvicorn answers."""
        self.try_("uvicorn")

    def test_uwsgi(self) -> None:
        """uWSGI answers."""
        self.try_("uwsgi")

    def test_twist(self) -> None:
        """Twisted's web server answers on an endpoint of systemd's kind."""
        self.try_("twist")

    def test_puma(self) -> None:
        """Ruby's puma answers."""
        self.try_("puma")

    def test_node(self) -> None:
        """Node answers."""
        self.try_("node")

    def test_java(self) -> None:
        """Java answers on the socket that is its standard input."""
        self.try_("java")

    def test_redis(self) -> None:
        """Redis, which has its own port, answers."""
        self.try_("redis")

    def test_together(self) -> None:
        """One supervisor runs all that are there; all answer before and after a restart of everything."""
        names = available()
        daemon = self.stack(*names)
        for name in names:
            self.answers(daemon, name)
        self.restarted(daemon)
        for name in names:
            self.answers(daemon, name)
        self.stopped(daemon)

    def test_survive(self) -> None:
        """All outlive a supervisor that is killed, and the next one takes them over."""
        names = available()
        daemon = self.stack(*names)
        for name in names:
            self.answers(daemon, name)
        before = {name: daemon.pids(name) for name in names}
        family = self.family(daemon)
        daemon.kill()
        self.addCleanup(self.end, family)
        daemon.start().wait("webstack: ")
        self.assertEqual({name: daemon.pids(name) for name in names}, before)
        for name in set(names) - {"redis"}:
            self.answers(daemon, name)
        if "redis" in names:
            self.assertEqual(self.ping(), "+PONG\r\n")
        self.assertEqual(daemon.stop(), 0, daemon.lines)
        self.assertEqual([process for process in family if alive(process.pid)], [])
