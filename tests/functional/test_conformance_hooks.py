"""Hooks under Circus 0.19 and here: what is called, with what, and what comes of it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from .conformance import PairCase, Side

SHOP = """
import json, pathlib
HERE = pathlib.Path(__file__).parent

def note(watcher, hook_name, **given):
    del given["arbiter"]
    with open(HERE / "notes", "a") as file:
        file.write(json.dumps([watcher.name, hook_name, given]) + "\\n")

def yes(**given):
    note(**given)
    return True

def no(**given):
    note(**given)
    return False

def none(**given):
    note(**given)

def boom(**given):
    note(**given)
    raise ValueError("boom")

def env(watcher, **given):
    watcher.env["COLOUR"] = "red"
    note(watcher=watcher, **given)
    return True

def look(watcher, arbiter, **given):
    note(watcher=watcher, arbiter=arbiter, seen=[
        watcher.name, watcher.res_name, watcher.cmd, watcher.numprocesses, len(watcher), watcher.status(),
        watcher.is_active(), watcher.is_stopped(), len(watcher.processes), len(watcher.get_active_pids()),
        sorted(p.wid for p in watcher.get_active_processes()), watcher._options.get("colour"),
        arbiter.get_watcher("env").name, arbiter.numwatchers(), sorted(w.name for w in arbiter.watchers)], **given)
    return True

def stats(a_watcher, an_arbiter, its_name, pid, stats):
    stats["colour"] = "red"
    return True
"""
EVERY = ("before_start", "after_start", "before_spawn", "after_spawn", "before_stop", "after_stop", "before_signal",
         "after_signal", "before_reap", "after_reap")
DECIDING = ("before_start", "after_start", "before_spawn", "after_spawn")


def section(name: str, *hooks: str, cmd: str = "sleep 60") -> str:
    """A watcher with hooks."""
    return "\n".join((f"[watcher:{name}]", f"cmd = {cmd}", "copy_env = True", "graceful_timeout = 1",
                      *(f"hooks.{hook}" for hook in hooks), ""))


class HookConformance(PairCase):
    """Both call the same, and do the same about it."""

    timeout = 120
    ini = "".join((
        section("one", *(f"{name} = shop.yes" for name in EVERY), "extended_stats = shop.stats"),
        section("env", "before_start = shop.env", cmd="sh -c 'echo $COLOUR > {folder}/colour; sleep 60'"),
        section("look", "after_signal = shop.look").replace("cmd", "colour = red\ncmd"),
        *(section(f"{how}_{name}", f"{name} = shop.{how}") for name in DECIDING for how in ("no", "none", "boom")),
        *(section(f"forgiven_{name}", f"{name} = shop.boom, true") for name in DECIDING),
        section("kept", "before_signal = shop.no"), section("sent", "before_signal = shop.boom"),
    ))

    def setUp(self) -> None:
        """Wait for the last one, too: they start one after another, and are stopped before and, if refused, after."""
        super().setUp()
        for side in self.sides():
            self.until(side, lambda side: side.call("status", name="sent").get("status") == "active")

    def prepare(self, folder: Path) -> None:
        """The module of the hooks."""
        (folder / "shop.py").write_text(SHOP)

    def notes(self, side: Side, *names: str) -> list[Any]:
        """What the hooks of these watchers were given, without what differs from run to run."""
        found = []
        for line in (side.folder / "notes").read_text().splitlines():
            name, hook, given = json.loads(line)
            for key in ("pid", "process_pid", "time"):
                if key in given:
                    given[key] = type(given[key]).__name__
            if name in names:
                found.append([name, hook, given])
        return found

    def same(self, *names: str) -> None:
        """Both were called the same."""
        theirs, ours = (self.notes(side, *names) for side in self.sides())
        self.assertEqual(ours, theirs)
        self.assertTrue(theirs)

    def test_life(self) -> None:
        """A start, a signal, a death, a stop."""
        self.both(lambda side: side.call("signal", name="one", signum=18))
        self.both(lambda side: side.call("stop", name="one", waiting=True))
        self.both(lambda side: side.call("start", name="one", waiting=True))
        self.both(lambda side: self.crash(side))
        self.same("one")

    def crash(self, side: Side) -> None:
        """Kill the process, and wait until another one runs."""
        (pid,) = side.call("list", name="one")["pids"]
        os.kill(pid, signal.SIGKILL)
        self.until(side, lambda side: side.call("list", name="one")["pids"] not in ([pid], []))
        self.until(side, lambda side: len(self.notes(side, "one")) >= 20)

    def test_refusals(self) -> None:
        """Who is refused does not run; who is forgiven does."""
        theirs, ours = self.both(lambda side: side.call("status")["statuses"])
        self.assertEqual(ours, theirs)
        self.assertEqual({name for name, status in ours.items() if status == "stopped"},
                         {f"{how}_{name}" for how in ("no", "none", "boom") for name in DECIDING})
        for name in DECIDING:
            for how in ("no", "none", "boom", "forgiven"):
                self.same(f"{how}_{name}")

    def test_environment(self) -> None:
        """What a hook puts into the environment is there."""
        for side in self.sides():
            self.until(side, lambda side: (side.folder / "colour").exists())
            self.until(side, lambda side: (side.folder / "colour").read_text() == "red\n")

    def test_seen(self) -> None:
        """What a hook sees of its watcher and of the arbiter."""
        self.both(lambda side: side.call("signal", name="look", signum=18))
        for side in self.sides():
            self.until(side, lambda side: "look" in (side.folder / "notes").read_text())
        self.same("look")

    def test_signals(self) -> None:
        """A signal that is refused is not sent, one whose hook fails is; SIGKILL comes in any case."""
        theirs, ours = self.both(lambda side: [
            side.call("stop", name=name, waiting=True)["status"] for name in ("kept", "sent")])
        self.assertEqual(ours, theirs)
        self.same("sent")
        theirs, ours = self.both(lambda side: side.call("status")["statuses"]["kept"])
        self.assertEqual((theirs, ours), ("stopped", "stopped"))

    def test_statistics(self) -> None:
        """What extended_stats adds."""
        for extended in (True, False):
            theirs, ours = self.both(lambda side, extended=extended: [  # type: ignore[misc]
                info.get("colour") for info in side.call("stats", name="one", extended=extended)["info"].values()])
            self.assertEqual((theirs, ours), (["red" if extended else None],) * 2)
