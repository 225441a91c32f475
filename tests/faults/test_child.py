"""Part A: what a child may do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

from .case import FAST, PYTHON, Control, FaultCase, SkipTest, alive, cpu, eventually, kill
from .rows import row

FREEZER = Path("/sys/fs/cgroup/freezer")
STRANGER = 61729
"""A user that nobody is, here or in another test: it signals everybody whom it may."""

TRACER = """
import ctypes, signal, sys
PTRACE_SEIZE = 0x4206
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
assert libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), 0, 0) == 0, ctypes.get_errno()
print("seized", flush=True)
signal.pause()
"""

STACK = f"""
[watcher:a1]
cmd = sh -c 'trap "" TERM; while :; do sleep 1000; done'
graceful_timeout = 400ms
[watcher:a2]
cmd = sh -c 'trap "sleep 0.2; echo the last line; exit 7" TERM; echo a2 up; while :; do sleep 1000 & wait $!; done'
[watcher:a3]
cmd = sh daemonize.sh
[watcher:a4]
cmd = sh -c 'setsid sleep 1004 & exit 3'
kill_mode = process
respawn = False
[watcher:a5]
cmd = sh -c 'sleep 1005 & sleep 1005 & echo a5 up; wait'
[watcher:a6]
cmd = sh -c 'setsid sleep 1006 & (setsid sh -c "sleep 1006 & sleep 1006" &); echo a6 up; wait'
[watcher:a7]
cmd = sh -c 'exit 1'
start_limit_burst = 4
[watcher:a8]
cmd = true
start_limit_burst = 4
[watcher:a9]
cmd = sh die.sh
respawn = False
rlimit_core = 0
[watcher:a10]
cmd = sh -c 'kill -SEGV $$'
respawn = False
rlimit_core = infinity
working_dir = FOLDER
[watcher:a11]
cmd = sleep 1011
[watcher:a12]
cmd = sleep 1012
graceful_timeout = 100ms
[watcher:a13]
cmd = sleep 1013
[watcher:a14]
cmd = sh -c 'exec >&- 2>&-; exec sleep 1014'
[watcher:a15]
cmd = sh -c 'cat; echo a15 eof; exec sleep 1015'
[watcher:a16]
cmd = {FAST} 'import os; os.setuid({STRANGER}); os.execv("/bin/sleep", ["another name", "1016"])'
[watcher:a20]
graceful_timeout = 200ms
cmd = sh -c 'trap "" TERM; kill -TERM 0; kill -TERM -1; echo a20 done; exec sleep 1020'
uid = {STRANGER}
[watcher:a21]
cmd = {PYTHON} -I -S notify.py
ready = notify
ready_timeout = 400ms
[watcher:a22]
cmd = sh -c 'sleep 0.0$0; exit 0' 1
numprocesses = 4
"""

NOTIFY = r"""
import os, signal, socket
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text):
    out.sendto(text, os.environ["NOTIFY_SOCKET"])
mode = open("mode").read()
if mode == "garbage":
    for text in (b"\0\xff" * 100, b"READY=0", b"=", b"\n\n", b"READY", b"MAINPID=1", b"X" * 4000):
        say(text)
    say(b"READY=1\n" * 2)
    say(b"READY=1")
signal.pause()
"""


class ChildFaults(FaultCase):
    """The rows of part A."""

    STACK = STACK

    def furnish(self, folder: Path) -> None:
        (folder / "daemonize.sh").write_text("(setsid sleep 1003 >/dev/null 2>&1 &)\nexit 0\n")
        (folder / "die.sh").write_text(f"kill -$(cat {folder}/signal) $$\nsleep 1000\n")
        (folder / "notify.py").write_text(NOTIFY)
        (folder / "mode").write_text("silent")
        folder.chmod(0o755)

    def sleepers(self, seconds: int) -> list[int]:
        """The living processes C{sleep SECONDS} of this stack."""
        found = []
        for pid in self.house.strays():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(seconds).encode() in words and words[0] != b"sh":
                found.append(pid)
        return found

    @row("A1", "ignores SIGTERM", "SIGKILL at graceful_timeout; commands are answered meanwhile")
    def test_A1_ignoresTerm(self) -> None:
        (pid,) = self.up("a1")
        with self.events("watcher.a1") as events:
            self.house.call("stop", name="a1")
            asked = self.first(events, "kill")
            self.responsive(self.house)
            self.assertTrue(alive(pid))
            forced = self.first(events, "kill")
            reap = self.first(events, "reap")
        self.assertEqual((asked["data"]["signum"], forced["data"]["signum"]), (signal.SIGTERM, signal.SIGKILL))
        self.assertGreater(forced["time"] - asked["time"], 0.39)
        self.assertEqual(reap["data"]["exit_code"], -signal.SIGKILL)

    @row("A2", "takes its time after SIGTERM and writes a last line",
         "the line is kept, no SIGKILL, the exit code told")
    def test_A2_lastLine(self) -> None:
        self.up("a2")
        self.house.wait("a2 up")
        with self.events("watcher.a2") as events:
            self.house.call("stop", name="a2")
            self.assertEqual(self.first(events, "kill")["data"]["signum"], signal.SIGTERM)
            reap = next(events)
        self.assertEqual((reap["event"], reap["data"]["exit_code"]), ("reap", 7))
        self.house.wait("the last line")

    @row("A3", "forks twice and leaves a daemon", "the daemon is ended with it: never two of them, none after a stop")
    def test_A3_daemonizes(self) -> None:
        with self.events("watcher.a3") as events:
            self.house.call("start", name="a3")
            for _ in range(3):
                self.first(events, "reap")
                self.assertLessEqual(len(self.sleepers(1003)), 1)
        self.down("a3")
        eventually(lambda: not self.sleepers(1003))

    @row("A4", "a grandchild holds its output when it is dead", "its end is seen at once")
    def test_A4_pipeHeld(self) -> None:
        with self.events("watcher.a4") as events:
            self.house.call("start", name="a4")
            reap = self.first(events, "reap")
        self.assertEqual(reap["data"]["exit_code"], 3)
        (held,) = eventually(lambda: self.sleepers(1004))
        kill(held)

    @row("A5", "has children when it is stopped", "none of them is left")
    def test_A5_children(self) -> None:
        self.up("a5")
        self.house.wait("a5 up")
        self.assertEqual(len(eventually(lambda: self.sleepers(1005))), 2)
        self.down("a5")
        self.assertEqual(self.sleepers(1005), [])

    @row("A6", "has descendants in sessions of their own", "none of them is left")
    def test_A6_sessions(self) -> None:
        self.up("a6")
        self.house.wait("a6 up")
        eventually(lambda: len(self.sleepers(1006)) == 3)
        self.down("a6")
        eventually(lambda: not self.sleepers(1006))

    def crashes(self, name: str) -> None:
        """A watcher whose process dies at once is given up after as many as its limit says."""
        with self.events(f"watcher.{name}") as events:
            self.house.call("start", name=name)
            spawns = []
            for event in events:
                if event["event"] == "spawn":
                    spawns.append(event["time"])
                if event["event"] == "failed":
                    break
        pauses = [later - earlier for earlier, later in pairwise(spawns)]
        self.assertEqual(len(spawns), 4)
        self.assertGreater(pauses[2], pauses[0])
        detail = self.house.detail(name)
        self.assertEqual(detail["status"], "failed")
        self.assertIn("4", detail["problem"])

    @row("A7", "exits with an error at once, again and again",
         "growing pauses; with start_limit_burst the state failed, and why")
    def test_A7_crashLoop(self) -> None:
        self.crashes("a7")

    @row("A8", "exits with 0 at once, again and again", "the same")
    def test_A8_successLoop(self) -> None:
        self.crashes("a8")

    @row("A9", "dies by each signal that kills", "the event tells the signal")
    def test_A9_signals(self) -> None:
        deadly = [number for number in [*range(1, 32), 40] if number not in (
            signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
            signal.SIGURG, signal.SIGWINCH)]
        with self.events("watcher.a9") as events:
            for number in deadly:
                (self.house.folder / "signal").write_text(str(number))
                self.house.call("start", name="a9")
                data = self.first(events, "reap")["data"]
                self.assertEqual(data["exit_code"], -number, data)
                self.assertTrue(data["reason"].startswith("killed by SIG"), data)

    @row("A10", "dumps core", "told with its end; rlimit_core from the configuration")
    def test_A10_core(self) -> None:
        pattern = Path("/proc/sys/kernel/core_pattern").read_text()
        with self.events("watcher.a10") as events:
            self.house.call("start", name="a10")
            data = self.first(events, "reap")["data"]
        self.assertEqual(data["exit_code"], -signal.SIGSEGV)
        if "(core dumped)" not in data["reason"] and pattern.startswith("|"):
            raise SkipTest("the host hands core dumps to a program that takes none")
        self.assertEqual(data["reason"], "killed by SIGSEGV (core dumped)")

    @row("A11", "was stopped by SIGSTOP", "a stop continues it, so that it ends at once")
    def test_A11_stopped(self) -> None:
        (pid,) = self.up("a11")
        os.kill(pid, signal.SIGSTOP)
        with self.events("watcher.a11") as events:
            self.house.call("stop", name="a11", waiting=True)
            self.assertEqual(self.first(events, "reap")["data"]["exit_code"], -signal.SIGTERM)
        self.assertFalse(alive(pid))

    @row("A12", "cannot be killed: it is frozen, or in the kernel",
         "told as unkillable, everything else goes on, its end is seen when it comes")
    def test_A12_unkillable(self) -> None:
        self.asRoot()
        group = FREEZER / f"faults-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            raise SkipTest("needs the freezer of cgroup v1, in which SIGKILL waits") from None
        self.addCleanup(group.rmdir)
        (pid,) = self.up("a12")
        (group / "tasks").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        try:
            eventually(lambda: (group / "freezer.state").read_text().strip() == "FROZEN")
            with self.events("watcher.a12") as events:
                self.house.call("stop", name="a12")
                told = self.first(events, "unkillable")
                self.assertEqual(told["pid"], pid)
                self.assertIn("a12/1", self.house.detail("a12")["problem"])
                self.responsive(self.house)
                (group / "freezer.state").write_text("THAWED")
                self.assertEqual(self.first(events, "reap")["pid"], pid)
        finally:
            (group / "freezer.state").write_text("THAWED")
        eventually(lambda: not (group / "tasks").read_text())

    @row("A13", "is traced by somebody who holds its end back", "no busy waiting; its end is seen when it is let go")
    def test_A13_traced(self) -> None:
        (pid,) = self.up("a13")
        tracer = subprocess.Popen([PYTHON, "-I", "-S", "-c", TRACER, str(pid)], stdout=subprocess.PIPE)
        self.addCleanup(tracer.stdout.close)
        self.addCleanup(tracer.wait)
        self.addCleanup(tracer.kill)
        if tracer.stdout.readline() != b"seized\n":
            raise SkipTest("tracing is not allowed here")
        with self.events("watcher.a13") as events:
            os.kill(pid, signal.SIGKILL)
            before = cpu(self.house.process.pid)
            time.sleep(0.3)
            self.responsive(self.house)
            self.assertLess(cpu(self.house.process.pid) - before, 0.15)
            tracer.kill()
            self.assertEqual(self.first(events, "reap")["pid"], pid)
            self.first(events, "spawn")

    @row("A14", "closes its outputs and lives on", "it goes on, and costs nothing")
    def test_A14_closesOutput(self) -> None:
        (pid,) = self.up("a14")
        eventually(lambda: not os.path.exists(f"/proc/{pid}/fd/1"))
        before = cpu(self.house.process.pid)
        time.sleep(0.2)
        self.responsive(self.house)
        self.assertLess(cpu(self.house.process.pid) - before, 0.1)
        self.assertEqual(self.house.pids("a14"), [pid])

    @row("A15", "reads its standard input for ever", "it is /dev/null: the end at once")
    def test_A15_stdin(self) -> None:
        (pid,) = self.up("a15")
        self.house.wait("a15 eof")
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null")

    @row("A16", "changes its user, name and arguments", "it is supervised and stopped as before")
    def test_A16_changes(self) -> None:
        self.asRoot()
        (pid,) = self.up("a16")
        eventually(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"another name"))
        self.assertEqual(self.house.pids("a16"), [pid])
        self.house.call("stop", name="a16", waiting=True)
        self.assertFalse(alive(pid))

    @row("A19", "ends, and its number is given to a stranger before we signal", "the stranger never gets the signal")
    def test_A19_recycled(self) -> None:
        """In a pid namespace of its own a stranger is made with the number of a worker that has just ended."""
        self.asRoot()
        script = Path(__file__).with_name("recycled.py")
        found = subprocess.run(["unshare", "-p", "-f", "-m", "--mount-proc", PYTHON, str(script)], check=False,
                               capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[2])
        if "unshare" in found.stderr:
            raise SkipTest(f"no namespaces here: {found.stderr.strip()}")
        self.assertEqual(found.stdout.strip(), "the stranger lives", found.stderr)

    @row("A20", "signals its group, and everybody it may", "the supervisor is in another session and of another user")
    def test_A20_signalsAll(self) -> None:
        self.asRoot()
        (pid,) = self.up("a20")
        self.house.wait("a20 done")
        self.responsive(self.house)
        self.assertEqual(self.house.pids("a20"), [pid])

    @row("A21", "says that it is ready never, twice, or amid garbage",
         "after ready_timeout it is replaced, as told; what makes no sense is ignored")
    def test_A21_readiness(self) -> None:
        mode = self.house.folder / "mode"
        mode.write_text("garbage")
        with self.events("watcher.a21") as events:
            self.house.call("start", name="a21", waiting=True)
            self.assertEqual([w["state"] for w in self.house.detail("a21")["workers"]], ["ready"])
            self.down("a21")
            mode.write_text("silent")
            self.house.call("start", name="a21")
            self.addCleanup(self.down, "a21")
            unfit = self.first(events, "unfit")
            self.assertIn("was not ready", unfit["data"]["reason"])
            self.assertEqual(self.first(events, "reap")["pid"], unfit["pid"])

    @row("A22", "ends just when it is to be stopped", "one end is told for each start, and nobody is left")
    def test_A22_races(self) -> None:
        drawn = random.Random(22)
        with Control(self.house.where) as control:
            before = control.call("events", topics=["nothing"])["n"]
            for _ in range(40):
                control.call("start", name="a22")
                time.sleep(drawn.random() * 0.03)
                control.call("stop", name="a22", waiting=True)
                self.assertEqual(control.call("list", name="a22")["pids"], [])
            last = control.call("events", topics=["nothing"])["n"]
            events = control.events(since=before)
            told = [next(events) for _ in range(last - before)]
        spawned, reaped = (
            [e["pid"] for e in told if (e["watcher"], e["event"]) == ("a22", name)] for name in ("spawn", "reap"))
        self.assertEqual(sorted(spawned), sorted(reaped))
        self.assertGreater(len(spawned), 40)
