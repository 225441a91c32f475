"""What C{circustwist import} writes, run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .stack import SCRIPTS, Daemon, StackCase

SUPERVISORD = """
[supervisord]
environment = SHARED="yes"
[program:web]
command = /bin/sh -c "echo web %(process_num)d $SHARED $OWN; exec sleep 1000"
numprocs = 2
process_name = %(program_name)s_%(process_num)d
stdout_logfile = %(here)s/web.log
environment = OWN="a, b"
[program:plain]
command = sleep 1000
numprocs = 3
process_name = %(program_name)s_%(process_num)d
stopasgroup = true
[fcgi-program:php]
command = /bin/sh -c "readlink /proc/self/fd/0 >fd; exec sleep 1000"
directory = %(here)s
socket = unix://%(here)s/php.sock
socket_mode = 0600
"""
PROCFILE = """
web: echo port $PORT ; exec sleep 1000
clock: exec sleep 1000
"""


class ImportTests(StackCase):
    """The files of other supervisors become stacks that run."""

    def imported(self, name: str, text: str, *options: str) -> Daemon:
        """The stack that comes of a file, started."""
        daemon = self.daemon("")
        (daemon.folder / name).write_text(text)
        done = subprocess.run(
            [SCRIPTS / "circustwist", "import", name, "-o", "stack.ini", *options], cwd=daemon.folder, check=True,
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout, "")
        daemon.start().wait("watcher")
        return daemon

    def test_supervisord(self) -> None:
        """Programs run with their environments, numbers, logs and sockets."""
        daemon = self.imported("supervisord.conf", SUPERVISORD)
        self.assertEqual(daemon.call("status")["statuses"], dict.fromkeys(("web-0", "web-1", "plain", "php"), "active"))
        self.assertEqual(len(daemon.pids("plain")), 3)
        log: Path = daemon.folder / "web.log"
        daemon.until(lambda: sorted(log.read_text().splitlines()) == ["web 0 yes a, b", "web 1 yes a, b"])
        daemon.until(lambda: (daemon.folder / "fd").exists() and "socket" in (daemon.folder / "fd").read_text())
        self.assertEqual((daemon.folder / "php.sock").stat().st_mode & 0o777, 0o600)
        self.assertEqual(daemon.stop(), 0)

    def test_procfile(self) -> None:
        """Process types run by a shell, each process with its port."""
        daemon = self.imported("Procfile", PROCFILE, "-m", "web=2")
        said = {daemon.wait("port").split("| ")[1] for _ in range(2)}
        self.assertEqual(said, {"port 5000", "port 5001"})
        daemon.until(lambda: len(daemon.pids("clock")) == 1)
        self.assertEqual(daemon.stop(), 0)
