"""
From the streams of the configuration to the sinks that they are.

Several streams may lead into one file, which is open once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

from twisted.internet.interfaces import IReactorFDSet, IReactorTime

from ..model import values
from ..model.errors import Problem, WorldError
from ..model.launch import Names
from ..model.stack import Watcher
from ..model.streams import Stream
from .files import FileStore, Gate, LogFile, realPath, reason
from .sinks import ISink, Kept, Logged, Passed, Raw, Stamped, standard

OPTIONS = {1: "stdout_stream", 2: "stderr_stream"}
"""The option that names the stream of each output."""


class Streams:
    """
    The sinks of every watcher.
    """

    def __init__(
        self, reactor: IReactorFDSet, clock: IReactorTime, stdout: int | None, wall: Callable[[], float] = time.time
    ) -> None:
        """
        @param stdout: the standard output, where output goes that no stream
            is configured for; None, a closed one or C{/dev/null} is the log.
            It is looked at when it is first needed.
        """
        self._reactor = reactor
        self._clock = clock
        self._stdout = stdout
        self._wall = wall
        self._standard: Passed | Logged | None = None
        self._sinks: dict[tuple[str, int], ISink] = {}
        self._files: dict[str, FileStore] = {}

    def open(self, watcher: Watcher, heard: bool) -> None:
        """
        Make the sinks of a watcher; if one cannot be made, those that it had remain.

        @param heard: whether somebody must see each line on its way.
        @raise WorldError: one line, if a sink cannot be opened.
        """
        streams = {1: watcher.stdout_stream, 2: watcher.stderr_stream}
        made = {fd: self._sink(watcher, fd, stream, heard) for fd, stream in streams.items() if filed(stream)}
        for fd in streams:
            self._sinks.pop((watcher.name, fd), None)
        self._sinks.update({(watcher.name, fd): sink for fd, sink in made.items()})

    def _sink(self, watcher: Watcher, fd: int, stream: Stream, heard: bool) -> ISink:
        """
        @raise WorldError: if its file cannot be opened.
        """
        path = realPath(stream.settings["filename"])
        try:
            store = self._store(path)
        except OSError as error:
            raise WorldError(str(Problem(
                watcher.place, f"watcher:{watcher.name}", f"{OPTIONS[fd]}.filename", f"{path}: {reason(error)}"
            ))) from error
        store.file.maxBytes = values.size(stream.settings.get("max_bytes", "0"))
        store.file.backups = values.natural(stream.settings.get("backup_count", "0"))
        timeFormat = stream.settings.get("time_format")
        if timeFormat:
            return Stamped(store, timeFormat, self._wall)
        return Kept(store) if heard else Raw(store)

    def _store(self, path: str) -> FileStore:
        """The one store of a file; raises OSError if it cannot be opened."""
        if path not in self._files:
            file = LogFile(self._clock, path)
            file.open()
            self._files[path] = FileStore(Gate(self._clock, path), file)
        return self._files[path]

    def of(self, names: Names, fd: int) -> ISink:
        """The sink of a worker's output."""
        found = self._sinks.get((names.watcher, fd))
        if found is not None:
            return found
        if self._standard is None:
            self._standard = standard(self._reactor, self._clock, self._stdout)
        return self._standard

    def raw(self) -> Iterator[tuple[str, int, str]]:
        """Every output whose lines nobody sees on their way: its watcher, its number, and the path of its file."""
        for (watcher, fd), sink in self._sinks.items():
            if isinstance(sink, Raw):
                yield watcher, fd, sink.store.file.path

    def closeUnused(self, used: Collection[ISink]) -> None:
        """Close the files that neither a stream nor one of these sinks needs."""
        gates = {id(sink.gate) for sink in (*self._sinks.values(), *used)}
        for path, store in list(self._files.items()):
            if id(store.gate) not in gates:
                self._files.pop(path).close()

    def flush(self) -> None:
        """Write what waits to be written to the standard output, as far as it is read."""
        if self._standard is not None:
            self._standard.flush()

    def reopen(self) -> None:
        """Open every file again."""
        for store in self._files.values():
            store.reopen()

    def close(self) -> None:
        """Close everything."""
        self._sinks.clear()
        self.closeUnused(())
        if self._standard is not None:
            self._standard.close()
            self._standard = None


def filed(stream: Stream) -> bool:
    """Whether a stream leads into a file."""
    return bool(stream.settings.get("filename"))
