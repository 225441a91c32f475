"""Tests of the program that becomes a worker, and of its plans."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import skipUnless

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.errors import Unstartable
from circustwist.model.launch import Launch
from circustwist.system import launcher, steps

ROOT = os.geteuid() == 0
NAMELESS = 987654
"""A number that no user and no group has."""

words = st.binary(max_size=20).map(lambda word: word.replace(b"\0", b""))
names = st.text("abcdefghij", min_size=1, max_size=10)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is closed at the end."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


class FormatTests(SynchronousTestCase):
    """Plans and reports as bytes."""

    @given(st.lists(st.tuples(names, st.lists(words, max_size=5)), max_size=5))
    def test_plan(self, plan: list[launcher.Step]) -> None:
        """A plan is read as it was written."""
        self.assertEqual(launcher.decode(launcher.encode(plan)), plan)

    @given(names, st.integers(0, 200), words)
    def test_report(self, step: str, number: int, detail: bytes) -> None:
        """A report is read as it was written, before and after everything was ready."""
        report = launcher.report(step, number, detail)
        self.assertEqual(launcher.parse(report), (step, number, detail))
        self.assertEqual(launcher.parse(launcher.READY + report), (step, number, detail))

    def test_silence(self) -> None:
        """Without a word the launcher was killed; ready and no more is success."""
        self.assertEqual(launcher.parse(b"")[0], "launcher")  # type: ignore[index]  # not None
        self.assertIsNone(launcher.parse(launcher.READY))


class IdentityTests(SynchronousTestCase):
    """Who is meant by a user and a group."""

    def test_nobody(self) -> None:
        """Nothing given is nothing changed."""
        self.assertEqual(steps.identity("", ""), steps.Identity())

    def test_user(self) -> None:
        """A user comes with the primary group and the supplementary ones, by name or number."""
        entry = pwd.getpwuid(os.getuid())
        who = steps.Identity(
            entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))
        self.assertEqual(steps.identity(entry.pw_name, ""), who)
        self.assertEqual(steps.identity(str(entry.pw_uid), ""), who)

    def test_both(self) -> None:
        """A group that is given takes the place of the user's own."""
        who = steps.identity(pwd.getpwuid(os.getuid()).pw_name, str(NAMELESS))
        self.assertEqual(who.gid, NAMELESS)
        self.assertIn(NAMELESS, who.groups or ())

    def test_group(self) -> None:
        """A group alone changes nothing else."""
        entry = grp.getgrgid(os.getgid())
        self.assertEqual(steps.identity("", entry.gr_name), steps.Identity(gid=entry.gr_gid))
        self.assertEqual(steps.identity("", str(NAMELESS)), steps.Identity(gid=NAMELESS))

    def test_number(self) -> None:
        """A number that no user has keeps none of our groups."""
        self.assertEqual(steps.identity(str(NAMELESS), ""), steps.Identity(NAMELESS, NAMELESS, (NAMELESS,)))
        self.assertEqual(steps.identity(str(NAMELESS), "5"), steps.Identity(NAMELESS, 5, (5,)))

    def test_unknown(self) -> None:
        """An unknown name is refused in one line."""
        error = self.assertRaises(Unstartable, steps.identity, "nosuchuser", "")
        self.assertEqual(str(error), "user: there is no user 'nosuchuser'")
        error = self.assertRaises(Unstartable, steps.identity, "", "nosuchgroup")
        self.assertEqual(str(error), "group: there is no group 'nosuchgroup'")


class PlanTests(SynchronousTestCase):
    """What stands in a plan."""

    def plan(self, **changes: object) -> list[launcher.Step]:
        """The plan of a launch."""
        launch = attrs.evolve(Launch(("tool", "x")), **changes)
        return launcher.decode(steps.plan(launch, "/bin/tool", (0, 1, 2, 7)))

    def test_least(self) -> None:
        """A plan closes what is not wanted and runs the program."""
        self.assertEqual(self.plan(env={"A": "b=c"}), [
            ("keep", [b"0", b"1", b"2", b"7"]),
            ("execve", [b"/bin/tool", b"0", b"tool", b"x"]),
        ])

    @skipUnless(ROOT, "only root may become somebody else")
    def test_order(self) -> None:
        """Limits, niceness and groups come before the user, the folder after."""
        plan = self.plan(uid=str(NAMELESS), cwd="/", nice=3, rlimits={"core": 0}, listen=1)
        self.assertEqual([step for step, _ in plan], [
            "keep", "setrlimit", "nice", "setgroups", "setgid", "setuid", "chdir", "execve"])

    def test_ourselves(self) -> None:
        """An unprivileged supervisor changes nothing for workers of its own user."""
        self.patch(os, "geteuid", lambda: 1000)
        self.assertNotIn("setuid", dict(self.plan(uid=pwd.getpwuid(os.getuid()).pw_name)))
        self.assertIn("setuid", dict(self.plan(uid=str(NAMELESS))))

    def test_limit(self) -> None:
        """A limit without a value is none; an unknown one is refused."""
        self.assertIn(("setrlimit", [b"core unlimited", b"%d" % resource.RLIMIT_CORE, b""]),
                      self.plan(rlimits={"core": None}))
        self.assertRaises(Unstartable, self.plan, rlimits={"odd": 1})

    def test_bytes(self) -> None:
        """What is no text stays what it was."""
        plan = self.plan(argv=("tool", os.fsdecode(b"\xff")))
        self.assertEqual(plan[-1][1][3:], [b"\xff"])


class ProgramTests(SynchronousTestCase):
    """The program itself, with its reports."""

    def launch(
        self, *plan: launcher.Step, env: Mapping[str, str] | None = None
    ) -> tuple[bytes, bytes, int]:
        """Run a plan: what the status pipe said, what was printed, and the exit code."""
        with pipe() as (status, theirs):
            plan = (("keep", [b"1", b"%d" % theirs]), *plan)
            done = subprocess.run(
                [sys.executable, "-I", "-S", launcher.__file__, str(theirs), *launcher.encode([*plan])],
                env=launcher.environment(env or {}), pass_fds=(theirs,), capture_output=True, check=False)
            os.set_blocking(status, False)
            try:
                said = os.read(status, 4096)
            except BlockingIOError:
                said = b""
            return said, done.stdout, done.returncode

    def sh(self, script: str, listen: bool = False) -> launcher.Step:
        """The last step: a script."""
        return "execve", [b"/bin/sh", b"%d" % listen, b"sh", b"-c", script.encode()]

    def failure(
        self, *plan: launcher.Step, env: Mapping[str, str] | None = None
    ) -> tuple[str, int, bytes]:
        """The report of a plan that must fail."""
        said, printed, code = self.launch(*plan, env=env)
        self.assertEqual((printed, code), (b"", launcher.FAILED))
        failed = launcher.parse(said)
        assert failed is not None
        return failed

    def test_becomes(self) -> None:
        """The program gets its arguments and environment, and nothing is reported but that."""
        said, printed, code = self.launch(self.sh('echo "$A $0"; exit 3'), env={"A": "b=c"})
        self.assertEqual((said, printed, code), (launcher.READY, b"b=c sh\n", 3))

    def test_environment(self) -> None:
        """The environment is exactly the one given, LISTEN_PID added."""
        step: launcher.Step = ("execve", [b"/usr/bin/env", b"1", b"env"])
        _, printed, _ = self.launch(step, env={"A.B": "1", "E": os.fsdecode(b"\xff")})
        lines = printed.splitlines()
        self.assertEqual(lines[:2], [b"A.B=1", b"E=\xff"])
        self.assertTrue(lines[2].startswith(b"LISTEN_PID="))
        self.assertEqual(len(lines), 3)

    def test_loader(self) -> None:
        """What the worker's environment asks of the loader or of Python is not done in the launcher."""
        env = {"LD_DEBUG": "help", "PYTHONVERBOSE": "1", "PYTHONINSPECT": "1"}
        self.assertEqual(
            self.failure(("chdir", [b"/no/such"]), self.sh("true"), env=env), ("chdir", errno.ENOENT, b"/no/such"))

    def test_listenPid(self) -> None:
        """LISTEN_PID is the program's own pid."""
        _, printed, _ = self.launch(self.sh('test "$LISTEN_PID" = $$ && echo same', listen=True))
        self.assertEqual(printed, b"same\n")

    def test_signals(self) -> None:
        """What Python ignores is not ignored by the program."""
        _, printed, _ = self.launch(("execve", [b"/bin/grep", b"0", b"grep", b"SigIgn", b"/proc/self/status"]))
        self.assertEqual(int(printed.split()[1], 16) & (1 << 12 | 1 << 24), 0)

    def test_limits(self) -> None:
        """Limits hold, soft and hard; unlimited descriptors are as many as can be."""
        number = b"%d" % resource.RLIMIT_NOFILE
        for value, expected in ((b"100", b"100 100\n"), (b"", None)):
            _, printed, _ = self.launch(
                ("setrlimit", [b"nofile", number, value]), self.sh("echo $(ulimit -Sn) $(ulimit -Hn)"))
            soft, hard = printed.split()
            self.assertEqual(soft, hard)
            self.assertTrue(expected is None or printed == expected)

    def test_nice(self) -> None:
        """Niceness is added to ours."""
        _, printed, _ = self.launch(("nice", [b"2"]), self.sh("nice"))
        self.assertEqual(int(printed), os.nice(0) + 2)

    def test_folder(self) -> None:
        """The program runs in its folder; a missing one is reported."""
        _, printed, _ = self.launch(("chdir", [b"/usr"]), self.sh("pwd"))
        self.assertEqual(printed, b"/usr\n")
        self.assertEqual(self.failure(("chdir", [b"/no/such"]), self.sh("pwd")), ("chdir", errno.ENOENT, b"/no/such"))

    def test_keep(self) -> None:
        """Nothing stays open but what is listed, and the status pipe not beyond the execve."""
        _, printed, _ = self.launch(("execve", [b"/bin/ls", b"0", b"ls", b"/proc/self/fd"]))
        self.assertEqual(printed.split(), [b"0", b"1"])  # 0 is the listing itself

    def test_execve(self) -> None:
        """A program that cannot be run is reported with the error number."""
        for path, number in ((b"/no/such", errno.ENOENT), (b"/etc/passwd", errno.EACCES), (b"/", errno.EACCES)):
            self.assertEqual(self.failure(("execve", [path, b"0", b"x"])), ("execve", number, path))

    def test_badLimit(self) -> None:
        """A limit that the kernel refuses is reported."""
        step, _, detail = self.failure(("setrlimit", [b"odd 1", b"999", b"1"]), self.sh("true"))
        self.assertEqual((step, bool(detail)), ("setrlimit", True))

    @skipUnless(ROOT, "only root may become somebody else")
    def test_identity(self) -> None:
        """All ids are changed, and for good."""
        who: list[launcher.Step] = [("setgroups", [b"4,20"]), ("setgid", [b"65534"]), ("setuid", [b"65533"])]
        _, printed, _ = self.launch(*who, self.sh("cat /proc/self/status"))
        status = dict(line.split(":\t", 1) for line in printed.decode().splitlines() if ":\t" in line)
        self.assertEqual(status["Uid"].split(), ["65533"] * 4)
        self.assertEqual(status["Gid"].split(), ["65534"] * 4)
        self.assertEqual(status["Groups"].split(), ["4", "20"])
        self.assertEqual(int(status["CapEff"], 16), 0)

    @skipUnless(ROOT, "only root may become somebody else")
    def test_forbidden(self) -> None:
        """The folder and the program are those that the new user may have."""
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder, 0o700)
        self.assertEqual(
            self.failure(("setuid", [b"65534"]), ("chdir", [folder.encode()]), self.sh("true")),
            ("chdir", errno.EACCES, folder.encode()))
        self.assertEqual(self.failure(("setuid", [b"65534"]), ("setuid", [b"0"]))[:2], ("setuid", errno.EPERM))

    @skipUnless(ROOT, "only root may become somebody else")
    def test_verified(self) -> None:
        """A user who could become root again is not let through."""
        self.patch(os, "setresuid", lambda *ids: None)
        self.patch(os, "setuid", lambda uid: None)
        self.assertRaises(launcher.Failed, launcher.setuid, [b"65534"])
