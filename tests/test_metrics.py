"""Tests of what Prometheus reads."""

from __future__ import annotations

from typing import Any
from unittest import skipIf

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model.launch import Names
from circustwist.model.samples import (
    Facts,
    Hits,
    ProcessSample,
    Sample,
    SocketSample,
    WatcherSample,
    WorkerSample,
)
from circustwist.web.metrics import exposition

try:
    from prometheus_client.parser import text_string_to_metric_families as parsed
except ImportError:
    parsed = None  # type: ignore[assignment]

PROCESS = ProcessSample(7, 3.0, 12.5, 4096, 8192, 0.1, 9.0, 2, 5, 1, Facts("sleep", "ann", 0, 1795450222.76))


def sample(name: str = "web", **socket: Any) -> Sample:
    """A sample of one watcher and one socket."""
    workers = tuple(WorkerSample(Names(n, name, n), PROCESS) for n in (1, 2))
    return Sample(1.0, 1.0, PROCESS, 0.002, (WatcherSample(name, workers, 40.25),), (
        SocketSample(name, 3, "127.0.0.1:80", **socket),))


@skipIf(parsed is None, "prometheus-client is not installed")
class ExpositionTests(SynchronousTestCase):
    """The text, as Prometheus's own parser reads it."""

    def values(self, found: Sample, processes: bool = False) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Labels and values by name."""
        read: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in parsed(exposition(found, processes).decode()):
            self.assertTrue(family.documentation.endswith("."), family.name)
            self.assertEqual(family.type, "counter" if family.samples[0].name.endswith("_total") else "gauge")
            for one in family.samples:
                read.setdefault(one.name, []).append((one.labels, one.value))
        return read

    def test_dropped(self) -> None:
        """Output that was dropped, by watcher and stream."""
        read = self.values(attrs.evolve(sample(), dropped={"web": {"stdout": {"bytes": 12, "lines": 3}}}))
        labels = {"watcher": "web", "stream": "stdout"}
        self.assertEqual(read["circustwist_watcher_dropped_bytes_total"], [(labels, 12)])
        self.assertEqual(read["circustwist_watcher_dropped_lines_total"], [(labels, 3)])

    def test_watchers(self) -> None:
        """Of watchers there are sums; their processes are not told unless that is asked for."""
        read = self.values(sample())
        self.assertEqual(read["circustwist_watcher_processes"], [({"watcher": "web"}, 2)])
        self.assertEqual(read["circustwist_watcher_cpu_seconds_total"], [({"watcher": "web"}, 40.25)])
        self.assertEqual(read["circustwist_watcher_resident_memory_bytes"], [({"watcher": "web"}, 8192)])
        self.assertEqual(read["circustwist_supervisor_lag_seconds"], [({}, 0.002)])
        self.assertFalse([name for name in read if name.startswith("circustwist_process_")])

    def test_processes(self) -> None:
        """Each process by its watcher, number and pid."""
        read = self.values(sample(), True)
        self.assertEqual(read["circustwist_process_start_time_seconds"], [
            ({"watcher": "web", "worker": number, "pid": "7"}, 1795450222.76) for number in "12"])

    def test_sockets(self) -> None:
        """What is not known is left out; what is a lower bound is said to be one."""
        self.assertFalse([name for name in self.values(sample()) if name.startswith("circustwist_socket_")])
        seat = {"name": "web/web/0", "queue": 3, "drops": 0}
        read = self.values(sample(hits=Hits(12, False, "seen", 1.5, 3), queue=1, limit=128, drops=0, seats=(seat,)))
        labels = {"socket": "web", "address": "127.0.0.1:80"}
        for name, value in (("connections_total", 12), ("connections_exact", 0), ("connections_open", 3),
                            ("queue_connections", 1), ("queue_limit_connections", 128)):
            self.assertEqual(read[f"circustwist_socket_{name}"], [(labels, value)])
        self.assertNotIn("circustwist_socket_received_bytes_total", read)
        self.assertEqual(
            read["circustwist_socket_seat_queue_connections"], [({"socket": "web", "seat": "web/web/0"}, 3)])

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64))
    def test_hostile(self, name: str) -> None:
        """A name is what it is, whatever it is made of."""
        read = self.values(sample(name), True)
        self.assertEqual(read["circustwist_watcher_processes"], [({"watcher": name}, 2)])
