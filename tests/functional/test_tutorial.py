"""The tutorial, step by step, as somebody would follow it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import textwrap
import urllib.request
from pathlib import Path

from .stack import HELLO, StackCase
from .test_life import get

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.rst"
BLOCK = re.compile(r"\.\. code-block:: ini\n\n((?:    .*\n|\n)+)")


class TutorialTests(StackCase):
    """From nothing to five workers with the console."""

    def test_steps(self) -> None:
        """Each ini of the page runs, and what the page says can be seen."""
        clock, web, console = (textwrap.dedent(found) for found in BLOCK.findall(PAGE.read_text()))
        daemon = self.daemon(clock)
        for name in ("clock.py", "web.py"):
            shutil.copy(HELLO / name, daemon.folder)
        daemon.start()
        daemon.wait("watcher")
        daemon.wait("clock/1 | ")
        pid = int(daemon.cli("pid", "clock/1").stdout)
        os.kill(pid, signal.SIGKILL)
        daemon.until(lambda: daemon.pids("clock") not in ([], [pid]))
        self.assertIn("1 restart: clock/1 killed by SIGKILL", daemon.cli("status").stdout)
        self.assertEqual(daemon.stop(), 0)
        daemon.ini.write_text((web + console).replace("8000", "0").replace("8080", "0"))
        self.assertEqual(daemon.cli("check", "stack.ini").returncode, 0)
        daemon.start()
        link = daemon.wait("console http").split()[1]
        daemon.wait("web 5/5 ready")
        self.assertTrue(get(daemon.port()))
        with urllib.request.urlopen(link.partition("#")[0], timeout=20) as page:
            self.assertEqual(page.status, 200)
        for words in (("incr", "web"), ("restart", "web"), ("reload", "web"), ("signal", "web/2", "TERM")):
            self.assertEqual(daemon.cli(*words).returncode, 0, words)
        self.assertEqual(daemon.cli("quit").returncode, 0)
        self.assertEqual(daemon.join(), 0)
