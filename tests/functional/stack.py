"""A real supervisor in a folder of its own, driven as its users drive it."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from circustwist.control.blocking import Control, ControlError
from circustwist.model.naming import mark

TIMEOUT = 30.0
SCRIPTS = Path(sysconfig.get_path("scripts"))
HELLO = Path(__file__).parents[2] / "docs" / "examples" / "hello"


def alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ended(pid: int, timeout: float = TIMEOUT) -> bool:
    """Wait until a process that need not be our child has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(pidfd, selectors.EVENT_READ)
        found = bool(selector.select(timeout))
    os.close(pidfd)
    return found


class Daemon:
    """
    One supervisor in the foreground.

    @ivar folder: where its ini and its runtime directory are.
    @ivar lines: what it has written so far.
    """

    def __init__(self, ini: str, *options: str, command: str = "twistd", folder: Path | None = None,
                 env: dict[str, str] | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="ct-"))
        self.ini = self.folder / "stack.ini"
        if ini:
            self.ini.write_text(ini)
        self.runtime = self.folder / "run"
        self.command = command
        self.options = options
        self.env = {**os.environ, "RUNTIME_DIRECTORY": str(self.runtime), **(env or {})}
        self.lines: list[str] = []
        self._rest = b""
        self._seen = 0
        self.process: subprocess.Popen[bytes]

    def argv(self) -> list[str]:
        """The command line."""
        front = ["-n"] if self.command == "twistd" else []
        return [str(SCRIPTS / self.command), *front, "circus", "-c", "stack.ini", *self.options]

    def start(self) -> Daemon:
        """Run it."""
        self.lines, self._rest, self._seen = [], b"", 0
        self.process = subprocess.Popen(
            self.argv(), cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        return self

    def wait(self, text: str, timeout: float = TIMEOUT) -> str:
        """
        Wait for a line that contains this text, after those that were waited for before.

        @return: the line.
        """
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while True:
                while self._seen < len(self.lines):
                    self._seen += 1
                    if text in self.lines[self._seen - 1]:
                        return self.lines[self._seen - 1]
                if not selector.select(max(0, deadline - time.monotonic())):
                    raise AssertionError(f"no line with {text!r} in {timeout} s: {self.lines}")
                data = os.read(fd, 65536)
                if not data:
                    raise AssertionError(f"ended without a line with {text!r}: {self.lines}")
                *whole, self._rest = (self._rest + data).split(b"\n")
                self.lines += [line.decode("utf-8", "replace") for line in whole]

    @property
    def where(self) -> str:
        """The control socket."""
        return str(self.runtime / "private" / "control")

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        with Control(self.where, timeout=TIMEOUT) as control:
            return control.call(command, **arguments)

    def detail(self, name: str) -> dict[str, Any]:
        """One watcher as a status page shows it."""
        stack = self.call("status", detail=True)["stack"]
        found: dict[str, Any] = next(watcher for watcher in stack["watchers"] if watcher["name"] == name)
        return found

    def pids(self, name: str) -> list[int]:
        """The pids of a watcher's processes."""
        return list(self.call("list", name=name)["pids"])

    def port(self, name: str = "web") -> int:
        """The port of a socket."""
        return int(next(s["port"] for s in self.call("listsockets")["sockets"] if s["name"] == name))

    def until(self, true: Callable[[], bool], topics: tuple[str, ...] = (), timeout: float = TIMEOUT) -> None:
        """Wait until something is true, looking after each event."""
        with Control(self.where, timeout=TIMEOUT) as control:
            events = control.events(list(topics), timeout=timeout)
            while not true():
                next(events)

    def kill(self) -> None:
        """Kill the supervisor, and nobody else."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        self._close()

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """
        Stop it in order.

        @return: its exit code.
        """
        self.process.send_signal(signum)
        return self.join()

    def join(self) -> int:
        """Wait for its end; its exit code."""
        with suppress(AssertionError):
            self.wait("\0never")
        code = self.process.wait(TIMEOUT)
        self._close()
        return code

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def cli(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the C{circustwist} command on it."""
        env = {**self.env, "CIRCUSTWIST_CONTROL": self.where}
        return subprocess.run(
            [str(SCRIPTS / "circustwist"), *arguments], cwd=self.folder, env=env, capture_output=True, text=True,
            timeout=TIMEOUT, stdin=subprocess.DEVNULL, check=False, **options)

    def strays(self) -> list[int]:
        """The processes that carry this stack's token."""
        name, found = self.name, []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                marks = tuple(f"CIRCUSTWIST_ID={mark}/".encode() for mark in self._marks(name, path))
                if any(entry.startswith(marks) for entry in (path / "environ").read_bytes().split(b"\0")):
                    found.append(int(path.name))
        return [pid for pid in found if alive(pid)]

    def _marks(self, name: str, process: Path) -> list[str]:
        """What the token of a process may begin with if it is of this stack."""
        namespace = (process / "ns" / "pid").stat().st_ino
        directories = (os.path.realpath(self.runtime), "")
        return [mark(name, uid, directory, namespace)
                for uid in {os.getuid(), process.stat().st_uid} for directory in directories]

    @property
    def name(self) -> str:
        """The stack's name."""
        from circustwist.model.ini import read
        from circustwist.tap import readFile

        return read(str(self.ini), readFile, lambda pattern: [], {}).stack.name

    def clean(self) -> None:
        """Leave nothing behind, whatever happened."""
        process = getattr(self, "process", None)
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        if process is not None and process.stdout is not None:
            process.stdout.close()
        with suppress(FileNotFoundError):
            for pid in self.strays():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


class StackCase(SynchronousTestCase):
    """Tests that run supervisors; nothing of theirs is left behind."""

    def daemon(self, ini: str, *options: str, **more: Any) -> Daemon:
        """A supervisor that does not run yet."""
        daemon = Daemon(ini, *options, **more)
        self.addCleanup(daemon.clean)
        return daemon

    def run_(self, ini: str, *options: str, **more: Any) -> Daemon:
        """A supervisor that has started what should run."""
        daemon = self.daemon(ini, *options, **more).start()
        daemon.wait("watcher")
        return daemon


PYTHON = sys.executable
__all__ = ["HELLO", "PYTHON", "SCRIPTS", "TIMEOUT", "Control", "ControlError", "Daemon", "StackCase", "alive", "ended"]
