"""Ways in that the file system and the kernel guard: ipc endpoints, signals, links; and what a terminal is shown."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

from circustwist.model.commands import COMMANDS
from tests.functional.stack import SCRIPTS
from tests.functional.terminal import Terminal
from tests.functional.test_zmq import Client

from .case import ControlError, FaultCase, eventually
from .test_security import FINAL, UIDS, acting, given

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
"""What sets a title, clears the screen, colours and turns the writing."""


ORDERS = ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e")
"""What of it would do something; our own colours do no harm."""


class IpcTests(FaultCase):
    """Circus's protocol over ipc endpoints, whose files say who comes in."""

    STACK = """
endpoint = ipc://FOLDER/control
pubsub_endpoint = ipc://FOLDER/events
stats_endpoint = ipc://FOLDER/stats
[watcher:web]
cmd = sleep 1192
"""

    def test_owner(self) -> None:
        """The owner is refused no command of the table for want of a role."""
        import zmq

        client = Client(zmq.DEALER, f"ipc://{self.house.folder}/control")
        self.addCleanup(client.socket.close)
        for command in COMMANDS:
            if command.name not in FINAL:
                found = client.ask(command.name, **given(command))
                self.assertTrue(found, command.name)
                self.assertNotIn(" needs the role ", found.get("reason", ""), command.name)

    def test_others(self) -> None:
        """Nobody else connects to any of them, whatever role they have elsewhere."""
        self.asRoot()
        self.house.folder.chmod(0o711)
        for name in ("control", "events", "stats"):
            path = self.house.folder / name
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, name)
            for uid in UIDS.values():
                with acting(uid), socket.socket(socket.AF_UNIX) as client:
                    self.assertRaises(PermissionError, client.connect, str(path))


class SignalTests(FaultCase):
    """Signals are a way in, too: whoever the kernel lets send them."""

    STACK = "[watcher:other]\ncmd = sleep 1191\nuid = 60811\ngid = 60811\n"

    def test_others(self) -> None:
        """Another user, also one of a worker, sends the supervisor none."""
        self.asRoot()
        (worker,) = self.up("other")
        for uid in (*UIDS.values(), 60_811):
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGKILL):
                done = subprocess.run(
                    ["/bin/sh", "-c", f"kill -{int(number)} {self.house.process.pid}"], user=uid, group=uid,
                    extra_groups=[], capture_output=True, text=True, check=False, timeout=30)
                self.assertNotEqual(done.returncode, 0, (uid, number))
                self.assertIn("ermitted", done.stderr)
        self.responsive(self.house)
        self.assertEqual(self.house.pids("other"), [worker])

    def test_owner(self) -> None:
        """Root's are obeyed: here the logs are opened again, and nothing that runs is touched."""
        (worker,) = self.up("other")
        self.house.process.send_signal(signal.SIGUSR1)
        self.responsive(self.house)
        self.assertEqual(self.house.pids("other"), [worker])


class LinkTests(FaultCase):
    """What somebody else has put where we are to write."""

    def refused(self, ini: str, front: str = "true") -> str:
        """What a supervisor says that does not start."""
        daemon = self.wrapped(ini, "sh", "-c", f'{front}; exec "$@"', "sh")
        daemon.start()
        daemon.join()
        self.assertNotEqual(daemon.process.returncode, 0)
        return "\n".join(daemon.lines)

    def test_pidfile(self) -> None:
        """A link in place of the pidfile is refused, dangling or not, and what it leads to stays as it was."""
        for text in (None, "", "precious", "99999999"):
            folder = Path(self.mktemp()).absolute()
            folder.mkdir()
            victim = folder / "victim"
            if text is not None:
                victim.write_text(text)
            (folder / "pid").symlink_to(victim)
            said = self.refused(f"pidfile = {folder}/pid\n[watcher:web]\ncmd = sleep 1190\n")
            self.assertIn("is a link, and what it leads to would be overwritten", said)
            self.assertEqual(victim.read_text() if victim.exists() else None, text)
            self.assertTrue((folder / "pid").is_symlink())

    def test_folder(self) -> None:
        """Root writes no pidfile where everybody could put a link in its way."""
        self.asRoot()
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        folder.chmod(0o777)
        said = self.refused(f"pidfile = {folder}/pid\n[watcher:web]\ncmd = sleep 1190\n")
        self.assertIn("everybody may put links into", said)
        self.assertEqual(list(folder.iterdir()), [])

    def test_upgrade(self) -> None:
        """What cannot be written, and was put there while the supervisor runs, does not end it at an upgrade."""
        daemon = self.wrapped("pidfile = FOLDER/my.pid\n[watcher:web]\ncmd = sleep 1190\n")
        self.begun(daemon)
        pids = eventually(lambda: daemon.pids("web"))
        path = daemon.folder / "my.pid"
        path.unlink()
        path.mkdir()
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        self.assertEqual(daemon.pids("web"), pids)
        self.assertEqual(daemon.stop(), 0, daemon.lines[-10:])

    def test_sockets(self) -> None:
        """While links come and go in place of a managed socket, what they lead to is neither removed nor changed."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        victim = folder / "victim"
        victim.write_text("precious")
        victim.chmod(0o640)
        before = victim.stat()
        daemon = self.wrapped(f"[watcher:web]\ncmd = sleep 1190\n[socket:s]\npath = {folder}/s\nmode = 0777\n")
        ended = threading.Event()

        def swap() -> None:
            while not ended.is_set():
                for change in (lambda: os.unlink(folder / "s"), lambda: os.symlink(victim, folder / "s")):
                    try:
                        change()
                    except OSError:
                        continue

        thread = threading.Thread(target=swap)
        # At a start a link in the way may be a reason to refuse.
        self.begun(daemon)
        thread.start()
        try:
            for number in range(6):
                mode = ("0700", "0777")[number % 2]
                daemon.ini.write_text(daemon.ini.read_text().replace("0777", "MODE").replace("0700", "MODE").replace(
                    "MODE", mode))
                with contextlib.suppress(ControlError):
                    daemon.call("reloadconfig", waiting=True)
            self.assertEqual(daemon.stop(), 0)
        finally:
            ended.set()
            thread.join()
        after = victim.stat()
        self.assertEqual((after.st_mode, after.st_uid, after.st_gid, after.st_ino),
                         (before.st_mode, before.st_uid, before.st_gid, before.st_ino))
        self.assertEqual(victim.read_text(), "precious")


class TerminalTests(FaultCase):
    """What a terminal is shown by the command line cannot give it orders."""

    STACK = """
[watcher:evil]
cmd = sh -c 'cat FOLDER/evil; cat FOLDER/evil >&2; exec sleep 1189'
[watcher:broken]
cmd = FOLDER/evil
max_retry = 1
"""

    def furnish(self, folder: Path) -> None:
        (folder / "evil").write_text(f"one {EVIL} line\n" * 3)

    def test_commands(self) -> None:
        """States, options, numbers, events and lines show such characters as escapes, also in errors."""
        self.up("evil", 1)
        self.house.call("start", name="broken")
        self.house.call("set", name="evil", options={"env": {"X": EVIL}}, waiting=True)
        eventually(lambda: "one" in str(self.house.call("tail", names=["evil"], lines=9)))
        for words in (
            ("status",), ("status", "--detail"), ("status", EVIL), ("options", "evil"), ("get", "evil", EVIL),
            ("tail", EVIL), ("operation",), ("config",), ("stop", EVIL), ("clients",), ("--json", "tail", "evil"),
            ("history",), ("help", EVIL), (EVIL,), ("stats",), ("list", EVIL),
        ):
            done = self.house.cli(*words)
            shown = done.stdout + done.stderr
            for order in ORDERS:
                self.assertNotIn(order, shown, (words, shown[:500]))

    def test_terminal(self) -> None:
        """A terminal is not shown what would order it about, not even in the lines that processes write."""
        self.up("evil", 1)
        eventually(lambda: "one" in str(self.house.call("tail", names=["evil"], lines=9)))
        for words in (("tail", "evil", "-n", "9"), ("status", "--detail"), ("options", "evil"), ("status", EVIL)):
            env = {**self.house.env, "CIRCUSTWIST_CONTROL": self.house.where, "TERM": "xterm"}
            terminal = Terminal([str(SCRIPTS / "circustwist"), *words], self.house.folder, env)
            self.addCleanup(terminal.close)
            terminal.end()
            for order in ORDERS:
                self.assertNotIn(order, terminal.text, (words, ascii(terminal.text)))
            if words[0] == "tail":
                self.assertIn("\\x1b]0;owned", terminal.text)
