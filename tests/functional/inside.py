"""What workers see of themselves, and how a test hears of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .stack import SCRIPTS, TIMEOUT, Daemon, StackCase

LOOK = Path(__file__).with_name("look.py")
NOBODY = 65534
_count = itertools.count(1)


def usable(python: str, uid: int = NOBODY) -> bool:
    """Whether somebody without rights may run an interpreter."""
    try:
        return subprocess.run([python, "-S", "-c", ""], user=uid, group=uid, extra_groups=[], cwd="/", env={},
                              check=False, capture_output=True, timeout=TIMEOUT).returncode == 0
    except OSError:
        return False


def everybodys() -> str:
    """An interpreter that everybody may run; empty if there is none."""
    return next(filter(usable, (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")), "")


class Inside(Daemon):
    """
    A supervisor of workers that tell what they see.

    @ivar front: words before the command line, e.g. of unshare(1).
    """

    front: tuple[str, ...] = ()

    def argv(self) -> list[str]:
        return [*self.front, *super().argv()]

    def start(self) -> Inside:
        super().start()
        return self

    def found(self, text: str, count: int = 1) -> list[str]:
        """Wait until so many lines contain this text, whenever they came; these lines."""
        while len(hits := [line for line in self.lines if text in line]) < count:
            self.wait("")
        return hits


class InsideCase(StackCase):
    """Tests of what workers see."""

    def inside(self, sections: str, python: str = sys.executable, circus: str = "", **more: Any) -> Inside:
        """
        A supervisor that does not run yet, of a stack with a name of its own.

        @param sections: of the ini; C{LOOK} in it is the program that tells.
        @param circus: further lines of the C{[circus]} section.
        """
        daemon = Inside("", **more)
        self.addCleanup(daemon.clean)
        daemon.folder.chmod(0o755)
        shutil.copy(LOOK, daemon.folder / "look.py")
        self._hear(daemon.folder / "looks")
        command = f"{python} -S {daemon.folder}/look.py {daemon.folder}/looks"
        text = sections.replace("LOOK", command).replace("FOLDER", str(daemon.folder))
        name = f"inside-{os.getpid()}-{next(_count)}"
        daemon.ini.write_text(f"[circus]\nname = {name}\n{circus}\n{text}")
        return daemon

    def _hear(self, path: Path) -> None:
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.ear.close)
        self.ear.settimeout(TIMEOUT)
        self.ear.bind(str(path))
        path.chmod(0o666)

    def hear(self) -> dict[str, Any]:
        """What the next worker tells."""
        told: dict[str, Any] = json.loads(self.ear.recv(1 << 20))
        return told

    def looks(self, count: int) -> Mapping[str, Any]:
        """What so many workers tell, by the names that their command lines give them."""
        told = [self.hear() for _ in range(count)]
        return {each["name"]: each for each in told}

    def look(self, sections: str, **more: Any) -> Mapping[str, Any]:
        """What the workers of a stack tell; C{self.daemon_} is its supervisor."""
        self.daemon_ = self.inside(sections, **more).start()
        try:
            return self.looks(sections.count("LOOK"))
        except TimeoutError:
            self.fail(f"not all have told: {self.heardSoFar()}")

    def heardSoFar(self) -> list[str]:
        """What the supervisor has written."""
        with contextlib.suppress(AssertionError):
            self.daemon_.wait("never told", 1)
        return self.daemon_.lines


__all__ = ["LOOK", "NOBODY", "SCRIPTS", "Inside", "InsideCase", "everybodys", "usable"]
