"""Tests of the documentation: what it shows can be typed, what it names is there, and the reference is complete."""

from __future__ import annotations

import json
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import click
from twisted.trial.unittest import SynchronousTestCase

from circustwist.cli.find import Session
from circustwist.cli.main import cli
from circustwist.logic import machine, watcher, worker
from circustwist.model.circus import UNUSED
from circustwist.model.commands import COMMANDS
from circustwist.model.ini import read
from circustwist.model.reference import entries, streamEntries
from circustwist.model.streams import STREAMS
from circustwist.tap import Options

ROOT = Path(__file__).resolve().parent.parent
TRANSCRIPT = ROOT / "docs" / "examples" / "hello" / "transcript.txt"
BLOCK = re.compile(r"^( *)\.\. code-block:: (\S+)\n\n((?:\1 +.*\n|\n)+)", re.M)
LITERAL = re.compile(r"^( *).*::\n\n((?:\1 {2,}.*\n|\n)+)", re.M)
INLINE = re.compile(r"``([^`]+)``")
TYPED = re.compile(r"(?:^|[\s($])circustwist ((?:[^;|#()>\n]|\$\([^)]*\))*)", re.M)
FILE = re.compile(r"\b(?:docs|tests|circustwist|twisted|tools|CHANGES)/[\w./-]*\w|\b(?:docs|tests|circustwist)/[\w/]+/")
OUTPUT = ("reload failed", "hello: ")
INSTEAD = {"NAME": "status", "OPTION": "cmd", "TOPIC": "web"}
"""What may stand for a placeholder."""
PARTIAL = "there is no watcher; e.g. [watcher:web]"
"""The only warning that a block may give: it shows a part of an ini."""


def pages() -> dict[str, str]:
    """The text of every page, by its name."""
    found = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst")), *sorted((ROOT / "CHANGES").glob("*.rst"))]
    return {str(path.relative_to(ROOT)): path.read_text() for path in found if "_build" not in path.parts}


def reference() -> ModuleType:
    """The module that makes the reference; Sphinx is not needed for it."""
    spec = spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return module


def inis() -> Iterator[tuple[str, str]]:
    """Every block that is an ini, with the page it is on."""
    for page, text in pages().items():
        for match in BLOCK.finditer(text):
            if match[2] == "ini":
                yield page, textwrap.dedent(match[3])


def literal() -> Iterator[tuple[str, str]]:
    """Every line of every literal block, with the page it is on."""
    for page, text in pages().items():
        for match in LITERAL.finditer(text):
            yield from ((page, line) for line in match[2].splitlines())


def typed() -> Iterator[tuple[str, str]]:
    """Every command line of circustwist, with the page it is on; placeholders are filled in."""
    texts = {**pages(), TRANSCRIPT.name: "::\n\n" + textwrap.indent(TRANSCRIPT.read_text(), "    ")}
    for page, text in texts.items():
        shown = [match[2] for match in LITERAL.finditer(text)] + [match[1] for match in INLINE.finditer(text)]
        for line in (line for block in shown for line in block.splitlines()):
            for match in TYPED.finditer("" if line.strip().startswith(OUTPUT) else line):
                words = [INSTEAD.get(word, word) for word in shlex.split(match[1])]
                yield page, shlex.join(words)


class PageTests(SynchronousTestCase):
    """What stands on the pages."""

    def test_inis(self) -> None:
        """Every ini can be read, and nothing is wrong with it."""
        found = list(inis())
        self.assertGreater(len(found), 5)
        for page, text in found:
            reading = read("stack.ini", lambda path, text=text: text.encode(), lambda pattern: [], {})
            problems = [str(problem) for problem in reading.problems if problem.text != PARTIAL]
            self.assertEqual(problems, [], (page, text))

    def test_commands(self) -> None:
        """Every command line can be typed."""
        found = list(typed())
        self.assertGreater(len(found), 40)
        for command in cli.commands.values():
            self.patch(command, "callback", lambda **given: 0)
        for page, line in found:
            words = shlex.split(line)
            if {"--help", "--version"}.isdisjoint(words):
                try:
                    cli.main(words, "circustwist", standalone_mode=False, obj=Session())
                except click.ClickException as error:
                    self.fail(f"{page}: circustwist {line}: {error.format_message()}")

    def test_programs(self) -> None:
        """Every other command line that begins like one of ours names a target, a module or options that exist."""
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
        found = [(page, line.strip().removeprefix("$ ")) for page, line in literal()]
        checked = 0
        for page, line in found:
            ours = line.startswith(("make ", "twistd ", "python -m "))
            first, *words = shlex.split(line.partition(" #")[0]) if ours else [""]
            if first == "make":
                self.assertIn(words[0], targets, (page, line))
            elif first == "twistd":
                options = Options()
                self.patch(options, "postOptions", lambda: None)
                options.parseOptions(words[words.index("circus") + 1:])
            elif first == "python":
                self.assertTrue((ROOT / words[1].replace(".", "/")).exists(), (page, line))
            checked += bool(first)
        self.assertGreater(checked, 10)

    def test_python(self) -> None:
        """Every block of Python can be compiled, and what a page includes is there."""
        for page, text in pages().items():
            for match in LITERAL.finditer(text):
                block = textwrap.dedent(match[2]).strip()
                if re.match(r"(# \w+\.py|import |from \w+ import )", block):
                    compile(block, page, "exec")
            for name in re.findall(r"literalinclude:: (\S+)", text):
                self.assertTrue(((ROOT / page).parent / name).exists(), (page, name))

    def test_languages(self) -> None:
        """A block is of a kind that is checked."""
        for page, text in pages().items():
            for match in BLOCK.finditer(text):
                self.assertIn(match[2], ("ini", "dockerfile"), page)
                if match[2] == "dockerfile":
                    self.image(page, textwrap.dedent(match[3]))

    def image(self, page: str, text: str) -> None:
        """What a container runs can be run, in a shell's words or in those of JSON."""
        words = json.loads(text.rpartition("CMD ")[2])
        self.assertEqual(words[:2], ["twistd", "-n"], page)
        options = Options()
        self.patch(options, "postOptions", lambda: None)
        options.parseOptions(words[words.index("circus") + 1:])

    def test_numbers(self) -> None:
        """The README's numbers are those of the page about performance."""
        readme, page = ((ROOT / name).read_text() for name in ("README.rst", "docs/performance.rst"))
        found = re.findall(r"^     - ([\d.]+ m?s)$", readme, re.M)
        self.assertGreater(len(found), 6)
        for number in found:
            self.assertRegex(page, rf"(?m)\s{re.escape(number)}(\s|$)")

    def test_files(self) -> None:
        """Every file that is named exists."""
        for page, text in pages().items():
            for name in {found for match in INLINE.finditer(text) for found in FILE.findall(match[1])}:
                self.assertTrue((ROOT / name).exists() or name == "docs/_build", (page, name))

    def test_links(self) -> None:
        """Every page is in the contents, and every page that another refers to exists."""
        contents = (ROOT / "docs" / "index.rst").read_text().split()
        for path in (ROOT / "docs").glob("*.rst"):
            self.assertIn(path.stem, [*contents, "index"])
        for page, text in pages().items():
            for name in re.findall(r":doc:`(\w+)`", text):
                self.assertTrue((ROOT / "docs" / f"{name}.rst").exists(), (page, name))

    def test_readme(self) -> None:
        """What one sees according to the README is what the transcript says, which is run as a test."""
        readme = textwrap.dedent((ROOT / "README.rst").read_text()).splitlines()
        shown = [line.strip() for line in readme]
        for block in TRANSCRIPT.read_text().split("\n\n"):
            first, *rest = (line.strip() for line in block.strip().splitlines())
            if first in shown:
                at = shown.index(first) + 1
                self.assertEqual(shown[at:at + len(rest)], rest)
        self.assertIn("$ make run", shown)
        stack = (ROOT / "docs" / "examples" / "hello" / "stack.ini").read_text()
        self.assertIn(stack.partition("\n")[2].strip(), [text.strip() for page, text in inis() if page == "README.rst"])


class ReferenceTests(SynchronousTestCase):
    """The pages that are made from the code."""

    def setUp(self) -> None:
        self.reference = reference()

    def test_options(self) -> None:
        """Every option is there with its sentence; so are those that do nothing."""
        page = self.reference.options()
        for entry in [*entries(), *(each for kind in STREAMS for each in streamEntries(kind))]:
            self.assertRegex(page, rf"(?m)^``(stdout_stream\.)?{entry.name}``$")
            self.assertIn(self.reference.plain(entry.option.doc), page)
        for names in UNUSED.values():
            for name in names:
                self.assertIn(f"``{name}``", page)
        self.assertIn(
            "Default: ``30 s``. Unit: s. Example: ``graceful_timeout = 10``. A change takes effect at once.", page)

    def test_commands(self) -> None:
        """Every command is there with its arguments and what it answers."""
        page = self.reference.commands()
        for command in COMMANDS:
            part = page.partition(f"\n{command.name}\n---")[2] or page
            for name in [*(argument.name for argument in command.arguments), *command.answer]:
                self.assertIn(f"   * - ``{name}``", part)
        self.assertIn("Also called ``apply``.", page)

    def test_pages(self) -> None:
        """Every page that is made can be made."""
        for name, make in self.reference.PAGES.items():
            self.assertTrue(make().strip(), name)

    def test_changes(self) -> None:
        """Every fragment of a change is on the page about changes, of a kind that is known."""
        page = self.reference.changes()
        for path in (ROOT / "CHANGES").glob("*.rst"):
            self.assertIn(path.suffixes[-2][1:], self.reference.FRAGMENTS, path.name)
            self.assertIn(path.read_text().strip().splitlines()[0], page)

    def test_own(self) -> None:
        """The page of commands tells of those too that ask no supervisor."""
        page = (ROOT / "docs" / "commands.rst").read_text()
        for name in set(cli.commands) - {command.name for command in COMMANDS}:
            self.assertTrue(f"``{name}``" in page or cli.commands[name].name != name, name)

    def test_states(self) -> None:
        """Every state of both machines can be reached and is shown, and every input is explained."""
        for name, made, inputs in (("worker", worker.MACHINE, worker.Inputs),
                                   ("watcher", machine.MACHINE, watcher.Inputs)):
            page = self.reference.states(name)
            for state in made.__automat_automaton__.states():
                self.assertIn(f"``{state.name}``", page)
            for input, _ in self.reference.protocol(inputs):
                self.assertRegex(page, rf"(?m)^``{input}``\n    [A-Z].*\.$")
            self.assertNotIn("C{", page)
        self.assertIn(
            "   * - ``stopping``\n     - ``graceExpired``\n     - ``killing``", self.reference.states("worker"))

    def test_directives(self) -> None:
        """Every directive is used on a page, and none is that does not exist."""
        used = {name for text in pages().values() for name in re.findall(r"^\.\. (circus-\w+)::", text, re.M)}
        self.assertEqual(used, set(self.reference.PAGES))
