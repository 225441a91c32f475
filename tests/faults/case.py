"""What the tests of faults have in common: one supervisor for many rows, and looks at it from outside."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.functional.stack import PYTHON, TIMEOUT, Control, Daemon, StackCase, alive, ended

FAST = f"{PYTHON} -I -S -c"
PROMPT = 0.2
"""A supervisor is responsive that answers within so many seconds, on a machine that does nothing else."""


class House:
    """
    The supervisor that the rows of one class share.

    Trial has no end of a class: the next class's replaces it, the last one ends with the process.
    """

    current: tuple[type, Daemon] | None = None

    @classmethod
    def of(cls, case: type, make: Callable[[], Daemon]) -> Daemon:
        """The supervisor of a class of tests; it is started by the first, and again if it has ended."""
        if cls.current is None or cls.current[0] is not case or cls.current[1].process.poll() is not None:
            cls.close()
            cls.current = case, make()
        return cls.current[1]

    @classmethod
    def close(cls) -> None:
        """End it."""
        if cls.current is not None:
            cls.current[1].clean()
            cls.current = None


atexit.register(House.close)


class FaultCase(StackCase):
    """
    Rows.

    @cvar STACK: what the supervisor that they share runs; none of it starts by itself.
    """

    STACK = ""

    @property
    def house(self) -> Daemon:
        """The supervisor that all rows of this class share."""
        return House.of(type(self), self._shared)

    def _shared(self) -> Daemon:
        daemon = Daemon(" ")
        stack = self.STACK.replace("FOLDER", str(daemon.folder))
        stack = re.sub(r"(?m)^(\[watcher:.*\])$", r"\1\nautostart = False", stack)
        daemon.ini.write_text(f"[circus]\nname = faults-{os.getpid()}-{type(self).__name__}\n{stack}")
        self.furnish(daemon.folder)
        daemon.start().wait("watcher")
        return daemon

    def furnish(self, folder: Path) -> None:
        """Put files for the shared stack into its folder."""

    def responsive(self, daemon: Daemon) -> None:
        """The supervisor answers: how fast is told only when it takes so long that nobody would wait."""
        with Control(daemon.where, timeout=TIMEOUT) as control:
            began = time.monotonic()
            control.call("ping")
            self.assertLess(time.monotonic() - began, PROMPT * 25)

    def up(self, name: str, count: int = 1) -> list[int]:
        """Start a watcher of the shared stack; its pids, and that it is stopped afterwards."""
        self.addCleanup(self.down, name)
        self.house.call("start", name=name, waiting=True)
        self.house.until(lambda: len(self.house.pids(name)) == count, (f"watcher.{name}",))
        return self.house.pids(name)

    def down(self, name: str) -> None:
        """Stop a watcher of the shared stack."""
        with contextlib.suppress(OSError):
            self.house.call("stop", name=name, waiting=True)

    @contextlib.contextmanager
    def events(self, *topics: str, daemon: Daemon | None = None) -> Iterator[Iterator[dict[str, Any]]]:
        """The events from now on."""
        with Control((daemon or self.house).where, timeout=TIMEOUT) as control:
            yield control.events(topics, timeout=TIMEOUT)

    def first(self, events: Iterator[dict[str, Any]], name: str) -> dict[str, Any]:
        """The next event of that name."""
        return next(event for event in events if event["event"] == name)

    def asRoot(self) -> None:
        """What follows needs root."""
        if os.geteuid():
            raise SkipTest("needs root")


def cpu(pid: int) -> float:
    """Seconds that a process has computed."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss(pid: int) -> int:
    """Bytes of memory that a process has resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def eventually(true: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """What somebody outside says, as soon as it is true: there is nothing to be told by that one could await."""
    deadline = time.monotonic() + timeout
    while not (found := true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout} s: {true}")
        time.sleep(0.01)
    return found


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    """Signal a process that may have gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


__all__ = [
    "FAST", "PYTHON", "TIMEOUT", "Control", "Daemon", "FaultCase", "House", "SkipTest", "alive", "cpu", "descriptors",
    "ended", "eventually", "kill", "rss",
]
