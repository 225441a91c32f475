"""Part H: the supervisor itself."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from twisted.internet.task import Clock

from circustwist.logic import durable
from circustwist.model import effects
from circustwist.model.errors import InternalError, WorldError
from circustwist.model.events import Event
from circustwist.model.inputs import Asked, Who
from circustwist.model.launch import Names
from circustwist.system.interpret import Interpreter
from circustwist.system.journal import Journal
from circustwist.system.publish import Publisher

from .case import PYTHON, Control, ControlError, FaultCase, alive, ended, eventually
from .rows import row

TWO = "[watcher:w]\ncmd = sleep 1089\nnumprocesses = 2\n"

MISCHIEF = """
import os
real, count = os.posix_spawn, [0]
def spawn(*args, **kwargs):
    pid = real(*args, **kwargs)
    count[0] += 1
    if count[0] == 2:
        raise MemoryError
    return pid
os.posix_spawn = spawn
"""
"""The second process is made, and then something goes wrong before anybody has noted that."""

STRANGE = """
import os, signal, sys
os.closerange(0, 3)
os.umask(0o777 if len(sys.argv) < 2 else 0)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT})
os.umask(0o022)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class SupervisorFaults(FaultCase):
    """The rows of part H."""

    @row("H89", "the supervisor is killed by SIGKILL",
         "the next one adopts what runs, or ends it first with --takeover=kill: never two of them")
    def test_H89_killed(self) -> None:
        daemon = self.begun(self.wrapped(TWO))
        daemon.until(lambda: len(daemon.pids("w")) == 2)
        before = daemon.pids("w")
        daemon.kill()
        self.assertTrue(all(map(alive, before)))
        self.begun(daemon)
        self.assertEqual(daemon.pids("w"), before)
        daemon.kill()
        daemon.options = ("--takeover=kill",)
        self.begun(daemon)
        daemon.until(lambda: len(daemon.pids("w")) == 2)
        self.assertEqual((sorted(daemon.strays()), any(map(alive, before))), (sorted(daemon.pids("w")), False))
        self.assertEqual((daemon.stop(), daemon.strays()), (0, []))

    @row("H90", "the supervisor gets no memory any more",
         "what needs some fails, nobody is ended, it goes on afterwards")
    def test_H90_memory(self) -> None:
        daemon = self.begun(self.wrapped(TWO))
        daemon.until(lambda: len(daemon.pids("w")) == 2)
        before, pid = daemon.pids("w"), daemon.process.pid
        size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        soft, hard = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (size, hard))
        for _ in range(3):
            with contextlib.suppress(OSError, ControlError, ValueError), Control(daemon.where, timeout=2) as control:
                control.call("status", detail=True)
                control.call("incr", name="w", nb=20)
        self.assertTrue(all(map(alive, before)))
        resource.prlimit(pid, resource.RLIMIT_AS, (soft, hard))
        self.responsive(daemon)
        self.assertLessEqual(set(before), set(daemon.pids("w")))
        daemon.call("restart", name="w", waiting=True)
        self.assertEqual((daemon.stop(), daemon.strays()), (0, []))

    @row("H91", "something in the supervisor raises that nobody has foreseen",
         "logged with its traceback, the command is answered with an error, everything else is done")
    def test_H91_exceptions(self) -> None:
        names = Names(1, "w", 1, 0, 0)
        asked = [
            effects.Spawn(names), effects.Signal(1, 15), effects.Wake(effects.Timer("grace", "w", 1), 5.0),
            effects.Publish(Event("spawn")), effects.Record({"kind": "x"}), effects.KeepSeats("w", ()),
            effects.Watch("w", ("s",)), effects.Unwatch("w"),
        ]
        world = MagicMock()
        world.clock = Clock()
        for name in ("plan", "spawner", "outputs", "journal", "publisher", "sockets", "prober"):
            setattr(world, name, MagicMock(side_effect=RuntimeError("unforeseen")))
            for method in ("spawn", "append", "publish", "keepSeats", "fileno", "signal", "seat", "doors"):
                getattr(world, name).__dict__[method] = MagicMock(side_effect=RuntimeError("unforeseen"))
        doorbell = MagicMock()
        doorbell.watch.side_effect = doorbell.unwatch.side_effect = RuntimeError("unforeseen")
        answers: list[Any] = []
        told = (*asked, effects.Answer(1, {}))
        interpreter = Interpreter(lambda input, now: told if isinstance(input, Asked) else (), world, doorbell)
        self.addCleanup(os.close, interpreter._null)
        interpreter.processes[1] = MagicMock(signal=MagicMock(side_effect=RuntimeError("unforeseen")))
        interpreter.answered = answers.append
        interpreter.feed(Asked(1, "x", {}, Who("ann", "admin")))
        while not answers:
            world.clock.advance(0)
        self.assertEqual(len(answers), 1)
        self.assertGreaterEqual(len(self.flushLoggedErrors(RuntimeError)), 5)
        interpreter._handle = MagicMock(side_effect=RuntimeError("unforeseen"))
        interpreter.feed(Asked(2, "x", {}, Who("ann", "admin")))
        interpreter.read(Asked(3, "x", {}, Who("ann", "admin")))
        self.assertTrue(all(isinstance(answer.value, InternalError) for answer in answers[1:]))
        self.assertEqual((len(answers), len(self.flushLoggedErrors(RuntimeError))), (3, 2))
        publisher = Publisher("run")
        heard: list[Any] = []
        publisher.subscribe(MagicMock(side_effect=RuntimeError("unforeseen")))
        publisher.subscribe(heard.append)
        publisher.publish(Event("spawn"))
        self.assertEqual((len(heard), len(self.flushLoggedErrors(RuntimeError))), (1, 1))

    @row("H93", "a second supervisor of the same stack is started", "refused in one line with the pid of the first")
    def test_H93_second(self) -> None:
        daemon = self.begun(self.wrapped(TWO))
        second = self.wrapped(TWO)
        second.folder, second.runtime = daemon.folder, daemon.runtime
        second.env |= {"RUNTIME_DIRECTORY": str(daemon.runtime)}
        self.assertNotEqual(second.start().join(), 0)
        self.assertIn(f"runs already, as pid {daemon.process.pid}", str(second.lines))
        self.responsive(daemon)

    def journal(self, data: bytes) -> durable.Left:
        """What is made of a journal."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "journal"
            path.write_bytes(data)
            left = durable.replay(Journal(str(path)).entries())
        self.flushLoggedErrors()
        return left

    def written(self) -> bytes:
        """A journal as a supervisor writes it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "journal"
            journal = Journal(str(path))
            for number in range(1, 4):
                names = Names(number, "w", number, number - 1, 0)
                journal.append(durable.intent(names))
                journal.append(durable.spawned(number, 1000 + number, 5, {1: 7}, 1.0))
            journal.append(durable.wanted("w", True, 3))
            journal.append(durable.gone(2))
            journal.close(False)
            return path.read_bytes()

    @row("H94", "the state was written by an older or a newer version", "read, or refused in one line: never misread")
    def test_H94_versions(self) -> None:
        data = self.written()
        self.assertEqual([worker.names.id for worker in self.journal(data).workers], [1, 3])
        head, _, rest = data.partition(b"\n")
        newer = json.dumps({**json.loads(head), "version": 99}).encode()
        with self.assertRaises(WorldError) as caught:
            self.journal(newer + b"\n" + rest)
        self.assertIn("newer", str(caught.exception))
        unknown = data + b'{"kind":"from the future","id":1}\n{"kind":"gone","id":1,"more":[1]}\n'
        self.assertEqual([worker.names.id for worker in self.journal(unknown).workers], [3])

    @row("H95", "the state is cut off or damaged at any byte",
         "what makes no sense is left out, told, and nothing raises")
    def test_H95_damaged(self) -> None:
        data = self.written()
        for at in range(0, len(data), 5):
            self.journal(data[:at])
            self.journal(data[:at] + b"\xff" + data[at + 1:])

    @row("H96", "it is started without standard descriptors, with blocked and ignored signals",
         "it works, its processes have what they should, and it can be stopped")
    def test_H96_strange(self) -> None:
        daemon = self.wrapped("[circus]\nlogoutput = FOLDER/log\n[watcher:w]\ncmd = sleep 1096\n",
                              PYTHON, "-I", "-S", "-c", STRANGE)
        daemon.start()
        eventually(lambda: os.path.exists(daemon.where))
        daemon.until(lambda: len(daemon.pids("w")) == 1)
        (pid,) = daemon.pids("w")
        self.assertEqual(sorted(os.listdir(f"/proc/{pid}/fd")), ["0", "1", "2"])
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        # 32 and 33 are the C library's own, and nobody can change them; nptl(7).
        ignored = int(status["SigIgn"], 16) & ~(3 << 31)
        self.assertEqual((ignored, int(status["SigBlk"], 16)), (0, 0))
        with self.events("watcher.w", daemon=daemon) as events:
            os.kill(pid, signal.SIGKILL)
            self.first(events, "reap")
            self.first(events, "spawn")
        (pid,) = daemon.pids("w")
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(ended(pid))

    @row("H97", "something goes wrong between the start of a process and the note of it",
         "the process is found by its token: it is ended, or told as left behind and gone at the end")
    def test_H97_between(self) -> None:
        daemon = self.wrapped("[watcher:w]\ncmd = sleep 1097\nnumprocesses = 3\n")
        (daemon.folder / "sitecustomize.py").write_text(MISCHIEF)
        daemon.env |= {"PYTHONPATH": str(daemon.folder)}
        self.begun(daemon)
        eventually(lambda: len(daemon.strays()) >= 3)
        self.responsive(daemon)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.strays(), [])
