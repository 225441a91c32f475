"""
Options of a watcher as a command gives them, in JSON types, on their way into what it is.

The types and the words of the errors are Circus's where it has the option;
the others take whatever their text in the ini could be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from . import rules, values
from .convert import RLIMITS
from .errors import MessageError
from .hooks import POINTS, hook
from .option import Option, options
from .stack import Watcher
from .streaming import CIRCUS_STREAM
from .streams import NEED_FILE, OUTPUTS, STREAMS, Stream, declaring, isOwn

OPTIONS: Mapping[str, tuple[Option, Any]] = {name: (option, default) for name, option, default in options(Watcher)}

_INTEGERS = frozenset(("numprocesses", "max_retry", "max_age", "max_age_variance", "stop_signal"))
_NUMBERS = frozenset(("warmup_delay", "retry_in", "graceful_timeout"))
_NAMES = frozenset(("uid", "gid"))
_BOOLEANS = frozenset((
    "send_hup", "shell", "copy_env", "respawn", "stop_children", "close_child_stdin", "close_child_stdout",
    "close_child_stderr"))
_IGNORED = frozenset(("retry_in",))
"""What Circus takes and does nothing with."""

_EXECUTES = frozenset(("ready", "live", "on_failure"))
"""Options that take effect at once and name a program."""


def defines(key: str) -> bool:
    """Whether an option says what is run, or as whom, or where it writes."""
    declared = OPTIONS.get(key)
    return declared is None or declared[0].live != "now" or key in _EXECUTES


def tuned(spec: Watcher, given: Mapping[str, Any]) -> Watcher:
    """
    A watcher with other options.

    @param given: JSON types by option, as the commands C{set} and C{add} have them.
    @raise MessageError: about the first that cannot be.
    """
    found = spec
    for key, value in given.items():
        if key not in _IGNORED:
            found = _special(key)(found, key, value)
        else:
            _check(key, value)
    for option, broken, text in rules.WATCHER:
        if broken(found) and not broken(spec):
            raise MessageError(f"{option!r} {text}")
    return found


def _special(key: str) -> Callable[[Watcher, str, Any], Watcher]:
    """How an option is put into a watcher."""
    output, dot, _ = key.partition(".")
    if key == "env":
        return _env
    if key.startswith("rlimit_"):
        return _rlimit
    if output in OUTPUTS:
        return _streamOption if dot else _stream
    if output == "hooks":
        return _hook if dot else _hooks
    if key not in OPTIONS:
        raise MessageError(f"unknown key {key!r}")
    return _plain


def _check(key: str, value: Any) -> None:
    """
    @raise MessageError: in Circus's words, if a value has a wrong type.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _INTEGERS and not (number and isinstance(value, int)):
        raise MessageError(f"{key!r} isn't an integer")
    if key in _NUMBERS and not number:
        raise MessageError(f"{key!r} isn't a number")
    if key in _NAMES and not (isinstance(value, str) or (number and isinstance(value, int))):
        raise MessageError(f"{key!r} isn't an integer or string")
    if key in _BOOLEANS and not isinstance(value, bool) and (key, value) != ("respawn", "on-failure"):
        raise MessageError(f"{key!r} isn't a valid boolean")


def text(value: Any) -> str | None:
    """A JSON value as the ini would have it; None if it could not stand there."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return ", ".join(value)
    return None


def _plain(spec: Watcher, key: str, value: Any) -> Watcher:
    """An option of the table."""
    _check(key, value)
    option, default = OPTIONS[key]
    if key == "args" and isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return attrs.evolve(spec, args=tuple(value))
    if key == "numprocesses":
        value = max(0, value)
    written = text(value)
    if written is None or (option.convert is values.text and not isinstance(value, str | int | None)):
        raise MessageError(f"{key!r} isn't a string")
    if not written:
        return attrs.evolve(spec, **{key: default})
    try:
        converted: Any = option.convert(written)
    except (ValueError, OverflowError) as error:
        raise MessageError(f"{key!r}: {written!r} {error}") from None
    return attrs.evolve(spec, **{key: converted})


def _env(spec: Watcher, key: str, value: Any) -> Watcher:
    if not isinstance(value, Mapping):
        raise MessageError(f"{key!r} isn't a valid object")
    for name, worth in value.items():
        if not isinstance(worth, str) or "\0" in worth:
            raise MessageError(f"{name!r} isn't a string")
        if not name or "=" in name or "\0" in name:
            raise MessageError(f"{name!r} is no name of a variable")
    return attrs.evolve(spec, env=dict(value))


def _rlimit(spec: Watcher, key: str, value: Any) -> Watcher:
    name = key.removeprefix("rlimit_").lower()
    if name not in RLIMITS:
        raise MessageError(f"{key!r} isn't a valid rlimit setting")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise MessageError(f"{value!r} rlimit value isn't a valid int")
    return attrs.evolve(spec, rlimits={**spec.rlimits, name: None if value is None or value < 0 else value})


def _hooks(spec: Watcher, key: str, value: Any) -> Watcher:
    """All hooks, C{{"before_start": "module.function", ...}}."""
    if not isinstance(value, Mapping):
        raise MessageError(f"{key!r} isn't a valid object")
    spec = attrs.evolve(spec, hooks={})
    for name, target in value.items():
        if name not in POINTS:
            raise MessageError(f"Unknown hook {name!r}")
        spec = _hook(spec, f"hooks.{name}", target)
    return spec


def _hook(spec: Watcher, key: str, value: Any) -> Watcher:
    """One hook, C{hooks.before_start}; an empty one is none."""
    name = key.partition(".")[2]
    if name not in POINTS:
        raise MessageError(f"unknown key {key!r}")
    others = {other: hook for other, hook in spec.hooks.items() if other != name}
    if value in (None, ""):
        return attrs.evolve(spec, hooks=others)
    if not isinstance(value, str):
        raise MessageError(f"{key!r} isn't a string")
    try:
        return attrs.evolve(spec, hooks={**others, name: hook(value)})
    except ValueError as error:
        raise MessageError(f"{key!r}: {value!r} {error}") from None


def _stream(spec: Watcher, key: str, value: Any) -> Watcher:
    """A whole stream, C{{"class": "FileStream", "filename": ...}}."""
    if not isinstance(value, Mapping):
        raise MessageError(f"{key!r} isn't a valid object")
    if "class" not in value:
        raise MessageError(f"{key!r} must have a 'class' key")
    settings = {name: worth for name, worth in value.items() if name not in ("class", "refresh_time")}
    return attrs.evolve(spec, **{key: _made(key, value["class"], settings)})


def _streamOption(spec: Watcher, key: str, value: Any) -> Watcher:
    """One option of a stream, C{stdout_stream.filename}; the others stay."""
    output, _, name = key.partition(".")
    before: Stream = getattr(spec, output)
    kind = value if name == "class" else before.kind or ("FileStream" if name == "filename" else "")
    settings = dict(before.settings) if name == "class" else {**before.settings, name: value}
    return attrs.evolve(spec, **{output: _made(output, kind, settings)})


def _made(output: str, kind: Any, settings: Mapping[str, Any]) -> Any:
    """
    @raise MessageError: if there is no such stream.
    """
    kind = CIRCUS_STREAM.sub("", str(kind))
    if kind not in STREAMS and not isOwn(kind):
        raise MessageError(f"{output!r}: {kind!r} is no stream; there are {', '.join(STREAMS)}")
    known = {name: option for name, option, _ in options(declaring(kind))}
    found = {}
    for name, value in settings.items():
        written = text(value)
        if written is None or (name not in known and not isOwn(kind)):
            raise MessageError(f"unknown key '{output}.{name}'")
        try:
            known[name].convert(written) if written and name in known else None
        except (ValueError, OverflowError) as error:
            raise MessageError(f"'{output}.{name}': {written!r} {error}") from None
        found[name] = written
    if kind in NEED_FILE and not found.get("filename"):
        raise MessageError(f"{output!r} needs a filename")
    return Stream(kind, found)
