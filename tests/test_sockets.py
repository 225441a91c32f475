"""Tests of the sockets that are bound and held."""

from __future__ import annotations

import os
import pathlib
import socket
import stat
import subprocess
import sys
from typing import Any
from unittest import skipUnless

import attrs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from circustwist.model.errors import Place, WorldError
from circustwist.model.stack import Socket
from circustwist.system.interfaces import ISockets
from circustwist.system.sockets import Sockets, fits

ROOT = os.getuid() == 0
BIND = """
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(1)
print(s.getsockname()[1], flush=True); sys.stdin.read()
"""


def section(name: str = "web", **options: Any) -> Socket:
    """A section on line 12, on the loopback's any free port."""
    defaults: dict[str, Any] = {} if "path" in options else {"host": "127.0.0.1", "port": 0}
    return Socket(name, Place("stack.ini", 12), **{**defaults, **options})


class Base(SynchronousTestCase):
    """A set of sockets and a folder."""

    def setUp(self) -> None:
        self.sockets = Sockets()
        self.addCleanup(self.sockets.close, True)
        # Not mktemp: its paths can be too long for sun_path.
        self.folder = pathlib.Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
        self.addCleanup(subprocess.run, ["rm", "-rf", self.folder], check=True)
        self.path = str(self.folder / "s")

    def refusal(self, spec: Socket) -> str:
        """The line with which a section is refused, without its place."""
        line = str(self.assertRaises(WorldError, self.sockets.bind, spec))
        where = f"stack.ini:12: [socket:{spec.name}] "
        self.assertTrue(line.startswith(where), line)
        self.assertNotIn("\n", line)
        return line.removeprefix(where)

    def flags(self, name: str = "web") -> tuple[bool, bool]:
        """Whether a socket is inheritable and whether it blocks."""
        fd = self.sockets.fileno(name)
        return os.get_inheritable(fd), os.get_blocking(fd)

    def option(self, option: int) -> int:
        """A socket option of C{web}."""
        with socket.socket(fileno=os.dup(self.sockets.fileno("web"))) as copy:
            return copy.getsockopt(socket.SOL_SOCKET, option)


class SeatTests(Base):
    """Sockets of which each seat has its own."""

    def setUp(self) -> None:
        super().setUp()
        self.sockets.bind(section(so_reuseport=True, backlog=9))
        self.port = self.sockets.describe("web")["port"]

    def seats(self) -> list[str]:
        """Those that listen."""
        return [seat["name"] for seat in self.sockets.describe("web")["seats"]]

    def connect(self) -> None:
        """Have a connection."""
        self.addCleanup(socket.create_connection(("127.0.0.1", self.port)).close)

    def test_keeper(self) -> None:
        """The socket of the section keeps the port and is given no connections; it is nobody else's to know."""
        self.assertRaises(ConnectionRefusedError, self.connect)
        self.assertEqual((self.sockets.inodes(), self.sockets.names(), self.seats()), ({}, ["web"], []))

    def test_seat(self) -> None:
        """A seat's is made once, at the same port, and all connections go to one of them."""
        self.assertEqual(self.sockets.seat("web", "App", 0), ("web/app/0", True))
        self.assertEqual(self.sockets.seat("web", "app", 0), ("web/app/0", False))
        self.sockets.seat("web", "app", 1)
        for _ in range(10):
            self.connect()
        told = self.sockets.describe("web")
        self.assertEqual((told["port"], told["queue"], told["limit"]), (self.port, 10, 9))
        self.assertEqual(sorted(self.sockets.inodes()), self.seats())

    def test_shared(self) -> None:
        """Other sockets are shared: datagrams', UNIX sockets and those that are not asked to."""
        for number, spec in enumerate((section("a"), section("b", type="sock_dgram", so_reuseport=True),
                                       section("c", path=self.path, so_reuseport=True))):
            self.sockets.bind(spec)
            self.assertEqual(self.sockets.seat(spec.name, "app", number), (spec.name, False))
            self.assertEqual(self.sockets.doors(spec.name, "app"), [spec.name])

    def test_keep(self) -> None:
        """Those of other seats are closed; so are those of sections that a watcher is not handed any more."""
        for number in range(3):
            self.sockets.seat("web", "app", number)
        self.sockets.seat("web", "other", 0)
        self.sockets.keepSeats("APP", (0, 2), None)
        self.assertEqual(self.seats(), ["web/app/0", "web/app/2", "web/other/0"])
        self.assertEqual(self.sockets.doors("web", "app"), ["web/app/0", "web/app/2"])
        self.sockets.keepSeats("app", (0, 2), ())
        self.assertEqual(self.seats(), ["web/other/0"])

    def test_update(self) -> None:
        """Another backlog is that of all that listen, and of those to come; the keeper does not listen by it."""
        self.sockets.update(section(so_reuseport=True, backlog=3))
        self.assertRaises(ConnectionRefusedError, self.connect)
        self.assertEqual(self.sockets.describe("web")["limit"], 3)

    def test_adopt(self) -> None:
        """A seat's that was found decides on the port of the others."""
        self.sockets.seat("web", "app", 1)
        fd = os.dup(self.sockets.fileno("web/app/1"))
        later, spec = Sockets(), section(so_reuseport=True)
        self.addCleanup(later.close, True)
        self.sockets.close(True)
        later.adopt(spec, fd, name="web/app/1")
        later.bind(spec)
        later.seat("web", "app", 0)
        self.assertEqual(later.describe("web")["port"], self.port)
        self.assertEqual(later.doors("web", "app"), ["web/app/1", "web/app/0"])

    def test_exchange(self) -> None:
        """They go where the section's goes."""
        other = Sockets()
        self.addCleanup(other.close, True)
        self.sockets.seat("web", "app", 0)
        other.bind(section(so_reuseport=True))
        self.sockets.exchange(other, ["web"])
        self.assertEqual((self.sockets.names(), sorted(other.names())), (["web"], ["web", "web/app/0"]))
        self.sockets.exchange(other, ["web"])
        self.assertEqual((sorted(self.sockets.names()), other.names()), (["web", "web/app/0"], ["web"]))


class InternetTests(Base):
    """TCP and UDP."""

    def test_interface(self) -> None:
        """L{Sockets} keeps its contract."""
        verifyObject(ISockets, self.sockets)

    def test_tcp(self) -> None:
        """A free port is found and reported, and connections are queued on it and counted."""
        self.sockets.bind(section(backlog=7))
        told = self.sockets.describe("web")
        self.assertEqual((told["host"], told["queue"], told["limit"]), ("127.0.0.1", 0, 7))
        with socket.create_connection((told["host"], told["port"])):
            self.assertEqual(self.sockets.describe("web")["queue"], 1)
        self.assertEqual(told["inode"], os.fstat(self.sockets.fileno("web")).st_ino)
        self.assertEqual(self.sockets.inodes(), {"web": told["inode"]})

    def test_flags(self) -> None:
        """Sockets are close-on-exec and do not block, and an address can be used again at once."""
        self.sockets.bind(section())
        self.assertEqual(self.flags(), (False, False))
        self.assertTrue(self.option(socket.SO_REUSEADDR))
        self.assertFalse(self.option(socket.SO_REUSEPORT))

    def test_blocking(self) -> None:
        """They block if asked to."""
        self.sockets.bind(section(blocking=True))
        self.assertEqual(self.flags(), (False, True))

    def test_reuseport(self) -> None:
        """Several sockets share a port if asked to."""
        self.sockets.bind(section(so_reuseport=True))
        port = self.sockets.describe("web")["port"]
        self.sockets.bind(section("two", so_reuseport=True, port=port))
        self.assertTrue(self.option(socket.SO_REUSEPORT))

    def test_udp(self) -> None:
        """Datagram sockets have no queue of connections, and no two have one port."""
        self.sockets.bind(section(type="sock_dgram"))
        told = self.sockets.describe("web")
        self.assertEqual((told["queue"], told["limit"]), (None, None))
        line = self.refusal(section("two", type="sock_dgram", port=told["port"]))
        self.assertIn("is in use by another socket of this stack", line)

    def test_ipv6(self) -> None:
        """IPv6 addresses are shown with their brackets in messages and without in descriptions."""
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6 on this host")
        self.sockets.bind(section(family="af_inet6", host="::1"))
        told = self.sockets.describe("web")
        self.assertEqual(told["host"], "::1")
        line = self.refusal(section("two", family="af_inet6", host="::1", port=told["port"]))
        self.assertTrue(line.startswith(f"port: [::1]:{told['port']} is in use"), line)

    def test_holder(self) -> None:
        """Who has the port is named."""
        other = subprocess.Popen([sys.executable, "-c", BIND], stdin=-1, stdout=-1, text=True)
        self.addCleanup(other.communicate)
        assert other.stdout is not None
        port = int(other.stdout.readline())
        comm = pathlib.Path(f"/proc/{other.pid}/comm").read_text().strip()
        line = self.refusal(section(port=port))
        self.assertEqual(line, f"port: 127.0.0.1:{port} is in use by pid {other.pid} ({comm})")

    def test_localhost(self) -> None:
        """No host means localhost."""
        self.sockets.bind(section(host=""))
        self.assertEqual(self.sockets.describe("web")["host"], "127.0.0.1")

    def test_hosts(self) -> None:
        """Hosts that cannot be bound to are refused in words."""
        self.assertEqual(self.refusal(section(host="192.0.2.1")), "host: 192.0.2.1 is no address of this host")
        self.assertEqual(self.refusal(section(host="::1")), "host: ::1 has no address of AF_INET")
        self.assertIn("cannot be a host's name", self.refusal(section(host="ä" * 70)))
        self.assertRegex(self.refusal(section(host="nowhere.invalid")), r"^host: nowhere\.invalid .*")

    def test_type(self) -> None:
        """A type that the family does not have is refused."""
        self.assertEqual(
            self.refusal(section(type="sock_seqpacket")), "type: SOCK_SEQPACKET does not exist for AF_INET")

    def test_interfaceOption(self) -> None:
        """A socket can be bound to a network interface that exists."""
        try:
            self.sockets.bind(section(interface="lo"))
        except WorldError as error:
            self.assertIn("needs root or CAP_NET_RAW", str(error))
        self.assertRegex(
            self.refusal(section("two", interface="nope0")), "interface: (there is no interface nope0|needs root)")

    @skipUnless(ROOT, "only root can become somebody without rights")
    def test_privileged(self) -> None:
        """The right that a low port needs is named."""
        if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
            self.skipTest("no port is privileged on this host")
        os.seteuid(65534)
        self.addCleanup(os.seteuid, 0)
        self.assertEqual(self.refusal(section(port=1)), "port: 127.0.0.1:1 needs root or CAP_NET_BIND_SERVICE")

    def test_unknown(self) -> None:
        """A socket that is not there is a KeyError; one that is there is not bound again."""
        self.assertRaises(KeyError, self.sockets.fileno, "web")
        self.assertRaises(KeyError, self.sockets.describe, "web")
        self.assertRaises(KeyError, self.sockets.update, section())
        self.sockets.bind(section())
        self.assertRaises(ValueError, self.sockets.bind, section())

    def test_update(self) -> None:
        """The backlog of a bound socket can be changed."""
        self.sockets.bind(section(backlog=7))
        self.sockets.update(section(backlog=9))
        self.assertEqual(self.sockets.describe("web")["limit"], 9)

    def test_all(self) -> None:
        """All are bound or none is, and everything that is wrong is told at once."""
        self.sockets.bindAll([section("a"), section("b", path=self.path)])
        port = self.sockets.describe("a")["port"]
        specs = [section("c", path=f"{self.path}2"), section("d", port=port), section("e", host="192.0.2.1")]
        error = self.assertRaises(WorldError, self.sockets.bindAll, specs)
        self.assertEqual(len(str(error).splitlines()), 2)
        self.assertEqual(set(self.sockets.inodes()), {"a", "b"})
        self.assertEqual(os.listdir(self.folder), ["s"])


class AdoptTests(Base):
    """Sockets that were bound before."""

    def test_adopt(self) -> None:
        """A bound socket is held as if it had been bound here."""
        other = socket.create_server(("127.0.0.1", 0))
        os.set_inheritable(other.fileno(), True)
        port = other.getsockname()[1]
        self.sockets.adopt(section(backlog=5), other.detach(), ours=False)
        self.assertEqual(self.flags(), (False, False))
        told = self.sockets.describe("web")
        self.assertEqual((told["port"], told["limit"]), (port, 5))

    def test_adoptOurs(self) -> None:
        """One that was ours stays as its workers have made it: in blocking mode they share it with us."""
        other = socket.create_server(("127.0.0.1", 0))
        self.sockets.adopt(section(), other.detach())
        self.assertEqual(self.flags(), (False, True))

    def test_file(self) -> None:
        """The file of an adopted UNIX socket is ours to remove."""
        other = socket.socket(socket.AF_UNIX)
        other.bind(self.path)
        self.sockets.adopt(section(path=self.path), other.detach())
        self.sockets.close(unlink=True)
        self.assertFalse(os.path.exists(self.path))

    def test_noSocket(self) -> None:
        """What is no socket is refused and closed."""
        reader, writer = os.pipe()
        os.close(writer)
        error = self.assertRaises(WorldError, self.sockets.adopt, section(), reader)
        self.assertIn("is no socket", str(error))
        self.assertRaises(OSError, os.fstat, reader)

    def test_fits(self) -> None:
        """A socket fits a section if family, type and address are the section's."""
        self.sockets.bind(section())
        self.sockets.bind(section("unix", path=self.path))
        fd, port = self.sockets.fileno("web"), self.sockets.describe("web")["port"]
        self.assertTrue(fits(section(), fd))
        self.assertTrue(fits(section(port=port), fd))
        self.assertFalse(fits(section(port=port % 65535 + 1), fd))
        self.assertFalse(fits(section(host="127.0.0.2"), fd))
        self.assertFalse(fits(section(type="sock_dgram"), fd))
        self.assertFalse(fits(section(path=self.path), fd))
        unix = self.sockets.fileno("unix")
        self.assertTrue(fits(section(path=self.path), unix))
        self.assertFalse(fits(section(path=f"{self.path}2"), unix))


class UnixTests(Base):
    """UNIX sockets and their files."""

    def mode(self) -> int:
        """The permission bits of the file."""
        return stat.S_IMODE(os.stat(self.path).st_mode)

    def stale(self) -> int:
        """Leave a file whose owner is dead; the inode of the file."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.path)
        return os.stat(self.path).st_ino

    def test_kinds(self) -> None:
        """Streams, datagrams and sequenced packets are bound and described by their path."""
        for kind in ("stream", "dgram", "seqpacket"):
            self.sockets.bind(section(kind, path=f"{self.path}-{kind}", type=f"sock_{kind}"))
            told = self.sockets.describe(kind)
            queue = (None, None) if kind == "dgram" else (0, 2048)
            self.assertEqual((told["path"], (told["queue"], told["limit"])), (f"{self.path}-{kind}", queue))
            self.assertEqual(self.flags(kind), (False, False))
        self.sockets.close(unlink=True)
        self.assertEqual(os.listdir(self.folder), [])

    def test_oddNames(self) -> None:
        """Any name and path will do."""
        path = f"{self.folder}/ä b\n$(x)%\r'\""
        self.sockets.bind(section("$ö [x]", path=path))
        self.assertEqual(self.sockets.describe("$ö [x]")["path"], path)

    def test_umask(self) -> None:
        """The umask is the file's, and only the file's."""
        old = os.umask(0o022)
        self.addCleanup(os.umask, old)
        self.sockets.bind(section(path=self.path, umask=0o007))
        self.assertEqual(self.mode(), 0o770)
        self.assertEqual(os.umask(0o022), 0o022)

    def test_mode(self) -> None:
        """The mode is exact, whatever the umask is."""
        old = os.umask(0o077)
        self.addCleanup(os.umask, old)
        self.sockets.bind(section(path=self.path, mode=0o666, umask=0o077))
        self.assertEqual(self.mode(), 0o666)

    @skipUnless(ROOT, "only root can give files away")
    def test_owner(self) -> None:
        """The file can belong to somebody else, by name or by number."""
        self.sockets.bind(section(path=self.path, user="65534", group="daemon"))
        found = os.stat(self.path)
        self.assertEqual((found.st_uid, found.st_gid), (65534, 1))

    def test_nobodyThere(self) -> None:
        """Users and groups that do not exist are refused, and leave no file."""
        self.assertEqual(self.refusal(section(path=self.path, user="no-one")), "user: there is no user no-one")
        self.assertEqual(self.refusal(section(path=self.path, group="no-one")), "group: there is no group no-one")
        self.assertEqual(os.listdir(self.folder), [])

    @skipUnless(ROOT, "only root can become somebody without rights")
    def test_noGift(self) -> None:
        """Who may not give the file away is told so, and leaves no file."""
        self.folder.chmod(0o777)
        os.seteuid(65534)
        self.addCleanup(os.seteuid, 0)
        self.assertEqual(
            self.refusal(section(path=self.path, user="root")), "user: needs root to give the socket away")
        self.assertEqual(os.listdir(self.folder), [])

    def test_stale(self) -> None:
        """The file of a dead owner is replaced."""
        self.stale()
        self.sockets.bind(section(path=self.path))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path)

    def test_live(self) -> None:
        """The socket of a living owner is left alone, of whatever type."""
        self.sockets.bind(section(path=self.path, backlog=0))
        self.sockets.bind(section("log", path=f"{self.path}-log", type="sock_dgram"))
        text = "is in use by another socket of this stack"
        self.assertEqual(self.refusal(section("two", path=self.path)), f"path: {self.path} {text}")
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect_ex(self.path)  # and the queue is full
            self.assertIn(text, self.refusal(section("two", path=self.path)))
        self.assertIn(text, self.refusal(section("two", path=f"{self.path}-log")))

    def test_noSocketFile(self) -> None:
        """A file that is no socket is never removed, nor is a link."""
        for make in (lambda: open(self.path, "w").close(), lambda: os.symlink("/nowhere", self.path)):
            make()
            for replace in (False, True):
                line = self.refusal(section(path=self.path, replace=replace))
                self.assertEqual(line, f"path: {self.path} exists and is no socket")
            os.unlink(self.path)

    def test_replace(self) -> None:
        """With C{replace} a living owner loses its path, but its end does not take ours."""
        other = Sockets()
        other.bind(section(path=self.path))
        self.sockets.bind(section(path=self.path, replace=True))
        ours = os.stat(self.path).st_ino
        other.close(unlink=True)
        self.assertEqual(os.stat(self.path).st_ino, ours)

    def test_keep(self) -> None:
        """Without C{unlink} the file stays."""
        self.sockets.bind(section(path=self.path))
        self.sockets.close(unlink=False)
        self.assertTrue(os.path.exists(self.path))

    def test_paths(self) -> None:
        """Paths that cannot be are refused in words."""
        long = f"{self.folder}/{'x' * 104}"
        self.assertEqual(self.refusal(section(path=long)), f"path: {long} is longer than 103 bytes")
        missing = f"{self.folder}/no/s"
        self.assertEqual(self.refusal(section(path=missing)), f"path: {missing}: No such file or directory")
        self.assertEqual(self.refusal(attrs.evolve(section(), family="af_unix")), "path: is missing")
