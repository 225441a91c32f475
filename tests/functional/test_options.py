"""Every option of a watcher, as its workers see it."""

from __future__ import annotations

import grp
import os
import pwd
import resource
import sys
from typing import Any
from unittest import skipUnless

from .inside import NOBODY, InsideCase, everybodys
from .stack import Control, ControlError

ROOT = os.getuid() == 0


class EnvironmentTests(InsideCase):
    """What the environment consists of."""

    def test_sections(self) -> None:
        """Without copy_env there is what the env sections and the file say, and the token."""
        more = {"CT_OUTER": "outer"}
        sections = """
[env]
A = $CT_OUTER/x:$UNSET_ANYWHERE:$lower
B = $(circus.env.ct_outer)
C = c
[env:spec*, other]
C = special
D = $(circus.env.a)
[watcher:plain]
cmd = LOOK plain $(circus.env.a) ((circus.env.C))
[watcher:special]
cmd = LOOK special $(circus.env.c)
copy_env = True
[watcher:file]
cmd = LOOK file $(circus.env.f)
env_file = FOLDER/env
"""
        daemon = self.daemon_ = self.inside(sections, env=more)
        (daemon.folder / "env").write_text("# one\nexport F='quo ted'\nG=hush-hush # no\n\nC = below the sections\n")
        daemon.start()
        told = self.looks(3)
        plain = told["plain"]["env"]
        token = plain.pop("CIRCUSTWIST_ID")
        self.assertRegex(token, f"^{daemon.name}/[0-9a-f]{{8}}/[0-9]+$")
        self.assertEqual(plain, {"A": "outer/x::$lower", "B": "outer", "C": "c"})
        self.assertEqual(told["plain"]["argv"], ["outer/x::$lower", "c"])
        special = told["special"]["env"]
        self.assertEqual((special["C"], special["D"], special["CT_OUTER"], special["PATH"]),
                         ("special", "outer/x::$lower", "outer", os.environ["PATH"]))
        self.assertEqual(told["special"]["argv"], ["special"])
        file = told["file"]["env"]
        self.assertEqual((file["F"], file["G"], file["C"]), ("quo ted", "hush-hush # no", "c"))
        self.assertEqual(told["file"]["argv"], ["quo", "ted"])
        self.hidden(b"hush-hush")

    def hidden(self, secret: bytes) -> None:
        """No command shows a value of a file."""
        daemon = self.daemon_
        with Control(daemon.where) as control:
            answers: list[Any] = [control.call("status", detail=True), control.call("options", name="file"),
                                  control.call("list", name="file"), control.call("events", since=0)]
            answers += [control.call("operation")]
        self.assertNotIn(secret.decode(), repr(answers))
        self.assertEqual(answers[1]["options"]["env_file"], f"{daemon.folder}/env")
        for words in (("options", "file"), ("status", "file")):
            self.assertNotIn(secret.decode(), str(daemon.cli(*words)))
        journal = (daemon.runtime / "private" / "journal").read_bytes()
        self.assertEqual(daemon.stop(), 0)
        self.assertNotIn(secret, journal + repr(daemon.lines).encode())

    def test_paths(self) -> None:
        """copy_path and virtualenv lead the way to the modules."""
        sections = """
[watcher:path]
cmd = LOOK path
copy_env = True
copy_path = True
[watcher:venv]
cmd = LOOK venv
copy_env = True
virtualenv = FOLDER/venv
virtualenv_py_ver = 2.5
[watcher:no]
cmd = LOOK no
copy_env = True
virtualenv = FOLDER/venv
max_retry = 1
"""
        daemon = self.daemon_ = self.inside(sections, env={"PYTHONPATH": "/of/ours"})
        packages = daemon.folder / "venv" / "lib" / "python2.5" / "site-packages"
        packages.mkdir(parents=True)
        linked = daemon.folder / "linked"
        linked.mkdir()
        (packages / "a.pth").write_text(f"# x\nimport os\n{linked}\n/not/there\n")
        daemon.start()
        told = self.looks(2)
        path = told["path"]["env"]["PYTHONPATH"].split(":")
        self.assertTrue({"/of/ours", *filter(os.path.isdir, sys.path[-1:])} <= set(path), path)
        venv = told["venv"]["env"]
        self.assertTrue(venv["PATH"].startswith(f"{daemon.folder}/venv/bin:"), venv["PATH"])
        self.assertEqual(venv["PYTHONPATH"], f"{linked}:/of/ours:{packages}")
        daemon.wait("no has failed")
        version = "{}.{}".format(*sys.version_info)
        self.assertIn(f"virtualenv: {daemon.folder}/venv has no lib/python{version}/site-packages",
                      daemon.detail("no")["problem"])


class ProcessTests(InsideCase):
    """What else a process has or is."""

    def test_plain(self) -> None:
        """A worker leads a session, runs in our folder with our umask, and has nothing but its three descriptors."""
        told = self.look("""
[watcher:a]
cmd = LOOK a $WID $(circus.wid) ((circus.WID)) 'two words' $(circus.nothing) $HOME
args = "$(circus.numprocesses)" $(circus.graceful_timeout)
[watcher:b]
cmd = LOOK b
umask = 027
""")
        a, daemon = told["a"], self.daemon_
        self.assertEqual(a["argv"], ["1", "1", "1", "two words", "$(circus.nothing)", "$HOME", "1", "30"])
        self.assertEqual((a["pid"], a["cwd"], a["ppid"]), (a["sid"], str(daemon.folder), daemon.process.pid))
        self.assertEqual((a["sid"], a["nice"]), (a["pgid"], os.nice(0)))
        self.assertEqual(sorted(a["fds"]), ["0", "1", "2"])
        self.assertEqual(a["fds"]["0"], "/dev/null")
        umask = os.umask(0)
        os.umask(umask)
        self.assertEqual((int(a["status"]["Umask"], 8), told["b"]["status"]["Umask"]), (umask, "0027"))
        for name in ("SigBlk", "SigIgn"):
            # Python itself ignores SIGPIPE and SIGXFSZ, and 32 and 33 are the C library's own.
            self.assertEqual(int(a["status"][name], 16) & ~(1 << 12 | 1 << 24 | 3 << 31), 0)
        self.assertEqual(a["limits"]["NOFILE"], list(resource.getrlimit(resource.RLIMIT_NOFILE)))

    def test_limits(self) -> None:
        """Folder, niceness and limits."""
        told = self.look("""
[watcher:a]
cmd = LOOK a $(circus.rlimits.nofile) $(circus.working_dir)
working_dir = /
nice = 5
rlimit_nofile = 200
rlimit_core = 0
rlimit_STACK =
""")["a"]
        self.assertEqual((told["cwd"], told["nice"]), ("/", os.nice(0) + 5))
        limits = told["limits"]
        self.assertEqual((limits["NOFILE"], limits["CORE"], limits["STACK"]), ([200, 200], [0, 0], [-1, -1]))
        self.assertEqual(told["argv"], ["200", "/"])

    def test_shell(self) -> None:
        """With shell every word is quoted again, so that none of the shell's syntax works (Circus)."""
        told = self.look("""
[watcher:a]
cmd = LOOK a $HOME && echo '*' | cat > x;
shell = True
shell_args = --flag
[watcher:b]
cmd = sh -c "exec LOOK b $((1 + 1))"
""")
        self.assertEqual(told["a"]["argv"], ["$HOME", "&&", "echo", "*", "|", "cat", ">", "x;"])
        self.assertEqual(told["b"]["argv"], ["2"])

    @skipUnless(ROOT, "only root can start processes of other users")
    def test_users(self) -> None:
        """Users and groups by name and by number, with the groups that a user is in."""
        python = everybodys()
        if not python:
            self.skipTest("no interpreter that nobody may run")
        nobody, group = pwd.getpwuid(NOBODY), grp.getgrall()[1]
        told = self.look(f"""
[watcher:name]
cmd = LOOK name
uid = {nobody.pw_name}
copy_env = True
[watcher:number]
cmd = LOOK number
uid = {NOBODY}
gid = {group.gr_gid}
[watcher:nameless]
cmd = LOOK nameless
uid = 54321
[watcher:both]
cmd = LOOK both
uid = 54321
gid = {group.gr_name}
[watcher:group]
cmd = LOOK group
gid = {group.gr_gid}
""", python=python, env={"HOME": "/ours"})
        ids = {name: self.ids(each) for name, each in told.items()}
        groups = set(os.getgrouplist(nobody.pw_name, nobody.pw_gid))
        self.assertEqual(ids["name"], (NOBODY, nobody.pw_gid, groups))
        self.assertEqual(ids["number"], (NOBODY, group.gr_gid, {*groups - {nobody.pw_gid}, group.gr_gid}))
        self.assertEqual(ids["nameless"], (54321, 54321, {54321}))
        self.assertEqual(ids["both"], (54321, group.gr_gid, {group.gr_gid}))
        self.assertEqual(ids["group"], (0, group.gr_gid, set(os.getgroups())))
        self.assertEqual(told["name"]["env"]["HOME"], "/ours")

    def ids(self, told: Any) -> tuple[int, int, set[int]]:
        """User, group and supplementary groups; real, effective, saved and the file system's are all the same."""
        status = told["status"]
        (uid,), (gid,) = set(status["Uid"].split()), set(status["Gid"].split())
        return int(uid), int(gid), set(map(int, status["Groups"].split()))


class DescriptorTests(InsideCase):
    """The standard descriptors."""

    def test_standard(self) -> None:
        """Closed is /dev/null, even where there is a stream; not captured is the supervisor's own."""
        sections = """
[watcher:closed]
cmd = LOOK closed
close_child_stdout = True
close_child_stderr = True
stdout_stream.filename = FOLDER/closed.log
[watcher:ours]
cmd = LOOK ours
close_child_stdin = False
capture = False
[watcher:half]
cmd = LOOK half
capture = False
stderr_stream.filename = FOLDER/half.log
"""
        daemon = self.daemon_ = self.inside(sections)
        (daemon.folder / "in").write_text("")
        daemon.front = ("sh", "-c", 'exec "$@" <in', "sh")
        daemon.start()
        told = self.looks(3)
        self.assertEqual(set(told["closed"]["fds"].values()), {"/dev/null"})
        standard = os.readlink(f"/proc/{daemon.process.pid}/fd/1")
        ours = told["ours"]["fds"]
        self.assertEqual((ours["0"], ours["1"], ours["2"]), (f"{daemon.folder}/in", standard, standard))
        half = told["half"]["fds"]
        self.assertEqual((half["0"], half["1"]), ("/dev/null", standard))
        self.assertTrue(half["2"].startswith("pipe:") and half["2"] != standard)

    def test_streams(self) -> None:
        """A file has stamped lines; another is turned when it is full, and so many old ones are kept."""
        program = "i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo line $i; done; echo oops >&2; exec sleep 1000"
        daemon = self.inside(f"""
[watcher:w]
cmd = sh -c '{program}'
stdout_stream.class = FileStream
stdout_stream.filename = FOLDER/out.log
stdout_stream.max_bytes = 1000
stdout_stream.backup_count = 2
stderr_stream.class = FileStream
stderr_stream.filename = FOLDER/err.log
stderr_stream.time_format = at %Y
""").start()
        daemon.wait("watcher")
        while not (daemon.folder / "err.log").stat().st_size:
            pass
        self.assertEqual(daemon.stop(), 0)
        files = [daemon.folder / name for name in ("out.log", "out.log.1", "out.log.2")]
        self.assertEqual(sorted(daemon.folder.glob("out.log*")), files)
        lines = "".join(file.read_text() for file in reversed(files)).splitlines()[1:]
        self.assertEqual(lines, [f"line {n}" for n in range(601 - len(lines), 601)])
        self.assertTrue(all(file.stat().st_size <= 1100 for file in files))
        self.assertRegex((daemon.folder / "err.log").read_text(), r"^at 20\d\d \[?\d+\]? \| oops\n$")


class FailureTests(InsideCase):
    """Workers that cannot be started."""

    def test_told(self) -> None:
        """Step and error are named in the status, in the event and in the log."""
        cases = {
            "folder": ("working_dir = /not/there", "sleep 1000", "chdir: ENOENT /not/there"),
            "user": ("uid = nosuchuser", "sleep 1000", "user: there is no user 'nosuchuser'"),
            "group": ("gid = nosuchgroup", "sleep 1000", "group: there is no group 'nosuchgroup'"),
            "denied": ("", "FOLDER/denied", "execve: EACCES FOLDER/denied"),
            "deniedIn": ("working_dir = /", "FOLDER/denied", "execve: EACCES FOLDER/denied"),
            "script": ("", "FOLDER/script", "execve: ENOENT FOLDER/script: its interpreter /no/interpreter is missing"),
            "limit": ("rlimit_nofile = 99999999999", "sleep 1000", "setrlimit: EPERM nofile 99999999999"),
            "file": ("env_file = FOLDER/absent", "sleep 1000", "env_file: ENOENT FOLDER/absent"),
            "line": ("env_file = FOLDER/badenv", "sleep 1000", "env_file: FOLDER/badenv:2 is not KEY=value"),
        }
        sections = "".join(f"[watcher:{name}]\ncmd = {cmd}\n{option}\nmax_retry = 1\n"
                           for name, (option, cmd, _) in cases.items())
        daemon = self.inside(sections)
        (daemon.folder / "denied").write_text("#!/bin/sh\n")
        (daemon.folder / "script").write_text("#!/no/interpreter -x\n")
        (daemon.folder / "script").chmod(0o755)
        (daemon.folder / "badenv").write_text("A=b\nhush-hush\n")
        daemon.start()
        daemon.wait("9 watchers")
        for name, (_, _, expected) in cases.items():
            text = f"{name}/1 could not be started: {expected.replace('FOLDER', str(daemon.folder))}"
            detail = daemon.detail(name)
            self.assertEqual((detail["status"], detail["problem"].replace("plan: ", "")), ("failed", text))
            self.assertIn(f"error: {text}", [line.replace("plan: ", "") for line in daemon.lines])
        self.assertNotIn("hush-hush", str(daemon.lines))
        self.event(daemon)

    def event(self, daemon: Any) -> None:
        """The event has the step and the number of its own."""
        with Control(daemon.where) as control:
            events = control.events(["watcher.folder.spawn_failure"])
            self.assertRaises(ControlError, daemon.call, "start", name="folder", waiting=True)
            data = next(events)["data"]
        self.assertEqual((data["step"], data["errno"]), ("chdir", 2))
