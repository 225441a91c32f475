"""Tests of what a worker is started as."""

from __future__ import annotations

import shlex
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.launch import Launch, Names, plan, socketNumbers, token, variables
from circustwist.model.stack import Socket, Stack, Watcher
from circustwist.model.streams import Stream

quick = settings(deadline=None, max_examples=100)
NAMES = Names(id=41, watcher="web", wid=3, seat=2, generation=1)
NUMBERS = {"api": 5, "web": 6}


def launch(env: dict[str, str] | None = None, **options: Any) -> Launch:
    """What a worker of a watcher with these options is started as."""
    return plan(Watcher("web", **{"cmd": "run", **options}), NAMES, "shop", NUMBERS, env or {})


class RoadTests(SynchronousTestCase):
    """Tests of L{Launch.road}."""

    def test_direct(self) -> None:
        """Descriptors, signals, a session and the umask take the direct road."""
        self.assertEqual(launch(use_sockets=True, umask=0o27, stop_signal=3, shell=True).road, "direct")

    def test_launcher(self) -> None:
        """Whatever posix_spawn(3) cannot set takes the launcher."""
        for options in (
            {"uid": "nobody"}, {"gid": "0"}, {"working_dir": "/"}, {"nice": 0}, {"rlimits": {"nofile": None}},
            {"listen_fds": ("web",)},
        ):
            self.assertEqual(launch(**options).road, "launcher", options)

    def test_handedOn(self) -> None:
        """What the watcher says about its processes is handed on."""
        made = launch(uid="u", gid="g", working_dir="/w", umask=0o22, nice=5, rlimits={"core": 0}, stop_children=True)
        self.assertEqual(
            (made.uid, made.gid, made.cwd, made.umask, made.nice, made.rlimits, made.killMode),
            ("u", "g", "/w", 0o22, 5, {"core": 0}, "control-group"))


class CommandTests(SynchronousTestCase):
    """Tests of the words of a command line."""

    def test_names(self) -> None:
        """A worker is called by its watcher and number."""
        self.assertEqual(str(NAMES), "web/3")

    def test_split(self) -> None:
        """The command and its arguments are split as a shell does."""
        self.assertEqual(launch(cmd="run 'a b'\n-x", args='"c d" e').argv, ("run", "a b", "-x", "c d", "e"))

    def test_listOfArguments(self) -> None:
        """Arguments that are a list are not split."""
        self.assertEqual(launch(args=("a b", "$(circus.wid)")).argv, ("run", "a b", "3"))

    def test_variables(self) -> None:
        """A command line knows the worker, its sockets, its environment and its watcher."""
        made = launch(
            {"HOME": "/h"}, cmd="run $(circus.wid) $WID $(circus.sockets.web) ((circus.env.home))",
            args="$(circus.numprocesses) $(circus.graceful_timeout) $(circus.rlimits.core) $(circus.name)",
            rlimits={"core": 0})
        self.assertEqual(made.argv, ("run", "3", "3", "6", "/h", "1", "30", "0", "$(circus.name)"))

    def test_noValue(self) -> None:
        """An option without a value stands for nothing."""
        found = variables(Watcher("web", rlimits={"core": None}), NAMES, {}, {})
        self.assertEqual((found["circus.rlimits.core"], found["circus.uid"]), ("", ""))

    def test_shell(self) -> None:
        """With a shell the words are quoted again, so that they mean the same to it."""
        made = launch(cmd="run 'a b' $HOME", args="';'", shell=True, shell_args="zero 'on e'")
        self.assertEqual(made.argv, ("/bin/sh", "-c", "run 'a b' '$HOME' ';'", "zero", "on e"))

    def test_badQuotes(self) -> None:
        """A command line whose quotes do not close cannot be split."""
        self.assertRaises(ValueError, launch, cmd="run 'a")

    @quick
    @given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="$(\0"))))
    def test_quotedWords(self, words: list[str]) -> None:
        """Quoted words come out as they went in, with a shell and without."""
        line = shlex.join(words)
        self.assertEqual(launch(args=line).argv, ("run", *words))
        self.assertEqual(shlex.split(launch(args=line, shell=True).argv[2]), ["run", *words])


class EnvironmentTests(SynchronousTestCase):
    """Tests of a worker's environment."""

    def test_token(self) -> None:
        """The one addition to the environment is the token, by which descendants are known."""
        self.assertEqual(launch({"A": "b"}).env, {"A": "b", "CIRCUSTWIST_ID": "shop/41"})
        self.assertEqual(token("shop", 41), "shop/41")

    def test_listen(self) -> None:
        """Sockets that are announced are counted and named; the launcher knows how many."""
        made = launch(listen_fds=("web", "api"))
        self.assertEqual((made.env["LISTEN_FDS"], made.env["LISTEN_FDNAMES"], made.listen), ("2", "web:api", 2))
        self.assertNotIn("LISTEN_FDS", launch(use_sockets=True).env)


class DescriptorTests(SynchronousTestCase):
    """Tests of the descriptors that a worker gets."""

    def test_default(self) -> None:
        """A worker's input is empty, its output is read, and it gets nothing else."""
        self.assertEqual(launch().descriptors, {0: ("null", 0), 1: ("output", 1), 2: ("output", 2)})

    def test_inherited(self) -> None:
        """Without capture it shares the supervisor's own, except for a stream."""
        made = launch(close_child_stdin=False, capture=False, stderr_stream=Stream("FileStream"))
        self.assertEqual(made.descriptors, {0: ("inherit", 0), 1: ("inherit", 1), 2: ("output", 2)})

    def test_closed(self) -> None:
        """Closing an output wins over its stream (Circus)."""
        made = launch(close_child_stdout=True, close_child_stderr=True, stdout_stream=Stream("FileStream"))
        self.assertEqual(made.descriptors, {0: ("null", 0), 1: ("null", 1), 2: ("null", 2)})

    def test_sockets(self) -> None:
        """With use_sockets every socket stands under its number."""
        made = launch(use_sockets=True)
        self.assertEqual({fd: made.descriptors[fd] for fd in (5, 6)}, {5: ("socket", "api"), 6: ("socket", "web")})

    def test_standardInput(self) -> None:
        """A socket may be the standard input."""
        self.assertEqual(launch(stdin_socket="web").descriptors[0], ("socket", "web"))

    def test_listen(self) -> None:
        """Announced sockets stand from descriptor 3 on, in the order that was asked for."""
        made = launch(listen_fds=("web", "api"))
        self.assertEqual((made.descriptors[3], made.descriptors[4]), (("socket", "web"), ("socket", "api")))

    def test_numbers(self) -> None:
        """The numbers of the sockets follow the longest row of announced ones."""
        sockets = (Socket("api"), Socket("web"))
        self.assertEqual(socketNumbers(Stack("s", "/s.ini", sockets=sockets)), {"api": 3, "web": 4})
        watchers = (Watcher("a", listen_fds=("web",)), Watcher("b", listen_fds=("api", "web")))
        self.assertEqual(socketNumbers(Stack("s", "/s.ini", watchers=watchers, sockets=sockets)), NUMBERS)
