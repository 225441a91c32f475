"""
What Circus has and this supervisor has not, each with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from .settings import Settings
from .stack import Socket, Watcher
from .users import User

_GONE = "Circus does not read it either"
UNUSED: Mapping[type, Mapping[str, str]] = {
    Settings: {
        "statsd_close_outputs": _GONE, "httpd_close_outputs": _GONE, "stream_backend": _GONE, "proc_name": _GONE,
        "loggerconfig": "Python's logging configuration is not read; see logoutput and loglevel",
        "debug_gc": "the garbage collector cannot be debugged",
        "fqdn_prefix": "nothing is named after it",
        "use_papa": "sockets are always held by the supervisor", "papa_endpoint": "there is no papa",
    },
    User: {},
    Socket: {"proto": "the protocol follows from the type of the socket"},
    Watcher: {
        "executable": "Circus ignores it too; cmd names the program",
        "check_flapping": "see start_limit_burst",
        "stream_backend": _GONE,
        "env": "an [env:NAME] section gives a watcher its environment",
    },
}
"""Options of Circus that are accepted and do nothing, each with the reason."""
