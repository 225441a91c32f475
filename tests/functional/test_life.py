"""The main job, with real processes: start, death, restart, stop."""

from __future__ import annotations

import http.client
import os
import signal
import time
from itertools import pairwise

from .stack import HELLO, PYTHON, Control, ControlError, StackCase, alive, ended

WEB = f"""
[circus]
name = life

[socket:web]
host = 127.0.0.1
port = 0

[watcher:web]
cmd = {PYTHON} {HELLO / "web.py"} --fd $(circus.sockets.web)
use_sockets = True
numprocesses = 5
"""

STUBBORN = "sh -c 'trap \"\" TERM; echo up; sleep 1000 & wait; wait; wait'"

SLEEPER = """
[circus]
name = life

[watcher:sleeper]
cmd = sleep 1000
numprocesses = {number}
{options}
"""


def get(port: int) -> str:
    """One request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class WebTests(StackCase):
    """Five workers on one socket."""

    def test_answer(self) -> None:
        """All five workers answer on the one port."""
        daemon = self.run_(WEB)
        port, pids = daemon.port(), set(map(str, daemon.pids("web")))
        self.assertEqual(len(pids), 5)
        seen = set()
        for _ in range(500):
            answer = get(port)
            seen |= {pid for pid in pids if pid in answer}
            if seen == pids:
                break
        self.assertTrue(seen, answer)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.strays(), [])

    def test_output(self) -> None:
        """What workers write appears in whole lines with their name before it."""
        daemon = self.daemon(WEB).start()
        line = daemon.wait("serving on fd")
        self.assertRegex(line, r"^web/[1-5] \| serving on fd 3$")

    def test_killed(self) -> None:
        """A worker that is killed is replaced at once, under its number, and the others stay."""
        daemon = self.run_(WEB)
        before = daemon.pids("web")
        victim = next(w for w in daemon.detail("web")["workers"] if w["wid"] == 3)
        time.sleep(max(0.0, 1.1 - victim["age"]))  # a run of one second is a healthy one
        with Control(daemon.where) as control:
            events = control.events(["watcher.web"])
            os.kill(victim["pid"], signal.SIGKILL)
            reap, spawn = next(events), next(events)
        self.assertEqual((reap["event"], reap["worker"], reap["planned"], reap["data"]["exit_code"]),
                         ("reap", "web/3", False, -9))
        self.assertEqual((spawn["event"], spawn["worker"]), ("spawn", "web/3"))
        after = daemon.pids("web")
        self.assertEqual(set(before) - set(after), {victim["pid"]})
        self.assertEqual(len(after), 5)
        detail = daemon.detail("web")
        self.assertEqual((detail["restarts"], detail["last"]["reason"]), (1, "killed by SIGKILL"))

    def test_queue(self) -> None:
        """A connection that comes while no worker runs waits and is served."""
        daemon = self.run_(WEB)
        daemon.call("stop", name="web", waiting=True)
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port(), timeout=20)
        connection.request("GET", "/")
        self.assertEqual(next(s["queue"] for s in daemon.call("listsockets")["sockets"]), 1)
        daemon.call("start", name="web", waiting=True)
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()


class LoopTests(StackCase):
    """Workers that cannot live."""

    def test_diesAtOnce(self) -> None:
        """A worker that dies at once is started again after growing pauses, and everything else goes on."""
        daemon = self.daemon(SLEEPER.format(number=1, options="[watcher:bad]\ncmd = sh -c 'exit 7'\n")).start()
        with Control(self._up(daemon)) as control:
            events = (e for e in control.events(["watcher.bad"]) if e["event"] == "spawn")
            times = [next(events)["time"] for _ in range(4)]
            pauses = [later - earlier for earlier, later in pairwise(times)]
            self.assertTrue(pauses[0] < pauses[1] < pauses[2] or pauses[2] > 0.25, pauses)
            self.assertEqual(control.call("status", name="sleeper")["status"], "active")
        self.assertEqual(daemon.detail("bad")["last"]["reason"], "exited 7")
        self.assertEqual(daemon.stop(), 0)

    def _up(self, daemon: object) -> str:
        daemon.wait("watcher")  # type: ignore[attr-defined]
        return daemon.where  # type: ignore[attr-defined,no-any-return]

    def test_missing(self) -> None:
        """A program that is not there is named, with the places where it was looked for."""
        daemon = self.run_(SLEEPER.format(number=1, options="[watcher:bad]\ncmd = nosuchprogram\nmax_retry = 1\n"))
        detail = daemon.detail("bad")
        self.assertEqual(detail["status"], "failed")
        self.assertRegex(detail["problem"], "bad/1 could not be started: find: ENOENT nosuchprogram; looked in .*/bin")
        with self.assertRaises(ControlError) as caught:
            daemon.call("start", name="bad", waiting=True)
        self.assertEqual(caught.exception.name, "OperationFailed")
        self.assertEqual(daemon.cli("start", "bad").returncode, 1)


class StopTests(StackCase):
    """Nothing is left."""

    def test_grandchildren(self) -> None:
        """A stop leaves nobody, neither children in the group nor in a session of their own."""
        daemon = self.daemon(SLEEPER.format(number=1, options="[watcher:tree]\ncmd = sh tree.sh\n"))
        (daemon.folder / "tree.sh").write_text(
            "sleep 1001 &\nsetsid sleep 1002 &\n(setsid sh -c 'sleep 1003 & sleep 1004' &)\necho up\nwait\n")
        daemon.start()
        daemon.wait("tree/1 | up")
        pids = daemon.strays()
        while len(pids) < 7:  # the sleeper, sh, and its five descendants
            pids = daemon.strays()
        daemon.call("stop", name="tree", waiting=True)
        self.assertEqual([pid for pid in daemon.strays() if pid not in daemon.pids("sleeper")], [])
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_crashLeavesNobody(self) -> None:
        """What a worker leaves behind when it dies is ended before its successor starts."""
        daemon = self.daemon("[circus]\nname = life\n[watcher:w]\ncmd = sh -c 'sleep 1001 & echo up; wait'\n").start()
        daemon.wait("w/1 | up")
        old = daemon.strays()
        os.kill(daemon.pids("w")[0], signal.SIGKILL)
        daemon.wait("w/1 | up")
        self.assertEqual([pid for pid in old if alive(pid)], [])

    def test_stubborn(self) -> None:
        """A worker that ignores its signal is killed after graceful_timeout; meanwhile everything answers."""
        options = "graceful_timeout = 1\n"
        daemon = self.daemon(SLEEPER.format(number=1, options="").replace(
            "sleep 1000", STUBBORN) + options).start()
        daemon.wait("| up")
        with Control(daemon.where) as control:
            began = time.monotonic()
            operation = control.call("stop", name="sleeper")["operation"]
            self.assertEqual(control.call("status", name="sleeper")["status"], "stopping")
            control.timeout = 20
            control.call("operation", id=operation, waiting=True)
            self.assertGreaterEqual(time.monotonic() - began, 0.9)
        self.assertEqual(daemon.detail("sleeper")["status"], "stopped")

    def test_secondSignal(self) -> None:
        """A second signal to the supervisor does not wait for anybody."""
        daemon = self.daemon(SLEEPER.format(number=1, options="").replace(
            "sleep 1000", STUBBORN)).start()
        daemon.wait("| up")
        with Control(daemon.where) as control:
            events = control.events(["arbiter.quit"])
            daemon.process.send_signal(signal.SIGINT)
            next(events)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.strays(), [])


class AdoptionTests(StackCase):
    """The supervisor is killed."""

    def test_adopted(self) -> None:
        """A new supervisor takes over: same pids, none doubled, sockets with their queue, output flowing."""
        daemon = self.run_(WEB)
        port, pids = daemon.port(), daemon.pids("web")
        daemon.kill()
        self.assertTrue(all(map(alive, pids)))
        self.assertIn("hello from", get(port))
        daemon.start()
        daemon.wait("watcher")
        self.assertEqual((daemon.port(), sorted(daemon.pids("web"))), (port, sorted(pids)))
        self.assertEqual(sorted(daemon.strays()), sorted(pids))
        os.kill(pids[2], signal.SIGKILL)
        daemon.until(lambda: len(set(daemon.pids("web")) - set(pids)) == 1)
        self.assertIn("hello from", get(port))
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_namesake(self) -> None:
        """Another stack of the same name, in another runtime directory, loses nobody to a takeover, nor to an end."""
        ini = "[circus]\nname = life\n[watcher:sleeper]\ncmd = sleep 1000\nnumprocesses = 2\n"
        other, daemon = self.run_(ini), self.run_(ini)
        pids = other.pids("sleeper")
        daemon.kill()
        (daemon.runtime / "private" / "journal").unlink()
        daemon.options = ("--takeover=kill",)
        daemon.start().wait("watcher")
        self.assertEqual(len(daemon.strays()), 2)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual((sorted(other.strays()), other.stop()), (sorted(pids), 0))

    def test_backlog(self) -> None:
        """Connections that wait in a queue while there is no supervisor are served afterwards."""
        script = "while :; do sleep 1000; done"
        daemon = self.run_(WEB.replace(f"{PYTHON} {HELLO / 'web.py'}", f"sh -c '{script}'").replace("= 5", "= 1"))
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port(), timeout=20)
        connection.request("GET", "/")
        daemon.kill()
        daemon.ini.write_text(WEB)
        daemon.start()
        daemon.wait("watcher")
        daemon.call("restart", name="web", waiting=True)
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()

    def test_output(self) -> None:
        """What workers write while no supervisor runs is there afterwards, whole and in order."""
        script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done"
        ini = f"[circus]\nname = life\n[watcher:w]\ncmd = sh -c '{script}'\ncopy_env = True\n"
        daemon = self.daemon(ini + "stdout_stream.filename = out.log\n").start()
        daemon.wait("watcher")
        log = daemon.folder / "out.log"
        while log.stat().st_size < 100:
            pass
        (pid,) = daemon.pids("w")
        daemon.kill()
        time.sleep(0.2)
        daemon.start()
        daemon.wait("watcher")
        size = log.stat().st_size
        while log.stat().st_size < size + 200:
            pass
        self.assertEqual(daemon.pids("w"), [pid])
        self.assertEqual(daemon.stop(), 0)
        lines = log.read_text().splitlines()
        self.assertEqual(lines, [f"line {n}" for n in range(1, len(lines) + 1)])

    def test_died(self) -> None:
        """A worker that died while there was no supervisor is replaced, and an admin's stop still holds."""
        daemon = self.run_(SLEEPER.format(number=3, options="[watcher:off]\ncmd = sleep 1000\n"))
        daemon.call("stop", name="off", waiting=True)
        daemon.call("incr", name="sleeper", waiting=True)
        pids = daemon.pids("sleeper")
        daemon.kill()
        os.kill(pids[0], signal.SIGKILL)
        self.assertTrue(ended(pids[0]))
        daemon.start()
        daemon.wait("watcher")
        after = daemon.pids("sleeper")
        self.assertEqual((len(after), len(set(after) & set(pids))), (4, 3))
        self.assertEqual(daemon.call("status", name="off")["status"], "stopped")

    def test_interrupted(self) -> None:
        """What was being done when the supervisor was killed is told; a stop goes on."""
        ini = SLEEPER.format(number=1, options="graceful_timeout = 5").replace("sleep 1000", STUBBORN)
        daemon = self.daemon(ini).start()
        daemon.wait("| up")
        operation = daemon.call("stop", name="sleeper")["operation"]
        daemon.kill()
        daemon.start()
        daemon.wait("interrupted")
        (told,) = daemon.call("operation", id=operation)["operations"]
        self.assertEqual((told["command"], told["state"]), ("stop", "interrupted"))
        daemon.until(lambda: daemon.call("status", name="sleeper")["status"] == "stopped")
        self.assertEqual(daemon.strays(), [])

    def test_two(self) -> None:
        """Two supervisors on one stack refuse each other; the first goes on."""
        daemon = self.run_(SLEEPER.format(number=1, options=""))
        second = self.daemon("", folder=daemon.folder).start()
        line = second.wait("runs already")
        self.assertIn(f"pid {daemon.process.pid}", line)
        self.assertNotEqual(second.join(), 0)
        self.assertEqual(daemon.call("ping")["pid"], daemon.process.pid)

    def test_takeover(self) -> None:
        """With --takeover=kill the old workers are ended first."""
        daemon = self.run_(SLEEPER.format(number=2, options=""))
        pids = daemon.pids("sleeper")
        daemon.kill()
        daemon.options = ("--takeover=kill",)
        daemon.start()
        daemon.wait("watcher")
        self.assertEqual([pid for pid in pids if alive(pid)], [])
        self.assertEqual(len(daemon.pids("sleeper")), 2)


class ControlTests(StackCase):
    """The control socket."""

    def test_deleted(self) -> None:
        """It is made again when somebody deletes it."""
        daemon = self.run_(SLEEPER.format(number=1, options=""))
        os.unlink(daemon.where)
        daemon.wait("is made again")
        while not os.path.exists(daemon.where):
            pass
        self.assertEqual(daemon.call("ping")["pid"], daemon.process.pid)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(daemon.runtime / "private"))
