"""The options that say when processes start and end, and how."""

from __future__ import annotations

import signal

from .inside import InsideCase
from .stack import Control, ended


class LifeTests(InsideCase):
    """When processes start and end."""

    def test_order(self) -> None:
        """By priority, then by name; with a pause between processes and between watchers."""
        daemon = self.inside("""
[watcher:a]
cmd = sleep 1000
numprocesses = 2
warmup_delay = 0.2
[watcher:b]
cmd = sleep 1000
priority = 5
[watcher:Z]
cmd = sleep 1000
[watcher:off]
cmd = sleep 1000
autostart = False
priority = 9
""", circus="warmup_delay = 0.1").start()
        daemon.wait("4 watchers")
        with Control(daemon.where) as control:
            events = control.events(["watcher."], since=0)
            spawns = [next(e for e in events if e["event"] == "spawn") for _ in range(4)]
        self.assertEqual([each["worker"] for each in spawns], ["b/1", "Z/1", "a/1", "a/2"])
        times = [each["time"] for each in spawns]
        self.assertTrue(times[1] - times[0] > 0.09 and times[2] - times[1] > 0.09 and times[3] - times[2] > 0.15, times)
        daemon.call("stop", waiting=True)
        daemon.call("start", waiting=True)
        self.assertEqual(daemon.call("status")["statuses"],
                         {"Z": "active", "a": "active", "b": "active", "off": "stopped"})
        daemon.call("start", name="off", waiting=True)
        self.assertEqual(daemon.call("status", name="off")["status"], "active")

    def test_respawn(self) -> None:
        """What ends by itself is started again always, never, or unless its end was a success."""
        daemon = self.inside("""
[watcher:never]
cmd = sh -c 'exit 1'
respawn = False
[watcher:good]
cmd = sh -c 'exit 3'
respawn = on-failure
success_exit_codes = 0 3 SIGTERM
[watcher:signal]
cmd = sh -c 'kill $$'
respawn = on-failure
success_exit_codes = 0 3 SIGTERM
[watcher:bad]
cmd = sh -c 'exit 4'
respawn = on-failure
success_exit_codes = 0 3 SIGTERM
""").start()
        daemon.wait("4 watchers")
        daemon.until(lambda: daemon.detail("bad")["restarts"] > 1, ("watcher.bad",))
        for name, reason in (("never", "exited 1"), ("good", "exited 3"), ("signal", "killed by SIGTERM")):
            detail = daemon.detail(name)
            self.assertEqual((detail["status"], detail["restarts"], detail["last"]["reason"]), ("stopped", 0, reason))

    def test_age(self) -> None:
        """A process that is old enough is replaced, as planned; a singleton stays one."""
        daemon = self.inside("""
[watcher:old]
cmd = sleep 1000
max_age = 300ms
max_age_variance = 0
[watcher:one]
cmd = sleep 1000
singleton = True
""").start()
        daemon.wait("2 watchers")
        with Control(daemon.where) as control:
            events = control.events(["watcher.old.reap"])
            (first,) = daemon.pids("old")
            reap = next(events)
            self.assertEqual((reap["pid"], reap["planned"]), (first, True))
            self.assertTrue(0.29 < reap["data"]["age"] < 2, reap)
        (pid,) = daemon.pids("one")
        daemon.call("incr", name="one", waiting=True)
        self.assertEqual((daemon.pids("one"), daemon.call("numprocesses", name="one")["numprocesses"]), ([pid], 1))
        daemon.ini.write_text(daemon.ini.read_text() + "numprocesses = 2\n")
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        daemon.wait("singleton: allows one process")
        self.assertEqual(daemon.join(), 2)


TREE = """trap 'echo parent got $0; test -z "$1" || wait $child; exit 0' TERM INT RTMIN+1
sh -c 'trap "echo child got TERM; exit 0" TERM; echo child $$ up; while :; do sleep 1000 & wait $!; done' &
child=$!
while :; do wait; done
"""


class StopTests(InsideCase):
    """How a process is asked to end, and who else is."""

    def test_modes(self) -> None:
        """Who hears of a stop, and who survives it."""
        # Whoever is left when the process has ended is killed: where a child hears of the stop, it is waited for.
        sections = "".join(f"[watcher:{name}]\ncmd = sh FOLDER/tree.sh {wait}\n{option}\n" for name, wait, option in (
            ("mixed", "", "kill_mode = mixed"), ("group", "wait", "kill_mode = control-group"),
            ("children", "wait", "stop_children = True"), ("process", "", "kill_mode = process")))
        daemon = self.inside(sections)
        (daemon.folder / "tree.sh").write_text(TREE.replace("RTMIN+1", "USR2"))
        daemon.start()
        pids = {line.split()[0]: int(line.split()[3]) for line in daemon.found("| child", 4)}
        for name, heard in (("mixed", False), ("group", True), ("children", True), ("process", False)):
            daemon.call("stop", name=name, waiting=True)
            daemon.call("ping")
            # A signal is on its way when the stop is over.
            self.assertEqual(ended(pids[f"{name}/1"], 0.1 if name == "process" else 10), name != "process", name)
            daemon.found(f"{name}/1 | {'child' if heard else 'parent'} got")
        self.assertEqual(daemon.stop(), 0)
        told = [line for line in daemon.lines if "child got" in line]
        self.assertEqual(sorted(told), ["children/1 | child got TERM", "group/1 | child got TERM"])

    def test_signals(self) -> None:
        """The signal is the one that was asked for, and SIGKILL comes after graceful_timeout."""
        daemon = self.inside("""
[watcher:a]
cmd = sh -c 'trap "echo got INT; exit 5" INT; echo up; while :; do sleep 1000 & wait $!; done'
stop_signal = INT
[watcher:b]
cmd = sh -c 'trap "echo still here" QUIT; echo up; while :; do sleep 1000 & wait $!; done'
stop_signal = quit
graceful_timeout = 200ms
[watcher:c]
cmd = sleep 1000
stop_signal = SIGRTMIN+1
""").start()
        daemon.found("| up", 2)
        daemon.found("3 watchers")
        with Control(daemon.where) as control:
            events = control.events(["watcher."])
            daemon.call("stop", waiting=True)
            reaps = {e["worker"]: e["data"]["exit_code"] for e in (
                next(e for e in events if e["event"] == "reap") for _ in range(3))}
        self.assertEqual(reaps, {"a/1": 5, "b/1": -signal.SIGKILL, "c/1": -(signal.SIGRTMIN + 1)})
        self.assertEqual(daemon.stop(), 0)
        self.assertIn("a/1 | got INT", daemon.lines)
        self.assertIn("b/1 | still here", daemon.lines)
