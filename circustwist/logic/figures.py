"""
What is answered from samples, in Circus's words.

A command that needs one asks for it by an effect, and is answered when it has
been taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ..model.effects import Answer, Effects, Look, Recall
from ..model.errors import NotFound
from ..model.inputs import Asked
from .alteration import chosenWorkers

if TYPE_CHECKING:
    from ..model.samples import ProcessSample, Sample, WatcherSample, WorkerSample
    from .requests import Requests

Run: TypeAlias = "Callable[[Requests, Asked, dict[str, Any], float], Effects]"

LONGEST = 7200.0
"""So many seconds are remembered."""

GONE = "No such process (stopped?)"
"""What Circus says of a process that has ended meanwhile."""


def stats(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """What the processes use."""
    if not arguments["name"]:
        return (Look(asked.call, "stats", arguments),)
    watcher = requests.one(arguments["name"])
    pid = arguments["process"]
    if pid or arguments["wid"]:
        (worker, *_) = chosenWorkers(watcher, {"pid": pid, "wid": arguments["wid"]})
        pid = worker.pid
    return (Look(asked.call, "stats", {**arguments, "watcher": watcher.name, "process": pid}),)


def dstats(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """What the supervisor itself uses."""
    return (Look(asked.call, "dstats", arguments),)


def history(requests: Requests, asked: Asked, arguments: dict[str, Any], now: float) -> Effects:
    """What was measured in the last minutes or hours."""
    watcher, socket = arguments["name"], arguments["socket"]
    kind, name = "supervisor", ""
    if watcher:
        kind, name = "watcher", requests.one(watcher).name.lower()
    elif socket:
        if socket not in (one.name for one in requests.arbiter.stack.sockets):
            raise NotFound(f"socket {socket} not found")
        kind, name = "socket", socket
    return (Recall(asked.call, kind, name, min(max(1.0, arguments["range"]), LONGEST)),)


def looked(look: Look, sample: Sample) -> Effects:
    """The answer to a command for which everything was measured."""
    if look.command == "dstats":
        return (Answer(look.call, {"info": {**info(sample.supervisor, "circusd"), "children": []}}),)
    answer = _chosen(look.arguments, sample)
    if look.arguments["detail"]:
        answer["sample"] = sample.json()
    return (Answer(look.call, answer),)


def _chosen(arguments: Mapping[str, Any], sample: Sample) -> dict[str, Any]:
    """Circus's three kinds of answer: of all watchers, of one, of a process."""
    if not arguments["name"]:
        return {"infos": {watcher.name: _infos(watcher) for watcher in sample.watchers}}
    watcher = sample.watcher(arguments["watcher"])
    infos = _infos(watcher) if watcher is not None else {}
    if not arguments["process"]:
        return {"name": arguments["name"], "info": infos}
    return {"process": arguments["process"], "info": infos.get(str(arguments["process"]), GONE)}


def _infos(watcher: WatcherSample) -> dict[str, Any]:
    return {str(worker.process.pid): workerInfo(worker) for worker in watcher.workers}


def workerInfo(worker: WorkerSample) -> dict[str, Any]:
    """What Circus's C{stats} tells of one worker."""
    process = worker.process
    return {
        **info(process), "started": process.facts.created, "wid": worker.names.wid,
        "children": [{**info(child), "children": []} for child in worker.offspring]}


def info(process: ProcessSample, name: str | None = None) -> dict[str, Any]:
    """
    What Circus tells of any process, in its commands and its statistics.

    @param name: of one of Circus's own processes.
    """
    facts = process.facts
    return {
        "pid": process.pid, "name": name, "subtopic": process.pid, "cpu": round(process.cpu, 1),
        "mem": round(process.share, 3), "mem_info1": size(process.memory), "mem_info2": size(process.virtual),
        "ctime": clocked(process.seconds), "username": facts.user, "nice": facts.nice, "cmdline": facts.name,
        "create_time": facts.created, "age": round(process.age, 2), "children": []}


def summed(watcher: WatcherSample) -> dict[str, Any]:
    """What Circus's statistics tell of a watcher as a whole: the mean use of processors, the sum of the memory."""
    count = max(1, len(watcher.workers))
    return {
        "pid": [worker.process.pid for worker in watcher.workers],
        "cpu": round(watcher.total(lambda process: process.cpu) / count, 2),
        "mem": round(watcher.total(lambda process: process.share), 3), "age": round(watcher.age, 2)}


def size(number: int) -> str:
    """A number of bytes as Circus writes it: C{512B}, C{1.45M}."""
    if number < 1024:
        return f"{number}B"
    power = min((number.bit_length() - 1) // 10, 8)
    return f"{number / 1024 ** power:.2f}{'KMGTPEZY'[power - 1]}"


def clocked(seconds: float) -> str:
    """Processor time as Circus writes it, but with its hours and two digits of hundredths: C{75:03.07}."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


COMMANDS: Mapping[str, Run] = {"stats": stats, "dstats": dstats, "history": history}
"""What is done at each of these commands."""
