"""What C{docs/examples/hello/transcript.txt} shows is what people see."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from .stack import HELLO, SCRIPTS, TIMEOUT, StackCase
from .terminal import INTERRUPT, Terminal

ROOT = HELLO.parents[2]
TYPOS = (("numprocesses = 5", "numprocesses = five"), ("sockets.web", "sockets.wbe"), ("port = 8000", "prot = 8000"))
_MASKS = (
    (r"other terminal, same user, any directory:  circustwist -s \S+",
     "other terminal, same user, any directory:  circustwist"),
    (r"cgroup (yes|no \(sessions instead\))", "cgroup ?"),
    (r"/\S+/python\b", "PYTHON"),
    (r"\b\d+(\.\d+)? (ms|s|min|h)\b", "TIME"),
    (r"\d+", "N"),
)


def masked(line: str) -> str:
    """The line with its numbers, times and folders masked."""
    for pattern, instead in _MASKS:
        line = re.sub(pattern, instead, line)
    return line.rstrip()


def blocks() -> dict[str, list[str]]:
    """What follows each command of the transcript."""
    found: dict[str, list[str]] = {}
    for block in (HELLO / "transcript.txt").read_text().split("\n\n"):
        command, *lines = block.strip().split("\n")
        found[command.removeprefix("$ ")] = lines
    return found


def free(port: int) -> bool:
    """Whether a port of this host can be had."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class TranscriptTests(StackCase):
    """The commands are typed as they stand there, in a copy of the checkout."""

    def setUp(self) -> None:
        if shutil.which("make") is None:
            raise SkipTest("there is no make")
        folder = Path(tempfile.mkdtemp(prefix="ct-"))
        self.daemon_ = self.daemon("", folder=folder)
        shutil.copy(ROOT / "Makefile", folder)
        example = folder / "docs" / "examples" / "hello"
        shutil.copytree(HELLO, example)
        self.daemon_.ini = example / "stack.ini"
        if not free(8000):
            self.daemon_.ini.write_text(self.daemon_.ini.read_text().replace("port = 8000", "port = 0"))
        path = f"{SCRIPTS}:{os.environ['PATH']}"
        self.env = {**self.daemon_.env, "PATH": path, "CIRCUSTWIST_CONTROL": self.daemon_.where, "TERM": "dumb"}

    def start(self) -> Terminal:
        """C{make run}, with the virtual environment that is there."""
        folder = self.daemon_.folder
        argv = ["make", "-o", ".venv/run", "run", f"VENV={os.path.relpath(sys.prefix, folder)}"]
        terminal = Terminal(argv, folder, self.env)
        self.addCleanup(terminal.close)
        terminal.wait("other terminal")
        return terminal

    def typed(self, command: str, folder: Path) -> list[str]:
        """Type a command in another terminal; what it shows."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False)
        return done.stdout.rstrip("\n").split("\n")

    def healthy(self, wid: int) -> None:
        """Wait until a worker has run so long that it is replaced at once."""
        workers = self.daemon_.detail("web")["workers"]
        time.sleep(max(0.0, 1.1 - next(worker["age"] for worker in workers if worker["wid"] == wid)))

    def test_asTyped(self) -> None:
        """Every command shows what the transcript says, and Ctrl-C ends C{make run} with 0."""
        shown = blocks()
        terminal = self.start()
        for command, expected in shown.items():
            if command == "make run" or " check " in command:
                continue
            if "kill" in command:
                self.healthy(3)
            found = self.typed(command, self.daemon_.folder)
            # The order of the watchers is that of the ini here and that of their names there.
            self.assertEqual(sorted(map(self.parts, found)), sorted(map(self.parts, expected)), (command, found))
        terminal.wait("serving on fd")
        terminal.press(INTERRUPT)
        self.assertEqual(terminal.end(), 0, terminal.text)
        self.compare(terminal, shown["make run"])
        self.assertNotIn("make:", terminal.text)
        self.assertEqual(self.daemon_.strays(), [])
        self.assertEqual([path for path in self.daemon_.runtime.rglob("*") if path.name != "log"], [])
        self.assertEqual(sorted(path.name for path in self.daemon_.ini.parent.iterdir() if path.suffix != ".pyc"),
                         sorted(path.name for path in HELLO.iterdir()))

    def parts(self, line: str) -> list[str]:
        """A line as it is compared: what is between commas may change places."""
        command, colon, rest = masked(line).partition(" done: ")
        return [command, *sorted(rest.split(", "))] if colon else [command]

    def compare(self, terminal: Terminal, expected: list[str]) -> None:
        """All lines were to be seen; those of the supervisor in this order, those of workers anywhere."""
        found = [masked(line) for line in terminal.lines]
        wanted = [masked(line) for line in expected]
        for line in wanted:
            self.assertIn(line, found)
        ours = [line for line in found if " | serving" not in line and not line.startswith("clock/") and line]
        kept = [line for line in wanted if " | serving" not in line]
        self.assertEqual([line for line in ours if line in kept], kept)
        strange = [line for line in ours if line not in kept and not line.startswith("warning: web/N (pid N) killed")]
        self.assertEqual(strange, [])

    def test_typos(self) -> None:
        """Three mistakes are told with their places, exactly as in the transcript, and the exit code is 2."""
        if not free(8080):
            raise SkipTest("port 8080, the default, is in use")
        command, expected = next((typed, lines) for typed, lines in blocks().items() if " check " in typed)
        text = (HELLO / "stack.ini").read_text()
        for right, wrong in TYPOS:
            self.assertIn(right, text)
            text = text.replace(right, wrong)
        folder = self.daemon_.folder / "typos"
        folder.mkdir()
        (folder / "stack.ini").write_text(text)
        self.assertEqual(self.typed(command, folder), expected)


