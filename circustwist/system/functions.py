"""
Finds functions of users by their dotted names.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any


class NoFunction(Exception):
    """There is no such module, or nothing in it that can be called."""


class Functions:
    """Those that were found stay; a module is imported once, unless that is asked for."""

    def __init__(self) -> None:
        self._found: dict[str, Callable[..., Any]] = {}
        self._stale: set[str] = set()
        self._lock = threading.Lock()

    def again(self, target: str) -> None:
        """Import the module of a function anew when it is next asked for."""
        self._stale.add(target)

    def find(self, target: str, paths: Iterable[str]) -> Callable[..., Any]:
        """
        A function.

        @param target: C{module.function} or C{module:function}.
        @param paths: folders that are added to the import path, for good, as Circus does.
        @raise NoFunction: if there is none.
        @raise Exception: whatever its module raises.
        """
        with self._lock:
            if target not in self._found or target in self._stale:
                sys.path.extend(path for path in paths if path not in sys.path and os.path.isdir(path))
                self._found[target] = _imported(target, target in self._stale)
                self._stale.discard(target)
            return self._found[target]


def _imported(target: str, again: bool) -> Callable[..., Any]:
    path, _, name = target.replace(":", ".").rpartition(".")
    module, attributes = path, [name]
    while True:
        try:
            known = sys.modules.get(module) if again else None
            found: Any = importlib.reload(known) if known is not None else importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            # A method of a class: what stands before it is no module.
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            if "." not in module:
                raise NoFunction(f"there is no module {module}") from None
            module, _, attribute = module.rpartition(".")
            attributes.insert(0, attribute)
    for attribute in attributes:
        if not hasattr(found, attribute):
            raise NoFunction(f"there is no {attribute} in {getattr(found, '__name__', module)}")
        found = getattr(found, attribute)
    if not callable(found):
        raise NoFunction(f"{target} is a {type(found).__name__} and cannot be called")
    callable_: Callable[..., Any] = found
    return callable_
