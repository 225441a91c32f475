"""Part D: what is in the way of sockets."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
import time
from pathlib import Path

from tests.functional.stack import HELLO

from .case import PYTHON, ControlError, FaultCase, eventually
from .rows import row

SILENT = """
import fcntl, os, socket, struct, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(server, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
server.bind(("127.0.0.1", 53))
server.set_inheritable(True)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Becomes another program, beside a name server that never answers."""

WEB = f"{PYTHON} {HELLO / 'web.py'} --fd $(circus.sockets.web)"
SHUTS = """
import os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
listener.setblocking(True)
while True:
    client = listener.accept()[0]
    said = client.recv(10)
    client.sendall(b"done")
    client.close()
    if said == b"shut":
        listener.shutdown(socket.SHUT_RDWR)
        os._exit(1)
"""



def freePort() -> int:
    """A port that nobody has now; the kernel keeps no port for a socket that is shut down unless it was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


STACK = f"""
[socket:web]
host = 127.0.0.1
port = 0
[socket:shared]
host = 127.0.0.1
port = {freePort()}
[watcher:web]
cmd = {WEB}
use_sockets = True
numprocesses = 2
min_ready = 50ms
[watcher:d54]
cmd = {PYTHON} -I -S shuts.py $(circus.sockets.shared)
use_sockets = True
"""


def answer(port: int, timeout: float = 30) -> bytes:
    """What a web server says."""
    with socket.create_connection(("127.0.0.1", port), timeout) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return client.makefile("rb").read()


class SocketFaults(FaultCase):
    """The rows of part D that need a stack that runs."""

    STACK = STACK

    def furnish(self, folder: Path) -> None:
        (folder / "shuts.py").write_text(SHUTS)

    @row("D52", "a reload while clients connect", "its unchanged sockets stay: not one connection is refused")
    def test_D52_reload(self) -> None:
        self.up("web", 2)
        port, failed, done = self.house.port(), [], threading.Event()

        def load() -> None:
            while not done.is_set():
                try:
                    assert b"200" in answer(port)
                except Exception as error:
                    failed.append(error)

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            inodes = self.house.call("listsockets")
            self.house.call("reload", name="web", waiting=True)
            self.house.call("reloadconfig", waiting=True)
        finally:
            done.set()
            for client in clients:
                client.join()
        self.assertEqual(failed, [])
        self.assertEqual([s["fd"] for s in inodes["sockets"]],
                         [s["fd"] for s in self.house.call("listsockets")["sockets"]])

    @row("D53", "all workers of a socket are dead", "connections wait and are served by the next ones")
    def test_D53_allDead(self) -> None:
        pids = self.up("web", 2)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.assertIn(b"200", answer(self.house.port()))

    @row("D54", "a worker shuts the shared TCP socket down", "it listens again before the next worker starts")
    def test_D54_shutdown(self) -> None:
        (pid,) = self.up("d54")
        port = self.house.port("shared")

        def say(text: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", port), 30) as client:
                client.sendall(text)
                return client.recv(10)

        with self.events("watcher.d54") as events:
            self.assertEqual(say(b"shut"), b"done")
            self.assertEqual(self.first(events, "reap")["pid"], pid)
            self.first(events, "spawn")
        self.assertEqual(say(b"x"), b"done")


class BindFaults(FaultCase):
    """The rows of part D in which a start is refused."""

    def refused(self, ini: str, *front: str) -> list[str]:
        """What a supervisor says that does not start because of this."""
        daemon = self.wrapped(ini, *front).start()
        code = daemon.join()
        self.assertNotEqual(code, 0, daemon.lines)
        return [line for line in daemon.lines if not line.startswith("warning: ")]

    @row("D47", "the port is in use", "a start ends with one line that names who has it; a reload is refused and "
         "changes nothing")
    def test_D47_portInUse(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            web = f"[socket:web]\nhost = 127.0.0.1\nport = {port}\n"
            (line,) = self.refused(web)
            self.assertRegex(line, rf"\[socket:web\].*{port} is in use.*{os.getpid()}")
            daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1047\n"))
            pids = daemon.pids("w")
            daemon.ini.write_text(daemon.ini.read_text() + web)
            with self.assertRaises(ControlError) as caught:
                daemon.call("reloadconfig", waiting=True)
            self.assertIn("is in use", str(caught.exception))
            self.assertEqual(daemon.pids("w"), pids)
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual(daemon.port(), port)

    @row("D48", "at the path of a UNIX socket lies a stale one, one in use, or something else",
         "the stale one is replaced; the others are refused and stay")
    def test_D48_unixInTheWay(self) -> None:
        folder = self.wrapped("").folder
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(folder / "stale"))
        (folder / "file").write_text("precious")
        with socket.socket(socket.AF_UNIX) as live:
            live.bind(str(folder / "live"))
            live.listen()
            section = "[socket:{0}]\npath = " + str(folder) + "/{0}\n"
            lines = self.refused(section.format("file") + section.format("live"))
            self.assertRegex(lines[0], "file exists and is no socket")
            self.assertRegex(lines[1], "live is in use")
            daemon = self.begun(self.wrapped(section.format("stale")))
            self.assertTrue(daemon.call("listsockets")["sockets"])
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(folder / "stale"))
        self.assertEqual((folder / "file").read_text(), "precious")

    @row("D49", "the path of a UNIX socket is too long, its folder missing, its owner unknown",
         "told in one line; the mode holds from the first moment")
    def test_D49_unixPath(self) -> None:
        for option, expected in (("path = FOLDER/" + "x" * 120, "is longer than"), ("path = /no/t/here", "/no/t/here"),
                                 ("path = FOLDER/s\nuser = nosuchuser", "there is no user nosuchuser"),
                                 ("path = FOLDER/s\ngroup = nosuchgroup", "there is no group nosuchgroup")):
            lines = self.refused(f"[socket:s]\n{option}\n")
            self.assertIn(expected, " ".join(lines), lines)
        daemon = self.begun(self.wrapped("[socket:s]\npath = FOLDER/s\nmode = 0600\n"))
        self.assertEqual(stat.S_IMODE((daemon.folder / "s").stat().st_mode), 0o600)

    @row("D50", "there is no IPv6, or no such interface", "told in one line that says which")
    def test_D50_noIPv6(self) -> None:
        front = self.private("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6", "--net")
        (line,) = self.refused("[socket:s]\nhost = ::1\nport = 0\nfamily = AF_INET6\n", *front)
        self.assertIn("[socket:s] host: ::1", line)
        (line,) = self.refused("[socket:s]\nhost = 0.0.0.0\nport = 0\ninterface = nosuch0\n", *front)
        self.assertIn("there is no interface nosuch0", line)
        self.begun(self.wrapped("[socket:s]\nhost = 0.0.0.0\nport = 0\n", *front))

    @row("D51", "the name server does not answer", "the supervisor answers meanwhile; told in one line")
    def test_D51_slowNames(self) -> None:
        front = self.private("mount -t tmpfs none /mnt && echo nameserver 127.0.0.1 >/mnt/r && "
                             "mount --bind /mnt/r /etc/resolv.conf", "--net")
        front = (*front, PYTHON, "-S", "-c", SILENT)
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1051\n", *front, env={"RES_OPTIONS": ""}))
        daemon.ini.write_text(daemon.ini.read_text() + "[socket:s]\nhost = slow.example\nport = 0\n")
        daemon.call("reloadconfig")
        for _ in range(5):
            began = time.monotonic()
            daemon.call("ping")
            self.assertLess(time.monotonic() - began, 1)
            time.sleep(0.05)
        self.assertEqual(daemon.call("operation")["operations"][-1]["state"], "running")
        daemon.kill()

    @row("D55", "a port below 1024 and no right to it", "told in one line, with the right that is missing")
    def test_D55_privileged(self) -> None:
        front = self.private("true", "--net")
        ini = "[socket:s]\nhost = 0.0.0.0\nport = 81\n"
        (line,) = self.refused(
            ini, *front, "setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")
        self.assertIn("0.0.0.0:81 needs root or CAP_NET_BIND_SERVICE", line)
        daemon = self.begun(self.wrapped(ini, *front))
        self.assertEqual(eventually(lambda: daemon.port("s")), 81)
