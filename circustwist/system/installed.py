"""
The version that runs: once another one was installed, no code of that one is
loaded beside it.

What only some stacks need is imported when it is needed, which may be months
after the start.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from ..model.errors import OtherVersion


class Installed(MetaPathFinder):
    """Refuses the first import of a module of our package when its files are not those that this process began with."""

    def __init__(self, package: str) -> None:
        """
        @param package: its name; it is imported already.
        """
        self._package = package
        self._file = str(sys.modules[package].__file__)
        self._began = self._look()

    def _look(self) -> tuple[int, int]:
        """What an installer changes whatever it installs; nothing while there is no such file."""
        try:
            found = os.stat(self._file)
        except OSError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """
        Leave it to others to find a module.

        @raise OtherVersion: if it is ours and no longer what this process needs.
        """
        if fullname.startswith(f"{self._package}.") and self._look() != self._began:
            raise OtherVersion(f"another version of {self._package} was installed while this one runs: run circustwist "
                               "upgrade")
        return None

    def watch(self) -> None:
        """Look at every import from now on."""
        sys.meta_path.insert(0, self)
