"""The ways in which the supervisor is installed, started and ended."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from unittest import SkipTest

from .stack import HELLO, SCRIPTS, TIMEOUT, Daemon, StackCase, alive, ended
from .terminal import INTERRUPT, Terminal

ROOT = HELLO.parents[2]
SLEEPER = f"[circus]\nname = modes-{os.getpid()}\n{{settings}}\n[watcher:sleeper]\ncmd = sleep 1000\n"
STUBBORN = "sh -c 'trap \"\" TERM; echo up; while :; do sleep 1000; done'"
MODES = (("twistd", "-n"), ("twistd",), ("twist",))
"""The command and its own options: in the foreground, as a daemon, with twist."""


class Background(Daemon):
    """A supervisor that becomes a daemon."""

    def launch(self, *options: str, front: tuple[str, ...] = ("twistd",)) -> subprocess.CompletedProcess[str]:
        """Give the command and wait until the shell would be back; its pipes are closed then."""
        return subprocess.run(
            [str(SCRIPTS / front[0]), *front[1:], *options, "circus", "-c", "stack.ini", *self.options],
            cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT,
            check=False)

    @property
    def pid(self) -> int:
        """Its pid; 0 if it does not run."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.runtime / "private" / "lock").read_text())
        return 0

    def left(self) -> list[str]:
        """What lies in the folder and in the runtime directory."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))

    def end(self) -> None:
        """Stop it in order."""
        pid = self.pid
        os.kill(pid, signal.SIGTERM)
        if not ended(pid):
            raise AssertionError(f"{pid} does not end")

    def clean(self) -> None:
        """Leave nothing behind."""
        pid = self.pid
        if pid and alive(pid):
            os.kill(pid, signal.SIGKILL)
            ended(pid)
        super().clean()


class ModeCase(StackCase):
    """Tests of supervisors in the background too."""

    def background(self, ini: str, *options: str) -> Background:
        """One that is not started yet."""
        daemon = Background(ini, *options)
        self.addCleanup(daemon.clean)
        return daemon


class DaemonTests(ModeCase):
    """C{twistd circus}, which becomes a daemon."""

    def test_files(self) -> None:
        """Its pidfile and log are in the runtime directory; at the end only the log is left, and nobody runs."""
        daemon = self.background(SLEEPER.format(settings=""))
        done = daemon.launch()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(daemon.call("ping")["pid"], daemon.pid)
        daemon.until(lambda: daemon.detail("sleeper")["active"] == 1)
        self.assertEqual((daemon.runtime / "pid").read_text(), str(daemon.call("ping")["pid"]))
        self.assertEqual([path for path in daemon.left() if not path.startswith("run")], ["stack.ini"])
        daemon.end()
        self.assertEqual(daemon.strays(), [])
        self.assertEqual(daemon.left(), ["run", "run/log", "stack.ini"])
        log = (daemon.runtime / "log").read_text()
        self.assertIn(": 0 sockets, 1 watcher, 1 worker", log)
        self.assertRegex(log, r"stopping: sleeper 1/1, done in \d+\.\d s")
        self.assertNotIn("Traceback", log)

    def test_configured(self) -> None:
        """The ini says where pidfile and log are, and how much is logged; what workers say is always there."""
        settings = "pidfile = my.pid\nlogoutput = my.log\nloglevel = warning"
        daemon = self.background(
            SLEEPER.format(settings=settings) + "[watcher:talker]\ncmd = sh -c 'echo hello; exec sleep 1000'\n")
        self.assertEqual(daemon.launch().returncode, 0)
        log = daemon.folder / "my.log"
        deadline = time.monotonic() + TIMEOUT
        while "talker/1 | hello" not in log.read_text():  # what is written is no event
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual((daemon.folder / "my.pid").read_text(), str(daemon.pid))
        daemon.end()
        self.assertNotIn("2 watchers", log.read_text())
        self.assertEqual([path for path in daemon.left() if not path.startswith("run")], ["my.log", "stack.ini"])

    def test_twistd(self) -> None:
        """What is said to twistd itself goes first."""
        daemon = self.background(SLEEPER.format(settings="pidfile = my.pid\nlogoutput = my.log"), "--log-level=debug")
        self.assertEqual(daemon.launch("--pidfile=its.pid", "--logfile=its.log").returncode, 0)
        daemon.until(lambda: daemon.detail("sleeper")["active"] == 1)
        self.assertEqual((daemon.folder / "its.pid").read_text(), str(daemon.pid))
        daemon.end()
        self.assertEqual([path for path in daemon.left() if not path.startswith("run")], ["its.log", "stack.ini"])

    def test_rotated(self) -> None:
        """After SIGUSR1 the log goes on in a new file, when the old one was moved away."""
        daemon = self.background(SLEEPER.format(settings="logoutput = my.log"))
        self.assertEqual(daemon.launch().returncode, 0)
        daemon.until(lambda: daemon.detail("sleeper")["active"] == 1)
        (daemon.folder / "my.log").rename(daemon.folder / "old.log")
        os.kill(daemon.pid, signal.SIGUSR1)
        daemon.end()
        self.assertIn("stopping: sleeper", (daemon.folder / "my.log").read_text())


class RefusedTests(ModeCase):
    """Stacks that cannot be started."""

    def refused(self, ini: str, *options: str) -> dict[tuple[str, ...], subprocess.CompletedProcess[str]]:
        """What each mode says; nothing may be left."""
        found = {}
        for mode in MODES:
            daemon = self.background(ini, *options)
            found[mode] = daemon.launch(front=mode)
            left = [path for path in daemon.left() if path not in ("run", "stack.ini")]
            self.assertEqual(left, [], mode)
            self.assertEqual(daemon.strays(), [])
        return found

    def test_port(self) -> None:
        """A port in use is one whole line, and the exit code is not 0, also of a daemon."""
        name = "a-socket-whose-name-makes-the-line-longer-than-100-bytes"
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            ini = SLEEPER.format(settings="") + f"[socket:{name}]\nhost = 127.0.0.1\nport = {port}\n"
            for mode, done in self.refused(ini).items():
                line = (f"circustwist: stack.ini:6: [socket:{name}] port: 127.0.0.1:{port} is in use "
                        f"by pid {os.getpid()} ")
                self.assertEqual((done.returncode, done.stdout), (1, ""), mode)
                self.assertTrue(done.stderr.startswith(line), (mode, done.stderr))
                self.assertEqual(done.stderr.count("\n"), 1, mode)

    def test_configuration(self) -> None:
        """Every mistake is told, and the exit code is 2."""
        ini = ("[watcher:a]\ncmd = sleep 1\nnumprocesses = five\ngraceful_timeout = soon\n"
               "[watcher:b]\nnumprocesses = -1\n")
        for mode, done in self.refused(ini).items():
            self.assertEqual(done.returncode, 2, mode)
            places = re.findall(r"^stack\.ini:(\d+): ", done.stderr, re.M)
            self.assertEqual(places[:2], ["3", "4"], done.stderr)
            self.assertRegex(done.stderr.splitlines()[-1], r"^\d errors, nothing started$")

    def test_log(self) -> None:
        """A log that cannot be written is one line."""
        daemon = self.background(SLEEPER.format(settings="logoutput = /nowhere/at/all/my.log"))
        done = daemon.launch()
        self.assertEqual((done.returncode, done.stderr), (
            1, "circustwist: /nowhere/at/all/my.log: the log cannot be written: No such file or directory\n"))

    def test_output(self) -> None:
        """So are those of workers, one line each, in every mode."""
        ini = SLEEPER.format(settings="") + "stdout_stream.filename = /nowhere/a\nstderr_stream.filename = /tmp\n"
        for mode, done in self.refused(ini).items():
            self.assertEqual((done.returncode, done.stdout, done.stderr.splitlines()), (1, "", [
                "circustwist: stack.ini:6: [watcher:sleeper] stdout_stream.filename: "
                "/nowhere/a: No such file or directory",
                "circustwist: stack.ini:7: [watcher:sleeper] stderr_stream.filename: "
                "/tmp: is not a regular file"]), mode)


class ForegroundTests(ModeCase):
    """C{twistd -n circus} and C{twist circus}."""

    def test_signals(self) -> None:
        """The signals that end it end it with 0; the others do it no harm."""
        for command in ("twistd", "twist"):
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                daemon = self.run_(SLEEPER.format(settings=""), command=command)
                for harmless in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
                    daemon.process.send_signal(harmless)
                pids = daemon.pids("sleeper")
                self.assertEqual(daemon.stop(signum), 0, (command, signum, daemon.lines))
                self.assertEqual([pid for pid in pids if alive(pid)], [])
                self.assertEqual([line for line in daemon.lines if "Traceback" in line or "Unhandled" in line], [])

    def test_essential(self) -> None:
        """When an essential watcher ends, everything does, with its exit code."""
        ini = SLEEPER.format(settings="") + (
            "[watcher:task]\ncmd = sh -c 'sleep 0.3; exit 7'\nrespawn = False\nessential = True\n")
        for command in ("twistd", "twist"):
            daemon = self.daemon(ini, command=command).start()
            self.assertEqual(daemon.join(), 7, (command, daemon.lines))
            self.assertEqual(daemon.strays(), [])

    def test_output(self) -> None:
        """C{--log-output} and C{--log-level} count with both."""
        for command in ("twistd", "twist"):
            daemon = self.daemon(
                SLEEPER.format(settings=""), "--log-output=my.log", "--log-level=info", command=command).start()
            log = daemon.folder / "my.log"
            while not (log.exists() and "1 watcher" in log.read_text()):
                self.assertIsNone(daemon.process.poll())
            self.assertEqual(daemon.stop(), 0)
            self.assertEqual([line for line in daemon.lines if "watcher" in line], [])
            quiet = self.daemon(SLEEPER.format(settings=""), "--log-level=error", command=command).start()
            found: dict[str, Any] = {}
            while not found:
                self.assertIsNone(quiet.process.poll())
                with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                    found = quiet.call("ping")
            self.assertEqual(found["pid"], quiet.process.pid)
            self.assertEqual(quiet.stop(), 0)
            self.assertEqual(quiet.lines, [])


class TerminalTests(ModeCase):
    """What is to be seen on a terminal."""

    def terminal(self, ini: str, *front: str) -> tuple[Daemon, Terminal]:
        """A supervisor in the foreground of a terminal."""
        daemon = self.daemon(ini)
        terminal = Terminal(
            [str(SCRIPTS / front[0]), *front[1:], "circus", "-c", "stack.ini"], daemon.folder, daemon.env)
        self.addCleanup(terminal.close)
        terminal.wait("other terminal")
        return daemon, terminal

    def test_progress(self) -> None:
        """The start of a big stack shows how far it is, in one line that is gone afterwards."""
        for front in ("twistd", "-n"), ("twist",):
            daemon, terminal = self.terminal(SLEEPER.format(settings="") + "numprocesses = 60\n", *front)
            self.assertRegex(terminal.text, r"\r\x1b\[Kstart: sleeper \d+/60")
            self.assertRegex(
                terminal.text, r"\r\x1b\[Kmodes-\d+: 0 sockets, 1 watcher, 60 workers · .* · sleeper 60/60 \(")
            terminal.press(INTERRUPT)
            self.assertEqual(terminal.end(), 0)
            self.assertRegex(terminal.text, r"stopping: sleeper 60/60, done in \d\.\d s\n$")
            self.assertEqual(daemon.strays(), [])

    def test_stubborn(self) -> None:
        """Who takes long to end is named, and Ctrl-C again kills."""
        daemon, terminal = self.terminal(SLEEPER.format(settings="").replace("sleep 1000", STUBBORN), "twistd", "-n")
        terminal.wait("sleeper/1 | up")
        terminal.press(INTERRUPT)
        terminal.wait("waiting for sleeper/1 to end; Ctrl-C again kills")
        terminal.press(INTERRUPT)
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(daemon.strays(), [])


class InstalledTests(StackCase):
    """Every way to install it gives the command of twistd and the command line."""

    def setUp(self) -> None:
        for package, least in ("setuptools", 77), ("pip", 22):
            try:
                found = version(package)
            except PackageNotFoundError:
                found = "0"
            if int(found.split(".")[0]) < least:
                raise SkipTest(f"needs {package} {least} or later beside this Python")
        self.folder = Path(tempfile.mkdtemp(prefix="ct-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.source = self.folder / "source"
        self.source.mkdir()
        skip = shutil.ignore_patterns("__pycache__", "dropin.cache")
        for name in ("circustwist", "twisted"):
            shutil.copytree(ROOT / name, self.source / name, ignore=skip)
        for name in ("setup.py", "pyproject.toml", "README.rst", "LICENSE"):
            shutil.copy(ROOT / name, self.source)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def pip(self, *arguments: str) -> None:
        """Run pip without asking any registry."""
        subprocess.run(
            [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments], env=self.env, check=True,
            cwd=self.folder, timeout=TIMEOUT, capture_output=True)

    def venv(self, name: str) -> Path:
        """A virtual environment that sees the packages of this one, but not what is installed here in editable mode."""
        folder = self.folder / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], env=self.env, check=True,
                       timeout=TIMEOUT)
        paths: dict[str, Any] = {"base": str(folder), "platbase": str(folder)}
        site = Path(sysconfig.get_path("purelib", "venv", paths))
        (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
        for script, start in ("twistd", "from twisted.scripts.twistd import run"), (
                "twist", "from twisted.application.twist._twist import Twist; run = Twist.main"):
            path = folder / "bin" / script
            path.write_text(f"#!{folder}/bin/python\n{start}\nrun()\n")
            path.chmod(0o755)
        return folder

    def works(self, folder: Path, where: Path) -> None:
        """A stack is run and steered by what is installed there."""
        python = str(folder / "bin" / "python")
        found = subprocess.run(
            [python, "-c", "import circustwist; print(circustwist.__file__)"], env=self.env, cwd=self.folder,
            check=True, capture_output=True, text=True, timeout=TIMEOUT).stdout
        self.assertTrue(found.startswith(str(where)), found)
        for command in "twistd", "twist":
            daemon = self.daemon(SLEEPER.format(settings=""), command=str(folder / "bin" / command))
            daemon.options = ("--log-level=info",)
            daemon.process = subprocess.Popen(
                [daemon.command, *(["-n"] if command == "twistd" else []), "circus", "-c", "stack.ini"],
                cwd=daemon.folder, env={**daemon.env, "PYTHONPATH": ""}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            daemon.wait("1 watcher")
            status = subprocess.run(
                [str(folder / "bin" / "circustwist"), "-s", daemon.where, "status"], env=self.env, text=True,
                capture_output=True, timeout=TIMEOUT, check=False)
            self.assertRegex(status.stdout, r"sleeper  active 1/1")
            self.assertEqual(daemon.stop(), 0)

    def test_installed(self) -> None:
        """From a wheel, with C{pip install .} and with C{pip install -e .}."""
        plain = ("install", "--no-deps", "--no-build-isolation")
        wheels = self.folder / "wheels"
        self.pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(self.source))
        (wheel,) = wheels.glob("circustwist-*.whl")
        source = str(self.source)
        for name, what in ("wheel", [str(wheel)]), ("folder", [source]), ("editable", ["-e", source]):
            folder = self.venv(name)
            self.pip("--python", str(folder / "bin" / "python"), *plain, *what)
            self.works(folder, self.source if name == "editable" else folder)
