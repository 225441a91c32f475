"""
The ini under which Circus 0.19 and a stack of ours are compared, and where they differ on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .conformance import PairCase, normal, words

WATCHERS = """
[watcher:one]
cmd = sleep 1000
copy_env = True
numprocesses = 2
flapping.attempts = 5
min_ready = 0
[watcher:Two]
cmd = sleep 1000
copy_env = True
autostart = False
min_ready = 0
[watcher:solo]
cmd = sleep 1000
copy_env = True
singleton = True
min_ready = 0
[socket:web]
host = 127.0.0.1
port = 0
"""

Case = tuple[str, dict[str, Any]]


def case(command: str, **properties: Any) -> Case:
    """A request."""
    return command, properties


ENVIRONMENT = "Environments are shown as ``***``"
KEYS = "``options`` tells every option"
TEXTS = "errors of the client instead of tracebacks"
FREE = "``get`` knows free-form options"
KILL = "``kill`` of an unknown watcher is an error"
PROBLEM = "a ``problem`` key"
FAILED = "the status ``failed``"
SEQUENTIAL = "``--sequential`` is accepted"
SIGNALLED = "``kill`` is published before ``after_signal`` is called"
REFUSED_SPAWN = "the end of a process that ``after_spawn`` has refused is published"
DROPPED = "Circus drops watchers that were added"
DIFFERENCES: Mapping[str, str] = {
    "options": KEYS, "get free": FREE, "get wrong": TEXTS, "stop pattern": TEXTS, "stop number": TEXTS,
    "kill nobody": KILL, "kill signum": TEXTS, "signal unknown": TEXTS, "signal childpid": TEXTS,
    "add fails": PROBLEM, "status fails": FAILED, "circusctl kill nope": KILL, "circusctl signal one nope": TEXTS,
    "raw no object": TEXTS, "raw number": TEXTS, "raw no command": TEXTS, "raw command is a number": TEXTS,
    "raw command is null": TEXTS, "raw properties are a list": TEXTS, "raw properties are null": TEXTS,
    "hooks of all": SIGNALLED, "hooks of spawned": REFUSED_SPAWN,
    "circusctl status four": DROPPED, "events of sequential": SEQUENTIAL,
}
"""Cases in which we differ on purpose, and what the documentation says of it."""


class DifferenceCase(PairCase):
    """Cases that may be in the table of differences."""

    def compare(self, cases: Iterable[tuple[str, Any, Any]]) -> None:
        """
        Compare pairs of what was said.

        @param cases: the name of each, what Circus says and what we say.
        """
        wrong = []
        for name, theirs, mine in cases:
            if (theirs != mine) != (name in DIFFERENCES):
                known = f"  (listed: {DIFFERENCES[name]})" if name in DIFFERENCES else ""
                wrong.append(f"{name}{known}\n    circus {json.dumps(theirs)}\n    ours   {json.dumps(mine)}")
        if wrong:
            self.fail("\n".join(wrong))

    def requests(self, cases: Mapping[str, Case]) -> None:
        """Put requests to both, in order."""
        found = []
        for name, (command, properties) in cases.items():
            theirs, mine = self.both(lambda side, c=command, p=properties: side.call(c, **p))  # type: ignore[misc]
            found.append((name, normal(theirs), normal(mine)))
        self.compare(found)


def said(run: dict[str, Any]) -> dict[str, Any]:
    """What a run of circusctl comes to; JSON as what it means, since its keys have no order."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", run["out"])
    try:
        out = normal(json.loads(plain))
    except ValueError:
        out = words(plain)
    return {"code": run["code"], "out": out, "err": words(run["err"])}
