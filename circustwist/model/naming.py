"""
What a stack is called and where its files are: pure rules, shared by the
supervisor, which makes them, and by its clients, who look for them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from hashlib import sha256

LONGEST_SOCKET_PATH = 103
"""sun_path holds 108 bytes on Linux and 104 elsewhere, with its final NUL; unix(7)."""


def stackName(path: str, configured: str) -> str:
    """
    The name of a stack.

    @param path: the ini's absolute path; symbolic links in it are left as they
        are, so that a C{current/} link keeps its name.
    @param configured: C{[circus] name}, or nothing.
    """
    if configured:
        return configured
    stem = posixpath.splitext(posixpath.basename(path))[0]
    digest = sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', stem)[:40]}-{digest[:6]}"


def parents(uid: int, environ: Mapping[str, str]) -> list[str]:
    """The folders in which the runtime directories of this user's stacks lie, best first."""
    found = ["/run/circustwist"] if uid == 0 else []
    if environ.get("XDG_RUNTIME_DIR", "").startswith("/"):
        found.append(posixpath.join(environ["XDG_RUNTIME_DIR"], "circustwist"))
    return [*found, f"/tmp/circustwist-{uid}"]


def runtimeDirs(name: str, configured: str, uid: int, environ: Mapping[str, str]) -> list[str]:
    """
    Where a stack's runtime directory may be, best first.

    @param configured: C{[circus] runtime_dir}, or nothing; if it is given, or
        C{RUNTIME_DIRECTORY} is set (systemd.exec(5)), there is no other.
    """
    if configured:
        return [configured]
    if environ.get("RUNTIME_DIRECTORY"):
        return [environ["RUNTIME_DIRECTORY"].split(":")[0]]
    return [posixpath.join(parent, name) for parent in parents(uid, environ)]


def mark(name: str, uid: int, directory: str, namespace: int) -> str:
    """
    What the tokens of a stack's workers begin with.  Another user, another
    container or another runtime directory may have a stack of the same name.

    @param directory: the runtime directory, symbolic links resolved; empty if there is none.
    @param namespace: the inode of the PID namespace; pid_namespaces(7).
    """
    digest = sha256(f"{uid}:{namespace}:{directory}".encode("utf-8", "surrogateescape")).hexdigest()
    return f"{name}/{digest[:8]}"


def controlPath(directory: str) -> str:
    """The control socket in a runtime directory."""
    return posixpath.join(directory, "private", "control")


def abstractControl(name: str, uid: int) -> str:
    """The control socket's abstract address (unix(7)) where no runtime directory can be had."""
    return f"\0circustwist/{uid}/{name}"[:LONGEST_SOCKET_PATH]
