"""
How old and how large a worker may become, and how many requests it may answer.

One that has reached such a limit is replaced by one that has proved itself;
only what is above the hard limit of memory is killed at once.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from ..model.effects import NOTHING, Effects, Forget, Measure, Timer, Wake
from ..model.inputs import Measured, Noticed
from ..model.stack import Watcher as Spec
from .worker import Ending, Worker

if TYPE_CHECKING:
    from .watcher import Watcher


SET = ("max_age", "max_requests", "max_memory", "max_memory_kill", "memory_max", "cpu_weight", "cpu_max", "pids_max")
"""Options that are a limit unless they are 0."""


def told(spec: Spec) -> dict[str, Any]:
    """The limits that are set, as JSON; of time in seconds, of memory in bytes."""
    found: dict[str, Any] = {name: getattr(spec, name) for name in SET if getattr(spec, name)}
    return found | {f"rlimit_{name}": "infinity" if limit is None else limit for name, limit in spec.rlimits.items()}


def begin(watcher: Watcher, worker: Worker) -> Effects:
    """Limits hold for a worker from now on."""
    worker.share = watcher.draw()
    spec = watcher.spec
    return again(watcher, worker) if spec.max_age or spec.max_memory or spec.max_memory_kill else NOTHING


def again(watcher: Watcher, worker: Worker) -> Effects:
    """Other limits hold for a worker from now on."""
    spec, timer = watcher.spec, Timer("age", watcher.name, worker.names.id)
    measure = Measure(worker.names, min(filter(None, (spec.max_memory, spec.max_memory_kill)), default=0))
    if not spec.max_age:
        return (Forget(timer), measure)
    return (Wake(timer, worker.since + spec.max_age + spec.max_age_variance * worker.share), measure)


def measured(watcher: Watcher, worker: Worker, found: Measured, now: float) -> Effects:
    """A worker is above its lower limit of memory."""
    spec = watcher.spec
    if 0 < spec.max_memory_kill <= found.size and worker.ending is None:
        ending = Ending(int(signal.SIGKILL), 0.0, spec.killMode, "max_memory_kill")
        how = f"used {found.size} bytes of memory, max_memory_kill is {spec.max_memory_kill}"
        return watcher.unfit(worker, how, now, ending)
    if 0 < spec.max_memory <= found.size:
        return watcher.replace(worker, f"max_memory of {spec.max_memory} bytes, it has {found.size}", now)
    return NOTHING


def noticed(watcher: Watcher, worker: Worker, notice: Noticed, now: float) -> Effects:
    """A worker says something of itself."""
    most = watcher.spec.max_requests
    if notice.status is not None:
        worker.said = notice.status
    if most and notice.requests is not None and notice.requests >= most:
        return watcher.replace(worker, f"max_requests of {most}", now)
    return NOTHING
