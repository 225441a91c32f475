"""Tests of what happens when another version is installed while one runs."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import OtherVersion
from circustwist.system.installed import Installed


class InstalledTests(SynchronousTestCase):
    """A package of three modules, of which one is loaded late."""

    def setUp(self) -> None:
        self.name = f"late{os.getpid()}"
        folder = Path(self.mktemp()).resolve()
        self.package = folder / self.name
        self.package.mkdir(parents=True)
        for module in ("__init__", "early", "late"):
            (self.package / f"{module}.py").write_text("")
        self.patch(sys, "path", [str(folder), *sys.path])
        self.patch(sys, "meta_path", [*sys.meta_path])
        self.addCleanup(lambda: [sys.modules.pop(name) for name in [*sys.modules] if name.startswith(self.name)])
        import_module(f"{self.name}.early")
        Installed(self.name).watch()

    def test_same(self) -> None:
        """Whatever is imported late is, as long as the files are the same."""
        import_module(f"{self.name}.late")

    def test_other(self) -> None:
        """What was imported stays; what was not is refused with the remedy, and others are not concerned."""
        (self.package / "new").write_text("")
        os.replace(self.package / "new", self.package / "__init__.py")
        import_module(f"{self.name}.early")
        error = self.assertRaises(OtherVersion, import_module, f"{self.name}.late")
        self.assertIn("run circustwist upgrade", str(error))
        import_module("wave")
        (self.package / "__init__.py").unlink()
        self.assertRaises(OtherVersion, import_module, f"{self.name}.late")
