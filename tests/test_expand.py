"""Tests of the variables in command lines and environments."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model import expand

NAMES = {"circus.wid": "3", "circus.sockets.web": "7", "circus.env.home": "/root"}
quick = settings(deadline=None, max_examples=100)
pieces = st.sampled_from(["$(circus.", "((circus.", "wid", "env.home", ")", "))", "$WID", "$", "_", " "])
marked = st.lists(pieces | st.text(max_size=3)).map("".join)


class WorkerTests(SynchronousTestCase):
    """Tests of L{expand.worker} and L{expand.references}."""

    def test_bothForms(self) -> None:
        """A variable is written with a dollar, or with two brackets."""
        self.assertEqual(expand.worker("--fd $(circus.sockets.web) ((circus.wid))", NAMES), "--fd 7 3")

    def test_case(self) -> None:
        """Upper and lower case make no difference."""
        self.assertEqual(expand.worker("$(CIRCUS.Sockets.WEB)", NAMES), "7")

    def test_unknown(self) -> None:
        """A variable that nobody knows is left as it stands."""
        for text in ("$(circus.nothing)", "((circus.x))", "$(wid)", "$(circus.)", "$(circus.a b)", "(circus.wid)"):
            self.assertEqual(expand.worker(text, NAMES), text)

    def test_oldWid(self) -> None:
        """C{$WID}, as the first releases wrote it, is the worker's number if it is a whole word."""
        self.assertEqual(expand.worker("a$WID $WIDTH $WID_X $wid $WID.", NAMES), "a3 $WIDTH $WID_X $wid 3.")

    def test_insertedOnce(self) -> None:
        """What a variable stands for is not looked at again."""
        names = {"circus.a": "$(circus.b)((circus.b))$WID", "circus.b": "no", "circus.wid": "no"}
        self.assertEqual(expand.worker("$(circus.a)", names), names["circus.a"])

    def test_references(self) -> None:
        """The variables of a text are told in their order, in lower case."""
        text = "$(circus.Sockets.web) $WID ((circus.env.X)) $(nothing)"
        self.assertEqual(expand.references(text), ["circus.sockets.web", "circus.wid", "circus.env.x"])

    @quick
    @given(st.text(), st.dictionaries(st.text(), st.text()))
    def test_plainText(self, text: str, names: dict[str, str]) -> None:
        """A text without a variable stays as it is, whatever names there are."""
        if not expand.references(text):
            self.assertEqual(expand.worker(text, names), text)
            self.assertEqual(expand.fromEnv(text, names), text)

    @quick
    @given(marked)
    def test_unknownStays(self, text: str) -> None:
        """Without any names a text stays as it is."""
        self.assertEqual(expand.worker(text, {}), text)
        self.assertEqual(expand.fromEnv(text, {}), text)

    @quick
    @given(marked, marked)
    def test_whole(self, text: str, value: str) -> None:
        """Only the references are replaced, each by exactly what it stands for."""
        names = dict.fromkeys(expand.references(text), value)
        if "\0" not in text:
            holes = expand.worker(text, dict.fromkeys(names, "\0"))
            self.assertEqual(expand.worker(text, names), holes.replace("\0", value))


class EnvironmentTests(SynchronousTestCase):
    """Tests of L{expand.fromEnv} and L{expand.environment}."""

    def test_fromEnv(self) -> None:
        """When a file is read, only C{circus.env} is replaced."""
        text = "$(circus.env.HOME)/((circus.env.x)) $(circus.wid) $WID $(circus.env.no)"
        env = {"home": "/h", "x": "y", "circus.wid": "no"}
        self.assertEqual(expand.fromEnv(text, env), "/h/y $(circus.wid) $WID $(circus.env.no)")

    def test_fromEnvOnce(self) -> None:
        """What an environment variable holds is not looked at again."""
        self.assertEqual(expand.fromEnv("$(circus.env.a)", {"a": "$(circus.env.a)"}), "$(circus.env.a)")

    def test_plain(self) -> None:
        """C{$VAR} in upper case is replaced, by nothing if it is not set; other forms stay."""
        self.assertEqual(
            expand.environment("$PATH:$A_1/$UNSET. $lower ${PATH} $$ $1", {"PATH": "/bin", "A_1": "$PATH"}),
            "/bin:$PATH/. $lower ${PATH} $$ $1")

    @quick
    @given(st.text(), st.dictionaries(st.text(), st.text()))
    def test_withoutDollar(self, value: str, environ: dict[str, str]) -> None:
        """A value without a dollar stays as it is."""
        value = value.replace("$", "")
        self.assertEqual(expand.environment(value, environ), value)
