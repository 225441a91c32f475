"""Statistics as Circus's clients hear them."""

from __future__ import annotations

import json
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from circustwist.control.topics import Statistics
from circustwist.model.launch import Names
from circustwist.model.samples import Facts, Hits, ProcessSample, Sample, SocketSample, WatcherSample, WorkerSample

ONE = ProcessSample(7, 3.04, 65.5, 1_520_435, 2_000, 0.0061, 3.04, facts=Facts("sleep", "root", 0, 5.0))
OTHER = ProcessSample(8, 1.0, share=0.1, age=9.0)


def sample(*totals: int | None) -> Sample:
    """Two processes, and sockets that have seen so many connections."""
    workers = tuple(WorkerSample(Names(i, "My Web", i), process) for i, process in enumerate((ONE, OTHER), 1))
    sockets = tuple(SocketSample(f"s{i}", i, f"/s{i}", Hits(total)) for i, total in enumerate(totals))
    watchers = (WatcherSample("My Web", workers), WatcherSample("idle"))
    return Sample(1.0, 1.0, ProcessSample(3, 2.0), 0.0, watchers, sockets)


def told(statistics: Statistics, sample: Sample) -> list[Any]:
    """The messages of a report: topics and payloads."""
    return [(topic, json.loads(payload)) for topic, payload in statistics.messages(sample)]


class StatisticsTests(SynchronousTestCase):
    """One report after the other."""

    def test_processes(self) -> None:
        """Each process, then its watcher; then the supervisor, and the sum of what is Circus's own."""
        found = told(Statistics(), sample())
        self.assertEqual([topic for topic, _ in found], [
            "stat.my_web.7", "stat.my_web.8", "stat.my_web", "stat.circus.3", "stat.circus"])
        self.assertEqual(found[0][1], {
            "pid": 7, "name": None, "subtopic": 7, "cpu": 3.0, "mem": 0.006, "mem_info1": "1.45M", "mem_info2": "1.95K",
            "ctime": "1:05.50", "username": "root", "nice": 0, "cmdline": "sleep", "create_time": 5.0, "age": 3.04,
            "children": []})
        self.assertEqual(found[2][1], {"pid": [7, 8], "cpu": 2.02, "mem": 0.106, "age": 9.0})
        self.assertEqual((found[3][1]["name"], found[4][1]["pid"]), ("circusd", [3]))

    def test_again(self) -> None:
        """A later report tells what has changed; the age always does."""
        statistics = Statistics()
        told(statistics, sample())
        later = sample()
        workers = (attrs.evolve(later.watchers[0].workers[0], process=attrs.evolve(ONE, age=4.05)),
                   attrs.evolve(later.watchers[0].workers[1], process=attrs.evolve(OTHER, cpu=7.0)))
        found = told(statistics, attrs.evolve(later, watchers=(WatcherSample("web", workers),)))
        self.assertEqual([found[0][1][key] for key in ("age", "cpu")], [4.05, 3.0])
        self.assertEqual([found[1][1][key] for key in ("age", "cpu")], [9.0, 7.0])

    def test_sockets(self) -> None:
        """The connections since the last report; none are known in the first."""
        statistics = Statistics()
        told(statistics, sample(100, None))
        found = told(statistics, sample(107, None))[-3:]
        self.assertEqual(found, [
            ("stat.sockets.0", {"fd": 0, "subtopic": 0, "address": "/s0", "reads": 7}),
            ("stat.sockets.1", {"fd": 1, "subtopic": 1, "address": "/s1", "reads": 0}),
            ("stat.sockets", {"addresses": ["/s0", "/s1"], "reads": 7})])
