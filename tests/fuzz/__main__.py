"""C{python -m tests.fuzz [SECONDS] [TARGET...]}: each target for its share of the time; 60 seconds without a number."""

from __future__ import annotations

import random
import sys

from .machine import run
from .targets import TARGETS


def main(words: list[str]) -> int:
    """Fuzz, and say what was found; 1 if it was anything."""
    seconds = float(words.pop(0)) if words and words[0].replace(".", "").isdecimal() else 60.0
    names = words or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        print(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    every = []
    for name in names:
        count, found = run(name, seconds / len(names), seed)
        print(f"{name}: {count} inputs, {len(found)} found", *found, sep="\n  ", flush=True)
        every += found
    return 1 if every else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
