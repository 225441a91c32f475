"""
Pages made from the code: the options, the commands, the state machines.

A Sphinx extension; each directive stands for a text that is made when the
documentation is built, so that it cannot differ from what the program does.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import diagram

from circustwist.cli.equivalent import COMMANDS as SUPERVISORCTL
from circustwist.cli.equivalent import ROWS
from circustwist.cli.main import cli
from circustwist.logic import machine, watcher, worker
from circustwist.model.circus import UNUSED
from circustwist.model.commands import COMMANDS, Argument, Command
from circustwist.model.convert import RLIMITS
from circustwist.model.hooks import POINTS
from circustwist.model.plugins import KINDS, NATIVE
from circustwist.model.reference import SECTIONS, Entry, entries, pluginEntries, streamEntries
from circustwist.model.streams import STREAMS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.faults.rows import MISSING, PARTS, rows

TITLES = {"watcher": "[watcher:NAME]", "socket": "[socket:NAME]", "circus": "[circus]", "user": "[user:NAME]"}
MACHINES = {"worker": (worker.MACHINE, worker.Inputs), "watcher": (machine.MACHINE, watcher.Inputs)}
IGNORED = "returns("
"""How Automat names what a transition does that only returns a constant."""


def heading(text: str, line: str) -> list[str]:
    """A heading."""
    return [text, line * len(text), ""]


def table(rows: Iterable[Sequence[str]], widths: str) -> list[str]:
    """A table; the first row is its header."""
    lines = [".. list-table::", f"   :widths: {widths}", "   :header-rows: 1", ""]
    for row in rows:
        for at, cell in enumerate(row):
            lines.append(f"   {'*' if at == 0 else ' '} - {cell}".rstrip())
    return [*lines, ""]


def literal(text: str) -> str:
    """Text as it is typed, without the blanks around it, which reStructuredText does not take."""
    return f"``{text.strip()}``" if text.strip() else ""


def plain(text: str) -> str:
    """Text in which nothing is markup."""
    return "".join(f"\\{char}" if char in "*`|\\_" else char for char in text)


# Options


def options() -> str:
    """Every option of every kind of section, and the options of streams."""
    lines: list[str] = []
    for section in reversed(list(SECTIONS)):
        lines += heading(TITLES[section], "-")
        lines += [line for entry in entries() if entry.section == section for line in described(entry)]
        lines += [*limits(), *hooks()] if section == "watcher" else []
    lines += heading("Streams", "-")
    lines += [
        "An option of a stream stands in the watcher's section, after ``stdout_stream.`` or ``stderr_stream.``; "
        "``class`` says which kind of stream it is.", ""]
    for kind in STREAMS:
        lines += heading(kind, "~")
        lines += [line for entry in streamEntries(kind) for line in described(entry, "stdout_stream.")]
    return "\n".join([*lines, *unused()])


def described(entry: Entry, head: str = "") -> list[str]:
    """One option."""
    told = f"Default: {literal(entry.shown) if entry.shown != 'none' else 'none'}."
    if entry.option.unit:
        told += f" Unit: {entry.option.unit}."
    if entry.option.example:
        told += f" Example: {literal(f'{head}{entry.name} = {entry.option.example}')}."
    return [
        literal(head + entry.name), f"    {plain(entry.option.doc)}", "",
        f"    {told} A change takes effect {entry.changes}.", ""]


def limits() -> list[str]:
    """The resource limits of a watcher."""
    names = ", ".join(literal(f"rlimit_{name}") for name in RLIMITS)
    return [names, "    A resource limit of the processes; getrlimit(2). Nothing, or ``infinity``, is none.", "",
            "    Example: ``rlimit_nofile = 4096``. A change takes effect for new workers.", ""]


def hooks() -> list[str]:
    """The hooks of a watcher."""
    names = ", ".join(literal(f"hooks.{name}") for name in POINTS)
    return [names, "    A function that is called at a point of the watcher's life; see :doc:`hooks`.", "",
            "    Example: ``hooks.before_start = shop.hooks.warm``. A change takes effect at once.", ""]


def points() -> str:
    """Every hook."""
    rows = [(literal(f"hooks.{name}"), plain(point.doc), " ".join(map(literal, point.given)),
             "counts as yes" if point.forgiven else "counts as no" if point.decides else "changes nothing")
            for name, point in POINTS.items()]
    return "\n".join(table([("Hook", "When", "Is given", "An exception"), *rows], "22 46 20 12"))


def plugins() -> str:
    """Every plugin that runs inside the supervisor, with its options."""
    lines: list[str] = []
    for kind, cls in KINDS.items():
        uses = [use for use, of in NATIVE.items() if of == kind]
        lines += [*heading(kind, "~"), plain(inspect.getdoc(cls) or ""), ""]
        lines += [f"``use = {uses[0]}``", ""]
        lines += [line for entry in pluginEntries(kind) for line in described(entry)]
    return "\n".join(lines)


def unused() -> list[str]:
    """The options of Circus that do nothing."""
    lines = heading("Accepted without effect", "-")
    lines += ["These options of Circus may stand in an ini. A warning says that they do nothing, and why.", ""]
    rows = [(TITLES[section], literal(name), plain(why))
            for section, cls in reversed(list(SECTIONS.items())) for name, why in UNUSED[cls].items()]
    return [*lines, *table([("Section", "Option", "Reason"), *rows], "18 22 60")]


# Commands


def commands() -> str:
    """Every command of the table."""
    return "\n".join(line for command in COMMANDS for line in told(command))


def told(command: Command) -> list[str]:
    """One command."""
    also = [name for name, other in cli.commands.items() if name != command.name and other.name == command.name]
    names = f" Also called {', '.join(map(literal, also))}." if also else ""
    how = " It starts an operation." if command.changes else ""
    lines = [*heading(command.name, "-"), plain(command.help) + names, "", f"Role: {command.role}.{how}", ""]
    if command.arguments:
        taken = [(literal(a.name), str(a.kind), default(a), plain(a.help)) for a in command.arguments]
        lines += table([("Argument", "Kind", "Default", "Meaning"), *taken], "15 12 15 58")
    if command.answer:
        rows = [(literal(key), plain(text)) for key, text in command.answer.items()]
        lines += table([("Answer", "Meaning"), *rows], "20 80")
    return lines


def default(argument: Argument) -> str:
    """What stands for an argument that is left out."""
    if argument.required:
        return "required"
    return "none" if argument.default in ("", ()) else literal(str(argument.default))


# Pictures


def raw(html: str) -> str:
    """A line of HTML."""
    return f".. raw:: html\n\n    {html}\n"


# State machines


def states(name: str) -> str:
    """Every state of a machine, and where each input leads that is not ignored there."""
    made, inputs = MACHINES[name]
    rows = [tuple(map(literal, row)) for row in transitions(made)]
    lines = [raw(diagram.machine(f"the states of a {name}", transitions(made)))]
    lines += table([("In", "upon", "to"), *rows], "30 30 40")
    lines += [line for input, method in protocol(inputs) for line in (literal(input), f"    {sentence(method)}", "")]
    return "\n".join(lines)


def transitions(made: Any) -> Iterator[tuple[str, str, str]]:
    """State, input and next state of whatever is not ignored; from the first state on, as one comes to them."""
    automaton = made.__automat_automaton__
    found: dict[str, list[tuple[str, str]]] = {}
    for state, input, target, outputs in automaton.allTransitions():
        if any(not output.name.startswith(IGNORED) for output in outputs):
            found.setdefault(state.name, []).append((input, target.name))
    waiting, seen = [automaton.initialState.name], set[str]()
    while waiting:
        state = waiting.pop(0)
        if state not in seen:
            seen.add(state)
            for input, target in sorted(found.get(state, ())):
                yield state, input, target
                waiting.append(target)


def protocol(inputs: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The inputs of a machine in the order of their declaration."""
    return ((name, method) for name, method in vars(inputs).items() if inspect.isfunction(method) and name[0] != "_")


def sentence(method: Callable[..., Any]) -> str:
    """What a docstring says, without epytext's C{}."""
    text = " ".join((inspect.getdoc(method) or "").split())
    while "C{" in text:
        before, _, rest = text.partition("C{")
        code, _, after = rest.partition("}")
        text = f"{before}{literal(code)}{after}"
    return text


# Other supervisors


def supervisord() -> str:
    """What each option of supervisord becomes."""
    rows = [(f"[{row.section}] {literal(row.option)}", literal(row.ours) if row.ours else "", plain(row.note))
            for row in ROWS]
    return "\n".join(table([("supervisord", "circustwist", ""), *rows], "30 22 48"))


def supervisorctl() -> str:
    """What each command of supervisorctl is called."""
    rows = [(literal(name), literal(f"circustwist {ours}") if ours else "", plain(note))
            for name, (ours, note) in SUPERVISORCTL.items()]
    return "\n".join(table([("supervisorctl", "circustwist", ""), *rows], "20 30 50"))


# Faults


def faults() -> str:
    """Every fault of the catalogue, part by part, with the test that shows what happens."""
    lines: list[str] = []
    for part, (title, _, _) in PARTS.items():
        lines += heading(f"{part}. {title}", "-")
        shown = [(row.id, plain(row.fault), plain(row.expected), literal(row.test)) for row in rows()
                 if row.id[0] == part]
        if shown:
            lines += table([("", "Fault", "What happens", "Test"), *shown], "6 28 36 30")
        lines += [f"{id}: no test, {plain(why)}\n" for id, why in MISSING.items() if id[0] == part]
    return "\n".join(lines)


# Changes


FRAGMENTS = {"feature": "New", "bugfix": "Repaired", "removal": "Gone"}
"""The kinds of fragments, by the end of their names."""


def changes() -> str:
    """What is new since the last release, as the fragments of the changes tell it."""
    lines: list[str] = []
    for kind, title in FRAGMENTS.items():
        found = sorted((Path(__file__).resolve().parent.parent / "CHANGES").glob(f"*.{kind}.rst"))
        lines += heading(title, "-") if found else []
        for path in found:
            first, *rest = path.read_text().strip().splitlines()
            lines += [f"* {first}", *(f"  {line}" for line in rest), ""]
    return "\n".join(lines)


PAGES: Mapping[str, Callable[[], str]] = {
    "circus-options": options,
    "circus-commands": commands,
    "circus-hooks": points,
    "circus-plugins": plugins,
    "circus-worker": lambda: states("worker"),
    "circus-watcher": lambda: states("watcher"),
    "circus-faults": faults,
    "circus-imports": lambda: raw(diagram.house()),
    "circus-supervisord": supervisord,
    "circus-supervisorctl": supervisorctl,
    "circus-changes": changes,
}
"""The text that stands for each directive."""


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    from sphinx.util.docutils import SphinxDirective

    def directive(make: Callable[[], str]) -> type:
        def run(self: Any) -> Any:
            return self.parse_text_to_nodes(make(), allow_section_headings=True)

        return type("Page", (SphinxDirective,), {"run": run})

    for name, make in PAGES.items():
        app.add_directive(name, directive(make))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
