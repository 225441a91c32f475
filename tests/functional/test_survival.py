"""The supervisor is upgraded or killed under load, and nobody notices."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .apps import TALKS, Load, Site, counted
from .stack import HELLO, PYTHON, Control, Daemon, StackCase, alive
from .test_modes import Background

WEB = f"{PYTHON} {HELLO / 'web.py'} --fd $(circus.sockets.web)"
MANY = TALKS + "\n[watcher:many]\ncmd = sleep 100000\nnumprocesses = 20\n"
ROTATES = "stdout_stream.max_bytes = 10000\nstdout_stream.backup_count = 500\n"
PACKAGE = HELLO.parents[2]


class BackgroundSite(Site, Background):
    """The same as a daemon."""


class SurvivalCase(StackCase):
    """Tests of sites whose supervisor goes and comes."""

    def site(self, more: str = MANY, kind: type[Site] = Site) -> Site:
        """A site that does not run yet."""
        site = kind(WEB, 4, "min_ready = 0.1\n" + more)
        self.addCleanup(site.clean)
        return site

    def everyone(self, site: Site) -> dict[str, list[int]]:
        """All pids."""
        return {name: site.pids(name) for name in site.state()}

    def supervised(self, site: Site) -> None:
        """A worker that is killed now is replaced."""
        victim = site.pids("web")[1]
        os.kill(victim, signal.SIGKILL)
        site.until(lambda: victim not in site.pids("web") and len(site.pids("web")) == 4)

    def whole(self, site: Site) -> None:
        """What was written is in the log."""
        self.assertTrue(counted(site.said()), site.said()[:5])


class UpgradeTests(SurvivalCase):
    """C{circustwist upgrade}."""

    def upgraded(self, site: Site, times: int) -> None:
        """No request fails, no pid changes, events are counted on."""
        before, pid = self.everyone(site), site.call("ping")["pid"]
        numbers = []
        with Load(site.port()) as load:
            for _ in range(times):
                done = site.cli("upgrade")
                self.assertEqual((done.returncode, done.stdout), (0, "upgrade done\n"), done)
                with Control(site.where) as control:
                    events = control.events(since=0, timeout=20)
                    site.call("signal", name="many", signum="CONT")
                    numbers.append(next(events)["n"])
            seen = load.seen()
        self.assertEqual((seen.failed, self.everyone(site), site.call("ping")["pid"]), ([], before, pid))
        self.assertEqual(numbers, sorted(set(numbers)))
        self.supervised(site)
        self.assertEqual({os.getpriority(os.PRIO_PROCESS, each) for each in (0, pid, *site.strays())},
                         {os.getpriority(os.PRIO_PROCESS, 0)})

    def test_foreground(self) -> None:
        """Three times in a row, in the foreground."""
        site = self.site()
        site.start().wait("watcher")
        self.upgraded(site, 3)
        self.assertEqual((site.stop(), site.strays()), (0, []))
        self.whole(site)

    def test_daemon(self) -> None:
        """A daemon."""
        site = self.site(kind=BackgroundSite)
        assert isinstance(site, BackgroundSite)
        self.assertEqual(site.launch().returncode, 0)
        site.until(site.settled)
        self.upgraded(site, 2)
        site.end()
        self.assertEqual(site.strays(), [])
        self.whole(site)

    def copied(self, site: Site) -> Path:
        """A copy of the package that a supervisor is to run."""
        folder = Path(tempfile.mkdtemp(prefix="ct-"))
        self.addCleanup(shutil.rmtree, folder, True)
        for name in ("circustwist", "twisted"):
            shutil.copytree(PACKAGE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        site.env["PYTHONPATH"] = str(folder)
        return folder

    def test_broken(self) -> None:
        """A version that does not work: the old one serves on, and the reason is told."""
        site = self.site()
        folder = self.copied(site)
        site.start().wait("watcher")
        before, file = self.everyone(site), folder / "circustwist" / "service.py"
        with Load(site.port()) as load:
            for text, reason in (
                    ("def broken(:\n", "SyntaxError"), ("import nosuchmodule\n", "No module named 'nosuchmodule'")):
                file.write_text(text)
                done = site.cli("upgrade")
                self.assertEqual((done.returncode, self.everyone(site)), (1, before), done)
                self.assertIn(reason, done.stderr)
            self.assertEqual(load.seen().failed, [])
        self.supervised(site)
        self.assertEqual((site.stop(), site.strays()), (0, []))

    def test_installed(self) -> None:
        """Another version is installed: what is first needed now is refused with the reason, until an upgrade."""
        site = self.site()
        folder = self.copied(site)
        site.start().wait("watcher")
        before = self.everyone(site)
        file = folder / "circustwist" / "__init__.py"
        file.write_text(file.read_text() + "# another one\n")
        done = site.cli("stats")
        self.assertEqual(done.returncode, 1)
        self.assertIn("another version of circustwist was installed while this one runs: run circustwist upgrade",
                      done.stderr)
        self.assertEqual(site.cli("upgrade").returncode, 0)
        self.assertEqual((site.cli("stats").returncode, self.everyone(site)), (0, before))
        self.assertEqual((site.stop(), site.strays()), (0, []))

    def test_signal(self) -> None:
        """SIGTERM that comes during the rehearsal, or just after the other version was executed, ends everything."""
        for gone in False, True:
            site = self.site()
            site.start().wait("watcher")
            with Control(site.where, timeout=20) as control:
                control.call("upgrade")
                if gone:
                    self.assertTrue(control.gone(20))
            self.assertEqual((site.stop(), site.strays()), (0, []), site.lines)


class KillTests(SurvivalCase):
    """C{kill -9} of the supervisor, and another start."""

    MOMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
        ("incr", {"name": "many", "nb": 10}), ("decr", {"name": "many", "nb": 10}), ("reload", {"name": "web"}),
        ("restart", {"name": "many"}), ("ping", {}))

    def test_anyMoment(self) -> None:
        """During a spawn, a stop, a reload, a restart and a rotation: each worker is there once, nothing is lost."""
        site = self.site(TALKS + ROTATES + MANY.replace(TALKS, ""))
        site.start().wait("watcher")
        talker = site.pids("talk")
        with Load(site.port()) as load:
            for moment, (command, arguments) in enumerate(self.MOMENTS):
                site.call(command, **arguments)
                time.sleep(0.004 * moment)
                site.kill()
                site.start().wait("adopted")
                self.eventually(site.settled, site)
                seen = load.seen()
                self.assertEqual((seen.failed, site.state()["web"][2], site.pids("talk")), ([], 4, talker), command)
        self.supervised(site)
        self.assertEqual((site.stop(), site.strays()), (0, []))
        self.whole(site)

    def eventually(self, true: Callable[[], bool], site: Daemon) -> None:
        """Wait until something is true, looking after each event and each beat of a second."""
        deadline = time.monotonic() + 20
        while not true():
            self.assertLess(time.monotonic(), deadline, (site.call("status", detail=True), site.strays(), site.lines))
            time.sleep(0.02)  # the end of a process that belongs to nobody is no event

    def test_journal(self) -> None:
        """A journal that was cut short, or damaged: it starts, and nobody runs twice."""
        site = self.site("\n[watcher:many]\ncmd = sleep 100000\nnumprocesses = 6\n")
        site.start().wait("watcher")
        path = site.runtime / "private" / "journal"
        for damage in (lambda data: b"", lambda data: data[:1], lambda data: data[: len(data) // 3],
                       lambda data: data[:-7], lambda data: data.replace(b'"kind":"intent"', b"\xff\x00", 4),
                       lambda data: b"\n".join(data.split(b"\n")[2:])):
            site.kill()
            path.write_bytes(damage(path.read_bytes()))
            site.start().wait("watcher")
            self.eventually(site.settled, site)
            self.assertEqual(sorted(map(len, self.everyone(site).values())), [4, 6])
        pids = site.strays()
        self.assertEqual((site.stop(), [pid for pid in pids if alive(pid)]), (0, []))


class StateTests(StackCase):
    """What was done at run time."""

    INI = "[circus]\nname = state-{pid}\n[watcher:many]\ncmd = sleep 100000\nnumprocesses = 2\nmin_ready = 0.1\n"

    def test_resized(self) -> None:
        """Another number of processes survives an upgrade and C{kill -9}, but not a stop."""
        daemon = self.run_(self.INI.format(pid=os.getpid()))
        daemon.call("incr", name="many", nb=3, waiting=True)
        daemon.call("upgrade")
        daemon.wait("adopted")
        self.told(daemon)
        daemon.kill()
        daemon.start().wait("adopted")
        self.told(daemon)
        daemon.stop()
        daemon.start().wait("many 2/2")
        self.assertNotIn("ini says", daemon.cli("status").stdout)

    def told(self, daemon: Daemon) -> None:
        """Status and plan say so."""
        for command in "status", "plan":
            self.assertRegex(daemon.cli(command).stdout, r"running 5, ini says 2 \(.+, [0-9][0-9]:[0-9][0-9]\)")

    JOB = "[circus]\nname = state-{pid}\n[watcher:job]\ncmd = sleep 100000\nnumprocesses = 3\nrespawn = False\n"

    def test_job(self) -> None:
        """What has ended for good is not started again after an upgrade or C{kill -9}, nor what ended meanwhile."""
        daemon = self.run_(self.JOB.format(pid=os.getpid()))
        first, second, third = daemon.pids("job")
        os.kill(first, signal.SIGKILL)
        daemon.until(lambda: len(daemon.pids("job")) == 2)
        daemon.call("upgrade")
        daemon.wait("adopted")
        self.assertEqual(daemon.pids("job"), [second, third])
        daemon.kill()
        os.kill(second, signal.SIGKILL)
        daemon.start().wait("adopted")
        self.assertEqual(daemon.pids("job"), [third])
        daemon.call("start", name="job", waiting=True)
        self.assertEqual(len(daemon.pids("job")), 3)

    def test_mixed(self) -> None:
        """A reload that was cut short is told until the next good one."""
        daemon = self.run_(self.INI.format(pid=os.getpid()))
        old = daemon.pids("many")
        daemon.ini.write_text(self.INI.format(pid=os.getpid()).replace("0.1", "60"))
        daemon.call("reloadconfig", waiting=True)
        with Control(daemon.where) as control:
            events = control.events(["watcher.many.spawn"])
            daemon.call("reload", name="many")
            next(events)
        daemon.kill()
        daemon.start().wait("adopted")
        self.assertIn("the last reload did not replace 2 of ", daemon.detail("many")["problem"])
        self.assertLessEqual(set(old), set(daemon.pids("many")))
        daemon.ini.write_text(self.INI.format(pid=os.getpid()))
        daemon.call("reloadconfig", waiting=True)
        daemon.call("reload", name="many", waiting=True)
        self.assertEqual(daemon.detail("many")["problem"], "")
