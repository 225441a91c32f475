"""Tests of counting connections: the kernel's messages, and the counter with real sockets."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.samples import Hits
from circustwist.system import diag, hits, sightings
from circustwist.system.binding import waiting
from circustwist.system.hits import Counter, Listener


def notification(family: int = 2, port: int = 80, remote: int = 5000, address: bytes = b"\x7f\0\0\1", info: bool = True,
                 received: int = 501, sent: int = 1001) -> bytes:
    """What the kernel tells of a connection's end."""
    body = struct.pack("=BBBB", family, 7, 0, 0) + struct.pack(">HH", port, remote)
    body += address.ljust(16, b"\0") + bytes(16) + bytes(12) + bytes(20)
    body += struct.pack("=HHBxxx", 5, 8, 0)
    if info:
        body += struct.pack("=HH", 4 + 232, 2) + bytes(120) + struct.pack("=QQ", sent, received) + bytes(96)
    return struct.pack("=IHHII", 16 + len(body), 20, 0, 0, 0) + body


class MessageTests(SynchronousTestCase):
    """What the kernel sends."""

    def test_ended(self) -> None:
        """The address and the traffic of a connection, which the packets that end it are not part of."""
        data = notification()
        self.assertEqual(diag.ended(data, len(data)), ((2, b"\x7f\0\0\1", 80), 500, 1000))

    def test_six(self) -> None:
        """An address of IPv6 is four times as long."""
        address = socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1")
        data = notification(10, address=address)
        self.assertEqual(diag.ended(data, len(data)), ((10, address, 80), 500, 1000))

    def test_withoutTraffic(self) -> None:
        """A connection of which nothing else is told counts all the same."""
        data = notification(info=False)
        self.assertEqual(diag.ended(data, len(data)), ((2, b"\x7f\0\0\1", 80), 0, 0))

    def test_others(self) -> None:
        """The end of a listening socket, another kind of message and a short one are none."""
        for data in (notification(remote=0), notification()[:80], notification()[:4] + b"\0" + notification()[5:]):
            self.assertIsNone(diag.ended(data, len(data)))

    @given(st.binary(max_size=400), st.integers(0, 400))
    def test_hostile(self, data: bytes, cut: int) -> None:
        """Whatever comes, and wherever it is cut, is a message or none."""
        for each in (data, notification()[:cut] + data, notification()[:16] + data):
            buffer = each.ljust(8192, b"\0")
            diag.ended(buffer, len(each))
            list(diag.messages(each))
            diag.local(each)
            diag.unixSocket(each)

    @given(st.lists(st.binary(max_size=60), max_size=5))
    def test_messages(self, bodies: list[bytes]) -> None:
        """Messages that came together are told apart."""
        data = b""
        for body in bodies:
            data += struct.pack("=IHHII", 16 + len(body), 20, 0, 0, 0) + body + bytes(-len(body) % 4)
        self.assertEqual([bytes(message[16:]) for _, message in diag.messages(data)], bodies)


class _Reactor:
    """Knows who is read."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Read it."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Do not."""
        if reader in self.readers:
            self.readers.remove(reader)


class _Lossy:
    """A socket of the kernel that has lost something."""

    def recvfrom_into(self, buffer: bytearray) -> tuple[int, tuple[int, int]]:
        """Say so once."""
        self.recvfrom_into = self._empty  # type: ignore[method-assign]
        raise OSError(errno.ENOBUFS, "No buffer space available")

    def _empty(self, buffer: bytearray) -> tuple[int, tuple[int, int]]:
        raise BlockingIOError


class CounterTests(SynchronousTestCase):
    """Real connections."""

    def setUp(self) -> None:
        self.patch(hits, "FRESH", -1)
        self.reactor, self.clock = _Reactor(), Clock()
        self.counter = self.counting({})

    def counting(self, earlier: dict[str, Any], missed: tuple[str, ...] = ()) -> Counter:
        """A counter."""
        counter = Counter(self.reactor, self.clock)  # type: ignore[arg-type]
        counter.open(earlier, missed)
        self.addCleanup(counter.close)
        return counter

    def listener(self, host: str = "127.0.0.1", family: int = socket.AF_INET, **options: Any) -> socket.socket:
        """A listening socket on a free port."""
        made = socket.create_server((host, 0), family=family, **options)
        self.addCleanup(made.close)
        return made

    def total(self, name: str, total: int) -> Hits:
        """What is known of a section when so many are counted: the kernel tells a moment after the end."""
        deadline = time.monotonic() + 10
        while (found := self.counter.hits(name)).total != total and time.monotonic() < deadline:
            time.sleep(0.001)
        self.assertEqual(found.total, total)
        return found

    def watch(self, **listeners: socket.socket) -> None:
        """Count for these."""
        self.counter.watch({name: found for name, each in listeners.items() if (found := Listener.of(each))})

    def visit(self, listener: socket.socket, host: str = "127.0.0.1", times: int = 1) -> None:
        """Connections that come and go."""
        for _ in range(times):
            with socket.create_connection((host, listener.getsockname()[1])) as client:
                served, _ = listener.accept()
                client.sendall(b"hello")
                served.recv(5)
                served.sendall(b"good bye")
                client.recv(8)
                served.close()
                client.recv(1)

    def test_counted(self) -> None:
        """Those that have ended and those that stand make the total; both directions are measured."""
        web = self.listener()
        self.watch(web=web)
        self.visit(web, times=3)
        client = socket.create_connection(web.getsockname())
        self.addCleanup(client.close)
        found = self.total("web", 4)
        self.assertEqual((found.total, found.open, found.exact, found.method), (4, 1, True, "counted"))
        self.assertEqual((found.received, found.sent), (15, 24))

    def test_apart(self) -> None:
        """Two sockets with one port at two addresses are told apart, other ports are not looked at."""
        web = self.listener("127.0.0.1")
        other = socket.create_server(("127.0.0.2", web.getsockname()[1]))
        self.addCleanup(other.close)
        third = self.listener()
        self.watch(web=web, other=other)
        self.visit(web, times=2)
        self.visit(other, "127.0.0.2")
        self.visit(third)
        self.total("web", 2)
        self.total("other", 1)
        self.assertEqual(self.counter.hits("third"), Hits())

    def test_dualStack(self) -> None:
        """A socket for both kinds of addresses is told of both kinds of clients."""
        if not socket.has_dualstack_ipv6():
            self.skipTest("this host has no IPv6")
        web = self.listener("::", socket.AF_INET6, dualstack_ipv6=True)
        self.watch(web=web)
        self.visit(web, "127.0.0.1", 2)
        self.visit(web, "::1")
        self.total("web", 3)

    def test_everywhere(self) -> None:
        """A socket on all addresses counts whatever address a client used."""
        web = self.listener("0.0.0.0")
        self.watch(web=web)
        for host in ("127.0.0.1", "127.0.0.3"):
            self.visit(web, host)
        self.total("web", 2)

    def test_changed(self) -> None:
        """A section that moves to another port goes on counting, and those that were given away are forgotten."""
        web, moved = self.listener(), self.listener()
        self.watch(web=web)
        self.visit(web)
        self.watch(web=moved)
        self.visit(web)
        self.visit(moved)
        self.total("web", 3)
        self.watch(other=web)
        self.visit(web)
        self.total("other", 1)
        self.assertEqual(self.counter.hits("web"), Hits())

    def test_handover(self) -> None:
        """Another image goes on where this one stopped, with what came in between."""
        web = self.listener()
        self.watch(web=web)
        self.visit(web, times=2)
        self.total("web", 2)
        state = self.counter.handover()
        self.visit(web)
        state["fd"] = os.dup(state["fd"])
        self.counter = self.counting(state)
        self.watch(web=web)
        self.visit(web)
        self.assertTrue(self.total("web", 4).exact)

    def test_crash(self) -> None:
        """After a crash the numbers are lower bounds."""
        web = self.listener()
        self.counter = self.counting({}, ("web",))
        self.watch(web=web)
        self.visit(web)
        self.assertFalse(self.total("web", 1).exact)

    def test_lost(self) -> None:
        """When the kernel had no room for what it would tell, the numbers are lower bounds."""
        web = self.listener()
        self.watch(web=web)
        self.visit(web)
        self.total("web", 1)
        real, self.counter._netlink = self.counter._netlink, _Lossy()  # type: ignore[assignment]
        self.counter.doRead()
        self.counter._netlink = real
        self.assertEqual((self.counter.hits("web").total, self.counter.hits("web").exact), (1, False))

    def test_pause(self) -> None:
        """After a notification more come together before they are read; then the reactor waits without a timer."""
        web = self.listener()
        self.watch(web=web)
        self.assertEqual((self.reactor.readers, self.clock.getDelayedCalls()), ([self.counter], []))
        self.visit(web)
        select.select([self.counter], [], [], 10)
        self.counter.doRead()
        self.assertEqual((self.reactor.readers, len(self.clock.getDelayedCalls())), ([], 1))
        self.visit(web)
        select.select([self.counter], [], [], 10)
        self.clock.advance(hits.PAUSE)
        self.assertEqual(self.reactor.readers, [])
        self.clock.advance(hits.PAUSE)
        self.assertEqual((self.reactor.readers, self.clock.getDelayedCalls()), ([self.counter], []))

    def test_unix(self) -> None:
        """UNIX sockets are looked at: a lower bound, and said to be one."""
        path = Path(tempfile.mkdtemp()) / "s"
        self.addCleanup(path.parent.rmdir)
        self.addCleanup(path.unlink)
        web = socket.socket(socket.AF_UNIX)
        self.addCleanup(web.close)
        web.bind(str(path))
        web.listen(5)
        self.watch(web=web)
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                self.assertEqual(waiting(web), (1, 5, None))
                with web.accept()[0]:
                    self.assertEqual(self.counter.hits("web").open, 1)
        found = self.counter.hits("web")
        self.assertEqual((found.total, found.open, found.exact, found.method), (2, 0, False, "seen"))
        state = self.counter.handover()
        state["fd"] = -1
        self.counter = self.counting(state)
        self.watch(web=web)
        self.total("web", 2)

    def test_unknown(self) -> None:
        """Where the kernel does not tell of the ends, those that stand are looked at."""
        def refuse() -> None:
            raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

        self.patch(hits, "_made", refuse)
        web = self.listener()
        self.counter = self.counting({})
        self.watch(web=web)
        self.visit(web)
        with socket.create_connection(web.getsockname()):
            self.counter.counts()
        found = self.counter.hits("web")
        self.assertEqual((found.total, found.exact, found.method), (1, False, "seen"))

    def test_datagrams(self) -> None:
        """A socket of datagrams has no connections."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            self.assertIsNone(Listener.of(udp))

    def test_drops(self) -> None:
        """Connections that a full queue refused are counted by the kernel."""
        web = self.listener(backlog=1)
        self.assertEqual(waiting(web), (0, 1, 0))
        clients = [socket.socket() for _ in range(5)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(web.getsockname())
            self.addCleanup(client.close)
        queue, limit, drops = waiting(web)
        self.assertEqual((queue, limit), (2, 1))
        self.assertGreater(drops or 0, 0)


class SightingTests(SynchronousTestCase):
    """Looking now and then."""

    @given(st.lists(st.frozensets(st.integers(0, 9))))
    def test_bound(self, looks: list[frozenset[int]]) -> None:
        """Never more are seen than came, never fewer than stood at once."""
        seen = sightings.Sightings()
        for look in looks:
            seen.look(look)
        came = sum(len(after - before) for before, after in zip([frozenset(), *looks], looks, strict=False))
        self.assertEqual(seen.total, came)
        self.assertGreaterEqual(seen.total, len(frozenset().union(*looks)))
