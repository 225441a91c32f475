"""Tests of reading an ini: what it says, and everything that is wrong with it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from fnmatch import fnmatchcase

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.circus import UNUSED
from circustwist.model.convert import OPTIONS
from circustwist.model.errors import Place
from circustwist.model.hooks import Hook
from circustwist.model.ini import Reading, read
from circustwist.model.plugins import Flapping
from circustwist.model.reading import LARGEST, Findings, scan
from circustwist.model.settings import Settings
from circustwist.model.stack import Watcher
from circustwist.model.streams import STREAMS, Stream

quick = settings(deadline=None, max_examples=100)
WEB = "[watcher:web]\ncmd = run\n"

blanks = st.sampled_from(["", " ", "\t", "  "])
names = st.from_regex(r"[a-q][a-z_.]{0,5}", fullmatch=True)
words = st.from_regex(r"[a-z0-9/%$()#=:]{1,6}( [a-z#=]{1,3})?", fullmatch=True)
noise = st.sampled_from(["", "   ", "# k = v", "; k = v", "rem k = v", "REM", "#", ";"])
Options = list[tuple[str, list[str]]]
stacks = st.lists(st.tuples(names, st.lists(st.tuples(names, st.lists(words, min_size=1, max_size=3)), max_size=5)))
fragments = st.lists(st.sampled_from([
    "[circus]", "[watcher:a]", "[watcher:A]", "[socket:s]", "[env]", "[env:*]", "[plugin:p]", "[DEFAULT]", "[x", "\n",
    "\n", "\n", " ", "=", "cmd", "numprocesses", "stdout_stream.class", "stdout_stream", "rlimit_", "nofile", "include",
    "include_dir", "FileStream", "9" * 400, "$(circus.env.X)", "$(circus.sockets.t)", '"', "path", "max_bytes",
    "\0", "\ufeff",
]) | st.text(max_size=4)).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))


def reading(
    text: str | bytes, environ: Mapping[str, str] | None = None, absolute: str = "", **more: str | bytes
) -> Reading:
    """What comes of reading C{stack.ini}; C{more} are files beside it, with C{_} for the dot and C{__} for a slash."""
    files = {"stack.ini": text}
    files.update((name.replace("__", "/").replace("_", "."), content) for name, content in more.items())

    def openFile(path: str) -> bytes:
        if path not in files:
            raise OSError(errno.ENOENT, "No such file or directory")
        content = files[path]
        return content.encode() if isinstance(content, str) else content

    def listFiles(pattern: str) -> list[str]:
        return [path for path in sorted(files, reverse=True) if fnmatchcase(path, pattern)]

    return read("stack.ini", openFile, listFiles, environ or {}, absolute)


class IniTestCase(SynchronousTestCase):
    """Assertions about readings."""

    def assertTold(self, text: str | bytes, *lines: str, **more: str | bytes) -> Reading:
        """Reading tells exactly these problems: C{F} fatal, C{S} strict, C{W} only a warning."""
        found = reading(text, **more)
        kinds = ["F" if p.fatal else "S" if p.strict else "W" for p in found.problems]
        told = [f"{kind} {problem}" for kind, problem in zip(kinds, found.problems, strict=True)]
        self.assertEqual(told, list(lines))
        return found

    def one(self, text: str | bytes, environ: Mapping[str, str] | None = None, **more: str | bytes) -> Watcher:
        """The only watcher of a stack that is free of problems."""
        found = reading(text, environ, **more)
        self.assertEqual(found.problems, ())
        (watcher,) = found.stack.watchers
        return watcher


class DependsTests(IniTestCase):
    """C{depends_on}, and the looks that tell nothing of a life."""

    def test_said(self) -> None:
        """Parted by commas, in any case of letters; ready is meant when nothing is said."""
        text = "depends_on = Redis, migrate:Completed\n[watcher:redis]\ncmd = r\n[watcher:migrate]\ncmd = m\n"
        found = self.assertTold(f"{WEB}{text}respawn = False\n").stack.watcher("web")
        assert found is not None
        self.assertEqual(found.depends_on, ("Redis:ready", "migrate:completed"))

    def test_wrong(self) -> None:
        """Unknown names, what cannot come about and circles are told all at once."""
        self.assertTold(
            "[watcher:web]\ncmd = w\ndepends_on = redsi, job:completed\n[watcher:redis]\ncmd = r\n"
            "[watcher:job]\ncmd = j\n[watcher:a]\ncmd = a\ndepends_on = b\n[watcher:b]\ncmd = b\ndepends_on = c\n"
            "[watcher:c]\ncmd = c\ndepends_on = A:started\n[watcher:me]\ncmd = m\ndepends_on = me",
            "F stack.ini:3: [watcher:web] depends_on: there is no [watcher:redsi]; did you mean redis?",
            "F stack.ini:3: [watcher:web] depends_on: job:completed never comes about, since job is started again "
            "whenever it ends; e.g. respawn = on-failure in [watcher:job]",
            "F stack.ini:10: [watcher:a] depends_on: goes round in a circle: a -> b -> c -> a",
            "F stack.ini:19: [watcher:me] depends_on: goes round in a circle: me -> me")

    def test_condition(self) -> None:
        """A condition that does not exist is told with those that do."""
        self.assertTold(
            f"{WEB}depends_on = web:redy",
            "F stack.ini:3: [watcher:web] depends_on: 'web:redy' has 'web:redy', which is no NAME:started, NAME:ready, "
            "NAME:completed; e.g. redis:ready")

    def test_live(self) -> None:
        """What tells once that a process is ready does not tell whether it lives."""
        for look in ("listening", "after", "log:x"):
            (problem,) = reading(f"{WEB}live = {look}").fatal
            self.assertIn("tells once that a process is ready, not whether it still does its work", str(problem))
            self.assertEqual(problem.place.line, 3)

    def test_liveTimeout(self) -> None:
        """A look that may take no time is refused."""
        self.assertTold(f"{WEB}live = notify\nlive_timeout = 0",
                        "F stack.ini:4: [watcher:web] live_timeout: is 0, so that no look could ever succeed; e.g. 5")


class ScannerTests(IniTestCase):
    """Tests of the dialect."""

    def entries(self, text: str | bytes) -> list[tuple[str, str, str, int]]:
        """Section, option, value and line of each entry; none of the lines is wrong."""
        findings = Findings()
        found = scan(text.encode() if isinstance(text, str) else text, "f", findings)
        rows = [(e.section, e.option, e.text, e.place.line) for e in found]
        self.assertEqual(findings.problems, ())
        return rows

    def values(self, *lines: str) -> dict[str, str]:
        """The options of one section."""
        return {option: text for _, option, text, _ in self.entries("\n".join(("[s]", *lines))) if option}

    def test_separators(self) -> None:
        """The first C{=} or C{:} parts key and value, and blanks around it go away."""
        self.assertEqual(
            self.values("a = b", "c:d", "e\t=\tf=g:h", "I J = k"), {"a": "b", "c": "d", "e": "f=g:h", "I J": "k"})

    def test_comments(self) -> None:
        """C{#}, C{;} and the word C{rem} begin a comment in the first column only."""
        self.assertEqual(self.values("# a = b", "; a = b", "rem a = b", "Rem", "remain = x"), {"remain": "x"})

    def test_commentInValue(self) -> None:
        """In a value only a semicolon after a blank begins a comment, if it is the value's first."""
        self.assertEqual(
            self.values("a = b ; c", "d = e;f ; g", "h = i # j", "k = ; l", "m =;n"),
            {"a": "b", "d": "e;f ; g", "h": "i # j", "k": "", "m": ";n"})

    def test_continuation(self) -> None:
        """An indented line continues the value above it, comments included, also after comments and empty lines."""
        self.assertEqual(self.values("a = b", "  c ; d", "", "# e", "\t# f", "g ="), {"a": "b\nc ; d\n# f", "g": ""})

    def test_indentedAfterTitle(self) -> None:
        """An indented option below a title is an option."""
        self.assertEqual(self.values("  # c", "  a = b", "  c"), {"a": "b\nc"})

    def test_empty(self) -> None:
        """A pair of quotes is the empty value, and so is nothing."""
        self.assertEqual(self.values('a = ""', "b =", 'c = "" x'), {"a": "", "b": "", "c": '"" x'})

    def test_titles(self) -> None:
        """A title ends at its bracket; a comment may follow."""
        for text, title in (
            ("[a b]", "a b"), ("[a] ; b [c]", "a"), ("[env:w[12]]", "env:w[12]"), ("[a] b", "a"), (" [a]", "a")):
            self.assertEqual(self.entries(text), [(title, "", "", 1)])

    def test_lineEnds(self) -> None:
        """Lines may end in any system's way, and a byte order mark may come first."""
        self.assertEqual(
            self.entries(b"\xef\xbb\xbf[a]\r\nb = c\rd = e\r\n f\n"),
            [("a", "", "", 1), ("a", "b", "c", 2), ("a", "d", "e\nf", 3)])

    def test_keysKeepCase(self) -> None:
        """Upper and lower case make different options."""
        self.assertEqual(self.values("a = 1", "A = 2"), {"a": "1", "A": "2"})

    @quick
    @given(stacks, st.data())
    def test_model(self, stack: list[tuple[str, Options]], data: st.DataObject) -> None:
        """However it is laid out, a file says what it says, line for line."""
        lines: list[str] = []
        expected = []

        def put(line: str) -> int:
            lines.append(line)
            number = len(lines)
            lines.extend(data.draw(st.lists(noise, max_size=1)))
            return number

        for title, options in stack:
            expected.append((title, "", "", put(f"[{title}]{data.draw(st.sampled_from(['', ' ', ' ; x']))}")))
            for name, (first, *others) in options:
                separator = data.draw(blanks) + data.draw(st.sampled_from("=:")) + data.draw(blanks)
                number = put(name + separator + first + data.draw(st.sampled_from(["", " ", " ; x"])))
                for other in others:
                    put(f" {other}\t")
                expected.append((title, name, "\n".join((first, *others)), number))
        self.assertEqual(self.entries(data.draw(st.sampled_from(["\n", "\r\n"])).join(lines)), expected)


class ProblemTests(IniTestCase):
    """Tests of files that cannot be read, or only in parts."""

    def test_transcript(self) -> None:
        """Everything is told at once, each with its place and what would be right."""
        self.assertTold(
            "[circus]\nname = shop\n\n\n\n[watcher:web]\nnumprocesses = five\ncmd = run --fd $(circus.sockets.wbe)\n"
            "use_sockets = True\n\n\n\n[socket:web]\nprot = 8000\n",
            "F stack.ini:7: [watcher:web] numprocesses: 'five' is not a whole number; e.g. 5",
            "S stack.ini:8: [watcher:web] cmd: $(circus.sockets.wbe): there is no [socket:wbe]; did you mean web?",
            "S stack.ini:14: [socket:web] prot: unknown option; did you mean port? (port is now 8080)")

    def test_missingFile(self) -> None:
        """A file that is not there is told of, and there is an empty stack."""
        found = read("no.ini", _refuse, lambda pattern: [], {})
        self.assertEqual([str(p) for p in found.fatal], ["no.ini: cannot be read: No such file or directory"])
        self.assertEqual(found.stack.watchers, ())

    def test_empty(self) -> None:
        """A stack without watchers is legal, but worth a warning."""
        self.assertTold("", "W stack.ini: there is no watcher; e.g. [watcher:web]")

    def test_badLines(self) -> None:
        """A line that is neither a title nor an option is told of, and the rest is read."""
        found = self.assertTold(
            "a = b\n[watcher:web\n" + WEB + "stop\n= 3\n",
            "F stack.ini:1: 'a = b' stands before the first section; e.g. [watcher:web]",
            "F stack.ini:2: '[watcher:web' is not the title of a section; e.g. [watcher:web]",
            "F stack.ini:5: [watcher:web] 'stop' is neither a section nor an option; e.g. cmd = sleep 60",
            "F stack.ini:6: [watcher:web] '= 3' is neither a section nor an option; e.g. cmd = sleep 60")
        self.assertEqual(found.stack.watchers[0].cmd, "run")

    def test_badBytes(self) -> None:
        """Bytes that are not UTF-8, and NUL bytes, are told of by their lines."""
        self.assertTold(
            WEB.encode() + b"args = \xff\nuid = a\0b\n",
            "F stack.ini:3: [watcher:web] is not UTF-8", "F stack.ini:4: [watcher:web] has a NUL byte")

    def test_tooLarge(self) -> None:
        """A file of more than 10 MB is refused."""
        self.assertTold(b"#" * (LARGEST + 1), "F stack.ini: cannot be read: it is larger than 10 MB")

    def test_tooManyProblems(self) -> None:
        """After a hundred bad lines the rest of a file is not read."""
        found = reading(WEB + "x\n" * 1000)
        self.assertEqual(len(found.problems), 101)
        self.assertIn("too many problems", str(found.problems[-1]))

    def test_kinds(self) -> None:
        """Problems are divided into fatal ones, errors and warnings."""
        found = reading("[circus]\ndebug_gc = 1\nlogoutptu = x\numask = 9\n" + WEB)
        self.assertEqual([p.option for p in found.warnings], ["debug_gc"])
        self.assertEqual([p.option for p in found.errors], ["logoutptu", "umask"])
        self.assertEqual([p.option for p in found.fatal], ["umask"])

    @quick
    @given(st.binary() | fragments, st.binary() | fragments, st.dictionaries(st.text(), st.text()))
    def test_anything(self, main: bytes, other: bytes, environ: dict[str, str]) -> None:
        """Whatever the bytes, there is a stack, and every problem has its place in a file."""
        main = b"[circus]\ninclude=o.ini *.in? $(circus.env.X) [\n" + main
        found = reading(main, environ, o_ini=other)
        for problem in found.problems:
            self.assertIn(problem.place.file, ("stack.ini", "o.ini"))
            self.assertLessEqual(problem.place.line, max(main.count(b"\n") + main.count(b"\r"), len(other)) + 1)
            self.assertTrue(problem.text)
            self.assertTrue(problem.strict or not problem.fatal)


def _refuse(path: str) -> bytes:
    raise OSError(errno.ENOENT, "No such file or directory")


class SectionTests(IniTestCase):
    """Tests of sections as a whole."""

    def test_unknown(self) -> None:
        """A section that nobody knows is an error for check."""
        self.assertTold(
            WEB + "[wacher:api]\na = b\n[watcher]\na = b\n[Circus]\n[evn]\n[zzz]\n",
            "S stack.ini:3: [wacher:api] unknown section; did you mean [watcher:api]?",
            "S stack.ini:5: [watcher] unknown section; did you mean [watcher:NAME]?",
            "S stack.ini:7: [Circus] unknown section; did you mean [circus]?",
            "S stack.ini:8: [evn] unknown section; did you mean [env]?",
            "S stack.ini:9: [zzz] unknown section")

    def test_plugin(self) -> None:
        """Those of Circus have options of their own; any other class gets its options as text."""
        found = self.assertTold(
            WEB + "[plugin:flapping]\nuse = circus.plugins.flapping.Flapping\nattempts = 3\nwindow = 1m\natempts = 3\n"
            "[plugin:mine]\nuse = shop.Mine\nloop_rate = fast\n[plugin:http]\nuse = "
            "circus.plugins.http_observer.HttpObserver\nrestart_on_error = wbe\n[plugin:bad]\nuse = x\n",
            "W stack.ini:7: [plugin:flapping] atempts: has no effect: Flapping runs inside the supervisor and has no "
            "such option; did you mean attempts?",
            "F stack.ini:13: [plugin:http] restart_on_error: there is no [watcher:wbe]; did you mean web?",
            "F stack.ini:15: [plugin:bad] use: 'x' is no class; e.g. circus.plugins.flapping.Flapping")
        flapping, _, mine = found.stack.plugins
        self.assertEqual((flapping.kind, flapping.settings), ("Flapping", Flapping(attempts=3, window=60.0)))
        self.assertEqual((mine.kind, mine.use, mine.config), ("", "shop.Mine", {"loop_rate": "fast"}))

    def test_names(self) -> None:
        """Names are checked, and two that differ only in case are one too many."""
        found = self.assertTold(
            WEB + "[watcher:WEB]\ncmd = b\n[watcher:a/b]\ncmd = b\n[socket:s]\nport = 0\n[socket:S]\nport = 1\n",
            "F stack.ini:3: [watcher:WEB] differs from [watcher:web] only in case",
            "F stack.ini:5: [watcher:a/b] 'a/b' is not a name; 1 to 64 printable characters without /",
            "F stack.ini:9: [socket:S] differs from [socket:s] only in case")
        self.assertEqual([w.name for w in found.stack.watchers], ["web"])

    def test_empty(self) -> None:
        """A watcher or socket without options counts as not there (Circus)."""
        self.assertTold(WEB + "[watcher:x]\n", "W stack.ini:3: [watcher:x] is empty, so it counts as not there")

    def test_sorted(self) -> None:
        """Watchers and sockets are sorted by name, upper case first."""
        found = reading("".join(f"[watcher:{name}]\ncmd = x\n[socket:{name}]\nport = 0\n" for name in ("b", "C", "a")))
        self.assertEqual([w.name for w in found.stack.watchers], ["C", "a", "b"])
        self.assertEqual([s.name for s in found.stack.sockets], ["a", "b", "c"])

    def test_firstWins(self) -> None:
        """Of an option that comes again the first value counts, also when its section comes again."""
        found = reading("[watcher:a]\ncmd = x\ncmd = y\n z\n[watcher:a]\ncmd = w\nargs = v\n")
        (watcher,) = found.stack.watchers
        self.assertEqual((watcher.cmd, watcher.args), ("x", "v"))
        self.assertEqual([str(problem) for problem in found.problems], [
            f"stack.ini:{line}: [watcher:a] cmd: stands in line 2 already, which counts" for line in (3, 6)])

    def test_default(self) -> None:
        """What DEFAULT says holds in every section that does not say otherwise."""
        found = reading("[env]\nA = b\n[DEFAULT]\npriority = 3\ncmd = x\n[watcher:a]\ncmd = y\n[watcher:b]\n")
        self.assertEqual([(w.cmd, w.priority) for w in found.stack.watchers], [("y", 3), ("x", 3)])
        self.assertEqual(found.stack.watchers[0].env, {"A": "b", "priority": "3", "cmd": "x"})

    def test_defaultToldOnce(self) -> None:
        """What is wrong in DEFAULT is told once, where it stands."""
        self.assertTold(
            "[DEFAULT]\npriority = x\n[watcher:a]\ncmd = y\n[watcher:b]\ncmd = z\n[socket:s]\nport = 1\n",
            "F stack.ini:2: [DEFAULT] priority: 'x' is not a whole number; e.g. 5")

    def test_origins(self) -> None:
        """The stack knows where each of its options stands."""
        found = reading("[DEFAULT]\npriority = 1\n" + WEB)
        self.assertEqual(found.stack.origins[("watcher:web", "cmd")], Place("stack.ini", 4))
        self.assertEqual(found.stack.origins[("watcher:web", "priority")], Place("stack.ini", 2))
        self.assertEqual(found.stack.watchers[0].place, Place("stack.ini", 3))


class IncludeTests(IniTestCase):
    """Tests of files that include others."""

    def test_order(self) -> None:
        """The main file beats what it includes, and of those the first in the list and in the alphabet."""
        found = self.assertTold(
            "[circus]\ninclude = d/*.ini\ninclude_dir = e\n" + WEB,
            d__a_ini="[watcher:web]\ncmd = no\nargs = a\n", d__b_ini="[watcher:web]\nargs = b\nuid = b\n",
            e__c_ini="[watcher:web]\nuid = c\ngid = c\n", e__d_txt="junk")
        (watcher,) = found.stack.watchers
        self.assertEqual((watcher.cmd, watcher.args, watcher.uid, watcher.gid), ("run", "a", "b", "c"))
        self.assertEqual(found.stack.origins[("watcher:web", "gid")], Place("e/c.ini", 3))

    def test_relative(self) -> None:
        """A relative include is relative to the folder of the main file."""
        files = {"/etc/x/s.ini": b"[circus]\ninclude = o.ini\n", "/etc/x/o.ini": WEB.encode()}
        found = read("/etc/x/s.ini", files.__getitem__, lambda pattern: [], {})
        self.assertEqual(([w.name for w in found.stack.watchers], found.problems), (["web"], ()))

    def test_missing(self) -> None:
        """A file that is named must be there; a pattern without a match is only worth a warning."""
        self.assertTold(
            "[circus]\ninclude = no.ini x*.ini\n" + WEB,
            "F stack.ini:2: [circus] include: no.ini cannot be read: No such file or directory",
            "W stack.ini:2: [circus] include: no file matches x*.ini")

    def test_variables(self) -> None:
        """What is included may depend on the environment."""
        self.one("[circus]\ninclude = $(circus.env.stage).ini\n", {"STAGE": "test"}, test_ini=WEB)

    def test_noNesting(self) -> None:
        """An included file includes nothing."""
        self.assertTold(
            "[circus]\ninclude_dir = d\n" + WEB,
            "W d/a.ini:2: [circus] include: has no effect: only stack.ini includes other files",
            d__a_ini="[circus]\ninclude = no.ini\n")

    def test_itself(self) -> None:
        """A file is read once, even if it includes itself."""
        self.one("[circus]\ninclude = ./stack.ini *.ini\n" + WEB)

    def test_orderOfProblems(self) -> None:
        """Problems come in the order of the files, then of the lines."""
        found = reading("[circus]\ninclude = b.ini a.ini\n[socket:s]\nport = x\n" + WEB, a_ini="x\ny\n", b_ini="z\n")
        self.assertEqual(
            [str(p.place) for p in found.problems], ["stack.ini:4", "b.ini:1", "a.ini:1", "a.ini:2"])


class CircusTests(IniTestCase):
    """Tests of the C{[circus]} section."""

    def test_settings(self) -> None:
        """The options of the section become settings."""
        found = self.assertTold("[circus]\nname = shop\nwarmup_delay = 500ms\numask = 022\n" + WEB)
        self.assertEqual(found.stack.settings, Settings(name="shop", warmup_delay=0.5, umask=0o22))
        self.assertEqual((found.stack.name, found.stack.path), ("shop", "stack.ini"))

    def test_nameFromPath(self) -> None:
        """A stack without a name is called after its absolute path."""
        found = reading(WEB, absolute="/srv/shop/circus.ini").stack
        self.assertRegex(found.name, r"\Acircus-[0-9a-f]{6}\Z")
        self.assertEqual(found.path, "/srv/shop/circus.ini")

    def test_unused(self) -> None:
        """What Circus knows and circustwist does not need is accepted with a reason."""
        found = reading("[circus]\n" + "".join(f"{key} = x\n" for key in UNUSED[Settings]) + WEB)
        self.assertEqual(found.errors, ())
        self.assertEqual([p.option for p in found.warnings], list(UNUSED[Settings]))
        self.assertFalse(UNUSED[Settings].keys() & OPTIONS[Settings].keys())

    def test_unknown(self) -> None:
        """An unknown option is an error for check only if it looks like a known one."""
        self.assertTold(
            "[circus]\npidfiel = x\nendpiont = x\nshoe = x\n" + WEB,
            "S stack.ini:2: [circus] pidfiel: unknown option; did you mean pidfile? (pidfile is not set)",
            "S stack.ini:3: [circus] endpiont: unknown option; did you mean endpoint? (endpoint is not set)",
            "W stack.ini:4: [circus] shoe: unknown option; it has no effect")

    def test_badName(self) -> None:
        """The name is checked like any other."""
        self.assertTold(
            "[circus]\nname = a/b\n" + WEB,
            "F stack.ini:2: [circus] name: 'a/b' is not a name; 1 to 64 printable characters without /")


class SocketTests(IniTestCase):
    """Tests of C{[socket:NAME]} sections."""

    def test_defaults(self) -> None:
        """An empty host or port means the default, and the name is in lower case."""
        found = self.assertTold(WEB + "[socket:API]\nhost =\nport =\n")
        (socket,) = found.stack.sockets
        self.assertEqual((socket.name, socket.address, socket.family), ("api", "localhost:8080", "af_inet"))

    def test_path(self) -> None:
        """A path makes it a UNIX socket."""
        (socket,) = self.assertTold(WEB + "[socket:s]\npath = run/s\nfamily = AF_INET\numask = 007\n").stack.sockets
        self.assertEqual((socket.family, socket.address, socket.umask), ("af_unix", "run/s", 0o7))

    def test_badPath(self) -> None:
        """A UNIX socket needs a path that fits into its address."""
        self.assertTold(
            WEB + f"[socket:s]\nfamily = AF_UNIX\n[socket:t]\npath = {'x' * 104}\n[socket:u]\npath = {'x' * 103}\n",
            "F stack.ini:3: [socket:s] path: is missing; a UNIX socket needs one, e.g. /run/web.sock",
            "F stack.ini:6: [socket:t] path: is longer than 103 bytes; unix(7)")

    def test_nearMiss(self) -> None:
        """For an option that was misspelt, the value that holds instead is told as it was written."""
        self.assertTold(
            WEB + "[socket:s]\nport = 0080\nprot = 90\nproto = tcp\nshoe = 1\n",
            "S stack.ini:5: [socket:s] prot: unknown option; did you mean port? (port is now 0080)",
            "W stack.ini:6: [socket:s] proto: has no effect: the protocol follows from the type of the socket",
            "W stack.ini:7: [socket:s] shoe: unknown option; it has no effect")


class WatcherTests(IniTestCase):
    """Tests of C{[watcher:NAME]} sections."""

    def test_options(self) -> None:
        """Options are converted; an empty one means its default."""
        watcher = self.one(WEB + "numprocesses = 3\nstop_signal = quit\npriority =\ncopy_env = yes\nrespawn = False\n")
        self.assertEqual(
            (watcher.numprocesses, watcher.stop_signal, watcher.priority, watcher.copy_env, watcher.respawn),
            (3, 3, 0, True, "never"))

    def test_badValueKeepsDefault(self) -> None:
        """An option that cannot be converted keeps its default in the stack that comes out."""
        self.assertEqual(reading(WEB + "numprocesses = x\n").stack.watchers[0].numprocesses, 1)

    def test_freeForm(self) -> None:
        """Unknown options are kept; one that looks like a known one is worth a warning."""
        found = self.assertTold(
            WEB + "flapping.max_retry = 2\nnumproceses = 4\nGraceful_Timeout = 3\n",
            "W stack.ini:4: [watcher:web] numproceses: unknown option; did you mean numprocesses?"
            " (numprocesses is now 1)",
            "W stack.ini:5: [watcher:web] Graceful_Timeout: unknown option; did you mean graceful_timeout?"
            " (graceful_timeout is now 30.0)")
        self.assertEqual(
            found.stack.watchers[0].extra, {"flapping.max_retry": "2", "numproceses": "4", "Graceful_Timeout": "3"})

    def test_unused(self) -> None:
        """What Circus knows and circustwist does not do yet is accepted with a reason."""
        self.assertTold(
            WEB + "env = A=b\n",
            "W stack.ini:3: [watcher:web] env: has no effect: an [env:NAME] section gives a watcher its environment")

    def test_hooks(self) -> None:
        """Hooks are read; what cannot be called is told of, and what is never called."""
        found = self.assertTold(
            WEB + "hooks.before_start = a.b, true\nhooks.after_spawn = a\nhooks.before_strat = a.b\n",
            "F stack.ini:4: [watcher:web] hooks.after_spawn: 'a' is no function; e.g. shop.hooks.warm",
            "S stack.ini:5: [watcher:web] hooks.before_strat: is never called: there is no such hook; did you mean "
            "before_start?")
        self.assertEqual(found.stack.watchers[0].hooks, {"before_start": Hook("a.b", True)})
        self.assertEqual(found.stack.watchers[0].extra, {})

    def test_onDemand(self) -> None:
        """A watcher that no connection can start is told of."""
        told = ("S stack.ini:3: [watcher:web] on_demand: no process gets a socket at which a connection could start it;"
                " e.g. listen_fds = web")
        for more in ("", "use_sockets = 1\n[socket:udp]\ntype = SOCK_DGRAM\n", "[socket:web]\nport = 1\n"):
            self.assertFalse(self.assertTold(WEB + "on_demand = True\n" + more, told).fatal)
        for more in ("use_sockets = 1\n", "listen_fds = web\n", "stdin_socket = WEB\n"):
            found = self.assertTold(WEB + "on_demand = True\n" + more + "[socket:web]\nport = 1\n")
            self.assertTrue(found.stack.watchers[0].on_demand)

    def test_rules(self) -> None:
        """Options that contradict each other keep the stack from starting."""
        self.assertTold(
            "[watcher:a]\nargs = x\n" + WEB + "singleton = 1\nnumprocesses = 2\ncopy_path = 1\nvirtualenv = /v\n",
            "F stack.ini:1: [watcher:a] cmd: is missing; e.g. cmd = sleep 60",
            "F stack.ini:5: [watcher:web] singleton: allows one process, but numprocesses asks for more",
            "F stack.ini:7: [watcher:web] copy_path: needs copy_env = True",
            "F stack.ini:8: [watcher:web] virtualenv: needs copy_env = True")

    def test_quotes(self) -> None:
        """A command line that cannot be split is told of."""
        self.assertTold(
            "[watcher:web]\ncmd = a 'b\nargs = c\\\n",
            'F stack.ini:2: [watcher:web] cmd: "a \'b" cannot be split into words: No closing quotation',
            "F stack.ini:3: [watcher:web] args: 'c\\\\' cannot be split into words: No escaped character")

    def test_longCommand(self) -> None:
        """A command line beyond what execve(2) takes is refused, without splitting it."""
        self.assertTold(
            f"[watcher:web]\ncmd = '{'x' * 2**17}\n",
            "F stack.ini:2: [watcher:web] cmd: is longer than 131072 characters")

    def test_sockets(self) -> None:
        """The sockets that a watcher is to get must exist; their case makes no difference."""
        found = self.assertTold(
            WEB + "stdin_socket = WEB\nlisten_fds = wbe Web\n[socket:web]\nport = 0\n",
            "F stack.ini:4: [watcher:web] listen_fds: there is no [socket:wbe]; did you mean web?")
        watcher = found.stack.watchers[0]
        self.assertEqual((watcher.stdin_socket, watcher.listen_fds), ("web", ("wbe", "web")))

    def test_variables(self) -> None:
        """A variable that will stand for nothing is told of, one that will stand for something is not."""
        self.assertTold(
            "[watcher:web]\ncmd = run $WID $(circus.wid) $(circus.numprocesses) $(circus.widd) $(circus.env.no)\n"
            "args = $(circus.sockets.web)\nworking_dir = /$(circus.env.x)/$(circus.wid)\n[socket:web]\nport = 0\n",
            "S stack.ini:2: [watcher:web] cmd: $(circus.widd): there is no such variable; did you mean circus.wid?",
            "S stack.ini:2: [watcher:web] cmd: $(circus.env.no): there is no such variable in the environment",
            "S stack.ini:3: [watcher:web] args: $(circus.sockets.web): no process gets this socket;"
            " e.g. use_sockets = True or listen_fds = web",
            "S stack.ini:4: [watcher:web] working_dir: $(circus.env.x): there is no such variable in the environment",
            "S stack.ini:4: [watcher:web] working_dir: $(circus.wid): is only replaced in cmd, args and shell_args")

    def test_rlimits(self) -> None:
        """Limits go by their names in lower case; an empty one is no limit."""
        self.assertEqual(self.one(WEB + "rlimit_NOFILE = 500\nrlimit_core =\n").rlimits, {"nofile": 500, "core": None})

    def test_badRlimits(self) -> None:
        """Limits that do not exist and values that are no limits are told of."""
        self.assertTold(
            WEB + "rlimit_nofiles = 5\nrlimit_core = big\n",
            "F stack.ini:3: [watcher:web] rlimit_nofiles: there is no resource limit nofiles; did you mean nofile?",
            "F stack.ini:4: [watcher:web] rlimit_core: 'big' is not a whole number; e.g. 5")


class StreamTests(IniTestCase):
    """Tests of C{stdout_stream.*} and C{stderr_stream.*}."""

    def test_kinds(self) -> None:
        """The class may be bare or dotted, and follows from a filename."""
        settings = {"filename": "/x", "max_bytes": "1MB"}
        for name in ("FileStream", "circus.stream.FileStream", "circus.stream:FileStream", ""):
            watcher = self.one(WEB + f"stdout_stream.class = {name}\n" * bool(name)
                               + "stdout_stream.filename = /x\nstdout_stream.max_bytes = 1MB\n")
            self.assertEqual((watcher.stdout_stream, watcher.stderr_stream), (Stream("FileStream", settings), Stream()))
        self.assertEqual(self.one(WEB + "stderr_stream.class = StdoutStream\n").stderr_stream, Stream("StdoutStream"))

    def test_problems(self) -> None:
        """What a stream cannot be given is told of."""
        self.assertTold(
            WEB + "stdout_stream.filename = /x\nstdout_stream.max_bites = 1\nstdout_stream.max_bytes = big\n"
            "stdout_stream.backup_count = -1\nstdout_stream.refresh_time = 1\nstderr_stream.class = FileStream\n",
            "S stack.ini:4: [watcher:web] stdout_stream.max_bites: unknown option of FileStream;"
            " did you mean max_bytes?",
            "F stack.ini:5: [watcher:web] stdout_stream.max_bytes: 'big' is not a size; e.g. 1048576 or 10MB",
            "F stack.ini:6: [watcher:web] stdout_stream.backup_count: '-1' is negative; the least is 0",
            "W stack.ini:7: [watcher:web] stdout_stream.refresh_time: has no effect: output is passed on at once",
            "F stack.ini:8: [watcher:web] stderr_stream.class: FileStream needs stderr_stream.filename;"
            " e.g. /var/log/web.log")

    def test_unsupported(self) -> None:
        """Other classes are refused, and so is a stream without any."""
        kinds = ", ".join(STREAMS) + ", and your own: module.Class"
        self.assertTold(
            WEB + "stdout_stream.class = MyStream\nstderr_stream = x\n",
            f"F stack.ini:3: [watcher:web] stdout_stream.class: 'MyStream' is no stream; there are {kinds}",
            f"F stack.ini:4: [watcher:web] stderr_stream: needs stderr_stream.class or stderr_stream.filename;"
            f" there are {kinds}")

    def test_own(self) -> None:
        """A class of the user's own takes whatever it is given, besides what every stream has."""
        watcher = self.one(WEB + "stdout_stream.class = my.app:Stream\nstdout_stream.colour = 7\n"
                           "stdout_stream.rate_limit = 1MB/s\n")
        self.assertEqual(watcher.stdout_stream, Stream("my.app:Stream", {"colour": "7", "rate_limit": "1MB/s"}))


class EnvTests(IniTestCase):
    """Tests of the C{[env]} sections and of C{$(circus.env.X)}."""

    def test_patterns(self) -> None:
        """Every section whose pattern matches gives its variables, the later over the earlier."""
        text = "[env:w*, x]\nA = 1\nB = 1\n[env:WEB]\nA = 2\n[env:web]\nB = 3\n[env]\nA = 0\nC = 0\n"
        self.assertEqual(self.one(text + WEB).env, {"A": "1", "B": "3", "C": "0"})

    def test_plainVariables(self) -> None:
        """C{$VAR} in them stands for the supervisor's own environment."""
        watcher = self.one("[env]\nPATH = $PATH:/x$NO\n" + WEB, {"PATH": "/bin"})
        self.assertEqual(watcher.env, {"PATH": "/bin:/x"})

    def test_circusVariables(self) -> None:
        """C{$(circus.env.X)} works in each of them; one for some watchers sees the one for all."""
        text = "[env]\nA = $(circus.env.home)/a\n[env:web]\nB = $(circus.env.a)/b\n" + WEB
        self.assertEqual(self.one(text, {"HOME": "/h"}).env, {"A": "/h/a", "B": "/h/a/b"})

    def test_ownVariables(self) -> None:
        """A watcher's options see its environment over the supervisor's; numbers see the common one first."""
        text = "[env]\nN = 2\n[env:web]\nX = mine\nN = 3\nM = 4\n[watcher:web]\n"
        text += "cmd = run $(circus.env.x) $(circus.env.n)\n"
        watcher = self.one(text + "numprocesses = $(circus.env.n)\npriority = $(circus.env.m)\n", {"X": "outer"})
        self.assertEqual((watcher.cmd, watcher.numprocesses, watcher.priority), ("run mine 3", 2, 4))

    def test_everywhere(self) -> None:
        """Signals, limits, streams, sockets and settings see the environment too."""
        found = reading(
            "[circus]\nname = $(circus.env.x)\n[socket:s]\npath = /$(circus.env.x)\n" + WEB
            + "stop_signal = $(circus.env.s)\nrlimit_core = $(circus.env.n)\n"
            "stdout_stream.filename = /$(circus.env.x)\n",
            {"X": "it", "S": "INT", "N": "7"})
        (watcher,), (socket,) = found.stack.watchers, found.stack.sockets
        self.assertEqual((found.problems, found.stack.name, socket.path), ((), "it", "/it"))
        self.assertEqual((watcher.stop_signal, watcher.rlimits), (2, {"core": 7}))
        self.assertEqual(watcher.stdout_stream.settings, {"filename": "/it"})


class SizeTests(IniTestCase):
    """Tests of what large files cost."""

    def test_manySections(self) -> None:
        """The time to read grows with the size only."""
        found = reading("".join(
            f"[watcher:w{n}]\ncmd = run $(circus.sockets.t{n})\nx{n}numprocess = 1\n[socket:s{n}]\nport = 0\n"
            for n in range(5000)))
        self.assertEqual((len(found.stack.watchers), len(found.stack.sockets)), (5000, 5000))
