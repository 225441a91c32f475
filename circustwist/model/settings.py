"""
What concerns a stack as a whole: the table of every option of C{[circus]}.
"""

from __future__ import annotations

import attrs

from . import values
from .option import option as _option


@attrs.frozen
class Settings:
    """The C{[circus]} section: what concerns the stack as a whole."""

    name: str = _option(
        values.name, "",
        "The stack's name, by which it is found. Without it: the ini's stem and six hex digits of its path.",
        live="restart", example="shop")
    warmup_delay: float = _option(
        values.seconds, 0.0, "Pause between the starts of two watchers.", live="now", unit="s", example="0.5")
    umask: int | None = _option(
        values.octal, None, "The umask of the supervisor and its workers; without it theirs is inherited.",
        live="restart", example="022")
    pidfile: str = _option(
        values.text, "", "File for the supervisor's pid; without it, one in the runtime directory.",
        live="restart", example="/run/shop.pid")
    logoutput: str = _option(
        values.text, "", "File for the supervisor's own log; - is the standard output.",
        live="restart", example="/var/log/shop.log")
    loglevel: str = _option(
        values.oneOf("critical", "error", "warning", "warn", "info", "debug"), "info",
        "The least severe messages that are logged.", live="restart", example="debug")
    runtime_dir: str = _option(
        values.text, "", "Folder for the control socket, the lock and the state journal.",
        live="restart", example="/run/shop")
    control_group: str = _option(
        values.text, "", "Group whose members may reach the control socket as operators.",
        live="restart", example="ops")
    shutdown_timeout: float | None = _option(
        values.seconds, None, "Longest time that stopping everything may take; then what is left is killed.",
        live="now", unit="s", example="8")
