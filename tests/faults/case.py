"""What the tests of faults have in common: one supervisor for many rows, and looks at it from outside."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.functional.stack import PYTHON, TIMEOUT, Control, ControlError, Daemon, StackCase, alive, ended

ROOT = Path(__file__).resolve().parents[2]
FAST = f"{PYTHON} -I -S -c"
PROMPT = 0.2
"""A supervisor is responsive that answers within so many seconds, on a machine that does nothing else."""


class Wrapped(Daemon):
    """
    A supervisor that other programs start, which change what it runs in.

    @ivar front: their words, before its command line.
    """

    front: tuple[str, ...] = ()

    def argv(self) -> list[str]:
        return [*self.front, *super().argv()]


class Cgroup:
    """A control group for a supervisor and all of its processes, in whichever version of cgroups is here."""

    def __init__(self, controller: str, name: str) -> None:
        """
        @raise SkipTest: if there is none to be had.
        """
        top = Path("/sys/fs/cgroup")
        places = [top / controller, top] if (top / controller).is_dir() else [top]
        for place in places:
            self.path = place / f"faults-{os.getpid()}-{name}"
            with contextlib.suppress(OSError):
                self.path.mkdir(exist_ok=True)
                if any(self.path.glob(f"{controller}.*")):
                    return
                self.path.rmdir()
        raise SkipTest(f"needs a cgroup with {controller}, and the right to make one")

    def set(self, **values: object) -> None:
        """Write into files of it; C{pids_max} is C{pids.max}."""
        for name, value in values.items():
            (self.path / name.replace("_", ".", 1)).write_text(str(value))

    def enter(self) -> tuple[str, ...]:
        """Words of a command line before one that is to run in it."""
        return "sh", "-c", f'echo $$ >{self.path}/cgroup.procs; exec "$@"', "sh"

    def remove(self) -> None:
        """Remove it, when everybody in it has gone."""
        def gone() -> bool:
            for pid in map(int, (self.path / "cgroup.procs").read_text().split()):
                kill(pid)
            with contextlib.suppress(OSError):
                self.path.rmdir()
            return not self.path.exists()

        if self.path.exists():
            eventually(gone)


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
        return self.begun(daemon)

    def begun(self, daemon: Any) -> Any:
        """A supervisor, as soon as it answers."""
        daemon.start()
        # What is written that no test waits for is not to hold it up.
        fcntl.fcntl(daemon.process.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)

        def answers() -> bool:
            if daemon.process.poll() is not None:
                daemon.join()
                raise AssertionError(f"it has ended: {daemon.lines}")
            with contextlib.suppress(OSError):
                return bool(daemon.call("ping"))
            return False

        eventually(answers)
        return daemon

    def furnish(self, folder: Path) -> None:
        """Put files for the shared stack into its folder."""

    def responsive(self, daemon: Daemon) -> None:
        """The supervisor answers: how fast is told only when it takes so long that nobody would wait."""
        with Control(daemon.where, timeout=TIMEOUT) as control:
            began = time.monotonic()
            control.call("ping")
            self.assertLess(time.monotonic() - began, PROMPT * 25)

    def cgroup(self, controller: str) -> Cgroup:
        """A control group that is removed afterwards."""
        self.asRoot()
        group = Cgroup(controller, self.id().rpartition(".")[2])
        self.addCleanup(group.remove)
        return group

    def wrapped(self, ini: str, *front: str, **more: Any) -> Wrapped:
        """A supervisor that does not run yet, with words before its command line."""
        daemon = Wrapped(" ", **more)
        daemon.front = front
        self.addCleanup(daemon.clean)
        daemon.ini.write_text(f"[circus]\nname = {daemon.folder.name}\n{ini.replace('FOLDER', str(daemon.folder))}")
        return daemon

    def private(self, script: str = "true", *more: str) -> tuple[str, ...]:
        """
        Words before a command line that is to run, after a script, where nothing that the script does to mounts or
        the network is seen by anybody else.

        The script does not begin in a namespace of the host's, whatever unshare(1) has made of its options.

        @param more: other namespaces, as options of unshare(1).
        @raise SkipTest: if that is not allowed here.
        """
        self.asRoot()
        kinds = ["mnt", *(["net"] if "--net" in more else []), *(["uts"] if "--uts" in more else [])]
        checks = "".join(
            f'[ "$(readlink /proc/self/ns/{kind})" != "{os.readlink(f"/proc/self/ns/{kind}")}" ] || exit 98; '
            for kind in kinds)
        words = ("unshare", "--mount", "--propagation", "private", *more, "sh", "-c",
                 f'{checks}{{ {script}; }} || exit 99; exec "$@"', "sh")
        if subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
            raise SkipTest("namespaces, or mounts in them, are not allowed here")
        return words

    def hide(self, daemon: Any, where: str) -> None:
        """Mount an empty folder where only this supervisor sees it, which runs in a mount namespace of its own."""
        pid = daemon.process.pid
        self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/mnt"), os.readlink("/proc/self/ns/mnt"))
        words = ["nsenter", "-m", "-t", str(pid), "mount", "-t", "tmpfs", "none", where]
        if subprocess.run(words, check=False, capture_output=True).returncode:
            raise SkipTest("mount is not allowed here")

    def up(self, name: str, count: int = 1) -> list[int]:
        """Start a watcher of the shared stack; its pids, and that it is stopped afterwards."""
        self.addCleanup(self.down, name)
        self.house.call("start", name=name, waiting=True)
        self.house.until(lambda: len(self.house.pids(name)) == count, (f"watcher.{name}",))
        return self.house.pids(name)

    def down(self, name: str) -> None:
        """Stop a watcher of the shared stack."""
        with contextlib.suppress(OSError, ControlError):
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
    "FAST", "PYTHON", "ROOT", "TIMEOUT", "Cgroup", "Control", "ControlError", "Daemon", "FaultCase", "House",
    "SkipTest", "Wrapped", "alive", "cpu", "descriptors", "ended", "eventually", "kill", "rss",
]
