"""
PID 1 of a namespace: makes a stranger with the number of a worker that has
ended, signals the worker, and says whether the stranger lives.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, cast

from circustwist.model.launch import Launch
from circustwist.system.processes import Process
from circustwist.system.tree import Tree


class Keeper:
    """Keeps one worker."""

    def __init__(self) -> None:
        self.processes: dict[int, Process] = {}
        self.tree = Tree(cast(Any, None), self.processes, lambda pid, words: None)


def main() -> None:
    """Everything."""
    assert os.getpid() == 1, "not in a namespace of its own"
    child = os.posix_spawn("/bin/true", ["true"], {}, setsid=True)
    keeper: Any = Keeper()
    worker = keeper.processes[child] = Process(keeper, cast(Any, None), child, os.pidfd_open(child), Launch(("true",)))
    os.waitpid(child, 0)
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(child - 1))
    stranger = subprocess.Popen(["sh", "-c", "sleep 1019 & wait"], start_new_session=True)
    if stranger.pid != child:
        print(f"no stranger: {stranger.pid} is not {child}")
        return
    while not Path(f"/proc/{child}/task/{child}/children").read_text():
        time.sleep(0.01)
    for whom in ("process", "tree", "children"):
        worker.signal(signal.SIGKILL, whom)
    time.sleep(0.05)
    (below,) = Path(f"/proc/{child}/task/{child}/children").read_text().split() or ("",)
    print("the stranger lives" if stranger.poll() is None and below else "the stranger was killed")


main()
