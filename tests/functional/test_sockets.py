"""Every kind of socket, bound by a real supervisor and seen by its workers."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
import sys
from pathlib import Path
from typing import Any
from unittest import skipUnless

from .inside import NOBODY, InsideCase
from .stack import SCRIPTS
from .test_life import get

ROOT = os.getuid() == 0
HANDS_OVER = """
import os, socket, sys
tcp = socket.create_server(("127.0.0.1", 0))
unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()
stray = socket.create_server(("127.0.0.1", 0))
for n, each in enumerate((tcp, unix, stray)):
    os.dup2(each.fileno(), 103 + n)
for n in range(3):
    os.dup2(103 + n, 3 + n)
os.closerange(6, 200)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web.socket:local:stray"}
os.execv(sys.argv[2], sys.argv[2:])
"""


class KindTests(InsideCase):
    """What a worker gets."""

    def test_kinds(self) -> None:
        """All of them, each under the number of listsockets and of its variable, and nothing else."""
        six = os.path.exists("/proc/net/if_inet6")
        daemon = self.daemon_ = self.inside("""
[socket:tcp]
host = 127.0.0.1
port = 0
backlog = 7
[socket:udp]
host = 127.0.0.1
port = 0
type = SOCK_DGRAM
[socket:Blocking]
host = localhost
port = 0
blocking = True
[socket:stream]
path = FOLDER/stream
[socket:dgram]
path = FOLDER/dgram
type = sock_dgram
[socket:packets]
path = FOLDER/packets
type = SOCK_SEQPACKET
[watcher:all]
cmd = LOOK all $(circus.sockets.TCP) ((circus.sockets.dgram))
use_sockets = True
numprocesses = 2
[watcher:none]
cmd = LOOK none
[watcher:stdin]
cmd = LOOK stdin
stdin_socket = tcp
""" + ("[socket:six]\nhost = ::1\nport = 0\nfamily = AF_INET6\n" if six else "")).start()
        told = [self.hear() for _ in range(4)]
        found = daemon.call("listsockets")["sockets"]
        numbers = {each["name"]: str(each["fd"]) for each in found}
        self.assertEqual(len(numbers), 6 + six)
        both = [each for each in told if each["name"] == "all"]
        for each in both:
            self.assertEqual(sorted(each["fds"]), sorted(["0", "1", "2", *numbers.values()]))
            self.assertEqual(each["argv"], [numbers["tcp"], numbers["dgram"]])
            self.assertEqual([name for name in numbers if each["blocking"][numbers[name]]], ["blocking"])
        self.assertEqual(both[0]["sockets"], both[1]["sockets"])
        self.addresses(both[0]["sockets"], found)
        by = {each["name"]: each for each in told}
        self.assertEqual(sorted(by["none"]["fds"]), ["0", "1", "2"])
        self.assertEqual(by["stdin"]["sockets"], {"0": both[0]["sockets"][numbers["tcp"]]})
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual([path for path in daemon.folder.iterdir() if path.is_socket()], [daemon.folder / "looks"])

    def addresses(self, inside: Any, found: list[Any]) -> None:
        """What a worker sees is what listsockets says."""
        kinds = {"udp": "SOCK_DGRAM", "dgram": "SOCK_DGRAM", "packets": "SOCK_SEQPACKET"}
        for each in found:
            family, kind, address = inside[str(each["fd"])]
            where = each["path"] if "path" in each else [each["host"], each["port"]]
            self.assertEqual(address if "path" in each else address[:2], where)
            self.assertEqual(kind, kinds.get(each["name"], "SOCK_STREAM"))
            self.assertEqual(family, "AF_UNIX" if "path" in each else
                             "AF_INET6" if each["name"] == "six" else "AF_INET")
        self.assertEqual(next(each["limit"] for each in found if each["name"] == "tcp"), 7)

    def test_listen(self) -> None:
        """With listen_fds they stand from 3 on in that order, and the variables say so; Twisted listens on them."""
        daemon = self.inside(f"""
[socket:a]
host = 127.0.0.1
port = 0
[socket:b]
host = 127.0.0.1
port = 0
[watcher:look]
cmd = LOOK look $(circus.sockets.b) $(circus.sockets.a)
listen_fds = b a
[watcher:more]
cmd = LOOK more $(circus.sockets.b)
listen_fds = a
use_sockets = True
[watcher:twist]
cmd = {SCRIPTS}/twist web --listen systemd:domain=INET:name=a --path FOLDER/www
listen_fds = a
""")
        (daemon.folder / "www").mkdir()
        (daemon.folder / "www" / "index.html").write_text("from twisted")
        daemon.start()
        told = self.looks(2)
        look, more = told["look"], told["more"]
        env = {name: value for name, value in look["env"].items() if name.startswith("LISTEN")}
        self.assertEqual(env, {"LISTEN_PID": str(look["pid"]), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "b:a"})
        self.assertEqual((sorted(look["fds"]), look["argv"]), (["0", "1", "2", "3", "4"], ["3", "4"]))
        ports = {name: daemon.port(name) for name in "ab"}
        self.assertEqual({fd: each[2][1] for fd, each in look["sockets"].items()}, {"3": ports["b"], "4": ports["a"]})
        numbers = {each["name"]: str(each["fd"]) for each in daemon.call("listsockets")["sockets"]}
        self.assertEqual({fd: each[2][1] for fd, each in more["sockets"].items()},
                         {"3": ports["a"], numbers["a"]: ports["a"], numbers["b"]: ports["b"]})
        self.assertEqual(more["argv"], [numbers["b"]])
        self.assertEqual(get(ports["a"]), "from twisted")


class FileTests(InsideCase):
    """The files of UNIX sockets, and what is in the way of sockets."""

    def test_files(self) -> None:
        """Modes and owners; what a dead supervisor left is replaced, and what is in use only if asked to."""
        owner = f"user = {pwd.getpwuid(NOBODY).pw_name}\ngroup = {grp.getgrgid(1).gr_name}\n" if ROOT else ""
        daemon = self.inside(f"""
[socket:mode]
path = FOLDER/mode
mode = 0660
{owner}[socket:umask]
path = FOLDER/umask
umask = 007
[socket:stale]
path = FOLDER/stale
[socket:replaced]
path = FOLDER/replaced
replace = True
[watcher:w]
cmd = sleep 1000
""")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(daemon.folder / "stale"))
        living = self.living(daemon.folder / "replaced")
        daemon.start()
        daemon.wait("4 sockets")
        found = {name: (daemon.folder / name).stat() for name in ("mode", "umask", "stale", "replaced")}
        self.assertEqual(stat.S_IMODE(found["mode"].st_mode), 0o660)
        if ROOT:
            self.assertEqual((found["mode"].st_uid, found["mode"].st_gid), (NOBODY, 1))
        self.assertEqual(stat.S_IMODE(found["umask"].st_mode), 0o770)
        for name in ("stale", "replaced"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(daemon.folder / name))
        living.setblocking(False)
        self.assertRaises(BlockingIOError, living.accept)

    def living(self, path: Path) -> socket.socket:
        """A socket that somebody listens on."""
        other = socket.socket(socket.AF_UNIX)
        self.addCleanup(other.close)
        other.bind(str(path))
        other.listen()
        return other

    def test_refused(self) -> None:
        """Everything that is in the way is told at once, one line each, and nothing is left."""
        daemon = self.inside("""
[socket:live]
path = FOLDER/live
[socket:port]
host = 127.0.0.1
port = PORT
[socket:user]
path = FOLDER/user
user = nosuchuser
[socket:good]
path = FOLDER/good
[watcher:w]
cmd = sleep 1000
""")
        self.living(daemon.folder / "live")
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            daemon.ini.write_text(daemon.ini.read_text().replace("PORT", str(port)))
            self.assertNotEqual(daemon.start().join(), 0)
        text = "\n".join(daemon.lines)
        self.assertRegex(text, rf"\[socket:live\] path: {daemon.folder}/live is in use by pid {os.getpid()} ")
        self.assertRegex(text, rf"\[socket:port\] port: 127.0.0.1:{port} is in use by pid {os.getpid()} ")
        self.assertIn("[socket:user] user: there is no user nosuchuser", text)
        self.assertEqual([(daemon.folder / name).exists() for name in ("user", "good", "live")], [False, False, True])

    @skipUnless(ROOT, "only root may bind to an interface")
    def test_interface(self) -> None:
        """A socket hears only its interface."""
        told = self.look("[socket:s]\nhost = 0.0.0.0\nport = 0\ninterface = lo\n"
                         "[watcher:w]\ncmd = LOOK w\nuse_sockets = True\n")
        self.assertEqual(told["w"]["sockets"]["3"][2][0], "0.0.0.0")
        with socket.create_connection(("127.0.0.1", self.daemon_.port("s")), timeout=10):
            pass


class ActivationTests(InsideCase):
    """Sockets that the supervisor itself is handed; sd_listen_fds(3)."""

    sections = """
[socket:Web]
host = 127.0.0.1
port = 0
[socket:local]
path = FOLDER/local
[watcher:w]
cmd = LOOK w
use_sockets = True
copy_env = True
"""

    def activated(self, sections: str) -> Any:
        """A supervisor that is started with three sockets."""
        daemon = self.daemon_ = self.inside(sections)
        (daemon.folder / "activate.py").write_text(HANDS_OVER)
        daemon.front = (sys.executable, f"{daemon.folder}/activate.py", f"{daemon.folder}/local")
        return daemon.start()

    def test_taken(self) -> None:
        """They are taken by name; the rest is closed, the variables go no further, and the file stays."""
        daemon = self.activated(self.sections)
        told = self.looks(1)["w"]
        self.assertEqual([name for name in told["env"] if name.startswith("LISTEN")], [])
        self.assertEqual(sorted(told["sockets"]), ["3", "4"])
        self.assertEqual(told["sockets"]["3"][2], f"{daemon.folder}/local")
        daemon.found("descriptor 5 of LISTEN_FDS, called stray, is not used")
        with socket.create_connection(("127.0.0.1", daemon.port("web")), timeout=10):
            self.assertEqual(daemon.stop(), 0)
        self.assertTrue((daemon.folder / "local").is_socket())

    def test_other(self) -> None:
        """A socket of this name that is not what the section asks for ends the start with one line."""
        daemon = self.activated(self.sections.replace("FOLDER/local", "FOLDER/other"))
        self.assertNotEqual(daemon.join(), 0)
        self.assertIn("[socket:local] descriptor 4 of LISTEN_FDS has this name, but is AF_UNIX SOCK_STREAM "
                      f"{daemon.folder}/local", "\n".join(daemon.lines))

    def test_another(self) -> None:
        """What is meant for another process is left alone, and its variables go no further either."""
        daemon = self.daemon_ = self.inside(self.sections, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
        daemon.start()
        told = self.looks(1)["w"]
        self.assertEqual([name for name in told["env"] if name.startswith("LISTEN")], [])
