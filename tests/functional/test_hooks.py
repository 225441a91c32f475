"""Hooks in real stacks: what is called with what, what comes of it, and that nothing waits for one that hangs."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from .stack import ControlError, Daemon, StackCase, alive

NOTE = """
import json, os, pathlib, signal, threading, time
HERE = pathlib.Path(__file__).parent

def note(**what):
    what["thread"] = threading.current_thread() is threading.main_thread()
    with open(HERE / "notes", "a") as file:
        file.write(json.dumps(what) + "\\n")
    return True

def all(watcher, arbiter, hook_name, **given):
    return note(hook=hook_name, watcher=watcher.name, given=given)
"""
EVERY = ("before_start", "after_start", "before_spawn", "after_spawn", "before_stop", "after_stop", "before_signal",
         "after_signal", "before_reap", "after_reap")


class HookTests(StackCase):
    """Tests of hooks."""

    timeout = 60

    def stack(self, code: str, *hooks: str, more: str = "", cmd: str = "sleep 60") -> Daemon:
        """A stack whose watcher has these hooks, in a module beside its ini."""
        lines = "\n".join(f"hooks.{hook}" for hook in hooks)
        daemon = self.daemon(f"[watcher:job]\ncmd = {cmd}\ngraceful_timeout = 5\n{lines}\n{more}\n")
        (daemon.folder / "shop.py").write_text(NOTE + code)
        return daemon.start()

    def notes(self, daemon: Daemon) -> list[dict[str, Any]]:
        """What the hooks have written."""
        path = daemon.folder / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def test_all(self) -> None:
        """Every hook is called at its point, with Circus's keywords, in a thread of its own."""
        daemon = self.stack("", *(f"{name} = shop.all" for name in EVERY))
        daemon.wait("watcher")
        (pid,) = daemon.pids("job")
        daemon.call("signal", name="job", signum="CONT")
        daemon.call("stop", name="job", waiting=True)
        notes = self.notes(daemon)
        self.assertEqual([note["hook"] for note in notes], [
            "before_start", "before_spawn", "after_spawn", "after_start", "before_signal", "after_signal",
            "before_stop", "before_signal", "after_signal", "before_reap", "after_reap", "after_stop"])
        given = {note["hook"]: note["given"] for note in notes}
        self.assertEqual(given["after_spawn"], {"pid": pid})
        self.assertEqual(given["before_signal"], {"pid": pid, "signum": signal.SIGTERM})
        self.assertEqual(given["before_reap"].keys(), {"process_pid", "time"})
        reaped = given["after_reap"]
        self.assertEqual((reaped["process_pid"], reaped["exit_code"], reaped["process_status"]), (pid, -15, None))
        self.assertLess(abs(reaped["time"] - given["before_reap"]["time"]), 30)
        self.assertEqual({note["thread"] for note in notes}, {False})

    def test_refused(self) -> None:
        """A watcher that a hook refuses does not run; the command and the status say which hook, and so do events."""
        daemon = self.stack("def no(**given): return None\ndef boom(**given): raise OSError('no disk')\n",
                            "before_start = shop.no")
        daemon.wait("watcher")
        self.assertEqual(daemon.call("status")["statuses"], {"job": "stopped"})
        self.assertIn("hook before_start said no", daemon.detail("job")["problem"])
        error = self.assertRaises(ControlError, daemon.call, "start", name="job", waiting=True)
        self.assertIn("hook before_start said no", str(error))
        daemon.call("set", name="job", options={"hooks.before_start": "shop.boom"}, waiting=True)
        error = self.assertRaises(ControlError, daemon.call, "start", name="job", waiting=True)
        self.assertIn("hook before_start: OSError: no disk", str(error))
        daemon.wait("no disk")
        daemon.call("set", name="job", options={"hooks.before_start": "shop.boom,true"}, waiting=True)
        daemon.call("start", name="job", waiting=True)
        self.assertEqual(len(daemon.pids("job")), 1)

    def test_missing(self) -> None:
        """A hook that cannot be imported keeps its watcher from starting, with one line that says why."""
        daemon = self.stack("", "after_stop = nowhere.at_all", more="[watcher:web]\ncmd = sleep 60")
        daemon.wait("hooks.after_stop = nowhere.at_all: there is no module nowhere")
        daemon.wait("2 watchers")
        self.assertEqual(daemon.call("status")["statuses"], {"job": "stopped", "web": "active"})

    def test_environment(self) -> None:
        """What a hook changes in watcher.env holds for the processes, also after a kill and an upgrade."""
        code = """
def spawn(watcher, **given):
    watcher.env["COLOUR"] = "red"
    watcher.env.pop("SHAPE", None)
    return True
"""
        daemon = self.stack(code, "before_start = shop.spawn", cmd="sh -c 'exec sleep $(circus.env.number)'",
                            more="[env:job]\nSHAPE = round\nNUMBER = 60")
        daemon.wait("watcher")

        def environ() -> bytes:
            return Path(f"/proc/{daemon.pids('job')[0]}/environ").read_bytes()

        self.assertIn(b"COLOUR=red", environ())
        self.assertNotIn(b"SHAPE", environ())
        daemon.kill()
        daemon.start().wait("watcher")
        before = daemon.pids("job")
        daemon.call("kill", name="job", waiting=True)
        self.assertNotEqual(daemon.pids("job"), before)
        self.assertIn(b"COLOUR=red", environ())
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        daemon.call("kill", name="job", waiting=True)
        self.assertIn(b"COLOUR=red", environ())

    def test_facade(self) -> None:
        """A hook reads the watcher, its processes and the arbiter as Circus's, and gives commands."""
        code = """
def look(watcher, arbiter, hook_name, **given):
    process = list(watcher.processes.values())[0]
    other = arbiter.get_watcher("web")
    note(
        names=[watcher.name, watcher.res_name, watcher.cmd, watcher.numprocesses, watcher.working_dir],
        status=[watcher.status(), watcher.is_active(), watcher.is_stopped(), len(watcher)],
        process=[process.pid, process.wid, process.is_alive(), process.status, process.children()],
        pids=[watcher.get_active_pids(), [p.pid for p in watcher.get_active_processes()]],
        options=[watcher._options, dict(watcher.options())["cmd"], watcher.get_opt("numprocesses")],
        arbiter=[[w.name for w in arbiter.watchers], arbiter.numwatchers(), arbiter.statuses(), arbiter.check_delay],
        sockets=[(n, s.host, s.port) for n, s in watcher.sockets.items()],
        info=sorted(process.info()), age=process.age() >= 0)
    other.stop()
    watcher.notify_event("mine", {"colour": "red"})
    watcher.kept = getattr(watcher, "kept", 0) + 1
    try:
        watcher.cmd = "other"
    except AttributeError as error:
        note(error=str(error), kept=watcher.kept)
    return True
"""
        daemon = self.stack(code, "after_signal = shop.look", more="colour = red\n[watcher:web]\ncmd = sleep 60\n"
                            "[socket:door]\nport = 0\nhost = 127.0.0.1")
        daemon.wait("watcher")
        daemon.call("signal", name="job", signum="CONT")
        daemon.until(lambda: len(self.notes(daemon)) == 2 and daemon.call("status", name="web")["status"] == "stopped")
        (pid,) = daemon.pids("job")
        seen, last = self.notes(daemon)
        self.assertEqual(seen["names"], ["job", "job", "sleep 60", 1, None])
        self.assertEqual(seen["status"], ["active", True, False, 1])
        self.assertEqual(seen["process"], [pid, 1, True, 0, []])
        self.assertEqual(seen["pids"], [[pid], [pid]])
        self.assertEqual(seen["options"], [{"colour": "red"}, "sleep 60", 1])
        self.assertEqual(seen["arbiter"], [["job", "web"], 2, {"job": "active", "web": "active"}, 5.0])
        self.assertEqual(seen["sockets"], [["door", "127.0.0.1", daemon.port("door")]])
        self.assertIn("mem_info1", seen["info"])
        self.assertIn("watcher.set_opt('cmd'", last["error"])
        self.assertEqual(last["kept"], 1)

    def test_statistics(self) -> None:
        """extended_stats adds to what is told of a process."""
        daemon = self.stack("def more(watcher, arbiter, hook_name, pid, stats):\n    stats['requests'] = pid\n",
                            "extended_stats = shop.more")
        daemon.wait("watcher")
        (pid,) = daemon.pids("job")
        self.assertEqual(daemon.call("stats", name="job", extended=True)["info"][str(pid)]["requests"], pid)
        self.assertNotIn("requests", daemon.call("stats", name="job")["info"][str(pid)])

    def test_hangs(self) -> None:
        """A hook that hangs is reported and holds up nobody else, nor SIGKILL, nor the end of the supervisor."""
        code = "def hang(**given):\n    note(hook='hang')\n    time.sleep(600)\n"
        daemon = self.stack(code, "before_stop = shop.hang", "before_signal = shop.hang",
                            more="hook_timeout = 0.5\n[watcher:web]\ncmd = sleep 60")
        daemon.wait("watcher")
        daemon.call("stop", name="job")
        daemon.call("restart", name="web", waiting=True)
        daemon.wait("hook before_stop of job hangs: no answer within 0.5 s")
        daemon.wait("hook before_signal of job hangs")
        daemon.until(lambda: daemon.call("status", name="job")["status"] == "stopped")
        daemon.call("start", name="job", waiting=True)
        daemon.call("stop", name="job", waiting=True)
        self.assertEqual(len(self.notes(daemon)), 2)
        self.assertEqual(daemon.stop(), 0)

    def test_endsAtOnce(self) -> None:
        """A second signal to the supervisor waits for no hook."""
        code = "def hang(**given):\n    os.write(1, b'it hangs\\n')\n    time.sleep(600)\n"
        daemon = self.stack(code, "before_stop = shop.hang")
        daemon.wait("watcher")
        (pid,) = daemon.pids("job")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait("it hangs")
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(alive(pid))

    def test_upgrade(self) -> None:
        """No hook is called for what runs on; what dies afterwards is asked for as before."""
        daemon = self.stack("", *(f"{name} = shop.all" for name in EVERY))
        daemon.wait("watcher")
        for how in ("upgrade", "kill"):
            (daemon.folder / "notes").unlink()
            (pid,) = daemon.pids("job")
            if how == "upgrade":
                self.assertEqual(daemon.cli("upgrade").returncode, 0)
            else:
                daemon.kill()
                daemon.start().wait("watcher")
            self.assertEqual((daemon.pids("job"), self.notes(daemon)), ([pid], []))
            os.kill(pid, signal.SIGKILL)
            daemon.until(lambda: len(self.notes(daemon)) == 4)
            self.assertNotEqual(daemon.pids("job"), [pid])
            self.assertEqual([note["hook"] for note in self.notes(daemon)], [
                "before_reap", "after_reap", "before_spawn", "after_spawn"])

