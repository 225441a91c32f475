"""Events, hooks, statistics and changed configurations, at Circus 0.19 and at a stack of ours."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .conformance import Side, normal
from .differences import WATCHERS, Case, DifferenceCase, case
from .stack import SCRIPTS, TIMEOUT

OPERATIONS: Mapping[str, tuple[Case, ...]] = {
    "stop": (case("stop", name="one", waiting=True),), "start": (case("start", name="one", waiting=True),),
    "restart": (case("restart", name="one", waiting=True),),
    "terminate": (case("reload", name="one", waiting=True, graceful=False),),
    "reload": (case("reload", name="one", waiting=True),),
    "sequential": (case("reload", name="one", waiting=True, sequential=True),),
    "incr": (case("incr", name="one", waiting=True),), "decr": (case("decr", name="one", waiting=True),),
    "set": (case("set", name="one", options={"graceful_timeout": 3, "stop_signal": 15}, waiting=True),),
    "kill": (case("kill", name="one", waiting=True),),
    "signal": (case("signal", name="one", signum="KILL"),),
    "add": (case("add", name="A b", cmd="sleep 1000", options={"copy_env": True}, start=True, waiting=True),),
    "rm": (case("rm", name="a b", waiting=True),),
}
"""What is done while events are listened to."""


class EventTests(DifferenceCase):
    """What C{CircusConsumer} hears."""

    ini = WATCHERS.replace("numprocesses = 2", "numprocesses = 1")

    def test_events(self) -> None:
        """The events of each operation, in order, with what they tell."""
        found = []
        for side in self.sides():
            side.driver(do="consume", endpoint=f"ipc://{side.folder}/events")
        for name, requests in OPERATIONS.items():
            pairs = []
            for side in self.sides():
                self.quiet()
                side.driver(do="heard", least=0)
                for command, properties in requests:
                    side.call(command, **properties)
                told = side.driver(do="heard", least=EXPECTED[name])
                pairs.append([self.event(each) for each in told if side is self.ours or not self.chance(name, each)])
            found.append((f"events of {name}", *pairs))
        self.compare(found)

    def chance(self, name: str, told: list[Any]) -> bool:
        """Whether Circus tells of an end only if its periodic check falls into the moment."""
        return name in ("kill", "decr", "reload") and told[0].endswith(".reap")

    def event(self, told: list[Any]) -> Any:
        """One event without times and pids; both are looked at."""
        topic, payload = told
        self.assertIsInstance(payload.pop("time"), float)
        return [topic, normal(payload)]


EXPECTED: Mapping[str, int] = {
    "stop": 3, "start": 2, "restart": 5, "terminate": 5, "reload": 3, "sequential": 3, "incr": 1, "decr": 1, "set": 2,
    "kill": 2, "signal": 2, "add": 3, "rm": 4}
"""How many events each of them brings at least."""


HOOKS = """
def yes(watcher, arbiter, hook_name, **kwargs):
    return True

def no(watcher, arbiter, hook_name, **kwargs):
    return False

def bad(watcher, arbiter, hook_name, **kwargs):
    raise ValueError("bad")
"""
HOOKED: Mapping[str, tuple[str, ...]] = {
    "all": tuple(f"hooks.{name} = hooked.yes" for name in (
        "before_start", "after_start", "before_spawn", "after_spawn", "before_stop", "after_stop", "before_signal",
        "after_signal", "before_reap", "after_reap")),
    "refused": ("hooks.before_start = hooked.no",), "unspawned": ("hooks.before_spawn = hooked.no",),
    "spawned": ("hooks.after_spawn = hooked.no",), "failed": ("hooks.before_start = hooked.bad",),
    "ignored": ("hooks.before_start = hooked.bad, true",), "signal": ("hooks.before_signal = hooked.bad",),
    "started": ("hooks.after_start = hooked.no",),
}
"""The hooks of watchers."""


class HookTests(DifferenceCase):
    """Hooks, as events and states show them."""

    ini = WATCHERS + "".join(
        "\n".join((f"[watcher:{name}]", "cmd = sleep 1000", "copy_env = True", "autostart = False", "min_ready = 0",
                   *lines, "")) for name, lines in HOOKED.items())

    def prepare(self, folder: Path) -> None:
        """The module with the hooks."""
        (folder / "hooked.py").write_text(HOOKS)

    def test_hooks(self) -> None:
        """Start, state and stop of each watcher."""
        found = []
        for side in self.sides():
            side.driver(do="consume", endpoint=f"ipc://{side.folder}/events")
        for name in HOOKED:
            pairs: list[Any] = []
            for side in self.sides():
                self.quiet()
                side.driver(do="heard", least=0)
                side.call("start", name=name, waiting=True)
                status = side.call("status", name=name)["status"]
                side.call("stop", name=name, waiting=True)
                told = side.driver(do="heard", least=1)
                pairs.append([status, [[topic, payload.get("name")] for topic, payload in told]])
            found.append((f"hooks of {name}", *pairs))
        self.compare(found)


CHANGES: Mapping[str, tuple[str, str]] = {
    "nothing": ("", ""), "more processes": ("numprocesses = 2", "numprocesses = 3"),
    "another program": ("cmd = sleep 1000\ncopy_env = True\nsingleton", "cmd = sleep 1001\ncopy_env = True\nsingleton"),
    "one more": ("[socket:web]", "[watcher:more]\ncmd = sleep 1000\ncopy_env = True\nmin_ready = 0\n[socket:web]"),
    "one less": ("[watcher:more]\ncmd = sleep 1000\ncopy_env = True\nmin_ready = 0\n", ""),
    "mistake": ("numprocesses = 3", "numprocesses = x"), "corrected": ("numprocesses = x", "numprocesses = 3"),
}
"""What is changed in the ini, one after the other."""


class ReconfigurationTests(DifferenceCase):
    """C{reloadconfig}."""

    ini = WATCHERS

    def test_changes(self) -> None:
        """What runs afterwards, and whose processes are others."""
        found = []
        for name, (old, new) in CHANGES.items():
            pairs = []
            for side in self.sides():
                self.quiet()
                before = self.pids(side)
                side.rewrite(lambda text, old=old, new=new: text.replace(old, new, 1))  # type: ignore[misc]
                answer = side.call("reloadconfig", waiting=True)
                after = self.pids(side)
                pairs.append([answer["status"], answer.get("errno"), {
                    each: [len(pids), len(pids & before.get(each, set()))] for each, pids in after.items()}])
            found.append((f"reloadconfig {name}", *pairs))
        self.compare(found)

    def pids(self, side: Side) -> dict[str, set[int]]:
        """The processes of each watcher."""
        return {name: set(side.call("list", name=name)["pids"]) for name in side.call("list")["watchers"]}


class StatisticsTests(DifferenceCase):
    """What C{stats} answers, what C{StatsClient} hears and what C{circus-top} shows."""

    ini = WATCHERS
    circus = "stats_endpoint = ipc://{folder}/stats"

    def test_statistics(self) -> None:
        """All of it, at the same two supervisors."""
        self.commands()
        self.topics()
        self.top()
        self.asynchronous()

    def commands(self) -> None:
        """The answers have the same shape; what there is no process for is told in the same words."""
        found = []
        for name, request in (
                ("stats", case("stats")), ("stats one", case("stats", name="ONE")),
                ("stats extended", case("stats", name="one", extended=True)),
                ("stats stopped", case("stats", name="two")),
                ("stats nobody", case("stats", name="x")), ("stats gone", case("stats", name="one", process=1)),
                ("dstats", case("dstats"))):
            theirs, mine = self.both(lambda side, r=request: side.call(r[0], **r[1]))  # type: ignore[misc]
            theirs.get("infos", {}).pop("circusd-stats", None)
            found.append((name, shape(theirs), shape(mine)))
        pids = [side.call("list", name="one")["pids"][0] for side in self.sides()]
        found.append(("stats process", *(
            shape(side.call("stats", name="one", process=pid)) for side, pid in zip(self.sides(), pids, strict=True))))
        self.compare(found)

    def topics(self) -> None:
        """Each process, watcher and socket has its topic, and each tells the same."""
        found = []
        for side in self.sides():
            heard = side.driver(do="statistics", endpoint=f"ipc://{side.folder}/stats", seconds=2.5)
            found.append(sorted({
                json.dumps([watcher, "some" if subtopic else None, shape(payload)])
                for watcher, subtopic, payload in heard if payload.get("name") != "circusd-stats"}))
        self.assertEqual(len(found[0]), 8)
        self.compare([("statistics", *found)])

    def top(self) -> None:
        """circus-top shows every watcher and its processes."""
        found = []
        for side in self.sides():
            text = frame([str(SCRIPTS / "circus-top"), "--endpoint", f"ipc://{side.folder}/stats"], "solo")
            found.append([word for word in ("Circus Top", "one", "solo", "sleep", "circusd") if word in text])
        self.assertIn("solo", found[0])
        self.compare([("circus-top", *found)])

    def asynchronous(self) -> None:
        """C{AsyncCircusClient} is answered too."""
        self.compare([("asynchronous", *(
            normal(side.driver(do="asynchronous", command="status", properties={"name": "one"}))
            for side in self.sides()))])


def shape(value: Any) -> Any:
    """An answer with the kinds of its values in their place."""
    if isinstance(value, dict):
        kept = {key: one for key, one in sorted(value.items()) if key not in ("time", "id", "tb")}
        return {"PID" if key.isdecimal() else key: shape(one) for key, one in kept.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, str) and value.startswith("python"):
        return "python"
    if isinstance(value, str) and any(char.isdigit() for char in value):
        return "text with a number"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else value


def frame(argv: list[str], until: str) -> str:
    """What a program shows on a terminal until it shows a text."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(argv[0], argv)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shown, deadline = b"", time.monotonic() + TIMEOUT
    try:
        while until.encode() not in shown and time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 65536)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown.decode("utf-8", "replace")
