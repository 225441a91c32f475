"""What the kernel says of a process that is measured."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE = 60.0
PAUSE = 0.01


def children(pid: int) -> list[int]:
    """The direct children."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def programs(pid: int, name: str) -> int:
    """How many of the children run the program of that name."""
    found = 0
    for child in children(pid):
        with suppress(OSError):
            found += Path(f"/proc/{child}/comm").read_text() == f"{name}\n"
    return found


def until(true: Callable[[], bool], timeout: float = PATIENCE) -> float:
    """Look again and again whether something is true; the time at which it was."""
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout} s")
        time.sleep(PAUSE)
    return time.monotonic()


def pss(pid: int) -> int:
    """The proportional share of memory, bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def wakes(pid: int) -> int:
    """How often any of its threads went to sleep of its own accord, since it began."""
    found = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = status.read_text().splitlines()
        found += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))
    return found


def processor(pid: int) -> float:
    """The time that its first thread was on a processor, seconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


class Bell:
    """
    A named pipe in which every worker rings when its program runs.

    @ivar script: for C{sh}; rings, then sleeps for good.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bell"
        os.mkfifo(self.path)
        self.path.chmod(0o666)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self.script = folder / "bell.sh"
        self.script.write_text(f"echo $$ >{self.path}\nexec sleep 100000\n")

    def wait(self, count: int, timeout: float = PATIENCE) -> tuple[float, list[int]]:
        """When so many more had rung, and their pids."""
        data, end = b"", time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._fd, selectors.EVENT_READ)
            while data.count(b"\n") < count:
                if not selector.select(max(0, end - time.monotonic())):
                    raise TimeoutError(f"{data.count(10)} of {count} within {timeout} s")
                data += os.read(self._fd, 65536)
        return time.monotonic(), [int(word) for word in data.split()]

    def close(self) -> None:
        """Give back the pipe."""
        os.close(self._fd)
