"""Part G: the clock, signals, the host."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from .case import PYTHON, Control, FaultCase, alive, descriptors, ended, eventually, rss
from .rows import row
from .test_sockets import SILENT

CLOCK = """
import os, time
real, where = time.time, os.environ["FAULTS_CLOCK"]
def shifted():
    try:
        return real() + float(os.stat(where).st_size and open(where).read())
    except (OSError, ValueError):
        return real()
time.time = shifted
"""
"""Shifts the time of day for Python, as libfaketime does for programs in C."""

STACK = """
[watcher:many]
cmd = sleep 1080
numprocesses = 200
[watcher:probed]
cmd = sleep 1078
live = exec:true
live_interval = 300ms
live_timeout = 300ms
live_threshold = 1
[watcher:crash]
cmd = sleep 1086
numprocesses = 50
"""


class HostFaults(FaultCase):
    """The rows of part G."""

    STACK = STACK

    @row("G77", "the time of day jumps by a day, back and forth, in the middle of a stop too", "no timer is affected")
    def test_G77_clock(self) -> None:
        daemon = self.wrapped("[watcher:w]\ncmd = sh -c 'trap \"\" TERM; while :; do sleep 1000; done'\n"
                              "graceful_timeout = 500ms\n[watcher:bad]\ncmd = sh -c 'exit 1'\n")
        where = daemon.folder / "clock"
        where.write_text("")
        (daemon.folder / "sitecustomize.py").write_text(CLOCK)
        daemon.env |= {"PYTHONPATH": str(daemon.folder), "FAULTS_CLOCK": str(where)}
        self.begun(daemon)
        began = time.monotonic()
        for offset in (-86_400, 86_400, 0):
            with self.events("watcher.w", daemon=daemon) as events:
                daemon.call("restart", name="w")
                asked = self.first(events, "kill")
                where.write_text(str(offset))
                self.first(events, "reap")
                self.first(events, "spawn")
                self.assertTrue(asked)
            with self.events("watcher.bad", daemon=daemon) as events:
                self.first(events, "spawn")
        self.assertLess(time.monotonic() - began, 60)
        self.assertEqual(daemon.stop(), 0)

    @row("G78", "the supervisor stands still for seconds, as when the host sleeps", "nobody is restarted for it")
    def test_G78_frozen(self) -> None:
        (pid,) = self.up("probed")
        self.house.process.send_signal(signal.SIGSTOP)
        time.sleep(1.2)
        self.house.process.send_signal(signal.SIGCONT)
        self.responsive(self.house)
        time.sleep(0.5)
        self.assertEqual(self.house.pids("probed"), [pid])

    @row("G79", "forty SIGHUPs in a row", "one after the other or together, never half; it goes on")
    def test_G79_hups(self) -> None:
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1079\nsend_hup = True\nstop_signal = KILL\n"
                                         "[watcher:x]\ncmd = sleep 1079\nmin_ready = 50ms\n"))
        for _ in range(40):
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.005)
        daemon.call("ping")
        eventually(lambda: all(one["state"] != "running" for one in daemon.call("operation")["operations"]))
        done = [one for one in daemon.call("operation")["operations"] if one["command"] == "reloadconfig"]
        self.assertTrue(0 < len(done) <= 40)
        self.assertEqual(len(daemon.pids("x")), 1)
        self.assertEqual(daemon.stop(), 0)

    @row("G80", "200 processes die at once", "all are back, one end is told for each, no zombie is left")
    def test_G80_storm(self) -> None:
        pids = self.up("many", 200)
        with self.events("watcher.many.reap") as events:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            self.assertEqual({next(events)["pid"] for _ in pids}, set(pids))
        self.house.until(lambda: len(self.house.pids("many")) == 200, ("watcher.many",))
        self.assertFalse(set(pids) & set(self.house.pids("many")))
        self.assertEqual(zombies(self.house.process.pid), [])

    @row("G81", "signals that are meant for others",
         "USR1 opens the logs again, HUP reads the configuration, USR2, WINCH, PIPE, CHLD, CONT and URG do nothing; "
         "TERM, INT and QUIT end it in order")
    def test_G81_signals(self) -> None:
        for end in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1081\n"))
            (pid,) = daemon.pids("w")
            for signum in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGPIPE, signal.SIGCHLD,
                           signal.SIGCONT, signal.SIGURG, signal.SIGXFSZ):
                daemon.process.send_signal(signum)
            self.assertEqual(daemon.pids("w"), [pid])
            self.assertEqual(daemon.stop(end), 0)
            self.assertFalse(alive(pid))

    @row("G82", "SIGTERM comes twice", "the second one ends everybody at once; nobody is left")
    def test_G82_twice(self) -> None:
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sh -c 'trap \"\" TERM; while :; do sleep 1082; done'\n"))
        daemon.process.send_signal(signal.SIGTERM)
        daemon.until(lambda: daemon.call("status")["statuses"]["w"] == "stopping")
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.strays(), [])

    @row("G83", "/proc is not to be seen", "processes are started, restarted and stopped as before")
    def test_G83_noProc(self) -> None:
        self.asRoot()
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1083\n[watcher:l]\ncmd = sleep 1083\n"
                                         "working_dir = /tmp\n", *self.private()))
        daemon.until(lambda: len(daemon.pids("w") + daemon.pids("l")) == 2)
        (pid,) = daemon.pids("w")
        self.hide(daemon, "/proc")
        with self.events("watcher.w", daemon=daemon) as events:
            os.kill(pid, signal.SIGKILL)
            self.first(events, "spawn")
        daemon.call("restart", name="w", waiting=True)
        daemon.call("status", detail=True)
        left = daemon.pids("w") + daemon.pids("l")
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(all(ended(pid) for pid in left))

    @row("G84", "the runtime directory is read-only or full",
         "at the start: told, and on with an abstract socket; later: told, on in memory, written again when it can be")
    def test_G84_full(self) -> None:
        self.asRoot()
        daemon = self.wrapped("[watcher:w]\ncmd = sleep 1084\n")
        daemon.runtime.mkdir()
        daemon.front = self.private(f"mount -t tmpfs -o size=64k,mode=755 none {daemon.runtime}")
        daemon.start()
        # Its socket is to be seen only in its own namespace.
        where = f"/proc/{daemon.process.pid}/root{daemon.where}"
        try:
            eventually(lambda: daemon.process.poll() is not None or os.path.exists(where))
            with Control(where, timeout=30) as control:
                with contextlib.suppress(OSError), open(f"/proc/{daemon.process.pid}/root{daemon.runtime}/fill", "wb",
                                                        buffering=0) as file:
                    while True:
                        file.write(b"x" * 1024)
                control.call("restart", name="w", waiting=True)
                for _ in range(20):
                    control.call("incr", name="w", waiting=True)
                    control.call("decr", name="w", waiting=True)
                daemon.wait("the state journal cannot be written")
                os.unlink(f"/proc/{daemon.process.pid}/root{daemon.runtime}/fill")
                control.call("restart", name="w", waiting=True)
                daemon.wait("the state journal is written again")
        finally:
            daemon.process.terminate()
            daemon.join()

    @row("G85", "the host has no time left", "a process that dies is back all the same")
    def test_G85_busy(self) -> None:
        (pid,) = self.up("probed")
        busy = [subprocess.Popen([PYTHON, "-S", "-c", "while True: pass"]) for _ in range(6)]
        try:
            with self.events("watcher.probed") as events:
                began = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                self.first(events, "spawn")
                self.assertLess(time.monotonic() - began, 10)
            self.responsive(self.house)
        finally:
            for each in busy:
                each.kill()
                each.wait()

    @row("G86", "processes are restarted again and again", "descriptors are constant and memory does not grow")
    def test_G86_leaks(self) -> None:
        self.up("crash", 50)
        pid, seen = self.house.process.pid, []
        self.house.call("ping")
        before = descriptors(pid)
        for _ in range(6):
            self.house.call("restart", name="crash", waiting=True)
            self.house.until(lambda: len(self.house.pids("crash")) == 50, ("watcher.crash",))
            seen.append(rss(pid))
            eventually(lambda: descriptors(pid) <= before)
        self.assertLess(seen[-1] - seen[1], 2 << 20, seen)

    @row("G87", "there are no cgroups", "everything that a process started is found and ended all the same")
    def test_G87_noCgroups(self) -> None:
        self.asRoot()
        daemon = self.wrapped("[watcher:w]\ncmd = sh -c 'setsid sleep 1087 & wait'\n",
                              *self.private("mount -t tmpfs none /sys/fs/cgroup"))
        self.begun(daemon)
        eventually(lambda: len(daemon.strays()) == 2)
        daemon.call("stop", name="w", waiting=True)
        eventually(lambda: daemon.strays() == [])

    @row("G88", "looking up the host's own name takes for ever", "it is never looked up")
    def test_G88_hostname(self) -> None:
        self.asRoot()
        front = (*self.private(
            "hostname no.such.host.example && mount -t tmpfs none /mnt && echo nameserver 127.0.0.1 >/mnt/r && "
            "mount --bind /mnt/r /etc/resolv.conf", "--net", "--uts"), PYTHON, "-S", "-c", SILENT)
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1088\n", *front))
        self.responsive(daemon)
        self.assertEqual(daemon.stop(), 0)
        for path in Path(__file__).resolve().parents[2].glob("circustwist/**/*.py"):
            self.assertNotIn("getfqdn", path.read_text(), path)


def zombies(parent: int) -> list[int]:
    """The children of a process that it has not waited for."""
    found = []
    for pid in map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                found.append(pid)
    return found
