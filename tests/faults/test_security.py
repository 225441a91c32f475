"""Who may do what, by every way in; what is told of it; and what is told to nobody."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from circustwist.control.blocking import Control, ControlError
from circustwist.model.commands import COMMANDS, ROLES, Command
from circustwist.model.keys import hashed
from tests.functional.test_zmq import Client

from .case import FaultCase, House, eventually

UIDS = {"viewer": 60_801, "operator": 60_802, "admin": 60_803, "": 60_804}
"""Whom the kernel tells the control socket by; the last has no role."""

CANARIES = [f"canary-{number}-4711" for number in range(6)]

PASSWORDS = {role: f"password of {role}" for role in ROLES}

FINAL = ("quit", "upgrade")
"""What would end the supervisor if it were allowed is asked last."""

ARGUMENTS = {"text": "nosuch", "whole": 1, "number": 1.0, "boolean": False, "texts": ["nosuch"], "object": {}}


def given(command: Command) -> dict[str, Any]:
    """Arguments of the right type that mean nobody."""
    found = {each.name: ARGUMENTS[each.kind] for each in command.arguments if each.required}
    names = {each.name for each in command.arguments}
    found |= {"name": "nosuch"} if "name" in names else {}
    return found | ({"topics": ["none"]} if "topics" in names else {}) | (
        {"role": "viewer"} if "role" in names else {})


@contextlib.contextmanager
def acting(uid: int) -> Iterator[None]:
    """Be somebody else while a connection is made."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


class SecurityCase(FaultCase):
    """Tests with users of every role."""

    @property
    def STACK(self) -> str:
        """Somebody of each role, recognised by each way in."""
        users = "".join(
            f"[user:{role}]\nrole = {role}\nuid = {UIDS[role]}\n"
            f"password_hash = {hashed(PASSWORDS[role], b'0' * 16).replace('%', '%%')}\n" for role in ROLES)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        return f"{users}[circus]\nhttpd = True\nhttpd_port = {port}\n[watcher:web]\ncmd = sleep 1200\n"

    def setUp(self) -> None:
        super().setUp()
        self.asRoot()
        self.house.folder.chmod(0o711)

    def amp(self, role: str, command: str, arguments: dict[str, Any]) -> str:
        """What comes of a command over the control socket."""
        with acting(UIDS[role]):
            control = Control(self.house.where, timeout=30)
        with control:
            return self.outcome(control, command, arguments)

    def outcome(self, control: Control, command: str, arguments: dict[str, Any]) -> str:
        """The name of the error, if there is one."""
        try:
            control.call(command, **arguments)
        except ControlError as error:
            return error.name
        return "done"

    def post(self, path: str, body: Any, cookie: str = "", **headers: str) -> tuple[int, Any, str]:
        """A request to the console: the status, what it says, and the cookie."""
        port = int(self.house.ini.read_text().partition("httpd_port = ")[2].split()[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        sent = {"Content-Type": "application/json", "X-Circustwist": "1", "Cookie": cookie,
                **{name.replace("_", "-"): value for name, value in headers.items()}}
        try:
            connection.request("POST", path, json.dumps(body), {name: value for name, value in sent.items() if value})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith("{") else text, (
                answer.getheader("Set-Cookie") or "").partition(";")[0]
        finally:
            connection.close()

    def login(self, role: str) -> str:
        """The cookie of somebody who has logged in."""
        return self.post("/login", {"name": role, "password": PASSWORDS[role]})[2]


class MatrixTests(SecurityCase):
    """Roles times commands times ways in, from the table of commands."""

    def test_amp(self) -> None:
        """Over the control socket nobody does more than their role says, and nobody less."""
        for role in ("", *ROLES):
            with acting(UIDS[role]):
                control = Control(self.house.where, timeout=30)
            with control:
                for command in COMMANDS:
                    allowed = role in ROLES and ROLES.index(role) >= ROLES.index(command.role)
                    if not allowed or command.name not in FINAL:
                        found = self.outcome(control, command.name, given(command))
                        self.assertEqual(found != "Denied", allowed, (role, command.name, found))
        self.assertEqual(self.amp("admin", "quit", {}), "done")
        self.house.join()
        House.close()

    def test_http(self) -> None:
        """Over HTTP the same; who has not logged in only looks."""
        for role in ("", *ROLES):
            cookie = self.login(role) if role else ""
            self.assertEqual(bool(cookie), bool(role))
            for command in COMMANDS:
                allowed = ROLES.index(role or "viewer") >= ROLES.index(command.role)
                if command.name == "events" or (allowed and command.name in FINAL):
                    continue
                body = {"command": command.name, "arguments": given(command)}
                status, found, _ = self.post("/command", body, cookie)
                if role:
                    self.assertEqual(status != 403, allowed, (role, command.name, found))
                else:
                    self.assertTrue(status == 403 or command.role == "viewer", (command.name, found))

    def test_foreign(self) -> None:
        """No page of another site changes anything, logged in or not, and no other name leads here."""
        cookie = self.login("admin")
        body = {"command": "stop", "arguments": {}}
        for headers in (
            {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"},
            {"Content_Type": "text/plain"}, {"Content_Type": "application/x-www-form-urlencoded"},
            {"X_Circustwist": ""}, {"Host": "evil.example"}, {"Host": "localhost.evil.example"},
            {"Host": "127.0.0.1.evil.example:80"}, {"Host": ""},
        ):
            if headers == {"Host": ""}:
                continue
            status, found, _ = self.post("/command", body, cookie, **headers)
            self.assertIn(status, (400, 403, 421), (headers, found))
        for path in ("/login", "/logout", "/command"):
            self.assertIn(self.post(path, {}, cookie, Origin="http://evil.example")[0], (403,))


class CurveTests(FaultCase):
    """The same over Circus's protocol, where CURVE keys say who somebody is."""

    def test_curve(self) -> None:
        """Nobody does more than their role says; who has no key gets no answer."""
        import zmq

        public, secret = zmq.curve_keypair()
        people = {role: zmq.curve_keypair() for role in (*ROLES, "stranger")}
        users = "".join(f"[user:{role}]\nrole = {role}\ncurve_key = {people[role][0].decode()}\n" for role in ROLES)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            where = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        daemon = self.wrapped(f"endpoint = {where}\npubsub_endpoint = ipc://FOLDER/events\n"
                              f"curve_secret_key_file = FOLDER/key\n{users}[watcher:web]\ncmd = sleep 1200\n")
        (daemon.folder / "key").write_bytes(secret)
        (daemon.folder / "key").chmod(0o600)
        self.begun(daemon)
        clients = {role: Client(zmq.DEALER, where, (public, *people[role])) for role in people}
        for client in clients.values():
            self.addCleanup(client.socket.close)
        for role in ROLES:
            for command in COMMANDS:
                allowed = ROLES.index(role) >= ROLES.index(command.role)
                if not (allowed and command.name in FINAL):
                    clients[role].send(command.name, **given(command))
                    found = clients[role].receive(5) or {}
                    self.assertTrue(found, (role, command.name))
                    refused = " needs the role " in found.get("reason", "")
                    self.assertEqual(not refused, allowed, (role, command.name, found))
        clients["stranger"].socket.sndtimeo = 200
        with contextlib.suppress(zmq.Again):  # nobody is there who would take it
            clients["stranger"].send("list")
        self.assertIsNone(clients["stranger"].receive(0.3))


class AuditTests(SecurityCase):
    """The log tells who did what."""

    def test_lines(self) -> None:
        """Who, from where, what and its result, for what changes something and for what is refused."""
        self.assertEqual(self.amp("operator", "incr", {"name": "web", "nb": 1}), "done")
        self.house.wait(f"operator (uid {UIDS['operator']}, amp): incr web: accepted as operation")
        self.assertEqual(self.amp("viewer", "stop", {"name": "web\n\x1b[31mx"}), "Denied")
        self.assertIn("stop web\\n\\x1b[31mx: Denied", self.house.wait(f"viewer (uid {UIDS['viewer']}, amp)"))
        self.assertEqual(self.amp("operator", "start", {"name": "nosuch"}), "NotFound")
        self.house.wait("start nosuch: NotFound")
        self.post("/command", {"command": "stop", "arguments": {"name": "web"}}, self.login("operator"))
        self.assertRegex(self.house.wait("stop web: accepted"), "operator")


class CanaryTests(FaultCase):
    """What is secret is told to nobody."""

    STACK = f"""
[watcher:web]
cmd = sh -c 'exec sleep 1201'
env_file = FOLDER/secret.env
copy_env = True
max_retry = 1
[env:web]
DATABASE_PASSWORD = {CANARIES[0]}
[watcher:bad]
cmd = /not/there
max_retry = 1
[env:bad]
API_TOKEN = {CANARIES[1]}
[user:ann]
role = viewer
password_hash = {hashed(CANARIES[2], b'1' * 16)}
"""

    def furnish(self, folder: Any) -> None:
        (folder / "secret.env").write_text(f"FROM_FILE={CANARIES[3]}\n")
        (folder / "secret.env").chmod(0o400)

    def test_everywhere(self) -> None:
        """No answer, no event, no line of the log and no file but the configuration has any of it."""
        told: list[str] = []
        with Control(self.house.where, timeout=30) as control, Control(self.house.where, timeout=30) as listener:
            events = listener.events()
            for name in ("web", "bad"):
                with contextlib.suppress(ControlError):
                    control.call("start", name=name, waiting=True)
            for command in COMMANDS:
                for more in ({}, {"name": "web"}, {"name": "web", "detail": True}):
                    if command.name in (*FINAL, "events", "stop", "tail", "rm"):
                        continue
                    try:
                        told.append(json.dumps(control.call(command.name, **{**given(command), **more})))
                    except ControlError as error:
                        told.append(str(error))
            last = control.call("events", topics=["none"])["n"]
            for event in events:
                told.append(json.dumps(event))
                if event["n"] >= last:
                    break
        self.assertGreater(len(told), 60)
        for arguments in (("status",), ("options", "web"), ("--json", "status", "--detail"), ("config",)):
            done = self.house.cli(*arguments)
            told += [done.stdout, done.stderr]
        self.house.process.send_signal(1)
        self.house.wait("SIGHUP")
        eventually(lambda: all(o["state"] != "running" for o in self.house.call("operation")["operations"]))
        told += self.house.lines
        told += [path.read_text("utf-8", "replace") for path in self.house.runtime.rglob("*") if path.is_file()]
        for canary in (*CANARIES[:4], hashed(CANARIES[2], b"1" * 16)):
            self.assertEqual([text[:300] for text in told if canary in text], [])

    def test_children(self) -> None:
        """A process finds no descriptor of ours, whatever is open here, and no variable of somebody else's."""
        with contextlib.ExitStack() as open_:
            for _ in range(20):
                open_.enter_context(Control(self.house.where, timeout=30))
            (pid,) = self.up("web")
            self.assertEqual(sorted(os.listdir(f"/proc/{pid}/fd")), ["0", "1", "2"])
            with open(f"/proc/{pid}/environ", "rb") as file:
                self.assertNotIn(CANARIES[1].encode(), file.read())
        self.down("web")


class DropTests(FaultCase):
    """Privileges are given up wholly, or nothing is run."""

    STACK = """
[watcher:drop]
cmd = sleep 1202
uid = 60805
gid = 60806
"""

    def test_inside(self) -> None:
        """All four user and group ids, the groups and the capabilities, as the kernel tells them of the process."""
        self.asRoot()
        (pid,) = self.up("drop")
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        self.assertEqual(status["Uid"].split(), ["60805"] * 4)
        self.assertEqual(status["Gid"].split(), ["60806"] * 4)
        self.assertEqual(status["Groups"].split(), ["60806"])
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
