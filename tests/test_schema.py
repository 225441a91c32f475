"""Tests of the JSON Schema, with as much of a validator as it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from circustwist.cli import local, main
from circustwist.model import values
from circustwist.model.reference import SECTIONS, entries, find, streamEntries
from circustwist.model.schema import KINDS, document
from circustwist.model.streams import OUTPUTS, STREAMS

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
TYPES = {"object": dict, "string": str, "integer": int, "number": (int, float), "boolean": bool}


def fits(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Whether a value is valid; knows no more keywords than are used."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return any(fits(one, value, root) for one in schema["anyOf"])
    kind = TYPES.get(schema.get("type", ""), object)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind not in (bool, object)):
        return False
    if isinstance(value, dict):
        return set(schema.get("required", ())) <= set(value) and all(
            _member(schema, key, each, root) for key, each in value.items())
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


def _member(schema: dict[str, Any], key: str, value: Any, root: dict[str, Any]) -> bool:
    """Whether a member of an object is valid."""
    meant = [one for pattern, one in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
    meant += [schema["properties"][key]] if key in schema.get("properties", {}) else []
    rest = schema.get("additionalProperties", True)
    if meant or rest is True:
        return all(fits(one, value, root) for one in meant)
    return bool(rest) and fits(rest, value, root)


def keywords(schema: Any) -> Iterator[str]:
    """The keywords of a schema and of those in it."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield key
            named = key in ("properties", "patternProperties", "$defs")
            for inner in value.values() if named else [value] if isinstance(value, dict) else []:
                yield from keywords(inner)
            for inner in value if key == "anyOf" else []:
                yield from keywords(inner)


class SchemaTests(SynchronousTestCase):
    """Tests of L{document}."""

    def setUp(self) -> None:
        self.schema = document()

    def fits(self, text: str = "", **sections: Any) -> bool:
        """Whether an ini fits, and these sections of it, with C{_} for the colon."""
        parser = RawConfigParser()
        parser.read_string(text)
        stack: dict[str, Any] = {title: dict(section) for title, section in parser.items()}
        stack |= {title.replace("_", ":"): section for title, section in sections.items()}
        return fits(self.schema, stack, self.schema)

    def test_complete(self) -> None:
        """Every option of the table is in it, with its sentence."""
        for entry in entries():
            found = self.schema["$defs"][entry.section]["properties"][entry.name]
            self.assertEqual((found["description"], found["x-changes"]), (entry.option.doc, entry.changes))
        watcher = self.schema["$defs"]["watcher"]["properties"]
        for output in OUTPUTS:
            for kind in STREAMS:
                self.assertLessEqual({f"{output}.{e.name}" for e in streamEntries(kind)}, set(watcher))
        self.assertEqual(set(self.schema["$defs"]), {*SECTIONS, "env", "plugin"})

    def test_kinds(self) -> None:
        """Every converter has a kind, and takes the default and the example of each of its options."""
        for entry in [*entries(), *(e for kind in STREAMS for e in streamEntries(kind))]:
            convert = entry.option.convert
            self.assertTrue(convert in KINDS or isinstance(convert, values.Choice), entry.name)
            sections = self.schema["$defs"][entry.section]["properties"]
            found = sections.get(entry.name) or sections[f"{OUTPUTS[0]}.{entry.name}"]
            for text in filter(None, (entry.option.example, found.get("default"))):
                self.assertTrue(fits(found, text, self.schema), (entry.name, text))
            self.assertIsNotNone(convert(entry.option.example or str(found.get("default", ""))) if found else None)

    def test_examples(self) -> None:
        """The example stacks fit."""
        for path in EXAMPLES.glob("*/stack.ini"):
            self.assertTrue(self.fits(path.read_text()), path)

    def test_right(self) -> None:
        """Text and JSON values, variables, limits, streams, and a watcher's own options are fine."""
        self.assertTrue(self.fits(
            "[circus]\nstatsd = True\n[watcher:a]\ncmd = x\nnumprocesses = $(circus.env.N)\nmine = 7\nrlimit_core =\n"
            "graceful_timeout = 2M\nrespawn = On-Failure\nsuccess_exit_codes = 0, 3 SIGTERM\nready = log:up\n"
            "stdout_stream.class = circus.stream.FileStream\nstdout_stream.filename = f\n[env:a]\nX = 1\n"))
        self.assertTrue(self.fits(watcher_a={"cmd": "x", "numprocesses": 5, "copy_env": True, "max_age": 1.5}))

    def test_wrong(self) -> None:
        """What could not be read is refused."""
        self.assertFalse(self.fits("[watcher:a]\nnumprocesses = 5\n"))
        self.assertFalse(self.fits("[socket:s]\nprot = 1\n"))
        self.assertFalse(self.fits("[whatcher:a]\ncmd = x\n"))
        for line in ("numprocesses = five", "copy_env = maybe", "graceful_timeout = -1", "kill_mode = all",
                     "umask = 9", "ready = https://x", "max_surge = some", "stdout_stream.class = Other"):
            self.assertFalse(self.fits(f"[watcher:a]\ncmd = x\n{line}\n"), line)
        for value in (-1, 100_001, True, 1.5):
            self.assertFalse(self.fits(watcher_a={"cmd": "x", "numprocesses": value}), value)

    def test_keywords(self) -> None:
        """No keyword is used that this test, or a reader, does not know; it is JSON, and patterns are portable."""
        known = {
            "$schema", "title", "type", "properties", "patternProperties", "additionalProperties", "$defs", "$ref",
            "description", "pattern", "default", "examples", "deprecated", "anyOf", "minimum", "maximum", "required",
            "x-changes", "x-unit"}
        self.assertEqual(set(keywords(self.schema)) - known, set())
        self.assertEqual(json.loads(json.dumps(self.schema)), self.schema)
        self.assertNotRegex(json.dumps(self.schema), r"\(\?|\\\\[ZAb]")

    def test_command(self) -> None:
        """C{circustwist schema} prints it."""
        said: list[str] = []
        self.patch(local, "say", said.append)
        self.assertEqual(main.main(["schema"]), 0)
        self.assertEqual(json.loads("".join(said)), self.schema)


class ReferenceTests(SynchronousTestCase):
    """Tests of what is told of options."""

    def test_shown(self) -> None:
        """Defaults are shown as people write them."""
        shown = {name: find(name)[0].shown for name in ("stop_signal", "min_ready", "listen_fds", "umask", "port")}
        self.assertEqual(
            shown, {"stop_signal": "TERM", "min_ready": "2 s", "listen_fds": "none", "umask": "none", "port": "8080"})

    def test_find(self) -> None:
        """An option is found in each section that has it, one of a stream by its output."""
        self.assertEqual([entry.section for entry in find("UMASK")], ["watcher", "socket", "circus"])
        self.assertEqual([entry.name for entry in find("stderr_stream.max_bytes")], ["stderr_stream.max_bytes"])
        self.assertEqual(find("stderr_stream.colour"), [])
        self.assertEqual(find("host")[0].changes, "by a new socket in its place")
