"""Changes at run time, on a real supervisor and over its death."""

from __future__ import annotations

from .stack import Daemon, StackCase

INI = """[watcher:web]
cmd = sleep 1000
copy_env = True
min_ready = 0.05
"""


class AlterationTests(StackCase):
    """What is set, added and removed."""

    def test_survives(self) -> None:
        """Options, watchers and numbers are the same after kill -9 and after an upgrade, and the processes stay."""
        daemon = self.run_(INI + "[watcher:old]\ncmd = sleep 1000\ncopy_env = True\n")
        for words in ("set web max_age 1h numprocesses=2", "add job -o copy_env=1 -o max_retry=7 sleep 1000",
                      "start job", "rm old", "incr job"):
            done = daemon.cli(*words.split())
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        told = daemon.cli("status").stdout
        for line in ("max_age = 3600 set (uid", "added (uid", "removed (uid", "running 2, ini says 1 (uid"):
            self.assertIn(line, told)
        planned = daemon.cli("plan").stdout
        self.assertIn("watcher old is added", planned)
        self.assertIn("watcher web stays as it is: max_age = 3600 set", planned)
        pids = {name: daemon.pids(name) for name in ("web", "job")}
        self.assertEqual([len(found) for found in pids.values()], [2, 2])
        daemon.kill()
        daemon.start().wait("adopted")
        self.alike(daemon, pids)
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        self.alike(daemon, pids)
        killed = daemon.cli("kill", "job", "--pid", str(pids["job"][0]))
        self.assertEqual(killed.returncode, 0, killed.stderr)
        self.assertEqual(len(set(daemon.pids("job")) & set(pids["job"])), 1)
        self.assertEqual(daemon.stop(), 0)
        daemon.start().wait("watcher")
        self.assertEqual(daemon.call("list")["watchers"], ["old", "web"])
        daemon.stop()

    def alike(self, daemon: Daemon, pids: dict[str, list[int]]) -> None:
        """Everything is as it was left."""
        self.assertEqual({name: daemon.pids(name) for name in daemon.call("list")["watchers"]}, pids)
        self.assertIn("3600.0", daemon.cli("get", "web", "max_age").stdout)
        self.assertIn("7", daemon.cli("get", "job", "max_retry").stdout)

    def test_gate(self) -> None:
        """A program that does not run is refused by the gate, and the option is what it was."""
        daemon = self.run_(INI)
        (before,) = daemon.pids("web")
        done = daemon.cli("set", "web", "cmd=/nonexistent")
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not be started", done.stderr)
        self.assertEqual((daemon.pids("web"), daemon.call("get", name="web", keys=["cmd"])["options"]),
                         ([before], {"cmd": "sleep 1000"}))
        self.assertIn("is not a duration", daemon.cli("set", "web", "max_age=soon").stderr)
        daemon.stop()
