"""Tests of the search for programs."""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import SpawnProblem, Unstartable
from circustwist.system.programs import Found, explain, find


class ProgramsTestCase(SynchronousTestCase):
    """Some folders with programs."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        for name in ("a", "b", "c"):
            os.makedirs(os.path.join(self.folder, name))

    def program(self, path: str, mode: int = 0o755, text: str = "#!/bin/sh\n") -> str:
        """Make a program; its absolute path."""
        full = os.path.join(self.folder, path)
        with open(full, "w") as file:
            file.write(text)
        os.chmod(full, mode)
        return full

    def path(self, *names: str) -> str:
        """Some of the folders as a PATH."""
        return ":".join(os.path.join(self.folder, name) for name in names)

    def find(self, program: str, path: str | None, cwd: str = "") -> Found:
        """Look beside a twistd in C{b}, and in C{c} for the daemon's PATH."""
        return find(program, path, cwd, (self.path("b"),), self.path("c"))

    def problem(self, program: str, path: str | None) -> SpawnProblem:
        """Why a program is not found."""
        error: Unstartable = self.assertRaises(Unstartable, self.find, program, path)
        return error.problem


class FindTests(ProgramsTestCase):
    """The order of the search."""

    def test_order(self) -> None:
        """The worker's PATH, beside twistd, the daemon's PATH: the first that has it."""
        last = self.program("c/tool")
        self.assertEqual(self.find("tool", self.path("a")), Found(last, "on the daemon's PATH"))
        middle = self.program("b/tool")
        self.assertEqual(self.find("tool", self.path("a")), Found(middle, "beside twistd"))
        first = self.program("a/tool")
        self.assertEqual(self.find("tool", self.path("a")), Found(first))

    def test_line(self) -> None:
        """How it was found can be told in one line."""
        path = self.program("b/tool")
        self.assertEqual(str(self.find("tool", "")), f"found beside twistd: {path}")

    def test_noPath(self) -> None:
        """A worker without a PATH has none of our folders first."""
        self.program("a/tool")
        self.assertEqual(self.find("tool", None) if self.program("c/tool") else None,
                         Found(self.path("c") + "/tool", "on the daemon's PATH"))

    def test_default(self) -> None:
        """The last resort is the default path."""
        self.assertEqual(self.find("sh", None).where, "in the default path")

    def test_path(self) -> None:
        """What contains a slash is taken as it is, whether it exists or not."""
        for path in ("/no/such/program", "./program", "bin/program"):
            self.assertEqual(self.find(path, None), Found(path))

    def test_relative(self) -> None:
        """Relative folders of a PATH are those of the folder to run in."""
        self.program("a/tool")
        self.assertEqual(self.find("tool", "a", self.folder), Found("a/tool"))
        self.assertEqual(self.find("tool", "", self.path("a")), Found("./tool"))

    def test_missing(self) -> None:
        """A program that is nowhere is refused, and it is said where was looked."""
        problem = self.problem("tool", self.path("a"))
        self.assertEqual((problem.step, problem.errno), ("find", errno.ENOENT))
        folders = ", ".join(map(self.path, ("a", "b", "c")))
        self.assertEqual(problem.detail, f"tool; looked in {folders}, /bin, /usr/bin")

    def test_notExecutable(self) -> None:
        """A file that is not executable is passed over, and told if there is no other."""
        path = self.program("a/tool", 0o644)
        problem = self.problem("tool", self.path("a"))
        self.assertEqual((problem.step, problem.errno), ("find", errno.EACCES))
        self.assertIn(path, problem.detail)
        other = self.program("b/tool")
        self.assertEqual(self.find("tool", self.path("a")).path, other)

    def test_folder(self) -> None:
        """A folder is no program."""
        os.mkdir(os.path.join(self.folder, "a", "tool"))
        self.assertEqual(self.problem("tool", self.path("a")).errno, errno.ENOENT)

    def test_empty(self) -> None:
        """No name is no program."""
        self.assertEqual(self.problem("", self.path("a")).errno, errno.ENOENT)


class ExplainTests(ProgramsTestCase):
    """Why a program could not be executed."""

    def test_interpreter(self) -> None:
        """A missing interpreter is told from a missing program."""
        path = self.program("a/tool", text="#! /no/such/python -E\n")
        self.assertEqual(explain(path, errno.ENOENT), f"{path}: its interpreter /no/such/python is missing")
        self.assertEqual(explain("/no/such", errno.ENOENT), "/no/such")

    def test_binary(self) -> None:
        """A binary's interpreter has no name here."""
        path = self.program("a/tool", text="\x7fELF")
        self.assertIn("(of the binary)", explain(path, errno.ENOENT))

    def test_relative(self) -> None:
        """A relative path is one of the folder to run in."""
        self.program("a/tool", text="#!/no/such\n")
        self.assertIn("/no/such", explain("a/tool", errno.ENOENT, self.folder))

    def test_others(self) -> None:
        """The usual reasons have words."""
        self.assertIn("#!", explain("/x", errno.ENOEXEC))
        self.assertIn("too long", explain("/x", errno.E2BIG))
        self.assertIn("folder", explain(self.folder, errno.EACCES))
        self.assertEqual(explain("/x", errno.EACCES), "/x")
