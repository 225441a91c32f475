"""
The JSON Schema of a stack's ini, made from the table of options.

It describes the ini as any reader of ini files gives it: an object with the
sections by their titles, each an object with its options.  A value may be text
as it stands in the file, or the JSON value that the text means.

@see: U{https://json-schema.org/draft/2020-12}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from . import framing, keys, values
from .circus import UNUSED
from .convert import RLIMITS
from .hooks import POINTS
from .option import Option, options
from .plugins import NATIVE
from .reference import changes
from .settings import Settings
from .stack import Socket, Watcher
from .streams import OUTPUTS, STREAMS
from .users import User

Json: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REPLACED = r"\$|\(\(|^\s*$|"
"""Text with a variable may mean anything, and empty text means the default."""
_WHOLE = r"[+-]?[0-9]+"


def _anyCase(*words: str) -> str:
    """A regular expression for these words in any case; ECMA 262 has no flag for it."""
    spelt = ("".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word) for word in words)
    return f"({'|'.join(spelt)})"


def _text(pattern: str = "") -> Json:
    return {"type": "string", "pattern": f"{_REPLACED}^\\s*{pattern}\\s*$"} if pattern else {"type": "string"}


def _or(pattern: str, **json: Any) -> Json:
    """Text of that form, or a JSON value."""
    return {"anyOf": [json, _text(pattern)]}


_NAME = r"[^/\u0000-\u001f\u007f-\u009f]{1,64}"
_TRUTH = ("yes", "true", "on", "1", "no", "false", "off", "0")
_SIGNAL = r"([0-9]+|([Ss][Ii][Gg])?[A-Za-z]+[A-Za-z0-9]*([+][0-9]+)?)"
_PROBE = (
    f"({_anyCase('listening', 'after', 'notify')}|{_anyCase('http', 'tcp')}://.+|{_anyCase('exec', 'log')}:.+)")

KINDS: Mapping[Any, Json] = {
    values.text: _text(),
    values.name: _text(_NAME),
    values.boolean: _or(_anyCase(*_TRUTH), type="boolean"),
    values.whole: _or(_WHOLE, type="integer"),
    values.natural: _or("[+]?[0-9]+", type="integer", minimum=0),
    values.count: _or("[+]?[0-9]+", type="integer", minimum=0, maximum=values.MOST_PROCESSES),
    values.retries: _or("([+]?[0-9]+|-1)", type="integer", minimum=-1),
    values.surge: _or(f"([+]?[0-9]+|{_anyCase('all')})", type="integer", minimum=1),
    values.port: _or("[+]?[0-9]{1,5}", type="integer", minimum=0, maximum=65535),
    values.seconds: _or(
        rf"([0-9]+([.][0-9]*)?|[.][0-9]+)\s*{_anyCase('ms', 's', 'm', 'h', 'd')}?", type="number", minimum=0),
    values.size: _or(r"[0-9]+([.][0-9]*)?\s*([KkMmGgTt][Ii]?)?[Bb]?", type="integer", minimum=0),
    framing.rate: _or(r"[0-9]+([.][0-9]*)?\s*([KkMmGgTt][Ii]?)?[Bb]?(/s)?", type="number", minimum=0),
    framing.lineLength: _or(r"[0-9]+([.][0-9]*)?\s*([KkMmGgTt][Ii]?)?[Bb]?", type="integer", minimum=1, maximum=65536),
    framing.prefix: _text(),
    values.cores: _or(r"[0-9]+([.][0-9]*)?%?", type="number", minimum=0, maximum=10_000),
    values.weight: _or("[+]?[0-9]{1,5}", type="integer", minimum=0, maximum=10_000),
    # A number would be read as a decimal one.
    values.octal: _text("(0[Oo])?0*[0-7]{1,4}"),
    values.signum: _or(_SIGNAL, type="integer", minimum=1),
    values.limit: _or(f"(-1|[+]?[0-9]+|{_anyCase('infinity', 'unlimited')})", type="integer", minimum=-1),
    values.respawn: _or(
        f"({_anyCase(*_TRUTH, 'always', 'never')}|{_anyCase('on')}[-_]{_anyCase('failure')})", type="boolean"),
    values.exitCodes: _or(rf"{_SIGNAL}([\s,]+{_SIGNAL})*", type="integer", minimum=0, maximum=255),
    values.words: _text(),
    values.dependencies: _text(),
    values.probe: _text(_PROBE),
    values.live: _text(_PROBE),
    values.address: _text("(.+:[0-9]{1,5})?"),
    values.endpoint: _text("((tcp://.+:([0-9]{1,5}|[*]))|(ipc://[/@].*))?"),
    values.multicast: _text("(udp://[0-9.]+:[0-9]{1,5})?"),
    keys.curveKey: _text(r"([!-~]{40}|[0-9A-Fa-f]{64})"),
    keys.fingerprint: _text(f"({_anyCase('sha256')}:)?([0-9A-Fa-f]{{2}}:?){{32}}"),
    keys.passwordHash: _text("scrypt(:[A-Za-z0-9_=-]+){5}"),
    values.alarm: _text(f"({_anyCase('exec')}:.+|{_anyCase('http', 'https')}://.+)?"),
}
"""What each converter takes."""


def kind(convert: values.Converter) -> Json:
    """The schema of what a converter takes."""
    if isinstance(convert, values.Choice):
        return _text(_anyCase(*convert.words))
    return KINDS[convert]


def _declared(cls: type, option: Option, default: Any) -> Json:
    """The schema of one option."""
    found: Json = {"description": option.doc, **kind(option.convert), "x-changes": changes(cls, option)}
    if option.convert is values.octal:
        default = None if default is None else f"{default:03o}"
    if default not in (None, "", ()):
        found["default"] = " ".join(map(str, default)) if isinstance(default, tuple) else default
    if option.unit:
        found["x-unit"] = option.unit
    if option.example:
        found["examples"] = [option.example]
    return found


def _of(cls: type, head: str = "") -> Json:
    """The options that a class declares, each under C{head} and its name."""
    return {head + name: _declared(cls, option, default) for name, option, default in options(cls)}


def _unused(cls: type) -> Json:
    """The options that are accepted for Circus's sake."""
    return {name: {"description": f"No effect: {why}.", "deprecated": True} for name, why in UNUSED[cls].items()}


def _circus() -> Json:
    several = {"type": "string", "description": "Further inis: names or patterns, parted by blanks."}
    include = {"include": several, "include_dir": {"type": "string", "description": "Folders of further inis, *.ini."}}
    return {"type": "object", "properties": {**_of(Settings), **include, **_unused(Settings)},
            "additionalProperties": False}


def _socket() -> Json:
    return {"type": "object", "properties": {**_of(Socket), **_unused(Socket)}, "additionalProperties": False}


def _user() -> Json:
    return {"type": "object", "properties": _of(User), "additionalProperties": False}


def _watcher() -> Json:
    """A watcher may have options of its own, and needs a program."""
    found: Json = _of(Watcher)
    for output in OUTPUTS:
        found[f"{output}.class"] = {
            "type": "string", "description": "The kind of stream.",
            "pattern": rf"{_REPLACED}({'|'.join(STREAMS)}|\w+([.:]\w+)+)$", "examples": list(STREAMS)}
        for cls in STREAMS.values():
            found |= _of(cls, f"{output}.")
    limits = {f"rlimit_{name}": {"description": "A resource limit; getrlimit(2).", **kind(values.limit)}
              for name in RLIMITS}
    hooks = {f"hooks.{name}": {"description": point.doc, "type": "string", "examples": [f"shop.hooks.{name}, true"]}
             for name, point in POINTS.items()}
    return {"type": "object", "properties": {**found, **limits, **hooks, **_unused(Watcher)}, "required": ["cmd"]}


def document() -> Json:
    """The whole schema."""
    environment = {"type": "object", "additionalProperties": {"type": "string"}}
    return {
        "$schema": DIALECT,
        "title": "A stack of circustwist",
        "type": "object",
        "properties": {
            "circus": {"$ref": "#/$defs/circus"}, "env": {"$ref": "#/$defs/env"},
            "DEFAULT": {"type": "object", "description": "What holds in every section."}},
        "patternProperties": {
            f"^{head}:.": {"$ref": f"#/$defs/{head}"} for head in ("watcher", "socket", "env", "plugin", "user")},
        "additionalProperties": False,
        "$defs": {
            "circus": _circus(), "watcher": _watcher(), "socket": _socket(), "user": _user(), "env": environment,
            "plugin": {"type": "object", "required": ["use"], "properties": {"use": {
                "type": "string", "description": "The dotted name of the plugin's class.", "examples": list(NATIVE)}}},
        },
    }
