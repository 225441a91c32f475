"""Runs benchmarks and prints one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .asking import ask
from .clients import answers, statistics
from .console import console
from .drills import deploys, kills, others, upgrades
from .life import captured, many, respawn, start, stop
from .logs import logs, rivals
from .numbers import hits, sampling
from .peers import peers
from .rest import idle, memory
from .rows import Row, table
from .spawning import blocked

DRILLS: dict[str, Callable[[], list[Row]]] = {each.__name__: each for each in (deploys, upgrades, kills)}
BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    each.__name__: each
    for each in (start, respawn, many, stop, captured, blocked, ask, answers, statistics, idle, memory, console, logs,
                 hits, sampling)
}


def main(argv: list[str]) -> None:
    """Run those that are named, else all."""
    known = {**BENCHMARKS, **DRILLS}
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--peers", type=Path, metavar="VENV", help="also measure circus, supervisor and gunicorn there")
    parser.add_argument("--drills", action="store_true", help="the drills instead: deploys, upgrades, kills")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    options = parser.parse_args(argv)
    if wrong := set(options.names) - known.keys():
        parser.error(f"there is no {', '.join(sorted(wrong))}")
    chosen = {name: known[name] for name in options.names or (DRILLS if options.drills else BENCHMARKS)}
    if options.peers:
        chosen["peers"] = partial(others if options.drills else peers, options.peers)
        if "logs" in options.names:
            chosen["peers"] = partial(rivals, options.peers)
    rows: list[Row] = []
    for name, run in chosen.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += run()
    print(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
