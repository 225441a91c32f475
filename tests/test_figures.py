"""Tests of what is answered from samples, in Circus's words."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic import figures
from circustwist.model.effects import Look, Recall
from circustwist.model.errors import NotFound
from circustwist.model.inputs import Looked
from circustwist.model.launch import Names
from circustwist.model.samples import Facts, ProcessSample, Sample, WatcherSample, WorkerSample
from circustwist.model.stack import Socket, Watcher

from .memory import Memory

PROCESS = ProcessSample(
    7, 12.34, 3723.5, 1_520_435, 2_558_525, 0.0061, 3.04, 2, 5, 1, Facts("sleep", "ann", 4, 1795450222.76))
CHILD = ProcessSample(8, facts=Facts("cat"))


class AnswerTests(SynchronousTestCase):
    """The commands C{stats} and C{dstats}."""

    def setUp(self) -> None:
        self.memory = Memory(Watcher("Web", cmd="web", numprocesses=2), sockets=(Socket("web"),)).begin()
        self.pid = next(iter(self.memory.running.values()))

    def ask(self, command: str = "stats", **arguments: Any) -> Any:
        """Give a command whose sample is taken at once."""
        answer = self.memory.ask(command, **arguments)
        looks = [effect for effect in self.memory.others if isinstance(effect, Look)]
        for look in [look for look in looks if look.call not in self.memory.answers]:
            workers = tuple(
                WorkerSample(Names(id, "Web", id), ProcessSample(pid), (CHILD,))
                for id, pid in self.memory.running.items())
            self.memory.feed(Looked(look, Sample(9.0, 1.0, PROCESS, 0.5, (WatcherSample("Web", workers),))))
            answer = self.memory.answers[look.call]
        return answer

    def test_all(self) -> None:
        """Without a name all watchers, by name and pid, with the direct children."""
        infos = self.ask()["infos"]
        self.assertEqual(list(infos), ["Web"])
        self.assertEqual(list(infos["Web"]), [str(pid) for pid in self.memory.running.values()])
        info = infos["Web"][str(self.pid)]
        self.assertEqual((info["wid"], info["pid"]), (1, self.pid))
        self.assertEqual([child["cmdline"] for child in info["children"]], ["cat"])
        self.assertEqual(info["children"][0]["children"], [])

    def test_one(self) -> None:
        """One watcher, in any case, and one of its processes by pid or number."""
        self.assertEqual(self.ask(name="web")["name"], "web")
        for given_ in ({"process": self.pid}, {"wid": 1}):
            answer = self.ask(name="web", **given_)
            self.assertEqual((answer["process"], answer["info"]["pid"]), (self.pid, self.pid))

    def test_unknown(self) -> None:
        """What is not there is said in Circus's words."""
        error = self.ask(name="nix")
        self.assertIsInstance(error, NotFound)
        self.assertEqual(str(error), "program nix not found")
        self.assertEqual(str(self.ask(name="web", process=1)), "process 1 not found in 'Web'")

    def test_ended(self) -> None:
        """A process that ended meanwhile is said to be gone, a watcher without one has none."""
        self.memory.ask("stats", name="web", process=self.pid)
        (look,) = self.memory.others
        self.memory.feed(Looked(look, Sample(9.0, 1.0, PROCESS, 0.5)))  # type: ignore[arg-type]
        self.assertEqual(self.memory.answers[1]["info"], "No such process (stopped?)")

    def test_history(self) -> None:
        """What was measured is asked for by its watcher, its socket or not at all; no longer than it is kept."""
        for arguments, wanted in (
            ({"name": "WEB"}, Recall(1, "watcher", "web", 900)), ({}, Recall(2, "supervisor", "", 900)),
            ({"socket": "web", "range": 1e9}, Recall(3, "socket", "web", 7200.0)),
        ):
            self.memory.ask("history", **arguments)
            self.assertEqual(self.memory.others[-1], wanted)
        self.assertEqual(str(self.memory.fails("history", name="nix")), "program nix not found")
        self.assertEqual(str(self.memory.fails("history", socket="nix")), "socket nix not found")

    def test_detail(self) -> None:
        """With detail there are numbers, of everything."""
        sample = self.ask(detail=True)["sample"]
        self.assertEqual(sample["supervisor"]["memory"], 1_520_435)
        self.assertEqual(sample["supervisor"]["lag"], 0.5)
        self.assertEqual(sample["watchers"][0]["workers"][0]["pid"], self.pid)

    def test_daemon(self) -> None:
        """The supervisor itself."""
        self.assertEqual(self.ask("dstats")["info"], {
            "pid": 7, "name": "circusd", "subtopic": 7, "cpu": 12.3, "mem": 0.006, "mem_info1": "1.45M",
            "mem_info2": "2.44M", "ctime": "62:03.50", "username": "ann", "nice": 4, "cmdline": "sleep",
            "create_time": 1795450222.76, "age": 3.04, "children": []})


class ShapeTests(SynchronousTestCase):
    """Circus's texts."""

    def test_summed(self) -> None:
        """The mean use of processors, the sum of the memory, the age of the oldest."""
        workers = tuple(WorkerSample(Names(n, "web", n), ProcessSample(n, 10.0 * n, share=0.5, age=n)) for n in (1, 2))
        self.assertEqual(
            figures.summed(WatcherSample("web", workers)), {"pid": [1, 2], "cpu": 15.0, "mem": 1.0, "age": 2})
        self.assertEqual(figures.summed(WatcherSample("web"))["cpu"], 0)

    @given(st.integers(0, 2**70))
    def test_size(self, number: int) -> None:
        """A size has one unit and is of the same magnitude."""
        text = figures.size(number)
        factor = 1024 ** "BKMGTPEZY".index(text[-1])
        self.assertLessEqual(abs(float(text[:-1]) * factor - number), number / 50)

    @given(st.integers(0, 10**8))
    def test_clocked(self, hundredths: int) -> None:
        """A time is told to the hundredth of a second, with all its hours."""
        minutes, _, seconds = figures.clocked(hundredths / 100).partition(":")
        self.assertEqual(round((int(minutes) * 60 + float(seconds)) * 100), hundredths)
        self.assertEqual(len(seconds), 5)
