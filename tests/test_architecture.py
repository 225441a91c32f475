"""Tests of the floors: who may import whom, read from the source without running it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TypeAlias

import attrs
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "circustwist"

FLOORS = {"model": 1, "logic": 2, "system": 3, "control": 4, "web": 4, "cli": 4, "plugins": 4}
ROOF = 5
FACES = frozenset(name for name, floor in FLOORS.items() if floor == 4)

SHARED_WITH_FACES = {
    "cli": frozenset((
        "circustwist.control.blocking", "circustwist.control.boxes",
        "circustwist.system.rundir", "circustwist.system.programs", "circustwist.system.sockets",
        "circustwist.system.cgroup",
    )),
}
"""What a face may import besides the floors of the model and the logic and itself."""

STANDALONE = {
    "circustwist.control.blocking": frozenset(("circustwist.control.boxes",)),
    "circustwist.control.boxes": frozenset[str](),
    "circustwist.system.launcher": frozenset[str](),
}
"""Modules that run without any package but the standard library, and what they import besides it."""

PURE = frozenset((
    "__future__", "base64", "binascii", "bisect", "collections", "collections.abc", "difflib", "enum", "errno",
    "fnmatch", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "posixpath", "re", "shlex",
    "signal", "string", "textwrap", "typing",
    "attrs", "automat", "zope.interface",
))
"""What the two lower floors may import besides each other."""

IMPURE = frozenset(("open", "print", "input", "breakpoint", "__import__"))
"""Built-in functions that the two lower floors may not call."""

FORBIDDEN_CALLS = frozenset(("eval", "exec", "yaml.load"))
FORBIDDEN_IMPORTS = frozenset(("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve"))

REACTOR = "twisted.internet.reactor"
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Import:
    """
    One imported name.

    @ivar module: the module, absolute.
    @ivar name: what is taken from it; empty for the module itself.
    @ivar typing: whether only a type checker sees it.
    @ivar deferred: whether it happens when a function is called.
    """

    module: str
    name: str
    line: int
    typing: bool
    deferred: bool

    @property
    def full(self) -> str:
        """The dotted name of what is imported."""
        return f"{self.module}.{self.name}" if self.name else self.module


@attrs.frozen
class Module:
    """One file of the package."""

    name: str
    path: Path
    tree: ast.Module = attrs.field(eq=False, repr=False)

    @property
    def part(self) -> str:
        """The subpackage in which it lies; empty for the package's own modules."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 and parts[1] in FLOORS else ""

    @property
    def floor(self) -> int:
        """Its floor; the package itself, which imports nothing, is below all."""
        return 0 if self.name == PACKAGE else FLOORS.get(self.part, ROOF)

    def where(self, line: int) -> str:
        """A line of it, as an editor finds it."""
        return f"{self.path.relative_to(ROOT)}:{line}"

    def imports(self) -> list[Import]:
        """Everything it imports, wherever that stands."""
        return list(self._imports(self.tree, False, False))

    def _imports(self, node: ast.AST, typing: bool, deferred: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, "", child.lineno, typing, deferred)
            elif isinstance(child, ast.ImportFrom):
                for alias in child.names:
                    yield Import(self._absolute(child), alias.name, child.lineno, typing, deferred)
            elif isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                yield from self._imports(ast.Module(child.body, []), True, deferred)
                yield from self._imports(ast.Module(child.orelse, []), typing, deferred)
            else:
                later = isinstance(child, Function | ast.Lambda)
                yield from self._imports(child, typing, deferred or later)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        package = parts if self.path.name == "__init__.py" else parts[:-1]
        base = package[: len(package) - node.level + 1]
        return ".".join([*base, *filter(None, [node.module])])


@cache
def modules() -> dict[str, Module]:
    """Every module of the package by its name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(), str(path)))
    return found


class SourceTestCase(SynchronousTestCase):
    """A look at the source of every module."""

    def setUp(self) -> None:
        self.modules = modules()

    def none(self, what: str, offenders: list[str]) -> None:
        """Fail with one line for each offender."""
        if offenders:
            self.fail(f"{what}:\n  " + "\n  ".join(offenders))


class FloorTests(SourceTestCase):
    """Nothing imports upwards, sideways between faces, or in a circle."""

    def targets(self, module: Module) -> Iterator[tuple[Import, Module]]:
        """What a module imports of the package."""
        for each in module.imports():
            found = self.modules.get(each.full) or self.modules.get(each.module)
            if found is not None:
                yield each, found

    def test_walk(self) -> None:
        """The walk finds the package."""
        self.assertIn("circustwist.model.stack", self.modules)
        self.assertTrue(list(self.targets(self.modules["circustwist.model.stack"])))

    def test_exist(self) -> None:
        """What is imported of the package is there."""
        self.none("imports of modules that do not exist", [
            f"{module.where(each.line)} {each.full}"
            for module in self.modules.values() for each in module.imports()
            if each.module.split(".")[0] == PACKAGE and each.module not in self.modules
        ])

    def test_upwards(self) -> None:
        """No module imports from a higher floor, not even for a type checker."""
        self.none("upward imports", [
            f"{module.where(each.line)} floor {module.floor} imports {target.name} of floor {target.floor}"
            for module in self.modules.values() for each, target in self.targets(module)
            if target.floor > module.floor
        ])

    def test_faces(self) -> None:
        """Faces share nothing but the two lower floors and what is listed."""
        self.none("imports of faces", [
            f"{module.where(each.line)} {module.part} imports {target.name}"
            for module in self.modules.values() if module.part in FACES
            for each, target in self.targets(module)
            if target.floor > 2 and target.part != module.part
            and target.name not in SHARED_WITH_FACES.get(module.part, frozenset())
        ])

    def test_standalone(self) -> None:
        """What scripts copy, and what becomes a worker, needs only the standard library."""
        self.none("imports beyond the standard library", [
            f"{module.where(each.line)} {each.full}"
            for name, allowed in STANDALONE.items() if (module := self.modules.get(name))
            for each in module.imports()
            if each.module.split(".")[0] not in sys.stdlib_module_names and not {each.module, each.full} & allowed
        ])

    def test_circles(self) -> None:
        """No import leads back to where it began, not even one inside a function."""
        graph = {
            module.name: {
                target.name for each, target in self.targets(module) if not each.typing and target is not module
            }
            for module in self.modules.values()
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            self.fail("a circle of imports: " + " <- ".join(error.args[1]))

    def test_pure(self) -> None:
        """The two lower floors import only what cannot reach the world."""
        self.none("imports outside the allow-list", [
            f"{module.where(each.line)} {each.full}"
            for module in self.modules.values() if 0 < module.floor <= 2
            for each in module.imports()
            if each.module.split(".")[0] != PACKAGE and not {each.module, each.full} & PURE
        ])

    def test_pureCalls(self) -> None:
        """The two lower floors open and print nothing."""
        self.none("built-in functions with effects", [
            f"{module.where(line)} {name}"
            for module in self.modules.values() if 0 < module.floor <= 2
            for line, name in calls(module.tree) if name in IMPURE
        ])

    def test_signalNames(self) -> None:
        """The two lower floors take names from signal, not functions that act."""
        self.none("more than names of signal", [
            f"{module.where(line)} signal.{name}"
            for module in self.modules.values() if 0 < module.floor <= 2
            for line, name in signalUses(module)
            if not name.startswith("SIG") and name not in ("Signals", "valid_signals", "strsignal")
        ])

    def test_reactor(self) -> None:
        """No module imports the global reactor before somebody calls it."""
        self.none("the reactor is imported at module level", [
            module.where(each.line)
            for module in self.modules.values() for each in module.imports()
            if REACTOR in (each.module, each.full) and not each.deferred and not each.typing
        ])

    def test_ctypes(self) -> None:
        """Only one module calls into C."""
        self.none("ctypes outside system/kernel.py", [
            module.where(each.line)
            for module in self.modules.values() if module.name != "circustwist.system.kernel"
            for each in module.imports() if each.module.split(".")[0] in ("ctypes", "_ctypes", "cffi")
        ])


def calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every call of a plain or dotted name, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.lineno, ast.unparse(node.func)


def signalUses(module: Module) -> Iterator[tuple[int, str]]:
    """What a module uses of C{signal}, with the line."""
    for each in module.imports():
        if each.module == "signal" and each.name:
            yield each.line, each.name
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "signal":
            yield node.lineno, node.attr


class TreeTests(SourceTestCase):
    """What holds for every file, tests and examples included."""

    def test_namespace(self) -> None:
        """The folders of the plugin are no packages: they would hide Twisted's own."""
        for folder in ("twisted", "twisted/plugins"):
            self.assertFalse((ROOT / folder / "__init__.py").exists(), folder)

    def test_page(self) -> None:
        """The page about the architecture names only what exists."""
        text = (ROOT / "docs" / "architecture.rst").read_text()
        named = set(re.findall(r"``((?:circustwist|twisted|tests|docs)/[\w./]*)``", text))
        self.assertTrue(named)
        self.none("named in docs/architecture.rst", sorted(name for name in named if not (ROOT / name).exists()))

    def test_forbidden(self) -> None:
        """Nothing is evaluated or unpickled."""
        offenders = []
        for folder in (PACKAGE, "twisted", "tests", "docs"):
            for path in sorted((ROOT / folder).rglob("*.py")):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                module = Module(name, path, ast.parse(path.read_text(), str(path)))
                offenders += [f"{module.where(line)} {name}" for line, name in calls(module.tree)
                              if name.removeprefix("builtins.") in FORBIDDEN_CALLS]
                offenders += [f"{module.where(each.line)} {each.module}" for each in module.imports()
                              if each.module.split(".")[0] in FORBIDDEN_IMPORTS]
        self.none("evaluation or unpickling", offenders)
