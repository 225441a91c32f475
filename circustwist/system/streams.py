"""
From the streams of the configuration to the sinks that they are.

Several streams may lead into one file, which is open once.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool

from ..model.errors import Problem, WorldError
from ..model.launch import Names
from ..model.stack import Watcher
from ..model.streams import FACILITIES, LEVELS, OUTPUTS, Common, Stream, configured
from . import own
from .console import Standard, standard
from .datagrams import JOURNAL, Entries, Journal, Mailbox, Messages
from .drops import Ledger
from .files import LogFile, realPath, reason
from .limited import Limited
from .prefix import NAMED, STAMP, Prefix
from .rotation import Identity, Keeping, Timed
from .sinks import ISink, Lined, Logged, Objects, Raw, Written
from .stores import FileStore, Gate

COLOURS = ("red", "green", "yellow", "blue", "magenta", "cyan", "white")
"""Those of C{FancyStdoutStream}, the first at 1; ECMA-48, 8.3.117."""

_Key = tuple[str, int]
"""A watcher and the number of an output."""


class Streams:
    """
    The sinks of every watcher.

    @ivar drops: how much was dropped.
    @ivar patient: whether a file that cannot be opened is tried again, for
        workers that write to it already, and not refused.
    """

    def __init__(
        self, reactor: Any, clock: IReactorTime, stdout: int | None, wall: Callable[[], float] = time.time
    ) -> None:
        """
        @param stdout: the standard output, where output goes that no stream
            is configured for; None, a closed one or C{/dev/null} is the log.
            It is looked at when it is first needed.
        """
        self.patient = False
        self._reactor = reactor
        self._clock = clock
        self._stdout = stdout
        self._wall = wall
        self._standard: Standard | None = None
        self._default: ISink | None = None
        self._sinks: dict[_Key, ISink] = {}
        self._files: dict[str, FileStore] = {}
        self.drops = Ledger(clock)
        self._tending: set[str] = set()

    def open(self, watcher: Watcher, heard: bool) -> None:
        """
        Make the sinks of a watcher; if one cannot be made, those that it had remain.

        @param heard: whether somebody must see each line on its way.
        @raise WorldError: one line, if a sink cannot be opened.
        """
        made: dict[int, ISink] = {}
        for fd, option in enumerate(OUTPUTS, 1):
            stream: Stream = getattr(watcher, option)
            if stream:
                try:
                    made[fd] = self._made((watcher.name, fd), stream, heard)
                except (OSError, ValueError) as error:
                    raise self._problem(watcher, option, stream, error) from error
        for fd in (1, 2):
            self._sinks.pop((watcher.name, fd), None)
        self._sinks.update({(watcher.name, fd): sink for fd, sink in made.items()})

    def _problem(self, watcher: Watcher, option: str, stream: Stream, error: OSError | ValueError) -> WorldError:
        text, what = str(error), "class"
        if isinstance(error, OSError):
            text, what = f"{realPath(stream.settings['filename'])}: {reason(error)}", "filename"
        return WorldError(str(Problem(watcher.place, f"watcher:{watcher.name}", f"{option}.{what}", text)))

    def _made(self, key: _Key, stream: Stream, heard: bool) -> ISink:
        """
        @raise OSError: if its file cannot be opened.
        @raise ValueError: if it is of a class that is not there.
        """
        options = configured(stream)
        make: Any = _MAKERS.get(stream.kind, Streams._own)
        sink: ISink = make(self, key, stream, options, heard)
        if isinstance(sink, Lined):
            sink.longest = getattr(options, "max_line", sink.longest)
        return self._limited(key, sink, options)

    def _limited(self, key: _Key, sink: ISink, options: Common) -> ISink:
        drops = options.on_full == "drop"
        if not drops and not options.rate_limit:
            return sink
        return Limited(sink, drops, options.rate_limit, self.drops.of(*key))

    # Kinds

    def _file(self, key: _Key, stream: Stream, options: Any, heard: bool) -> ISink:
        store = self._store(options)
        template = options.prefix or (STAMP if options.time_format else "")
        if template:
            return Written(store, Prefix(template, options.time_format, self._wall))
        return Written(store) if heard or "max_line" in stream.settings else Raw(store)

    def _stdout_(self, key: _Key, stream: Stream, options: Any, heard: bool) -> ISink:
        template = options.prefix or ("%(time)s " * bool(options.time_format) + NAMED)
        return self._onStandard(template, options.time_format)

    def _fancy(self, key: _Key, stream: Stream, options: Any, heard: bool) -> ISink:
        number = COLOURS.index(options.color) if options.color else zlib.crc32(key[0].encode()) % len(COLOURS)
        if os.environ.get("NO_COLOR"):
            return self._onStandard(options.prefix or STAMP, options.time_format)
        return self._onStandard(
            f"\033[0;3{number + 1};40m" + (options.prefix or STAMP), options.time_format, b"\033[0m")

    def _objects(self, key: _Key, stream: Stream, options: Any, heard: bool) -> ISink:
        if options.filename:
            return Objects(self._store(options), self._wall)
        output = self._output()
        return Objects(output.store, self._wall) if output.store is not None else Logged(output.gate)

    def _syslog(self, key: _Key, stream: Stream, options: Any, heard: bool) -> ISink:
        priority = FACILITIES.index(options.facility) * 8 + LEVELS.index(options.level)
        prefix = Prefix(options.prefix, options.time_format, self._wall) if options.prefix else None
        mailbox = Mailbox(self._reactor, self._clock, options.address)
        return Messages(mailbox, priority, options.ident, prefix, self._wall)

    def _journal(self, key: _Key, stream: Stream, options: Any, heard: bool) -> ISink:
        return Entries(Journal(self._reactor, self._clock, JOURNAL), LEVELS.index(options.level), options.ident)

    def _queue(self, key: _Key, stream: Stream, options: Any, heard: bool) -> ISink:
        return own.Own(self._reactor, self._clock, f"queue of {key[0]}", own.Queue(), self.drops.of(*key))

    def _own(self, key: _Key, stream: Stream, options: Any, heard: bool) -> ISink:
        known = {"on_full", "rate_limit"}
        settings = {name: text for name, text in stream.settings.items() if name not in known}
        make = partial(own.found(stream.kind), **settings)
        return own.Own(self._reactor, self._clock, stream.kind, make, self.drops.of(*key))

    def _output(self) -> Standard:
        if self._standard is None:
            self._standard = standard(self._reactor, self._clock, self._stdout)
        return self._standard

    def _onStandard(self, template: str, timeFormat: str = "", suffix: bytes = b"") -> ISink:
        output = self._output()
        if output.store is None:
            return Logged(output.gate)
        return Written(output.store, Prefix(template, timeFormat, self._wall), suffix, output.terminal)

    def _store(self, options: Any) -> FileStore:
        """The one store of a file; raises OSError if it cannot be opened."""
        path = realPath(options.filename)
        timed = None
        if hasattr(options, "rotate_when"):
            timed = Timed(options.rotate_when, options.rotate_interval, options.utc, self._wall)
        if path not in self._files:
            file = LogFile(self._clock, path)
            file.timed = timed
            store = FileStore(Gate(self._clock, path), file)
            try:
                file.open()
            except OSError as error:
                if not self.patient:
                    raise
                store.refused(error)
            self._files[path] = store
        file = self._files[path].file
        file.maxBytes, file.backups = options.max_bytes, options.backup_count
        file.timed = timed
        keeping = Keeping(options.backup_count, options.keep_age, options.keep_bytes, options.compress)
        file.rotated = partial(self._tend, path, keeping) if keeping else _nothing
        return self._files[path]

    def _tend(self, path: str, keeping: Keeping) -> None:
        """Compress what was put aside, and remove what is not kept any longer."""
        keeping.prune(path, self._wall())
        if keeping.compress and path not in self._tending:
            self._tending.add(path)
            done = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), keeping.squeezed, path)
            done.addCallback(partial(self._tended, path, keeping))

    def _tended(self, path: str, keeping: Keeping, squeezed: list[tuple[Identity, str]]) -> None:
        self._tending.discard(path)
        if keeping.settle(path, squeezed):
            # More may have been put aside meanwhile.
            self._tend(path, keeping)

    # What they are for

    def of(self, names: Names, fd: int) -> ISink:
        """The sink of a worker's output."""
        found = self._sinks.get((names.watcher, fd))
        if found is not None:
            return found
        if self._default is None:
            self._default = self._onStandard(NAMED)
        return self._default

    def queue(self, watcher: str, fd: int) -> Any:
        """The queue of a C{QueueStream}; see L{own.Queue}."""
        sink: Any = self._sinks[watcher, fd]
        return sink.made.queue

    def raw(self) -> Iterator[tuple[str, int, str]]:
        """Every output whose lines nobody sees on their way: its watcher, its number, and the path of its file."""
        for (watcher, fd), sink in self._sinks.items():
            inner = sink.sink if isinstance(sink, Limited) else sink
            if isinstance(inner, Raw):
                yield watcher, fd, inner.store.file.path

    def closeUnused(self, used: Collection[ISink], before: Collection[ISink] = ()) -> None:
        """
        Close the files that neither a stream nor one of these sinks needs.

        @param before: sinks to be closed too, unless they are used.
        """
        every = [*self._sinks.values(), *used]
        for sink in before:
            if sink is not self._default and not any(sink is other for other in every):
                sink.close()
        gates = {id(sink.gate) for sink in every}
        for path, store in list(self._files.items()):
            if id(store.gate) not in gates:
                self._files.pop(path).close()

    def all(self) -> list[ISink]:
        """Every sink."""
        return list(self._sinks.values())

    def pending(self) -> dict[str, bytes]:
        """What waits to be written, by the path of the file; that of the standard output is empty."""
        found = {path: store.pending for path, store in self._files.items()}
        if self._standard is not None and self._standard.store is not None:
            found[""] = self._standard.store.pending
        return {path: data for path, data in found.items() if data}

    def restore(self, path: str, data: bytes) -> None:
        """Write what has waited in an earlier image of this program; it is lost if its stream is no more."""
        store = self._files.get(path) if path else self._output().store
        if store is not None:
            store.write(data)

    def forget(self, watcher: str) -> None:
        """There is no such watcher any more."""
        for fd in (1, 2):
            self._sinks.pop((watcher, fd), None)
        self.drops.forget(watcher)

    def retry(self) -> None:
        """Try at once whether what could not be written can be now."""
        for store in self._files.values():
            store.write(b"", True)
        if self._standard is not None and self._standard.store is not None:
            self._standard.store.write(b"", True)

    def flush(self) -> None:
        """Write what waits, as far as it is read."""
        for sink in (*self._sinks.values(), *filter(None, [self._default])):
            sink.flush()

    def reopen(self) -> None:
        """Open every file again."""
        for store in self._files.values():
            store.reopen()

    def rotate(self, watchers: Collection[str]) -> list[str]:
        """
        Put the files of some watchers aside.

        @return: the paths of the files.
        """
        gates = {id(sink.gate) for (watcher, _), sink in self._sinks.items() if watcher in watchers}
        found = [store for store in self._files.values() if id(store.gate) in gates]
        for store in found:
            store.rotate()
        return [store.file.path for store in found]

    def close(self) -> None:
        """Close everything."""
        before = self.all()
        self._sinks.clear()
        self.closeUnused((), before)
        if self._standard is not None and self._standard.store is not None:
            self._standard.store.close()
        self._standard = self._default = None
        self.drops.close()


def _nothing() -> None:
    """Nothing becomes of files that were put aside."""


_MAKERS: dict[str, Any] = {
    "FileStream": Streams._file, "WatchedFileStream": Streams._file, "TimedRotatingFileStream": Streams._file,
    "StdoutStream": Streams._stdout_, "FancyStdoutStream": Streams._fancy, "JSONStream": Streams._objects,
    "SyslogStream": Streams._syslog, "JournalStream": Streams._journal, "QueueStream": Streams._queue,
}
