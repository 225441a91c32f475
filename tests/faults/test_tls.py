"""Commands over TLS: who may give which, and every certificate that must not be taken."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

from circustwist.control.blocking import CERTIFICATES, Control, ControlError
from circustwist.control.boxes import encode
from circustwist.model.commands import COMMANDS, ROLES

from .case import ROOT, FaultCase, House, SkipTest, descriptors, eventually
from .test_security import FINAL, given

try:
    import OpenSSL  # noqa: F401  # whether it is there
except ImportError:
    MISSING = "needs pyOpenSSL"
else:
    MISSING = ""
    from .certificates import Pair, pair


class TlsTests(FaultCase):
    """The control protocol on a port."""

    def setUp(self) -> None:
        super().setUp()
        if MISSING:
            raise SkipTest(MISSING)

    @property
    def STACK(self) -> str:
        """Somebody of each role, by certificate."""
        self.makePairs()
        users = "".join(f"[user:{role}]\nrole = {role}\ncert = {self.pairs[role].fingerprint}\n" for role in ROLES)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        return (f"control_tls = 127.0.0.1:{port}\ncontrol_tls_certificate = FOLDER/tls.pem\n"
                f"control_tls_key = FOLDER/tls.key\ncontrol_tls_clients = FOLDER/clients.pem\n{users}"
                "[watcher:web]\ncmd = sleep 1193\n")

    pairs: dict[str, Pair]

    def makePairs(self) -> None:
        """The authority, the stack, those whom it knows and those whom it must not take."""
        authority, other = pair("authority"), pair("authority")
        type(self).pairs = {
            "authority": authority, "server": pair("stack", authority, server=True),
            **{role: pair(role, authority) for role in (*ROLES, "unknown")},
            "self-signed": pair("admin"), "of another authority": pair("admin", other),
            "expired": pair("admin", authority, (-9, -1)), "not valid yet": pair("admin", authority, (1, 9)),
            "for servers": pair("admin", authority, server=True),
        }

    def furnish(self, folder: Path) -> None:
        self.pairs["authority"].write(folder / "clients.pem")
        self.pairs["server"].write(folder / "tls.pem", folder / "tls.key")
        for name, each in self.pairs.items():
            (folder / name).mkdir()
            each.write(folder / name / "client.pem", folder / name / "client.key")
            self.pairs["authority"].write(folder / name / "authority.pem")

    @property
    def where(self) -> str:
        """The address."""
        return "tls://" + self.house.ini.read_text().partition("control_tls = ")[2].split()[0]

    def control(self, name: str) -> Control:
        """A connection with somebody's certificate."""
        where = self.where
        self.patch(os, "environ", {**os.environ, CERTIFICATES: str(self.house.folder / name)})
        return Control(where, timeout=30)

    def outcome(self, control: Control, command: str, **arguments: Any) -> str:
        """The name of the error, if there is one."""
        try:
            control.call(command, **arguments)
        except ControlError as error:
            return error.name
        return "done"

    def test_matrix(self) -> None:
        """Nobody does more than the role of their certificate says, and nobody less."""
        for role in ("unknown", *ROLES):
            with self.control(role) as control:
                for command in COMMANDS:
                    allowed = role in ROLES and ROLES.index(role) >= ROLES.index(command.role)
                    if not allowed or command.name not in FINAL:
                        found = self.outcome(control, command.name, **given(command))
                        self.assertEqual(found != "Denied", allowed, (role, command.name, found))
        with self.control("operator") as control:
            self.assertEqual(self.outcome(control, "stop", name="web"), "done")
            ways = [(one["name"], one["way"]) for one in control.call("clients")["clients"]]
            self.assertIn(("operator (127.0.0.1, tls)", "tls"), ways)
        self.house.wait("operator (127.0.0.1, tls): stop web")
        with self.control("admin") as control:
            self.assertEqual(self.outcome(control, "quit"), "done")
        self.house.join()
        House.close()

    def test_refused(self) -> None:
        """A certificate of any wrong kind, and none at all, ends the connection before a command is heard."""
        before = descriptors(self.house.process.pid)
        for name in ("self-signed", "of another authority", "expired", "not valid yet", "for servers"):
            with self.assertRaises(OSError) as caught, self.control(name) as control:
                control.call("ping")
            self.assertFalse(isinstance(caught.exception, TimeoutError), name)
        for bare in (self.plain, self.without):
            self.assertEqual(bare(), b"", bare)
        with self.control("admin") as control:
            self.assertEqual(self.outcome(control, "ping"), "done")
        eventually(lambda: descriptors(self.house.process.pid) <= before)

    def reached(self) -> socket.socket:
        """A connection with nothing said."""
        host, _, port = self.where.removeprefix("tls://").rpartition(":")
        return socket.create_connection((host, int(port)), 30)

    def plain(self) -> bytes:
        """What comes when no TLS is spoken, but for an alert."""
        with self.reached() as client:
            client.sendall(encode({b"_command": b"ping", b"_ask": b"1"}) * 20)
            try:
                found = client.recv(1000)
            except ConnectionError:
                return b""
            return b"" if found[:1] == b"\x15" else found

    def without(self) -> bytes:
        """What comes when no certificate is shown."""
        context = ssl.create_default_context(cafile=str(self.house.folder / "clients.pem"))
        with self.reached() as client:
            try:
                with context.wrap_socket(client, server_hostname="127.0.0.1") as secured:
                    secured.sendall(encode({b"_command": b"ping", b"_ask": b"1"}))
                    return secured.recv(1000)
            except (ssl.SSLError, ConnectionError):
                return b""

    def test_cli(self) -> None:
        """The command line goes there too, and says what it needs."""
        for folder, words in (("viewer", "web"), ("", CERTIFICATES), ("expired", "certificate expired")):
            env = {**os.environ, CERTIFICATES: str(self.house.folder / folder) if folder else ""}
            done = subprocess.run(
                [sys.executable, "-m", "circustwist.cli.main", "-s", self.where, "status"], env=env, cwd=ROOT,
                capture_output=True, text=True, timeout=60, check=False)
            self.assertIn(words, done.stdout + done.stderr)
            self.assertEqual(done.returncode == 0, folder == "viewer", done)

    def test_upgrade(self) -> None:
        """After an upgrade people come in as before; who is connected is told."""
        self.assertEqual(self.house.cli("upgrade").returncode, 0)
        with self.control("viewer") as control:
            self.assertEqual(self.outcome(control, "ping"), "done")
            found = self.house.call("clients")["clients"]
            self.assertIn(("tls", "viewer"), [(one["way"], one["role"]) for one in found])

    def test_damaged(self) -> None:
        """Files that do not fit are named in the log, and the stack runs without the port."""
        for change, words in (
            (lambda folder: (folder / "tls.key").write_text("nonsense"), "control_tls_key"),
            (lambda folder: self.pairs["viewer"].write(folder / "x", folder / "tls.key"), "control_tls_key"),
            (lambda folder: (folder / "tls.pem").unlink(), "control_tls_certificate: .*cannot be read"),
            (lambda folder: (folder / "clients.pem").write_text(""), "control_tls_clients: there is no certificate"),
        ):
            daemon = self.wrapped(self.STACK)
            self.furnish(daemon.folder)
            change(daemon.folder)
            self.begun(daemon)
            self.assertRegex(daemon.wait("nobody can connect there"), words)
            self.assertEqual(daemon.stop(), 0)
