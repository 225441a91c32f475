"""The unit by which systemd runs a stack; systemd.service(5)."""

from __future__ import annotations

import posixpath
import re

from .stack import Stack

WATCHDOG = 30
"""Seconds after which systemd ends a supervisor that does not say that it lives."""
STORE = 4096
"""So many sockets are kept over a restart."""

_SAFE = re.compile(r"[A-Za-z0-9_.-]{1,80}\Z")


def unitName(stack: Stack) -> str:
    """The stack's name as a unit may be called."""
    if _SAFE.match(stack.name) and stack.name.strip("."):
        return stack.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stack.name)[:80].strip("-") or "circustwist"


def word(text: str) -> str:
    """One word of a command line of systemd; systemd.service(5), "Command lines"."""
    for char, instead in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        text = text.replace(char, instead)
    return text if re.fullmatch(r"[\w./=@:%$+,-]+", text) else f'"{text}"'


def unit(stack: Stack, twistd: str, user: bool) -> str:
    """
    The text of the unit.

    @param twistd: the program's path.
    @param user: for a user's own manager.
    """
    name = unitName(stack)
    where = "~/.config/systemd/user" if user else "/etc/systemd/system"
    manager = "systemctl --user" if user else "systemctl"
    own = [] if stack.settings.runtime_dir else [
        f"RuntimeDirectory=circustwist/{name}", "RuntimeDirectoryMode=0711", "RuntimeDirectoryPreserve=restart"]
    folder = posixpath.dirname(stack.path).replace("%", "%%")
    return "\n".join([
        f"# {where}/{name}.service", f"# {manager} daemon-reload && {manager} enable --now {name}", "",
        "[Unit]", f"Description=The stack {stack.name.replace('%', '%%')}, supervised by circustwist",
        "After=network.target", "",
        "[Service]", "Type=notify", "NotifyAccess=main", f"WorkingDirectory={folder}",
        f"ExecStart={word(twistd)} -n --pidfile= circus -c {word(stack.path)}",
        "# Read the ini again and apply it, then reload what it leaves alone.",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "# The supervisor stops its processes; those of one that was killed go on, and the next one adopts them.",
        "KillMode=process", "Restart=on-failure", "RestartSec=100ms", f"WatchdogSec={WATCHDOG}",
        "# It makes control groups for its workers.", "Delegate=yes", *own,
        "# A restart keeps the sockets, with the connections that wait.  systemd 254 says FDSTORE itself.",
        f"FileDescriptorStoreMax={STORE}", f"Environment=FDSTORE={STORE}", "",
        "[Install]", f"WantedBy={'default.target' if user else 'multi-user.target'}", ""])
