"""A terminal in which a test types commands."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import selectors
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .stack import TIMEOUT

INTERRUPT = b"\x03"


def _control() -> None:
    """Let the standard input be the controlling terminal of this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """
    A command in the foreground of a terminal of its own.

    @ivar text: what is to be seen so far.
    """

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self._fd, inner = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            argv, cwd=folder, env=env, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
            preexec_fn=_control)
        os.close(inner)

    def wait(self, text: str, timeout: float = TIMEOUT) -> None:
        """Wait until something is to be seen."""
        deadline = time.monotonic() + timeout
        while text not in self.text:
            if not self._read(deadline):
                raise AssertionError(f"ended without {text!r}: {self.text}")

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._fd, keys)

    def end(self, timeout: float = TIMEOUT) -> int:
        """Wait for the end of the command; its exit code."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        return self.process.wait(timeout)

    @property
    def lines(self) -> list[str]:
        """What is to be seen, line by line."""
        return self.text.split("\n")

    def _read(self, deadline: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._fd, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise AssertionError(f"nothing more came: {self.text}")
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            return False
        self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

    def close(self) -> None:
        """Interrupt the command if it still runs, and hang up."""
        if self.process.poll() is None:
            # A supervisor under make has a process group of its own; the second time it kills everybody.
            self.press(INTERRUPT * 2)
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.end(5.0)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(TIMEOUT)
        os.close(self._fd)
