"""The environment that a watcher's options ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape, glob

from ..model.errors import SpawnProblem, Unstartable
from ..model.stack import Watcher

LARGEST_FILE = 1024 * 1024


def build(watcher: Watcher, environ: Mapping[str, str]) -> dict[str, str]:
    """
    The environment of a watcher's workers, without the token.

    @param environ: the supervisor's own environment.
    @raise Unstartable: if C{env_file} cannot be read or has a line that is no
        C{KEY=value}, or C{virtualenv} is no virtual environment.
    """
    env: dict[str, str] = dict(environ) if watcher.copy_env else {}
    if watcher.copy_path:
        # What an inherited PYTHONPATH names is on our path already.
        env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    if watcher.virtualenv:
        with _step("virtualenv", watcher.virtualenv):
            env |= virtualenv(watcher.virtualenv, watcher.virtualenv_py_ver, env)
    if watcher.env_file:
        with _step("env_file", watcher.env_file):
            env |= readFile(watcher.env_file)
    return {**env, **watcher.env}


@contextmanager
def _step(option: str, path: str) -> Iterator[None]:
    """Say which option it was that failed."""
    try:
        yield
    except OSError as error:
        raise Unstartable(SpawnProblem(option, error.errno or 0, error.filename or path)) from None
    except ValueError as error:
        raise Unstartable(SpawnProblem(option, 0, str(error))) from None


def readFile(path: str) -> dict[str, str]:
    """
    A file of C{KEY=value} lines; C{#} begins a comment line, C{export} and
    quotes around the whole value are taken away.

    @raise ValueError: if a line is none; it names the line and shows no value.
    """
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        text = file.read(LARGEST_FILE + 1)
    if len(text) > LARGEST_FILE:
        raise ValueError(f"{path} is larger than {LARGEST_FILE} bytes")
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip().removeprefix("export ").lstrip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key or "\0" in line:
            raise ValueError(f"{path}:{number} is not KEY=value")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[key] = value
    return found


def virtualenv(folder: str, version: str, env: Mapping[str, str]) -> dict[str, str]:
    """
    What a virtual environment adds to an environment (Circus's C{virtualenv}).

    @param version: the Python version of its C{lib} folder; without it the supervisor's.
    @raise ValueError: if there is no such virtual environment.
    """
    folder = os.path.abspath(folder)
    version = version or f"{sys.version_info[0]}.{sys.version_info[1]}"
    places = [os.path.join(folder, "lib", f"{kind}{version}", "site-packages") for kind in ("python", "pypy")]
    packages = next(filter(os.path.isdir, places), "")
    if not packages:
        raise ValueError(f"{folder} has no lib/python{version}/site-packages")
    found = {"VIRTUAL_ENV": folder, "PATH": os.pathsep.join(filter(None, (f"{folder}/bin", env.get("PATH", ""))))}
    linked = [path for pth in sorted(glob(os.path.join(escape(packages), "*.pth"))) for path in _linked(pth)]
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (*linked, env.get("PYTHONPATH", ""), packages)))
    return found


def _linked(pth: str) -> list[str]:
    """The existing folders that a .pth file names."""
    with open(pth, encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.strip() for line in file]
    folders = [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]
    return [path for path in (os.path.join(os.path.dirname(pth), folder) for folder in folders) if os.path.isdir(path)]
