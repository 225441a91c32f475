"""Part B: what keeps a process from being started."""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from pathlib import Path

from circustwist.model.ini import read

from .case import PYTHON, ROOT, Control, ControlError, FaultCase, cpu, descriptors, eventually
from .rows import row

CASES = {
    "missing": ("/not/there", "", "execve: ENOENT"),
    "denied": ("FOLDER/denied", "", "execve: EACCES"),
    "format": ("FOLDER/format", "", "execve: ENOEXEC"),
    "interpreter": ("FOLDER/script", "", "its interpreter /no/interpreter is missing"),
    "busy": ("FOLDER/busy", "", "execve: ETXTBSY"),
    "loop": ("FOLDER/loop", "", "execve: ELOOP"),
    "long": ("FOLDER/ok", "args = " + "x" * 131_072, "execve: E2BIG"),
}

B23 = "".join(f"""
[watcher:{name}]
cmd = {cmd}
{option}
max_retry = 1
[watcher:{name}-cwd]
cmd = {cmd}
{option}
working_dir = FOLDER
max_retry = 1
""" for name, (cmd, option, _) in CASES.items())

STACK = f"""{B23}
[watcher:b24]
cmd = sh -c 'exit 1'
working_dir = FOLDER/here
[watcher:b25]
cmd = sleep 1025
uid = nosuchuser
max_retry = 1
[watcher:b25n]
cmd = sleep 1025
uid = 54321
[watcher:b26]
cmd = sleep 1026
rlimit_nofile = 999999999999
max_retry = 1
[watcher:b32]
cmd = {PYTHON} -I -S tell.py
respawn = False
[env:b32]
PERCENT = 100%%
EQUALS = a=b=c
BYTES = \\x
BIG = {"v" * 100_000}
[watcher:b34]
cmd = sleep 1034
numprocesses = 0
"""

TELL = """
import json, sys
with open("/proc/self/environ", "rb") as file:
    found = dict(entry.split(b"=", 1) for entry in file.read().split(b"\\0") if entry)
with open("told", "w") as file:
    json.dump({name.decode(): value.decode("latin-1") for name, value in found.items()}, file)
"""


class SpawnFaults(FaultCase):
    """The rows of part B that one supervisor can bear."""

    STACK = STACK

    def furnish(self, folder: Path) -> None:
        (folder / "denied").write_text("#!/bin/sh\n")
        for name, text in (("format", "nothing"), ("script", "#!/no/interpreter -x\n"), ("ok", "#!/bin/sh\n")):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        shutil.copy("/bin/true", folder / "busy")
        (folder / "loop").symlink_to("loop")
        (folder / "here").mkdir()
        (folder / "tell.py").write_text(TELL)
        folder.chmod(0o755)

    @row("B23", "the program is missing, not executable, of another format, without its interpreter, being written, a "
         "loop of links, or its arguments are too long", "step and error in the status and the event; others start")
    def test_B23_exec(self) -> None:
        with (self.house.folder / "busy").open("r+b"):
            for name, (_, _, expected) in CASES.items():
                for each in (name, f"{name}-cwd"):  # both roads
                    with self.events(f"watcher.{each}") as events:
                        self.house.call("start", name=each)
                        data = self.first(events, "spawn_failure")["data"]
                        self.assertIn(expected, data["error"], each)
                        self.assertIn(expected, self.house.detail(each)["problem"])
                    self.down(each)
        self.assertEqual(len(self.up("b25n")), 1)

    @row("B24", "the folder to run in vanishes between two starts", "the error names it; tried again until it is back")
    def test_B24_folder(self) -> None:
        here = self.house.folder / "here"
        with self.events("watcher.b24") as events:
            self.house.call("start", name="b24")
            self.addCleanup(self.down, "b24")
            self.first(events, "reap")
            here.rmdir()
            self.assertIn(f"chdir: ENOENT {here}", self.first(events, "spawn_failure")["data"]["error"])
            here.mkdir()
            self.first(events, "spawn")

    @row("B25", "there is no such user; a number that no user has", "only that watcher fails, and why; a number works")
    def test_B25_user(self) -> None:
        self.asRoot()
        self.assertRaises(ControlError, self.house.call, "start", name="b25", waiting=True)
        detail = self.house.detail("b25")
        self.assertEqual((detail["status"], "nosuchuser" in detail["problem"]), ("failed", True))
        (pid,) = self.up("b25n")
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, 54321)

    @row("B26", "a resource limit above the hard one, negative, or unknown",
         "refused when the ini is read, by line; what only the kernel refuses is told with its step")
    def test_B26_limit(self) -> None:
        for line in ("rlimit_nofile = -5", "rlimit_nofile = many", "rlimit_nonsense = 5"):
            text = f"[watcher:w]\ncmd = true\n{line}\n"
            (problem,) = read("x.ini", lambda path, text=text: text.encode(), lambda pattern: [], {}).problems
            self.assertEqual(problem.place.line, 3, problem)
        self.assertRaises(ControlError, self.house.call, "start", name="b26", waiting=True)
        self.assertIn("setrlimit: EPERM nofile", self.house.detail("b26")["problem"])

    @row("B32", "the environment has =, newlines, bytes that are no UTF-8, or 100 kB",
         "passed byte for byte")
    def test_B32_environment(self) -> None:
        with self.events("watcher.b32") as events:
            self.house.call("start", name="b32")
            self.assertEqual(self.first(events, "reap")["data"]["exit_code"], 0)
        told = json.loads((self.house.folder / "told").read_text())
        self.assertEqual((told["EQUALS"], len(told["BIG"])), ("a=b=c", 100_000))
        strange = self.wrapped(f"[watcher:b32]\ncmd = {PYTHON} -I -S tell.py\nrespawn = False\ncopy_env = True\n",
                               env={"BYTES": os.fsdecode(b"\xff\xfe\x80"), "LINES": "a\nb\n"})
        self.furnish(strange.folder)
        strange.start()
        strange.wait("watcher")
        told = json.loads(eventually(lambda: self.text(strange.folder / "told")))
        self.assertEqual((told["BYTES"], told["LINES"]), ("\xff\xfe\x80", "a\nb\n"))

    def text(self, path: Path) -> str:
        """What is in a file, nothing as long as it is not there."""
        return path.read_text() if path.exists() else ""

    @row("B33", "an expansion of something unset, cyclic, or with stray signs", "told with file and line, or kept")
    def test_B33_expansion(self) -> None:
        for cmd, told in (("sh $(circus.nothing)", "circus.nothing"), ("sh ((circus.env.NOPE))", "nope"),
                          ("sh $(circus.sockets.none)", "none")):
            text = f"[watcher:w]\ncmd = {cmd}\n"
            problems = read("x.ini", lambda path, text=text: text.encode(), lambda pattern: [], {}).problems
            self.assertTrue(any(told in str(problem) and problem.place.line for problem in problems), (cmd, problems))
        text = "[env]\nA = $B\nB = $A\nC = $$ % $\n[watcher:w]\ncmd = true\n"
        stack = read("x.ini", lambda path: text.encode(), lambda pattern: [], {}).stack
        self.assertIn("C", stack.watchers[0].env)

    @row("B34", "numprocesses is 0, negative, enormous, or no number", "0 is none; all others are refused")
    def test_B34_number(self) -> None:
        self.assertEqual(self.up("b34", 0), [])
        for number in ("-1", "1000001", "1.5", "many", "1e3"):
            text = f"[watcher:w]\ncmd = true\nnumprocesses = {number}\n"
            (problem,) = read("x.ini", lambda path, text=text: text.encode(), lambda pattern: [], {}).problems
            self.assertEqual((problem.place.line, problem.option), (3, "numprocesses"))
        for number in (10**6, 10**30):
            self.assertRaises(ControlError, self.house.call, "incr", name="b34", nb=number)
        self.house.call("decr", name="b34", nb=5, waiting=True)
        self.assertEqual(self.house.pids("b34"), [])


class HostFaults(FaultCase):
    """The rows of part B for which a supervisor of its own is put into want."""

    @row("B27", "the host has no process left (EAGAIN)",
         "never given up: tried again until it has; those that run stay, commands are answered")
    def test_B27_processes(self) -> None:
        group = self.cgroup("pids")
        group.set(pids_max=9)
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1027\nnumprocesses = 12\n", *group.enter()))
        running = eventually(lambda: set(daemon.pids("w")))
        eventually(lambda: "EAGAIN" in daemon.detail("w")["problem"])
        before = cpu(daemon.process.pid)
        time.sleep(0.3)
        self.assertLess(cpu(daemon.process.pid) - before, 0.15)
        self.assertEqual(daemon.detail("w")["status"] in ("starting", "active"), True)
        group.set(pids_max=100)
        daemon.until(lambda: len(daemon.pids("w")) == 12, ("watcher.w",))
        self.assertLessEqual(running, set(daemon.pids("w")))

    @row("B28", "the supervisor has no descriptor left (EMFILE)",
         "commands are answered from a reserve, it costs nothing, and all is well when there are some")
    def test_B28_descriptors(self) -> None:
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1028\nnumprocesses = 41\nautostart = False\n"))
        _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        # Not by prlimit(1) from the start, since raising a hard limit takes a capability.
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (46, hard))
        daemon.call("start", name="w")
        eventually(lambda: "EMFILE" in daemon.detail("w")["problem"])
        running = set(daemon.pids("w"))
        self.assertGreater(len(running), 2)
        before = cpu(daemon.process.pid)
        for _ in range(5):
            self.responsive(daemon)
            time.sleep(0.1)
        self.assertLess(cpu(daemon.process.pid) - before, 0.25)
        self.assertLessEqual(running, set(daemon.pids("w")))
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (400, hard))
        daemon.until(lambda: len(daemon.pids("w")) == 41, ("watcher.w",))
        self.assertEqual(daemon.stop(), 0)

    @row("B29", "pipes cannot be made, /dev is empty",
         "tried again, no descriptor is lost in a thousand failures; /dev is not needed")
    def test_B29_noPipes(self) -> None:
        self.asRoot()
        daemon = self.begun(self.wrapped("[watcher:w]\ncmd = sleep 1029\nnumprocesses = 300\nautostart = False\n"
                              "[watcher:ok]\ncmd = sleep 1029\n", *self.private()))
        pid = daemon.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        with Control(daemon.where) as control, self.events("watcher.w", daemon=daemon) as events:
            before = descriptors(pid)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (before + 1, hard))
            control.call("start", name="w")
            for _ in range(1000):
                self.assertIn("EMFILE", self.first(events, "spawn_failure")["data"]["error"])
            eventually(lambda: descriptors(pid) == before)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            control.call("stop", name="w", waiting=True)
            self.hide(daemon, "/dev")
            control.call("restart", name="ok", waiting=True)
            self.assertEqual(len(daemon.pids("ok")), 1)
            eventually(lambda: descriptors(pid) == before)

    @row("B30", "a thousand processes are wanted at the start", "all run soon; commands are answered meanwhile")
    def test_B30_thousand(self) -> None:
        daemon = self.wrapped("[watcher:w]\ncmd = sleep 1030\nnumprocesses = 1000\n").start()
        eventually(lambda: os.path.exists(daemon.where))
        with Control(daemon.where) as control:
            while len(control.call("list", name="w")["pids"]) < 1000:
                began = time.monotonic()
                control.call("ping")
                self.assertLess(time.monotonic() - began, 5)
        daemon.process.kill()

    @row("B31", "the launcher is missing, or another one", "each start fails with what is missing, the rest goes on")
    def test_B31_launcher(self) -> None:
        daemon = self.wrapped("[watcher:w]\ncmd = sleep 1031\nworking_dir = /\nmax_retry = 1\nautostart = False\n"
                              "[watcher:ok]\ncmd = sleep 1031\n")
        shutil.copytree(ROOT / "circustwist", daemon.folder / "circustwist")
        shutil.copytree(ROOT / "twisted", daemon.folder / "twisted")
        daemon.env |= {"PYTHONPATH": str(daemon.folder)}
        daemon.start()
        daemon.wait("2 watchers")
        launcher = daemon.folder / "circustwist" / "system" / "launcher.py"
        for text in (None, "import sys; sys.exit(3)\n"):
            launcher.unlink()
            if text is not None:
                launcher.write_text(text)
            self.assertRaises(ControlError, daemon.call, "start", name="w", waiting=True)
            self.assertIn("launcher", daemon.detail("w")["problem"])
            launcher.touch()
        self.assertEqual(daemon.detail("ok")["status"], "active")
