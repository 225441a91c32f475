"""
What an ini makes of a process: every kind of option that Circus's examples use, under Circus 0.19 and under ours.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .conformance import PairCase, Side
from .stack import PYTHON

SHOW = f"{PYTHON} -I -S {Path(__file__).with_name('show.py')} out/"

INI = f"""
[DEFAULT]
graceful_timeout = 2

[env]
COMMON = yes
TWICE = first
FROM = $HOME

[env:env*, other]
TWICE = second
OWN = $(circus.wid)

[watcher:one]
# a comment
; another
cmd = {SHOW}one plain words ; not this
cmd = nothing
args = --a "b c"
    --d 'e $(circus.wid)'
    f\\ g

[watcher:wids]
cmd = {SHOW}wid$(circus.wid) ((circus.wid)) $(circus.numprocesses) $(circus.nope)
numprocesses = 2

[watcher:env]
cmd = {SHOW}env $(circus.env.common) ((circus.env.COMMON)) $(circus.env.twice) $(circus.env.nope)

[watcher:copied]
cmd = {SHOW}copied
copy_env = True

[watcher:path]
cmd = {SHOW}path
copy_env = True
copy_path = True

[watcher:folder]
cmd = {SHOW.replace('out/', '../out/')}folder
working_dir = folder

[watcher:sockets]
cmd = {SHOW}sockets fd=$(circus.sockets.web) fd=$(circus.sockets.unix) fd=$(circus.sockets.packets)
use_sockets = True
ready = after

[watcher:unused]
cmd = {SHOW}unused fd=9
close_child_stdin = False

[watcher:stdin]
cmd = {SHOW}stdin
stdin_socket = web
ready = after

[watcher:shell]
cmd = {SHOW}shell $HOME && echo "a b" > nowhere; echo 'x'
shell = True

[watcher:limits]
cmd = {SHOW}limits
rlimit_nofile = 321

[watcher:ids]
cmd = sh ids.sh
{'uid = 65534' if not os.geteuid() else ''}
{'gid = 65534' if not os.geteuid() else ''}

[watcher:stream]
cmd = {SHOW}stream
stdout_stream.class = FileStream
stdout_stream.filename = {{folder}}/stream.log
stderr_stream.filename = {{folder}}/error.log

[watcher:off]
cmd = {SHOW}off
autostart = False

[watcher:none]
cmd = {SHOW}none
numprocesses = 0

[socket:web]
host = 127.0.0.1
port = 0

[socket:unix]
path = {{folder}}/unix.sock

[socket:packets]
host = 127.0.0.1
port = 0
type = SOCK_DGRAM
"""

IDS = """echo "{\\"env\\": {}, \\"ids\\": \\"$(id)\\"}" >out/ids.new
mv out/ids.new out/ids
exec sleep 1000
"""
"""What a user shows who may not run our Python."""

NAMES = (
    "one", "wid1", "wid2", "env", "copied", "path", "folder", "sockets", "unused", "stdin", "shell", "limits", "ids",
    "stream")
"""The processes that are to appear."""


class InisTests(PairCase):
    """Both run the same ini."""

    ini = INI
    circus = "umask = 027"

    def prepare(self, folder: Path) -> None:
        """Where they write."""
        folder.chmod(0o755)
        (folder / "folder").mkdir()
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        (folder / "ids.sh").write_text(IDS)

    def found(self, side: Side) -> dict[str, Any]:
        """What the processes found."""
        self.until(side, lambda side: all((side.folder / "out" / name).exists() for name in NAMES))
        self.until(side, lambda side: (side.folder / "stream.log").read_text() == "a line\n")
        return {path.name: self.plain(json.loads(path.read_text().replace(str(side.folder), "FOLDER")))
                for path in (side.folder / "out").iterdir()}

    def plain(self, told: dict[str, Any]) -> dict[str, Any]:
        """Without what only one of them has: where it runs, and the title of a section, which leaks from Circus."""
        env = told["env"]
        for name in ("RUNTIME_DIRECTORY", "__name__"):
            env.pop(name, None)
        if "PYTHONPATH" in env:
            env["PYTHONPATH"] = "some"
        return told

    def test_processes(self) -> None:
        """Command lines, environments, descriptors, identities and limits are the same."""
        theirs, mine = self.found(self.theirs), self.found(self.ours)
        self.assertEqual(sorted(theirs), sorted(NAMES))
        self.assertEqual(sorted(mine), sorted(NAMES))
        wrong = [f"{name} {key}" for name in NAMES for key in theirs[name] if theirs[name][key] != mine[name][key]]
        # Environments are for nobody's log, so that only the name of what differs is told of them.
        told = {name: (theirs[name], mine[name]) for name in {each.split()[0] for each in wrong}}
        for pair in told.values():
            for each in pair:
                each["env"] = sorted(each["env"])
        self.assertEqual(wrong, [], told)
        self.assertEqual(*(side.call("status") | {"time": 0, "id": 0} for side in self.sides()))
