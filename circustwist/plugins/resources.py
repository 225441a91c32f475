"""Restarts a watcher whose processes use too much, or too little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..model.samples import ProcessSample, Sample
from .base import Kit
from .statsd import Observing


class ResourceWatcher(Observing):
    """Circus's plugin C{ResourceWatcher}."""

    def __init__(self, kit: Kit, settings: Any) -> None:
        super().__init__(kit, settings)
        self.watcher: str = settings.watcher or settings.service
        self._counts: dict[str, int] = {}

    def observed(self, sample: Sample) -> None:
        """Look at the processes of the watcher."""
        found = sample.watcher(self.watcher)
        if found is None or not found.workers:
            self._counts.clear()
            return
        faults = {fault for worker in found.workers for fault in violations(worker.process, self.settings)}
        self._counts = {fault: self._counts.get(fault, 0) + 1 for fault in faults}
        for fault in faults:
            self._count(fault)
        worst = max(self._counts, key=lambda fault: self._counts[fault], default="")
        if worst and self._counts[worst] > self.settings.max_count:
            self._counts.clear()
            self._count("restarting")
            self.log.warn("{watcher} is restarted: {fault}", watcher=self.watcher, fault=worst)
            self.act("restart", self.watcher)
        elif self.settings.process_children:
            self.act("stats", self.watcher).addCallback(self._children)

    def _count(self, what: str) -> None:
        self.statsd.count(f"_resource_watcher.{self.watcher}.{what}")

    def _children(self, answer: Mapping[str, Any]) -> None:
        """Signal the children that use too much."""
        for pid, info in answer.get("info", {}).items():
            for child in info.get("children", ()) if isinstance(info, Mapping) else ():
                if self._excessive(child):
                    self.log.warn("child {child} of process {pid} of {watcher} uses too much", child=child["pid"],
                                  pid=pid, watcher=self.watcher)
                    self.act("signal", self.watcher, pid=int(pid), childpid=child["pid"],
                             signum=str(self.settings.child_signal))

    def _excessive(self, child: Mapping[str, Any]) -> bool:
        cpu, share = child.get("cpu"), child.get("mem")
        if not isinstance(cpu, int | float) or not isinstance(share, int | float):
            return False
        sample = ProcessSample(child["pid"], cpu=float(cpu), share=float(share), memory=0)
        return any(fault.startswith("over_") for fault in violations(sample, self.settings, False))


def violations(process: ProcessSample, settings: Any, sizes: bool = True) -> Iterator[str]:
    """
    What is wrong with a process, in Circus's words.

    @param sizes: whether its memory in bytes is known.
    """
    if settings.max_cpu is not None and process.cpu > settings.max_cpu:
        yield "over_cpu"
    if settings.min_cpu is not None and process.cpu <= settings.min_cpu:
        yield "under_cpu"
    if settings.max_mem is not None and _memory(process, settings.max_mem, sizes) > settings.max_mem:
        yield "over_memory"
    if settings.min_mem is not None and _memory(process, settings.min_mem, sizes) <= settings.min_mem:
        yield "under_memory"
    if settings.health_threshold is not None and (process.cpu + process.share) / 2 > settings.health_threshold:
        yield "over_health"


def _memory(process: ProcessSample, limit: float | int, sizes: bool) -> float:
    """The memory of a process in the unit of a limit: a whole number is a size."""
    if isinstance(limit, float):
        return process.share
    return process.memory if sizes else 0
