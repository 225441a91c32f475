"""
Answers as people read them.

Functions from JSON types to lines of text; what comes from workers, files or
people is made L{safe} here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from .table import aligned

if TYPE_CHECKING:
    from ..control.blocking import Control

Json = Mapping[str, Any]
Paint = Callable[[str], str]

LONGEST_UPGRADE = 30.0
"""Seconds that a supervisor may take to come back as another version."""

_COLOURS = {
    "active": 32, "ready": 32, "running": 32, "done": 32,
    "starting": 33, "stopping": 33, "backoff": 33, "degraded": 33, "superseded": 33,
    "cancelled": 33, "interrupted": 31,
    "failed": 31,
}


def safe(text: object) -> str:
    """With control characters, and whatever else would not print, as C{\\x1b}."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else _escaped(char) for char in shown)


def _escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def plain(word: str) -> str:
    """The word without a colour."""
    return word


def coloured(word: str) -> str:
    """The word in the colour of the state that it names, if it names one."""
    code = _COLOURS.get(word)
    return f"\x1b[{code}m{word}\x1b[0m" if code else word


def painter(terminal: bool, environ: Mapping[str, str]) -> Paint:
    """
    How states are painted; never where C{NO_COLOR} is set.

    @param terminal: whether the output is one.
    @see: U{https://no-color.org}
    """
    wanted = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return coloured if wanted else plain


def span(seconds: float) -> str:
    """A length of time in one unit."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    for unit, length, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < most:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // 86400:.0f} d"


def shortPath(path: str, folder: str) -> str:
    """Relative to the folder if that is shorter; never to the root, which would only take the slash off."""
    relative = os.path.relpath(path, folder) if path.startswith("/") and folder != "/" else path
    return relative if len(relative) < len(path) else path


def status(stack: Json, paint: Paint, folder: str, only: str = "") -> list[str]:
    """
    The state of a stack.

    @param folder: to which paths may be relative.
    @param only: a watcher, which is then shown with its workers.
    """
    watchers = [watcher for watcher in stack["watchers"] if only.lower() in ("", watcher["name"].lower())]
    changed = {one["name"].lower(): one for one in stack.get("tuned", ())}
    cells = [_watcher(watcher, paint, changed.get(watcher["name"].lower())) for watcher in watchers]
    cells += [[safe(one["name"]), "", tuned(one)] for one in changed.values() if one["removed"] and not only]
    rows = aligned(cells, (2, 3))
    if only:
        return rows + workers(watchers, paint)
    head = (safe(stack["name"]), f"pid {stack['pid']}", f"up {span(stack['uptime'])}",
            safe(shortPath(stack["path"], folder)))
    return ["  ".join(head), *rows, *sockets(stack["sockets"], paint)]


def _watcher(watcher: Json, paint: Paint, changed: Json | None = None) -> list[str]:
    state = f"{paint(safe(watcher['status']))} {watcher['active']}/{watcher['wanted']}"
    notes = [problem(watcher)] if watcher.get("problem") else []
    if watcher.get("resized"):
        notes.append(resized(watcher["resized"]))
    if changed:
        notes.append(tuned(changed))
    if watcher.get("waits"):
        notes.insert(0, f"waits for {safe(watcher['waits'])}")
    if watcher.get("asleep"):
        notes.append("starts at the next connection")
    notes += dropped(watcher.get("dropped", {}))
    over = watcher["status"] == "stopped" and not watcher.get("asleep") and not watcher.get("stopper")
    if over and watcher.get("completed") is not None:
        notes.append(_over(watcher))
    elif watcher.get("restarts"):
        notes.append(_restarts(watcher["restarts"], watcher.get("last")))
    return [safe(watcher["name"]), state, "; ".join(notes)]


def dropped(counts: Json) -> list[str]:
    """How much output was dropped: C{stdout: 1200 bytes in 12 lines dropped}."""
    return [f"{stream}: {count['bytes']} bytes in {count['lines']} lines dropped"
            for stream, count in counts.items() if count["bytes"]]


def problem(watcher: Json) -> str:
    """What is wrong with a watcher; empty if nothing is."""
    return safe("; ".join(filter(None, (watcher.get("problem"), watcher.get("last_words")))))


def resized(told: Json) -> str:
    """Another number of processes than the configuration has: C{running 7, ini says 5 (ann, 10:02)}."""
    return f"running {told['wanted']}, ini says {told['configured']} ({_whoWhen(told)})"


def tuned(told: Json) -> str:
    """What of a watcher is not as the configuration has it: C{max_age = 5 set (ann, 10:02)}."""
    if told["removed"] or told["added"]:
        return f"{'removed' if told['removed'] else 'added'} ({_whoWhen(told)})"
    options = ", ".join(f"{safe(key)} = {safe(value)}" for key, value in told["options"].items())
    return f"{options} set ({_whoWhen(told)})"


def _whoWhen(told: Json) -> str:
    when = time.strftime("%H:%M", time.localtime(time.time() - told["ago"]))
    return f"{safe(told['by']).partition(' (')[0]}, {when}"


def _over(watcher: Json) -> str:
    """How a watcher ended by itself."""
    last = watcher.get("last")
    if watcher["completed"] or not last:
        return "completed" if watcher["completed"] else "ended by itself"
    return f"{safe(last['worker'])} {safe(last['reason'])} {span(last['ago'])} ago"


def _restarts(number: int, last: Json | None) -> str:
    text = counted(number, "restart")
    if not last:
        return text
    back = "not back yet" if last.get("back") is None else f"back in {span(last['back'])}"
    named = "" if number == 1 else "last "
    return f"{text}: {named}{safe(last['worker'])} {safe(last['reason'])} {span(last['ago'])} ago, {back}"


def workers(watchers: Sequence[Json], paint: Paint) -> list[str]:
    """The workers of some watchers."""
    return aligned([
        (f"  {safe(watcher['name'])}/{worker['wid']}", f"pid {worker['pid'] or '-'}", paint(safe(worker["state"])),
         span(worker["age"]))
        for watcher in watchers for worker in watcher["workers"]
    ])


def sockets(found: Sequence[Json], paint: Paint) -> list[str]:
    """The sockets, with how many connections wait."""
    return aligned([_socket(socket, paint) for socket in found], (1, 2))


def _socket(socket: Json, paint: Paint) -> list[str]:
    known = socket.get("queue") is not None
    limit = socket.get("limit")
    queue = f"queue {socket['queue']}" + (f"/{limit}" if limit is not None else "") if known else ""
    failed = paint("failed") if socket.get("state") == "failed" else ""
    parts = (_hits(socket.get("hits") or {}), queue, failed)
    return [f"socket {safe(socket['name'])}", safe(socket["address"]), "  ".join(filter(None, parts))]


def _hits(found: Json) -> str:
    if found.get("connections") is None:
        return ""
    return f"connections {'' if found['exact'] else '>='}{found['connections']}"


def event(happened: Json) -> str:
    """One line for an event."""
    if happened.get("event") == "missed":
        return f"({happened['missed']} events were missed here)"
    clock = time.strftime("%H:%M:%S", time.localtime(happened["time"]))
    who = happened["worker"] or happened["watcher"]
    pid = f"pid {happened['pid']}" if happened["pid"] else ""
    data = " ".join(f"{key}={value}" for key, value in happened["data"].items() if value not in ("", None))
    parts = (f"{clock}.{int(happened['time'] % 1 * 1000):03d}", happened["event"], who, pid, data, happened["by"])
    return " ".join(safe(part) for part in parts if part)


def operation(found: Json) -> str:
    """What became of an operation."""
    said = [f"{name} {_counted(changed)}" for name, changed in found.get("info", {}).get("watchers", {}).items()]
    why = "; ".join(filter(None, (found.get("reason"), found.get("last_words"))))
    why = why or ", ".join(said)
    return safe(f"{found['command']} {found['state']}" + (f": {why}" if why else ""))


def _counted(changed: Json) -> str:
    counts = [f"{len(pids)} {word}" for word, pids in changed.items() if pids and word != "kept"]
    return " and ".join(counts) or "unchanged"


def plan(
    items: Sequence[Json], sizes: Sequence[Json] = (), kept: Sequence[Json] = (), lacks: Sequence[Json] = ()
) -> list[str]:
    """
    What applying a configuration would do.

    @param sizes: the watchers that have another number of processes than it says, which stays so.
    @param kept: those of which something else stays that was changed at run time.
    @param lacks: the limits that cannot be kept, so that no process can be started with them.
    """
    stays = [f"watcher {safe(each['name'])} stays as it is: {resized(each)}" for each in sizes]
    stays += [f"watcher {safe(each['name'])} stays as it is: {tuned(each)}" for each in kept]
    starts = [
        f"watcher {safe(each['name'])} cannot be started with {each['option']}: {safe(each['reason'])}"
        for each in lacks]
    return (_items(items) or ["nothing changes"]) + stays + starts


def _items(items: Sequence[Json]) -> list[str]:
    words = {
        "add": "is added", "remove": "is stopped and removed", "now": "changes at once, no process is touched",
        "reload": "is reloaded, process by process", "replace": "is bound anew", "restart": "needs a new supervisor"}
    lines = []
    for item in items:
        why = f": {safe(item['why'])}" if item["why"] else ""
        lines.append(f"{item['kind']} {safe(item['name'])} {words[item['action']]}{why}")
        lines += [f"    {c['option']}: {safe(c['old']) or '-'} -> {safe(c['new']) or '-'}" for c in item["changes"]]
    return lines


def progress(happened: Json) -> str:
    """How far an operation is, for one line of a terminal."""
    data = happened["data"]
    counted = f" {data['done']}/{data['total']}" if data.get("total") else ""
    return safe(f"{data['text']}{counted}")


def plainly(answer: object) -> list[str]:
    """Any answer: a single value as it is, more of them with their keys."""
    if isinstance(answer, dict):
        if len(answer) == 1:
            return plainly(next(iter(answer.values())))
        return aligned([(safe(key), _inline(value)) for key, value in answer.items()])
    if isinstance(answer, list):
        if answer and all(isinstance(row, dict) for row in answer):
            keys = list(dict.fromkeys(key for row in answer for key in row))
            return aligned([keys, *([_inline(row.get(key)) for key in keys] for row in answer)])
        return [_inline(value) for value in answer]
    return [_inline(answer)]


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return safe(" ".join(f"{key}={inner}" for key, inner in value.items()))
    return safe(" ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else value)


def counted(number: int, word: str) -> str:
    """A number of things."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def options(name: str) -> list[dict[str, Any]]:
    """What is known of an option of the ini, in each kind of section that has it."""
    from ..model.reference import find

    return [
        {"section": entry.section, "option": entry.name, "doc": entry.option.doc, "default": entry.default,
         "shown": entry.shown, "unit": entry.option.unit, "example": entry.option.example, "changes": entry.changes}
        for entry in find(name)
    ]


def optionLines(found: Sequence[Json]) -> list[str]:
    """The same for people."""
    return [line for option in found for line in (
        f"[{option['section']}] {option['option']}", f"  {option['doc']}",
        *(f"  {line}" for line in aligned([(word, text) for word, text in (
            ("default", option["shown"]), ("e.g.", option["example"]), ("a change counts", option["changes"]),
        ) if text])))]


@attrs.define
class Progress:
    """
    How far the operations are that a connection waits for.

    @ivar shown: whether a line on the terminal tells it.
    """

    control: Control
    shown: bool = False

    def watch(self) -> None:
        """Show it from now on."""
        self.shown = True
        self.control.call("events", topics=["arbiter.operation"])

    def end(self, id: int, command: str) -> Json:
        """Wait for the end of an operation, and tell what became of it."""
        if self.shown:
            self.control.listener = lambda event: self._tell(event, id)
        try:
            found: Json = self.control.call("operation", id=id, waiting=True)["operations"][0]
        except ConnectionResetError:
            if command == "upgrade":
                return self._after(id)
            if command != "quit":
                raise
            return {"id": id, "command": command, "state": "done", "reason": ""}
        except TimeoutError:
            raise TimeoutError(f"{command} goes on as operation {id}: circustwist operation {id} --wait") from None
        finally:
            self._line("")
        if command == "quit":
            self.control.gone(5.0)
        return found

    def _after(self, id: int) -> Json:
        """Ask the supervisor that has taken the place of the one that was asked."""
        deadline = time.monotonic() + (self.control.timeout or LONGEST_UPGRADE)
        while True:
            try:
                with type(self.control)(self.control.where, self.control.timeout) as control:
                    found: Json = control.call("operation", id=id, waiting=True)["operations"][0]
                    return found
            except (ConnectionError, FileNotFoundError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _tell(self, event: Json, id: int) -> None:
        if event.get("data", {}).get("id") == id:
            self._line(progress(event))

    def _line(self, text: str) -> None:
        if self.shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
