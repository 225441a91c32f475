"""Sockets of which each process has its own: C{so_reuseport}."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from .stack import alive
from .test_demand import DemandCase, section

SHARED = "[socket:own]\nhost = 127.0.0.1\nport = 0\nso_reuseport = True\n"


def inode(pid: int, fd: int) -> str:
    """The socket under a descriptor of a process."""
    return os.readlink(f"/proc/{pid}/fd/{fd}")


class SeatTests(DemandCase):
    """Who has which socket."""

    def stack(self, more: str = "") -> Any:
        """A supervisor of three processes that all answer at one port, each at a socket of its own."""
        web = section("web", socket="own", more=f"numprocesses = 3\nmin_ready = 0\n{more}")
        daemon = self.lazy(web.replace("on_demand = True\n", ""), sockets=SHARED)
        self.fd = next(each["fd"] for each in daemon.call("listsockets")["sockets"] if each["name"] == "own")
        return daemon

    def inodes(self, daemon: Any) -> list[str]:
        """The socket of each process."""
        return sorted(inode(pid, self.fd) for pid in daemon.pids("web"))

    def answers(self, daemon: Any, times: int = 60) -> set[int]:
        """Who serves so many connections."""
        port = daemon.port("own")
        return {self.answer(("127.0.0.1", port)) for _ in range(times)}

    def test_each(self) -> None:
        """Each has its own under the same number, all at one port, and all are given connections."""
        daemon = self.stack()
        self.assertEqual(len(set(self.inodes(daemon))), 3)
        self.assertEqual(self.answers(daemon), set(daemon.pids("web")))
        (own,) = [each for each in daemon.call("listsockets")["sockets"] if each["name"] == "own"]
        self.assertEqual([each["name"] for each in own["seats"]], ["own/web/0", "own/web/1", "own/web/2"])

    def test_kept(self) -> None:
        """Whoever replaces a process has its socket: after its death, a restart or a reload."""
        daemon = self.stack()
        before = self.inodes(daemon)
        pid = daemon.pids("web")[1]
        os.kill(pid, signal.SIGKILL)
        daemon.until(lambda: len({*daemon.pids("web")} - {pid}) == 3)
        self.assertEqual(self.inodes(daemon), before)
        for command in ("restart", "reload"):
            old = daemon.pids("web")
            daemon.call(command, name="web", waiting=True)
            self.assertEqual(self.inodes(daemon), before)
            self.assertFalse(set(old) & set(daemon.pids("web")))
        self.assertEqual(self.answers(daemon), set(daemon.pids("web")))

    def test_fewer(self) -> None:
        """The sockets of seats that go away are closed, and no connection goes there."""
        daemon = self.stack()
        daemon.call("decr", name="web", nb=2, waiting=True)
        (pid,) = daemon.pids("web")
        self.assertEqual(self.answers(daemon), {pid})
        daemon.call("restart", name="web", waiting=True)
        self.assertEqual(self.answers(daemon), set(daemon.pids("web")))
        daemon.call("incr", name="web", nb=3, waiting=True)
        self.assertEqual(self.answers(daemon, 120), set(daemon.pids("web")))

    def avoided(self, daemon: Any) -> list[bool]:
        """Whether the socket of each seat is given no connections."""
        (own,) = [each for each in daemon.call("listsockets")["sockets"] if each["name"] == "own"]
        return [seat["avoided"] for seat in own["seats"]]

    def test_vacant(self) -> None:
        """Connections are led around a seat that nobody serves, also by a supervisor that comes later."""
        daemon = self.stack("respawn = False\n")
        os.kill(daemon.pids("web")[0], signal.SIGKILL)
        daemon.until(lambda: any(self.avoided(daemon)))
        self.assertEqual(self.answers(daemon), set(daemon.pids("web")))
        port, pids = daemon.port("own"), set(daemon.pids("web"))
        daemon.call("upgrade")
        answers = {self.answer(("127.0.0.1", port)) for _ in range(200)}
        daemon.wait("adopted")
        self.assertEqual(set(daemon.pids("web")), pids)
        self.assertLessEqual(answers, pids)
        daemon.until(lambda: any(self.avoided(daemon)))
        daemon.call("start", name="web", waiting=True)
        self.assertEqual(len(daemon.pids("web")), 3)
        daemon.until(lambda: not any(self.avoided(daemon)))
        self.assertEqual(self.answers(daemon), set(daemon.pids("web")))

    def test_drained(self) -> None:
        """Nobody's connection is lost when there are fewer, and fewer again."""
        daemon = self.stack()
        port, wrong = daemon.port("own"), []
        done = threading.Event()

        def client() -> None:
            while not done.is_set():
                try:
                    self.answer(("127.0.0.1", port))
                except (OSError, ValueError) as error:
                    wrong.append(error)

        clients = [threading.Thread(target=client) for _ in range(4)]
        for each in clients:
            each.start()
        try:
            for _ in range(2):
                daemon.call("decr", name="web", waiting=True)
        finally:
            done.set()
            for each in clients:
                each.join()
        self.assertEqual((wrong, len(daemon.pids("web"))), ([], 1))

    def test_adopted(self) -> None:
        """After kill -9 each goes on with its socket, and whoever replaces it does too."""
        daemon = self.stack()
        before, port = self.inodes(daemon), daemon.port("own")
        daemon.kill()
        daemon.start()
        daemon.wait("web 3/3")
        self.assertEqual((self.inodes(daemon), daemon.port("own")), (before, port))
        pids = daemon.pids("web")
        self.assertTrue(all(map(alive, pids)))
        daemon.call("reload", name="web", waiting=True)
        self.assertEqual(self.inodes(daemon), before)
        self.assertEqual(self.answers(daemon), set(daemon.pids("web")))
        self.assertFalse(set(pids) & set(daemon.pids("web")))

    def test_upgrade(self) -> None:
        """A supervisor that is replaced in place keeps them all."""
        daemon = self.stack()
        before, port = self.inodes(daemon), daemon.port("own")
        daemon.call("upgrade")
        daemon.wait("web 3/3")
        self.assertEqual(daemon.port("own"), port)
        daemon.call("restart", name="web", waiting=True)
        self.assertEqual(self.inodes(daemon), before)

    def test_reloadconfig(self) -> None:
        """Whoever is not handed it any more takes no connection away; a change of the socket takes all to a new one."""
        daemon = self.stack()
        text = daemon.ini.read_text()
        daemon.ini.write_text(text + section("more", socket="own").replace("on_demand = True\n", "min_ready = 0\n"))
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual(self.answers(daemon, 120), {*daemon.pids("web"), *daemon.pids("more")})
        daemon.ini.write_text(text)
        daemon.call("reloadconfig", waiting=True)
        self.assertEqual(self.answers(daemon), set(daemon.pids("web")))
        before = self.inodes(daemon)
        daemon.ini.write_text(text.replace("so_reuseport = True", "so_reuseport = True\nblocking = True"))
        daemon.call("reloadconfig", waiting=True)
        self.assertFalse(set(before) & set(self.inodes(daemon)))
        self.assertEqual(self.answers(daemon), set(daemon.pids("web")))

    def test_demand(self) -> None:
        """It wakes whoever waits."""
        daemon = self.lazy(section("web", socket="own"), sockets=SHARED)
        self.assertEqual([self.ask(daemon, "own")], daemon.pids("web"))
        os.kill(daemon.pids("web")[0], signal.SIGKILL)
        daemon.until(lambda: daemon.call("status", name="web")["status"] == "stopped")
        self.assertEqual([self.ask(daemon, "own")], daemon.pids("web"))
