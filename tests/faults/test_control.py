"""Part F: what comes over the control socket."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator

from circustwist.control.boxes import encode
from circustwist.model.ini import read

from .case import Control, ControlError, FaultCase, descriptors, eventually, rss
from .rows import row

STACK = """
[watcher:f65]
cmd = sleep 1065
numprocesses = 3
[watcher:f66]
cmd = sh -c 'trap "sleep 0.3; exit 0" TERM; while :; do sleep 1000 & wait $!; done'
[watcher:empty]
cmd = sleep 1071
numprocesses = 0
[watcher:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab]
cmd = sleep 1072
numprocesses = 0
"""

CALL = encode({b"_command": b"ping", b"_ask": b"1"})
MB = 1 << 20

GARBAGE = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(4096), b"\0\0" * 1000, b"\xff" * 70_000,
    struct.pack(">H", 255) + b"k" * 255 + struct.pack(">H", 65535) + b"v" * 100,
    encode({b"_command": b"ping"})[:-1], encode({b"_answer": b"1", b"x": b"y"}), encode({b"_ask": b"1"}),
    b"\x00\x08_command\x00\x04ping" * 2000,
)


class ControlFaults(FaultCase):
    """The rows of part F."""

    STACK = STACK

    def raw(self) -> socket.socket:
        """A connection that does as it likes."""
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(self.house.where)
        client.settimeout(30)
        return client

    @contextlib.contextmanager
    def frugal(self, most: int) -> Iterator[None]:
        """The supervisor's memory grows by no more than so many bytes, and its log tells of no error of ours."""
        pid = self.house.process.pid
        before = rss(pid)
        yield
        self.responsive(self.house)
        self.assertLess(rss(pid) - before, most)
        self.assertNotIn("Traceback", "\n".join(self.house.lines))

    @row("F65", "eight clients give commands for one watcher at once",
         "done one after the other or refused by name; never more processes than wanted; the last one holds")
    def test_F65_race(self) -> None:
        errors: list[str] = []

        def give(number: int) -> None:
            with Control(self.house.where, timeout=60) as control:
                for turn in range(10):
                    try:
                        control.call(("start", "stop", "restart")[(number + turn) % 3], name="f65", waiting=True)
                    except ControlError as error:
                        errors.append(error.name)

        with Control(self.house.where) as control:
            before = control.call("events", topics=["none"])["n"]
            clients = [threading.Thread(target=give, args=(number,)) for number in range(8)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            control.call("start", name="f65", waiting=True)
            last = control.call("events", topics=["none"])["n"]
            events = control.events(since=before)
            alive = 0
            for event in (next(events) for _ in range(last - before)):
                alive += {"spawn": 1, "reap": -1}.get(event["event"], 0)
                self.assertTrue(0 <= alive <= 3)
        self.assertLessEqual(set(errors), {"Conflict", "OperationFailed"})
        self.assertEqual(len(self.house.pids("f65")), 3)
        self.down("f65")

    @row("F66", "a client leaves while its command is done", "the command is done to its end; nothing goes wrong")
    def test_F66_leaves(self) -> None:
        (pid,) = self.up("f66")
        with self.frugal(20 * MB):
            client = self.raw()
            client.sendall(encode({b"_command": b"restart", b"name": b"f66", b"waiting": b"True", b"_ask": b"1"}))
            client.close()
            with self.events("watcher.f66") as events:
                self.house.until(lambda: self.house.pids("f66") not in ([], [pid]), ("watcher.f66",))
                self.assertTrue(events)

    @row("F67", "a client asks 20,000 times and never reads an answer",
         "it is not read from any more; memory stays, others are served")
    def test_F67_neverReads(self) -> None:
        with self.frugal(20 * MB):
            client = self.raw()
            client.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                for _ in range(200):
                    client.sendall(CALL * 100)
            self.responsive(self.house)

    @row("F68", "1500 connections on which nothing happens",
         "the one that was not used for longest goes for a new one; starts and others go on")
    def test_F68_idle(self) -> None:
        with self.frugal(40 * MB):
            clients = [self.raw() for _ in range(1500)]
            self.responsive(self.house)
            self.assertLess(descriptors(self.house.process.pid), 600)
            self.assertEqual(len(self.up("f65", 3)), 3)
            for client in clients:
                client.close()
            eventually(lambda: descriptors(self.house.process.pid) < 50)

    @row("F69", "600 clients send a byte and then wait", "the same: what they began is worth nothing")
    def test_F69_slow(self) -> None:
        with self.frugal(30 * MB):
            clients = [self.raw() for _ in range(600)]
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sendall(CALL[:1])
            self.responsive(self.house)
            for client in clients:
                client.close()

    @row("F70", "what comes is no AMP, too long, or has no end", "an error or the end of the connection; memory stays")
    def test_F70_garbage(self) -> None:
        with self.frugal(20 * MB):
            for data in GARBAGE:
                client = self.raw()
                with contextlib.suppress(OSError):
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
                client.close()
            for value in (b"9" * 4000, b"nan", b"1e999", b"[" * 30_000, b'{"a":1,"a":2}', b"\xff\xfe", b"\0"):
                for command, name in ((b"operation", b"id"), (b"events", b"topics"), (b"status", b"detail")):
                    client = self.raw()
                    client.sendall(encode({b"_command": command, name: value, b"_ask": b"1"}))
                    answer = client.recv(65536)
                    self.assertTrue(len(answer) < 5000 or b"_error" not in answer, value[:10])
                    client.close()

    @row("F71", "a subscriber of events never reads", "a bounded number waits for it, it is told how many it missed")
    def test_F71_deafSubscriber(self) -> None:
        with self.frugal(30 * MB):
            client = Control(self.house.where, timeout=60)
            self.addCleanup(client.close)
            told = client.events()
            with Control(self.house.where, timeout=60) as control:
                for _ in range(2500):
                    control.call("start", name="empty")
                last = control.call("events", topics=["none"])["n"]
            self.responsive(self.house)
            seen: Counter[str] = Counter()
            for event in told:
                seen[event["event"]] += event.get("missed", 1)
                if event.get("n") == last:
                    break
            self.assertGreater(seen["missed"], 0)

    @row("F72", "unknown commands, arguments of wrong types, patterns that take for ever", "an error at once")
    def test_F72_wrong(self) -> None:
        bombs = ("(a+)+$", "(a|a)*$", "(a*)*b*c", "a*a*a*a*a*a*a*a*x", "a?" * 40 + "a" * 40, "((a{1,9}){1,9})x", "(")
        with Control(self.house.where) as control:
            for command, given in (
                ("nosuch", {}), ("x" * 1000, {}), ("operation", {"id": "x"}), ("incr", {"name": "f65", "nb": "many"}),
                ("signal", {"name": "f65", "signum": "NOPE"}), ("incr", {}),
                *(("start", {"name": bomb, "match": "regex"}) for bomb in bombs),
                ("start", {"name": "*a" * 400, "match": "glob"}), ("start", {"name": "x", "match": "magic"}),
            ):
                began = time.monotonic()
                with self.assertRaises(ControlError, msg=(command, given)):
                    control.call(command, **given)
                self.assertLess(time.monotonic() - began, 2)

    @row("F73", "names with newlines, NUL, a slash, markup, or 64 kB", "refused by one rule")
    def test_F73_names(self) -> None:
        for name in ("a/b", "a\0b", "x" * 65, "x" * 65_000, "a\x1bb"):
            text = f"[watcher:{name}]\ncmd = true\n"
            found = read("x.ini", lambda path, text=text: text.encode(), lambda pattern: [], {})
            self.assertTrue(found.fatal, name[:20])
            with self.assertRaises((ControlError, ValueError)):
                self.house.call("list", name=name)
        for name in ("<script>alert(1)", "__proto__", "\u202eevil"):
            self.assertRaises(ControlError, self.house.call, "list", name=name)

    @row("F74", "2000 clients come and go", "no descriptor and no memory is left behind")
    def test_F74_storm(self) -> None:
        before = descriptors(self.house.process.pid)
        with self.frugal(20 * MB):
            for number in range(2000):
                client = socket.socket(socket.AF_UNIX)
                client.connect(self.house.where)
                if number % 3:
                    client.sendall(CALL)
                client.close()
        eventually(lambda: descriptors(self.house.process.pid) <= before)

    @row("F76", "a command comes while the supervisor ends",
         "what changes something is refused by name; reads are answered")
    def test_F76_ending(self) -> None:
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sh -c 'trap \"\" TERM; while :; do sleep 1000; done'\n"))
        with Control(daemon.where) as control:
            control.call("quit")
            with self.assertRaises(ControlError) as caught:
                control.call("start", name="w")
            self.assertIn("stopping", str(caught.exception))
            control.call("status")
        daemon.kill()
