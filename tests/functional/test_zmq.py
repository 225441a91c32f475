"""The endpoints for Circus's clients: who gets in, and what they cannot do to the supervisor."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zmq
from twisted.trial.unittest import SkipTest

from .stack import TIMEOUT, Daemon, StackCase

WATCHER = """[watcher:web]
cmd = sleep 1000
copy_env = True
min_ready = 0
"""
IPC = "[circus]\nendpoint = ipc://{folder}/control\npubsub_endpoint = ipc://{folder}/events\n" \
      "stats_endpoint = ipc://{folder}/stats\n"


class Client:
    """A client that writes its messages itself."""

    def __init__(self, kind: int, endpoint: str, keys: tuple[bytes, bytes, bytes] | None = None) -> None:
        """
        @param keys: the server's public key, and both of ours.
        """
        self.socket = zmq.Context.instance().socket(kind)
        self.socket.linger = 0
        if keys is not None:
            self.socket.curve_serverkey, self.socket.curve_publickey, self.socket.curve_secretkey = keys
        self.socket.connect(endpoint)

    def send(self, command: str, **properties: Any) -> None:
        """One request, without an id as circus-web sends it."""
        self.socket.send(json.dumps({"command": command, "properties": properties}).encode())

    def receive(self, timeout: float = TIMEOUT) -> Any:
        """One answer; None if there is none."""
        return json.loads(self.socket.recv()) if self.socket.poll(int(timeout * 1000)) else None

    def ask(self, command: str, **properties: Any) -> Any:
        """The answer to a request."""
        self.send(command, **properties)
        return self.receive()


class EndpointCase(StackCase):
    """Tests with clients."""

    def stack(self, settings: str, more: str = "", watchers: str = WATCHER) -> Daemon:
        """A stack with these settings, in which C{{folder}} and C{{port}} are filled in."""
        daemon = self.daemon("")
        daemon.ini.write_text(settings.format(folder=daemon.folder) + more + watchers)
        daemon.start().wait("watcher")
        return daemon

    def client(self, kind: int, endpoint: str, keys: tuple[bytes, bytes, bytes] | None = None) -> Client:
        """A client, closed at the end."""
        client = Client(kind, endpoint, keys)
        self.addCleanup(client.socket.close)
        return client

    def port(self) -> int:
        """A port that was free a moment ago."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])


class WayTests(EndpointCase):
    """Who gets in, and how far."""

    def test_none(self) -> None:
        """Without an endpoint nothing of ZeroMQ is loaded."""
        daemon = self.run_(WATCHER)
        maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
        self.assertNotIn("libzmq", maps)
        self.assertNotIn("zmq/backend", maps)
        daemon.stop()

    def test_private(self) -> None:
        """An ipc:// endpoint is for its owner alone, and gone afterwards; over an upgrade clients go on."""
        daemon = self.stack(IPC)
        client = self.client(zmq.DEALER, f"ipc://{daemon.folder}/control")
        self.assertEqual(client.ask("set", name="web", options={"env": {"A": "b"}})["status"], "ok")
        for name in ("control", "events", "stats"):
            self.assertEqual((daemon.folder / name).stat().st_mode & 0o777, 0o600)
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        self.assertEqual(client.ask("list")["watchers"], ["web"])
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse((daemon.folder / "control").exists())

    def test_loopback(self) -> None:
        """On TCP everybody may stop things, and nobody may say what is run unless the ini lets them."""
        for insecure in (False, True):
            port = self.port()
            daemon = self.stack(
                f"[circus]\nendpoint = tcp://127.0.0.1:{port}\npubsub_endpoint = ipc://{{folder}}/events\n"
                f"endpoint_insecure = {insecure}\n")
            self.assertTrue(any("everybody on this host" in line for line in daemon.lines), daemon.lines)
            client = self.client(zmq.DEALER, f"tcp://127.0.0.1:{port}")
            answer = client.ask("add", name="new", cmd="sleep 9")
            self.assertEqual(answer["status"], "ok" if insecure else "error", answer)
            self.assertEqual(client.ask("set", name="web", options={"max_age": 9})["status"], "ok")
            self.assertEqual(client.ask("stop", name="web", waiting=True)["status"], "ok")
            daemon.stop()

    def test_owner(self) -> None:
        """The owner of the endpoint adds what runs as them, and sets nothing that is run."""
        if os.geteuid():
            raise SkipTest("only root can give an endpoint to somebody")
        daemon = self.daemon("")
        daemon.folder.chmod(0o755)
        daemon.ini.write_text(IPC.format(folder=daemon.folder) + "endpoint_owner = nobody\n" + WATCHER)
        daemon.start().wait("watcher")
        self.assertEqual((daemon.folder / "control").owner(), "nobody")
        client = self.client(zmq.DEALER, f"ipc://{daemon.folder}/control")
        self.assertEqual(client.ask("add", name="a", cmd="sleep 9", options={"uid": "root"})["reason"],
                         "uid does not match endpoint_owner")
        self.assertEqual(client.ask("set", name="web", options={"cmd": "sleep 9"})["errno"], 3)
        answer = client.ask("add", name="a", cmd="sleep 900", options={"uid": "nobody"}, start=True, waiting=True)
        (pid,) = answer["started"]
        self.assertEqual(Path(f"/proc/{pid}").owner(), "nobody")
        daemon.stop()

    def test_discovery(self) -> None:
        """Whoever asks is told of the endpoint, if the ini wants that."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.bind(("127.0.0.1", 0))
            asker.settimeout(TIMEOUT)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            daemon = self.stack(IPC + f"multicast_endpoint = udp://237.219.251.97:{port}\n")
            asker.sendto(b'""', ("127.0.0.1", port))
            self.assertEqual(json.loads(asker.recv(1000)), {"endpoint": f"ipc://{daemon.folder}/control"})
        daemon.stop()

    def test_far(self) -> None:
        """Without CURVE no other host is let in."""
        daemon = self.daemon("[circus]\nendpoint = tcp://0.0.0.0:5555\n" + WATCHER)
        checked = daemon.cli("check")
        self.assertIn("[circus] endpoint: is open to other hosts", checked.stdout)

    def test_taken(self) -> None:
        """An endpoint that somebody else has is told in one line; the stack runs."""
        daemon = self.stack(IPC)
        other = self.daemon("")
        other.ini.write_text(daemon.ini.read_text())
        other.start().wait("Circus's clients cannot connect")
        other.wait("watcher")
        self.assertEqual(self.client(zmq.DEALER, f"ipc://{daemon.folder}/control").ask("list")["watchers"], ["web"])
        other.stop()
        daemon.stop()

    def test_curve(self) -> None:
        """With CURVE everybody is who their key says, with that role; a stranger gets no answer."""
        public, secret = zmq.curve_keypair()
        people = {role: zmq.curve_keypair() for role in ("viewer", "admin", "nobody")}
        port = self.port()
        users = "".join(f"[user:{role}]\nrole = {role}\ncurve_key = {people[role][0].decode()}\n"
                        for role in ("viewer", "admin"))
        daemon = self.daemon("")
        (daemon.folder / "key").write_bytes(secret)
        (daemon.folder / "key").chmod(0o600)
        daemon.ini.write_text(
            f"[circus]\nendpoint = tcp://0.0.0.0:{port}\npubsub_endpoint = ipc://{daemon.folder}/events\n"
            f"curve_secret_key_file = {daemon.folder}/key\n" + users + WATCHER)
        daemon.start().wait("watcher")
        clients = {role: self.client(zmq.DEALER, f"tcp://127.0.0.1:{port}", (public, *keys))
                   for role, keys in people.items()}
        self.assertEqual(clients["admin"].ask("add", name="new", cmd="sleep 9")["status"], "ok")
        self.assertEqual(clients["viewer"].ask("list")["watchers"], ["new", "web"])
        self.assertIn("needs the role", clients["viewer"].ask("stop", name="web")["reason"])
        clients["nobody"].send("list")
        plain = self.client(zmq.DEALER, f"tcp://127.0.0.1:{port}")
        plain.send("list")
        self.assertEqual((clients["nobody"].receive(0.5), plain.receive(0.1)), (None, None))
        daemon.stop()


class LoadTests(EndpointCase):
    """What a client sends or does not read."""

    def test_flood(self) -> None:
        """While one client sends as fast as it can, others are answered, and the control socket too."""
        daemon = self.stack(IPC)
        endpoint = f"ipc://{daemon.folder}/control"
        flood, client = self.client(zmq.DEALER, endpoint), self.client(zmq.DEALER, endpoint)
        flood.socket.sndhwm = 0
        self.assertEqual(client.ask("list")["watchers"], ["web"])
        message = json.dumps({"command": "status", "msg_type": "cast"}).encode()
        for _ in range(20_000):
            flood.socket.send(message)
        for _ in range(20):
            self.assertEqual(daemon.call("ping")["pid"], daemon.process.pid)
        self.assertEqual(client.ask("list")["watchers"], ["web"])
        self.assertEqual(flood.ask("list")["watchers"], ["web"])
        daemon.stop()

    def test_stalled(self) -> None:
        """Subscribers that do not read cost no memory to speak of, and others hear on."""
        daemon = self.stack(IPC)
        stalled = self.client(zmq.SUB, f"ipc://{daemon.folder}/events")
        stalled.socket.rcvhwm = 1
        reader = self.client(zmq.SUB, f"ipc://{daemon.folder}/events")
        for subscriber in (stalled, reader):
            subscriber.socket.subscribe(b"watcher.")
        client = self.client(zmq.DEALER, f"ipc://{daemon.folder}/control")
        while not reader.socket.poll(0):
            client.ask("set", name="web", options={"max_retry": 1})
        before = resident(daemon.process.pid)
        names = (
            "max_retry", "priority", "stop_signal", "graceful_timeout", "restart_delay_max", "start_limit_interval",
            "live_interval", "ready_interval", "ready_timeout", "min_ready", "max_memory", "warmup_delay")
        for number in range(250):
            answer = client.ask("set", name="web", options=dict.fromkeys(names, 1 + number % 9))
            self.assertEqual(answer["status"], "ok", answer)
        self.assertTrue(reader.socket.poll(1000))
        self.assertLess(resident(daemon.process.pid) - before, 20 << 20)
        daemon.stop()

    def test_malformed(self) -> None:
        """What is no request is answered or ignored, one that is too large is cut off, and nothing is logged for it."""
        daemon = self.stack(IPC)
        endpoint = f"ipc://{daemon.folder}/control"
        client = self.client(zmq.DEALER, endpoint)
        for message, errno in ((b"{", 1), (b"[]", 3), (b'{"command": 3}', 3), (b"\xff\xfe", 1)):
            client.socket.send(message)
            self.assertEqual(client.receive()["errno"], errno)
        client.socket.send(b" ")
        client.socket.send_multipart([b"a", b"b", b"c"])
        self.assertEqual(client.ask("list")["watchers"], ["web"])
        large = self.client(zmq.DEALER, endpoint)
        large.socket.send(b"x" * ((1 << 20) + 1))
        self.assertEqual(large.receive(0.3), None)
        request = self.client(zmq.REQ, endpoint)
        self.assertEqual(request.ask("list")["watchers"], ["web"])
        self.assertEqual([line for line in daemon.lines if "Traceback" in line], [])
        daemon.stop()

    def test_statistics(self) -> None:
        """Statistics come while somebody listens; then nothing is looked at any more."""
        daemon = self.stack(IPC)
        client = self.client(zmq.SUB, f"ipc://{daemon.folder}/stats")
        client.socket.subscribe(b"stat.web")
        self.assertTrue(client.socket.poll(int(TIMEOUT * 1000)))
        topic, payload = client.socket.recv_multipart()
        self.assertTrue(topic.startswith(b"stat.web."), topic)
        self.assertEqual(json.loads(payload)["cmdline"], "sleep")
        client.socket.close()
        deadline = time.monotonic() + TIMEOUT
        while switches(daemon.process.pid, 2.2) > 3:
            self.assertLess(time.monotonic(), deadline)
        daemon.stop()


class WebTests(EndpointCase):
    """The old web console, circus-web, of which every request comes on a socket of its own and without an id."""

    SAID: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("list", {}, {"watchers": ["web"]}),
        ("status", {"name": "web"}, {"status": "active"}),
        ("stop", {"name": "web"}, {"status": "ok"}),
        ("start", {"name": "web"}, {"status": "ok"}),
        ("incr", {"name": "web"}, {"status": "ok"}),
        ("decr", {"name": "web"}, {"status": "ok"}),
        ("reloadconfig", {}, {"status": "ok"}),
        ("add", {"name": "more", "cmd": "sleep 1000"}, {"status": "ok"}),
        ("set", {"name": "more", "options": {"numprocesses": 2, "working_dir": "/", "shell": False}}, {"status": "ok"}),
        ("status", {"name": "more"}, {"status": "stopped"}),
        ("listsockets", {}, {"sockets": []}),
    )

    def fresh(self, daemon: Daemon, command: str, properties: Mapping[str, Any]) -> Any:
        """One request on a socket of its own."""
        client = Client(zmq.DEALER, f"ipc://{daemon.folder}/control")
        try:
            return client.ask(command, **properties)
        finally:
            client.socket.close()

    def test_exchanges(self) -> None:
        """Its exchanges, as they were recorded."""
        daemon = self.stack(IPC)
        for command, properties, expected in self.SAID:
            answer = self.fresh(daemon, command, properties)
            self.assertEqual({key: answer[key] for key in expected}, expected, command)
            self.assertIn("id", answer)
            self.assertIsNone(answer["id"])
        options = self.fresh(daemon, "options", {"name": "web"})["options"]
        for key in ("numprocesses", "cmd", "args", "shell", "uid", "gid", "env", "working_dir", "singleton",
                    "max_retry", "warmup_delay", "use_sockets"):
            self.assertIn(key, options)
        told = self.fresh(daemon, "globaloptions", {})["options"]
        self.assertEqual([told[key].rpartition("/")[2] for key in ("stats_endpoint", "pubsub_endpoint")],
                         ["stats", "events"])
        pid = self.fresh(daemon, "list", {"name": "web"})["pids"][0]
        answer = self.fresh(daemon, "signal", {"name": "web", "pid": pid, "signum": 9, "recursive": True})
        self.assertEqual(answer["status"], "ok")
        daemon.until(lambda: pid not in daemon.pids("web") and len(daemon.pids("web")) == 1)
        daemon.stop()


def resident(pid: int) -> int:
    """Bytes of a process in memory; proc_pid_statm(5)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def switches(pid: int, seconds: float) -> int:
    """How often the main thread of a process woke up in that time."""
    found = []
    for _ in range(2):
        status = Path(f"/proc/{pid}/task/{pid}/status").read_text()
        found.append(int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0]))
        if len(found) == 1:
            time.sleep(seconds)
    return found[1] - found[0]
