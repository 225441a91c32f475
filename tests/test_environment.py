"""Tests of the environment that a watcher's options ask for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import Unstartable
from circustwist.model.stack import Watcher
from circustwist.system import environment

OURS = {"PATH": "/bin", "HOME": "/root", "PYTHONPATH": "/old"}
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


def build(**options: Any) -> dict[str, str]:
    """The environment of a watcher with these options."""
    return environment.build(Watcher("web", cmd="run", **options), OURS)


class BuildTests(SynchronousTestCase):
    """What comes from where."""

    def setUp(self) -> None:
        self.folder = Path(os.path.abspath(self.mktemp()))
        self.folder.mkdir(parents=True)

    def file(self, content: bytes) -> str:
        """An env_file."""
        path = self.folder / "env"
        path.write_bytes(content)
        return str(path)

    def refusal(self, **options: Any) -> Any:
        """Why there is no environment."""
        return self.assertRaises(Unstartable, build, **options).problem

    def test_nothing(self) -> None:
        """Without options there is nothing (Circus)."""
        self.assertEqual(build(), {})

    def test_copy(self) -> None:
        """What the sections say stands above what is copied."""
        self.assertEqual(build(copy_env=True, env={"HOME": "/h", "A": "b"}), {**OURS, "HOME": "/h", "A": "b"})

    def test_path(self) -> None:
        """Our import path replaces an inherited PYTHONPATH, which is part of it."""
        path = build(copy_env=True, copy_path=True)["PYTHONPATH"]
        self.assertEqual(path.split(":"), [each for each in sys.path if each])

    def test_file(self) -> None:
        """Comments, export and quotes are taken away; the sections stand above."""
        path = self.file(b"# c\n\nexport A = 1\nB='two words'\nC=\"\nD=a=b #c\r\nE=\nF=\xe4\nG=g\n")
        self.assertEqual(build(env_file=path, env={"G": "h"}), {
            "A": "1", "B": "two words", "C": '"', "D": "a=b #c", "E": "", "F": "\udce4", "G": "h"})

    def test_badFile(self) -> None:
        """The line is named, and what it says is not."""
        for content in (b"A=b\nsecret\n", b"A=b\n=secret\n", b"A=b\nB=sec\0ret\n"):
            path = self.file(content)
            problem = self.refusal(env_file=path)
            self.assertEqual(str(problem), f"env_file: {path}:2 is not KEY=value")

    def test_large(self) -> None:
        """A file without end is not read to its end."""
        self.assertIn("is larger than", str(self.refusal(env_file="/dev/zero")))

    def test_noFile(self) -> None:
        """A file that is missing is named with the error."""
        self.assertEqual(str(self.refusal(env_file="/not/there")), "env_file: ENOENT /not/there")

    def test_virtualenv(self) -> None:
        """Its programs and modules come first, what its .pth files name before them."""
        packages = self.folder / "[v]" / "lib" / f"python{VERSION}" / "site-packages"
        packages.mkdir(parents=True)
        (packages / "x.pth").write_text(f"#no\nimport no\n{self.folder}\n../site-packages\n/not/there\n")
        found = build(copy_env=True, virtualenv=str(self.folder / "[v]"))
        self.assertEqual(found["PATH"], f"{self.folder}/[v]/bin:/bin")
        self.assertEqual(found["PYTHONPATH"], f"{self.folder}:{packages}/../site-packages:/old:{packages}")
        self.assertEqual(found["VIRTUAL_ENV"], f"{self.folder}/[v]")

    def test_pypy(self) -> None:
        """The modules may be PyPy's."""
        packages = self.folder / "lib" / "pypy3.9" / "site-packages"
        packages.mkdir(parents=True)
        found = build(virtualenv=str(self.folder), virtualenv_py_ver="3.9")
        self.assertEqual((found["PATH"], found["PYTHONPATH"]), (f"{self.folder}/bin", str(packages)))

    def test_noVirtualenv(self) -> None:
        """A folder that is none is named."""
        self.assertEqual(
            str(self.refusal(virtualenv=str(self.folder), virtualenv_py_ver="3.1")),
            f"virtualenv: {self.folder} has no lib/python3.1/site-packages")
