"""Looking at what workers write, by the command line and over the control socket, with a real supervisor."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

from circustwist.control.blocking import Control, ControlError

from .stack import SCRIPTS, TIMEOUT, Daemon, StackCase

INI = """[watcher:web]
cmd = sh -c 'echo "hello from $0"; echo oops >&2; printf "\\033]0;x\\007\\377\\n"; exec sleep 1000' $(circus.wid)
numprocesses = 2

[watcher:plain]
cmd = sh -c 'echo first; read x < gate; echo second; exec sleep 1000'
stdout_stream.filename = plain.log
"""


class TailTests(StackCase):
    """Tests of C{circustwist tail}."""

    def stack(self) -> Daemon:
        """A supervisor whose workers have written something."""
        daemon = self.daemon(INI)
        os.mkfifo(daemon.folder / "gate")
        daemon.start()
        for _ in range(2):
            daemon.wait("]0;x")
        with Control(daemon.where, TIMEOUT) as control:
            self.assertEqual(next(control.tail(["plain"], timeout=TIMEOUT))["text"], "first")
        return daemon

    def test_past(self) -> None:
        """The last lines of all, of a watcher, of a worker, of the standard error, of a plain file, of the log."""
        daemon = self.stack()
        out = daemon.cli("tail", errors="backslashreplace").stdout
        self.assertRegex(out, r"(?m)^\d\d:\d\d:\d\d web/1 +\| hello from 1$")
        self.assertRegex(out, r"(?m)^plain/1 +\| first$")
        self.assertNotIn("\x1b[36m", out)
        self.assertEqual(daemon.cli("logs", "--plain", "--stderr", "web/2").stdout, "oops\n")
        self.assertEqual(daemon.cli("tail", "--plain", "-n", "1", "--grep", "hello", "web/2").stdout, "hello from 2\n")
        self.assertEqual(daemon.cli("tail", "--plain", "plain").stdout, "first\n")
        self.assertIn("circustwist | ", daemon.cli("tail", "--daemon", "-n", "99").stdout)
        line = json.loads(daemon.cli("--json", "tail", "--grep", "]0;x", "web/1").stdout)
        self.assertEqual((line["wid"], line["stream"], line["text"]), (1, "stdout", "\x1b]0;x\x07\\xff"))

    def test_wrong(self) -> None:
        """Who names what is not there is told so, in one line."""
        daemon = self.stack()
        for words, text in ((("tail", "nope"), "nope not found"), (("tail", "web/x"), "web/x"),
                            (("tail", "--since", "yesterday"), "yesterday")):
            found = daemon.cli(*words)
            self.assertNotEqual(found.returncode, 0)
            self.assertIn(text, found.stderr)
        with Control(daemon.where, TIMEOUT) as control, self.assertRaises(ControlError):
            control.call("tail", stream="stdin")

    def test_follow(self) -> None:
        """New lines are pushed, those of a plain file too, with their worker."""
        daemon = self.stack()
        with Control(daemon.where, TIMEOUT) as control:
            lines = control.tail(["plain"], timeout=TIMEOUT)
            self.assertEqual(next(lines)["text"], "first")
            Path(daemon.folder / "gate").write_text("go\n")
            line = next(lines)
            self.assertEqual((line["text"], line["watcher"], line["wid"]), ("second", "plain", 1))
            self.assertGreater(line["time"], 0)

    def test_upgrade(self) -> None:
        """After an upgrade the last lines are still there, and whose they are."""
        daemon = self.stack()
        before = daemon.cli("tail", "--plain", "--stderr", "web/2").stdout
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        self.assertEqual(daemon.cli("tail", "--plain", "--stderr", "web/2").stdout, before)

    def test_followCommand(self) -> None:
        """C{tail -f} prints them as they come."""
        daemon = self.stack()
        env = {**daemon.env, "CIRCUSTWIST_CONTROL": daemon.where}
        command = subprocess.Popen(
            [SCRIPTS / "circustwist", "tail", "-f", "-n", "1", "--plain", "plain"], env=env, stdout=subprocess.PIPE)
        self.addCleanup(command.wait)
        self.addCleanup(command.kill)
        assert command.stdout is not None
        self.addCleanup(command.stdout.close)
        self.assertEqual(command.stdout.readline(), b"first\n")
        Path(daemon.folder / "gate").write_text("go\n")
        self.assertEqual(command.stdout.readline(), b"second\n")


class FileTests(StackCase):
    """Tests of files while a supervisor runs."""

    def test_rotated(self) -> None:
        """C{rotate} puts a file aside, C{reopenlogs} follows one that was moved; both outputs are in one, in order."""
        daemon = self.daemon("""[watcher:web]
cmd = sh -c 'while read x < gate; do echo out $x; echo err $x >&2; done'
redirect_stderr = True
stdout_stream.filename = web.log
stderr_stream.class = StdoutStream
""")
        os.mkfifo(daemon.folder / "gate")
        daemon.start()
        daemon.wait("watcher")
        path = daemon.folder / "web.log"
        with Control(daemon.where, TIMEOUT) as control:
            control.call("tail", names=["web"], lines=0, follow=True)
            lines = (line for told in control._each(TIMEOUT) for line in told["lines"])

            def written(text: str) -> None:
                (daemon.folder / "gate").write_text(text + "\n")
                self.assertEqual([next(lines)["text"] for _ in range(2)], [f"out {text}", f"err {text}"])

            written("1")
            self.assertEqual(daemon.call("rotate", name="web")["files"], [str(path)])
            written("2")
            self.assertEqual(path.read_text(), "out 2\nerr 2\n")
            path.rename(daemon.folder / "moved")
            self.assertEqual(daemon.cli("reopenlogs").returncode, 0)
            written("3")
            self.assertEqual(path.read_text(), "out 3\nerr 3\n")
        # What was put aside is read on in; what somebody else has moved is not found.
        self.assertEqual(daemon.cli("tail", "--plain", "web").stdout, "out 1\nerr 1\nout 3\nerr 3\n")


class OwnLogTests(StackCase):
    """Tests of the supervisor's own log."""

    def test_syslog(self) -> None:
        """It goes to syslog as in Circus, with twistd and with twist."""
        for command in "twistd", "twist":
            self.logged(self.daemon("", command=command))

    def logged(self, daemon: Daemon) -> None:
        """The log of a supervisor is in messages of syslog."""
        path = daemon.folder / "s"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as box:
            box.settimeout(TIMEOUT)
            box.bind(str(path))
            daemon.ini.write_text(f"[circus]\nlogoutput = syslog://{path}?local1\n[watcher:web]\ncmd = sleep 1000\n")
            daemon.start()
            self.assertRegex(box.recv(9999), rb"^<14[0-9]>circus\[\d+\]: ")
            while b"watcher" not in box.recv(9999):
                pass
            daemon.process.terminate()
            daemon.join()

    def test_twistJson(self) -> None:
        """With twist it can be an object a line too, in a file and on the standard output."""
        for where in "own.log", "-":
            daemon = self.daemon(f"[circus]\nlogoutput = {where}\nlog_format = json\n[watcher:web]\n"
                                 "cmd = sleep 1000\n", command="twist")
            daemon.start()
            with Control(self.listening(daemon), TIMEOUT) as control:
                control.call("ping")
            self.assertEqual(daemon.stop(), 0)
            told = (daemon.folder / where).read_text().splitlines() if where != "-" else daemon.lines
            self.assertLessEqual({"time", "level", "namespace", "text"}, set(json.loads(told[0])), told)

    def listening(self, daemon: Daemon) -> str:
        """Its control socket, as soon as it is there."""
        deadline = time.monotonic() + TIMEOUT
        while not os.path.exists(daemon.where):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)  # nobody could tell that somebody listens but the log
        return daemon.where

    def test_json(self) -> None:
        """It can be an object a line, in a file that is opened again when that is asked for."""
        daemon = self.daemon("[circus]\nlogoutput = own.log\nlog_format = json\n[watcher:web]\n"
                             "cmd = sh -c 'echo hi; exec sleep 1000'\n")
        path = daemon.folder / "own.log"
        daemon.start()
        daemon.wait("hi")
        told = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertLessEqual({"time", "level", "namespace", "text"}, set(told[0]))
        path.rename(daemon.folder / "moved")
        daemon.call("reopenlogs")
        daemon.process.terminate()
        daemon.join()
        self.assertTrue(path.read_text())


class AddedTests(StackCase):
    """Tests of the streams of a watcher that comes and goes."""

    def test_added(self) -> None:
        """They are opened for one that is added, changed while it runs, and closed when it is removed."""
        daemon = self.run_("[watcher:web]\ncmd = sleep 1000\n")
        log, other = daemon.folder / "new.log", daemon.folder / "other.log"
        options = {"stdout_stream": {"class": "FileStream", "filename": str(log)}}
        os.mkfifo(daemon.folder / "gate")
        with Control(daemon.where, TIMEOUT) as control:
            control.call("tail", lines=0, follow=True)
            lines = (line["text"] for told in control._each(TIMEOUT) for line in told["lines"])
            control.call("add", name="new", cmd="sh -c 'echo hi; read x < gate; echo bye; exec sleep 1000'",
                         options=options, start=True, waiting=True)
            self.assertEqual(next(lines), "hi")
            self.assertEqual(log.read_text(), "hi\n")
            control.call("set", name="new", options={"stdout_stream": {
                "class": "FileStream", "filename": str(other), "prefix": "%(wid)s "}}, waiting=True)
            (daemon.folder / "gate").write_text("go\n")
            self.assertEqual(next(lines), "bye")
            self.assertEqual(other.read_text(), "1 bye\n")
            control.call("rm", name="new", waiting=True)
        folder = Path(f"/proc/{daemon.process.pid}/fd")
        self.assertNotIn(str(other), [os.readlink(fd) for fd in folder.iterdir() if fd.is_symlink()])
