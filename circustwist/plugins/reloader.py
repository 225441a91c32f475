"""Restarts a watcher when its program has changed on disk; the kernel tells of that, inotify(7)."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from twisted.internet import inotify
from twisted.python.filepath import FilePath

from ..model.events import Occurrence
from .base import Kit, Plugin

_MASK = (inotify.IN_CREATE | inotify.IN_MOVED_TO | inotify.IN_CLOSE_WRITE | inotify.IN_ATTRIB | inotify.IN_DELETE
         | inotify.IN_MOVED_FROM)
_CHANGING = frozenset(("add", "remove", "updated"))
MOST_LINKS = 40
"""So many links are followed; path_resolution(7)."""
State: TypeAlias = "tuple[str, int, int] | None"


class CommandReloader(Plugin):
    """
    Circus's plugin C{CommandReloader}.

    What is looked at are all words of a command line that are files.
    """

    def __init__(self, kit: Kit, settings: Any) -> None:
        super().__init__(kit, settings)
        self._files: dict[str, dict[str, State]] = {}
        self._folders: set[str] = set()
        self._notifier: inotify.INotify | None = None

    def start(self) -> None:
        """Begin."""
        self._notifier = inotify.INotify(self.kit.reactor)
        self._notifier.startReading()
        super().start()
        self._read()

    def stop(self) -> None:
        """End."""
        super().stop()
        if self._notifier is not None:
            self._notifier.stopReading()
            self._notifier.connectionLost(None)
            self._notifier = None

    def hear(self, occurrence: Occurrence) -> None:
        """Commands may be others now."""
        event = occurrence.event
        done = event.name == "operation" and event.data.get("state") == "done"
        if event.name in _CHANGING or (done and event.data.get("command") in ("reloadconfig", "set", "add", "rm")):
            self._read()

    def _read(self) -> None:
        self.ask("list").addCallback(self._commands)

    def _commands(self, answer: Mapping[str, Any]) -> None:
        for name in answer.get("watchers", ()):
            self.act("options", name).addCallback(self._known, name)

    def _known(self, answer: Mapping[str, Any], name: str) -> None:
        options = answer.get("options", {})
        found = {path: _state(path) for path in files(options)}
        before = self._files.get(name, {})
        self._files[name] = {path: before.get(path, state) for path, state in found.items()}
        wanted = {folder for paths in self._files.values() for path in paths for folder in _folders(path)}
        for folder in wanted - self._folders:
            self._watch(folder)

    def _watch(self, folder: str) -> None:
        if self._notifier is None:
            return
        try:
            self._notifier.watch(FilePath(folder), _MASK, callbacks=[self._changed])
        except inotify.INotifyError as error:
            self.log.error("changes in {folder} are not seen: {error}", folder=folder, error=str(error))
        self._folders.add(folder)

    def _changed(self, ignored: object, path: FilePath[Any], mask: int) -> None:
        name = os.fsdecode(path.basename())
        if any(os.path.basename(link) == name for paths in self._files.values() for one in paths
               for link in _links(one)):
            self.at(self.settings.loop_rate)

    def look(self) -> None:
        """Restart whose files are others now."""
        for name, paths in self._files.items():
            now = {path: _state(path) for path in paths}
            changed = [path for path, state in now.items() if state is not None and state != paths[path]]
            if changed:
                self._files[name] = {path: state or paths[path] for path, state in now.items()}
                self.log.info("{path} has changed: {watcher} is restarted", path=changed[0], watcher=name)
                self.act("restart", name)
        for folder in {folder for paths in self._files.values() for path in paths for folder in _folders(path)}:
            if folder not in self._folders:
                self._watch(folder)


def files(options: Mapping[str, Any]) -> Iterator[str]:
    """The files that a command line names: all of it, as Circus takes it, or some of its words."""
    folder = options.get("working_dir") or os.getcwd()
    whole = os.path.normpath(os.path.join(folder, options.get("cmd", "")))
    if os.path.isfile(whole):
        yield whole
        return
    args = options.get("args", "")
    for text in (options.get("cmd", ""), *([args] if isinstance(args, str) else args)):
        try:
            words = shlex.split(text)
        except ValueError:
            continue
        found = (os.path.normpath(os.path.join(folder, word)) for word in words if "/" in word)
        yield from (path for path in found if os.path.isfile(path))


def _links(path: str) -> set[str]:
    """A file, what it really is, and every link on the way there."""
    found, waiting = {path, os.path.realpath(path)}, [path]
    while waiting and len(found) < MOST_LINKS:
        parts = waiting.pop().split(os.sep)
        for end in range(2, len(parts) + 1):
            head = os.sep.join(parts[:end])
            if os.path.islink(head) and head not in found - {path}:
                found.add(head)
                target = os.path.join(os.path.dirname(head), os.readlink(head), *parts[end:])
                waiting.append(os.path.normpath(target))
                break
    return found


def _folders(path: str) -> set[str]:
    """Where a change of a file, or of a link to it, is seen; as far as they exist."""
    return {folder for link in _links(path) if os.path.isdir(folder := os.path.dirname(link) or ".")}


def _state(path: str) -> State:
    """What differs when a file has changed; None while there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return os.path.realpath(path), found.st_mtime_ns, found.st_size
