"""The worked examples for contributors: each is applied to a copy of the source, and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "contributing"


def hunks(text: str) -> list[tuple[str, list[str], list[str]]]:
    """The file of each hunk, the lines that it is about, and those that are there afterwards."""
    found: list[tuple[str, list[str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith("--- "):
            found.append((line[4:], [], []))
        else:
            _, before, after = found[-1]
            before.extend([line[1:]] if line[:1] in (" ", "-") else [])
            after.extend([line[1:]] if line[:1] in (" ", "+") else [])
    return found


class ExampleTests(SynchronousTestCase):
    """Something new goes where the page says, and into no other place."""

    def apply(self, name: str, folder: Path) -> set[str]:
        """Apply an example to the source in a folder; the files that it touches."""
        touched = set()
        for file, before, after in hunks((EXAMPLES / f"{name}.diff").read_text()):
            path = folder / file
            text = path.read_text() if path.exists() else ""
            old, new = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
            self.assertTrue(text.count(old) == 1 if old else not text, f"{name}.diff: the place in {file} is not found")
            path.write_text(text.replace(old, new) if old else new)
            touched.add(file)
        return touched

    def check(self, name: str, *files: str) -> None:
        """Apply an example, run what uses it, and look at it as lint does."""
        folder = Path(tempfile.mkdtemp(prefix="circustwist-"))
        self.addCleanup(shutil.rmtree, folder)
        shutil.copytree(ROOT / "circustwist", folder / "circustwist", ignore=shutil.ignore_patterns("__pycache__"))
        self.assertEqual(self.apply(name, folder), set(files))
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py"], cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_command(self) -> None:
        """A command touches the table and one function."""
        self.check("command", "circustwist/model/commands.py", "circustwist/logic/requests.py")

    def test_option(self) -> None:
        """An option touches its table and the place where it means something."""
        self.check("option", "circustwist/model/stack.py", "circustwist/model/launch.py")

    def test_stream(self) -> None:
        """A stream touches the table, and the two modules of sinks."""
        self.check(
            "stream", "circustwist/model/streams.py", "circustwist/system/sinks.py", "circustwist/system/streams.py")

    def test_probe(self) -> None:
        """A probe touches the values that an option may have, and the prober."""
        self.check("probe", "circustwist/model/values.py", "circustwist/system/prober.py")

    def test_face(self) -> None:
        """A face is a module of its own, and is opened on the roof."""
        self.check("face", "circustwist/control/lines.py", "circustwist/faces.py")

    def test_page(self) -> None:
        """Every example is on the page."""
        page = (ROOT / "docs" / "contributing.rst").read_text()
        shown = set(re.findall(r"examples/contributing/(\w+)\.diff", page))
        self.assertEqual(shown, {path.stem for path in EXAMPLES.glob("*.diff")})
        for name in shown:
            self.assertTrue(hasattr(self, f"test_{name}"), name)
