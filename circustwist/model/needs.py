"""What watchers depend on, as the option C{depends_on} says it, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from .stack import Watcher


@attrs.frozen
class Need:
    """
    What must be before a watcher is started.

    @ivar watcher: of which other watcher, by its lower-case name.
    @ivar condition: C{started}, C{ready} or C{completed}.
    """

    watcher: str
    condition: str

    def __str__(self) -> str:
        return f"{self.watcher}:{self.condition}"


def needs(watcher: Watcher) -> tuple[Need, ...]:
    """What a watcher needs, in the order in which it says so."""
    parts = (word.rpartition(":") for word in watcher.depends_on)
    return tuple(Need(name.lower(), condition) for name, _, condition in parts)


def circles(watchers: Iterable[Watcher]) -> Iterator[Sequence[str]]:
    """
    Who waits for itself.

    @return: for each circle the names in it, each before the one it needs;
        a watcher is in one of them at most.
    """
    known = {watcher.name.lower(): watcher for watcher in watchers}
    done: set[str] = set()
    for name in known:
        path = _circle(name, known, done)
        if path:
            yield [known[each].name for each in path]


def _circle(start: str, known: Mapping[str, Watcher], done: set[str]) -> list[str]:
    """The first circle that is found from there on; C{done} gets whoever was looked at."""
    path: list[str] = []
    open = [(start, iter(needs(known[start])))] if start not in done else []
    while open:
        name, rest = open[-1]
        if name not in done:
            done.add(name)
            path.append(name)
        need = next(rest, None)
        if need is None:
            open.pop()
            path.pop()
        elif need.watcher in path:
            return path[path.index(need.watcher):]
        elif need.watcher in known and need.watcher not in done:
            open.append((need.watcher, iter(needs(known[need.watcher]))))
    return []
