"""
Tests of the shape of the code: nothing too long, too wide, unannotated or
undocumented.  Past one of these limits there is a second responsibility to be
found.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module

from zope.interface import implementedBy

from .test_architecture import Function, Module, SourceTestCase

FUNCTION_LINES = 20
SHORT_FUNCTIONS = 0.95
FILE_LINES = 400
ATTRIBUTES = 12


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines(function: Function) -> int:
    """How long the body of a function is, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def annotated(function: Function) -> bool:
    """Whether every parameter and the result has a type."""
    given = function.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return function.returns is not None and all(p.annotation for p in parameters if p.arg not in ("self", "cls"))


def isOption(node: ast.AnnAssign) -> bool:
    """Whether a field is a row of the table of the ini's options, which is as long as it is."""
    call = node.value
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "_option"


def attributes(cls: ast.ClassDef) -> set[str]:
    """The attributes that a class declares or that its methods assign."""
    found = {
        node.target.id for node in cls.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not isOption(node)
    }
    for node in ast.walk(cls):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                target.attr for target in targets
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
                and target.value.id == "self"
            }
    return found


def public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """The functions and classes in a body that others may use."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            decorators = {ast.unparse(each).rpartition(".")[2] for each in node.decorator_list}
            if not decorators & {"overload", "setter"}:
                yield node


def inherited(module: Module, cls: str, method: str) -> bool:
    """Whether the contract of a method stands in an interface or a base class."""
    found = getattr(import_module(module.name), cls)
    return any(hasattr(base, method) for base in found.__mro__[1:]) or any(
        method in interface for interface in implementedBy(found)
    )


def undocumented(module: Module) -> Iterator[str]:
    """What in a module lacks a docstring."""
    if ast.get_docstring(module.tree) is None:
        yield module.where(1)
    for node in public(module.tree.body):
        if ast.get_docstring(node) is None:
            yield f"{module.where(node.lineno)} {node.name}"
        if isinstance(node, ast.ClassDef):
            for method in public(node.body):
                if ast.get_docstring(method) is None and not inherited(module, node.name, method.name):
                    yield f"{module.where(method.lineno)} {node.name}.{method.name}"


class ShapeTests(SourceTestCase):
    """What a reader may rely on in every module."""

    def test_annotated(self) -> None:
        """Every function has all its types."""
        self.none("functions without annotations", [
            f"{module.where(function.lineno)} {function.name}"
            for module in self.modules.values() for function in functions(module.tree) if not annotated(function)
        ])

    def test_documented(self) -> None:
        """
        Every public thing has a docstring; a method that is declared by an
        interface or a base class has it there.
        """
        self.none("public without a docstring", [
            each for module in self.modules.values() for each in undocumented(module)
        ])

    def test_functions(self) -> None:
        """Functions are short, with few exceptions."""
        all = [
            (lines(function), f"{module.where(function.lineno)} {function.name}")
            for module in self.modules.values() for function in functions(module.tree)
        ]
        long = sorted((each for each in all if each[0] > FUNCTION_LINES), reverse=True)
        if len(long) > (1 - SHORT_FUNCTIONS) * len(all):
            self.none(f"{len(long)} of {len(all)} functions over {FUNCTION_LINES} lines",
                      [f"{count} {where}" for count, where in long])

    def test_files(self) -> None:
        """Files are short."""
        self.none(f"files over {FILE_LINES} lines", [
            f"{count} {module.where(1)}" for module in self.modules.values()
            if (count := len(module.path.read_text().splitlines())) > FILE_LINES
        ])

    def test_classes(self) -> None:
        """Classes know few things."""
        self.none(f"classes over {ATTRIBUTES} attributes", [
            f"{len(found)} {module.where(node.lineno)} {node.name}: {', '.join(sorted(found))}"
            for module in self.modules.values() for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef) and len(found := attributes(node)) > ATTRIBUTES
        ])
