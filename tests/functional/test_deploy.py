"""Deploys under load: the good and the bad."""

from __future__ import annotations

import subprocess
from typing import Any

from .apps import SERVERS, Load, Seen, Site
from .stack import StackCase

QUICK = "min_ready = 0.2\n"
UNKIND = {
    "uvicorn": "at its end it closes connections whose request has not come yet",
}
"""Servers that end some requests of their own when they are asked to end, and how: at most one of each client."""
CLIENTS = 4
"""So many requests are under way at most."""
CRASH = "import os, threading\nthreading.Timer({after}, os._exit, [7]).start()\n"


class DeployTests(StackCase):
    """Code that changes while clients ask at full speed."""

    def site(self, server: str, count: int, more: str = QUICK) -> Site:
        """A site that runs."""
        site = Site(SERVERS[server], count, more)
        self.addCleanup(site.clean)
        site.start().wait("watcher")
        return site

    def deploy(self, site: Site, boot: float = 0.0, before: str = "") -> tuple[subprocess.CompletedProcess[str], Seen]:
        """Put other code on disk and reload; what the command said, and what clients saw."""
        with Load(site.port()) as load:
            site.deploy(boot, before)
            load.seen()
            done = site.cli("reload", "web")
            return done, load.seen()

    def good(self, server: str, count: int, more: str = QUICK) -> None:
        """Every worker is replaced and no request fails."""
        site = self.site(server, count, more)
        before = site.pids("web")
        done, seen = self.deploy(site, 0.5)
        self.assertEqual((done.returncode, done.stderr), (0, ""), site.lines)
        self.assertEqual((len(site.pids("web")), set(site.pids("web")) & set(before)), (count, set()))
        self.assertLessEqual(len(seen.failed), 4 * count if server in UNKIND else 0, seen)
        self.assertEqual((site.stop(), site.strays()), (0, []))

    def bad(self, reason: str, more: str = "", lost: int = 0, **deployed: Any) -> None:
        """
        Nobody is replaced, no request fails, and the reason is told.

        @param lost: how many requests the new code may take with it when it is killed.
        """
        site = self.site("gunicorn", 2, more)
        before = site.pids("web")
        done, seen = self.deploy(site, **deployed)
        self.assertEqual((done.returncode, site.pids("web")[:2]), (1, before), done)
        self.assertLessEqual(len(seen.failed), lost, seen)
        self.assertRegex(done.stderr, reason)
        self.assertRegex(site.detail("web")["problem"], reason)
        self.assertTrue(seen.requests)

    def test_gunicorn(self) -> None:
        """gunicorn, as its ini would be written without any option of ours, one worker."""
        self.good("gunicorn", 1, "")

    def test_gunicorns(self) -> None:
        """Four of them."""
        self.good("gunicorn", 4)

    def test_chaussette(self) -> None:
        """chaussette, one worker."""
        self.good("chaussette", 1)

    def test_chaussettes(self) -> None:
        """Four of them."""
        self.good("chaussette", 4)

    def test_uvicorn(self) -> None:
        """uvicorn, one worker."""
        self.good("uvicorn", 1)

    def test_uvicorns(self) -> None:
        """Four of them."""
        self.good("uvicorn", 4)

    def test_seats(self) -> None:
        """Where each process has its own socket, uvicorn too loses nobody."""
        site = Site(SERVERS["uvicorn"], 2, "min_ready = 1\n")
        self.addCleanup(site.clean)
        site.ini.write_text(site.ini.read_text().replace("port = 0\n", "port = 0\nso_reuseport = True\n"))
        site.start().wait("watcher")
        before = site.pids("web")
        done, seen = self.deploy(site)
        self.assertEqual((done.returncode, seen.failed, set(before) & set(site.pids("web"))), (0, [], set()), done)

    def test_raises(self) -> None:
        """Code that raises at import, without any option of ours."""
        self.bad(r"web/\d+ exited 3 after", before="raise RuntimeError('a bad deploy')\n")

    def test_neverReady(self) -> None:
        """Code that never listens."""
        self.bad(r"web/\d+ was not ready: .* within 1 s", QUICK + "ready_timeout = 1\n", boot=1000)

    def test_crashes(self) -> None:
        """Code whose server is killed some time after it has listened, within min_ready, with what it was asked."""
        self.bad(r"reload failed: web/\d+ killed by SIGKILL after", "min_ready = 5\n", CLIENTS,
                 before=CRASH.format(after=0.8) + "import signal\nparent = os.getppid()\n"
                 "threading.Timer(0.7, os.kill, [parent, signal.SIGKILL]).start()\n")
