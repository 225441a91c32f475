"""
The runtime directory of a stack, the lock in it, and who runs.

Clients use this too: nothing here imports Twisted.
"""

from __future__ import annotations

import fcntl
import grp
import json
import os
import socket
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import attrs

from .. import __version__
from ..model import naming
from ..model.errors import WorldError

_LOCK = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""struct flock of fcntl_locking(2): the whole file."""
_MOST = 64 * 2**10
"""Bytes of a file that are read at most."""


class _Unusable(Exception):
    """A directory cannot be used."""


@attrs.frozen
class Found:
    """
    A stack that runs.

    @ivar directory: its runtime directory.
    @ivar ini: the ini's absolute path; empty if it is not known yet.
    @ivar pid: its supervisor; 0 if it is not known yet.
    """

    name: str
    directory: str
    ini: str
    pid: int


@attrs.define
class RuntimeDir:
    """
    Where a stack's control socket, lock, journal and notification sockets are.

    @ivar name: the stack's name.
    @ivar directory: the directory; empty if none can be had.
    @ivar lock: the descriptor that holds the lock, close-on-exec.  It belongs
        to the open file: children of a fork hold it too, and so does another
        program that it is left open for.
    @ivar warning: why there is no directory, in one line; else empty.
    @ivar controlGroup: the group that may reach the control socket; -1 if there is none.
    """

    name: str
    directory: str
    lock: int
    uid: int
    warning: str = ""
    controlGroup: int = -1
    keep: bool = False

    @classmethod
    def open(
        cls, name: str, configured: str, uid: int, environ: Mapping[str, str], group: str = "", lock: int = -1
    ) -> RuntimeDir:
        """
        Make the directory and take the lock.

        @param configured: C{[circus] runtime_dir}, or nothing.
        @param uid: whose it must be: ours.
        @param group: C{[circus] control_group}, or nothing.
        @param lock: the lock's descriptor, if it is held from before an execve(2).
        @raise WorldError: if the stack runs already, or there is no such group.
        """
        gid, reasons = _gid(group), []
        keep = bool(configured or environ.get("RUNTIME_DIRECTORY"))
        candidates = [] if name in (".", "..") else naming.runtimeDirs(name, configured, uid, environ)
        if lock < 0:
            for directory in candidates:
                _refuse(name, directory, _holderOf(directory, uid))
        for directory in candidates:
            try:
                return cls(name, directory, _taken(name, directory, uid, gid, lock), uid, "", gid, keep)
            except _Unusable as unusable:
                reasons.append(f"{directory}: {unusable}")
            except OSError as error:
                reasons.append(f"{directory}: {os.strerror(error.errno or 0)}")
        warning = (
            f"no runtime directory can be used ({'; '.join(reasons) or 'the name is none'}): the control socket is "
            "abstract, and a later supervisor will not find the processes of this one"
        )
        if lock < 0:
            lock = _abstractLock(name, uid)
        os.set_inheritable(lock, False)
        return cls(name, "", lock, uid, warning)

    @property
    def controlPath(self) -> str:
        """The address of the control socket."""
        return naming.controlPath(self.directory) if self.directory else naming.abstractControl(self.name, self.uid)

    @property
    def controlMode(self) -> int:
        """The permission bits that the control socket should have; its group is C{controlGroup}."""
        return 0o600 if self.controlGroup < 0 else 0o660

    @property
    def mark(self) -> str:
        """What the tokens of this stack's workers begin with; see L{naming.mark}."""
        where = os.path.realpath(self.directory) if self.directory else ""
        return naming.mark(self.name, self.uid, where, os.stat("/proc/self/ns/pid").st_ino)

    @property
    def private(self) -> str:
        """The folder for what nobody else may reach; empty if there is none."""
        return self._in("private")

    @property
    def journalPath(self) -> str:
        """The state journal; empty if there can be none."""
        return self._in("private/journal")

    @property
    def sessionsPath(self) -> str:
        """The sessions of the console; empty if they cannot be kept."""
        return self._in("private/sessions")

    @property
    def notifyPath(self) -> str:
        """The folder of the workers' notification sockets; empty if there can be none."""
        return self._in("notify")

    @property
    def pidfile(self) -> str:
        """The pidfile unless another is configured; empty if there can be none."""
        return self._in("pid")

    @property
    def logfile(self) -> str:
        """The log unless another is configured; empty if there can be none."""
        return self._in("log")

    def admit(self, everybody: bool) -> None:
        """
        Say who may connect to the control socket; who it is, is asked then.

        @param everybody: every user of the host, not only the owner and C{controlGroup}.
        @raise OSError: if its permissions cannot be changed.
        """
        if not self.directory:
            return
        grouped = 0o700 if self.controlGroup < 0 else 0o710
        os.chmod(self._in("private"), 0o711 if everybody else grouped)
        os.chmod(self.controlPath, 0o666 if everybody else self.controlMode)

    def claim(self, ini: str) -> None:
        """
        Say who runs here; to be called again after a fork.

        @param ini: the ini's absolute path.
        @raise OSError: if it cannot be written.
        """
        if not self.directory:
            return
        _writePid(self.lock)
        path = self._in("private/stack")
        about = {"name": self.name, "ini": ini, "pid": os.getpid(), "version": __version__}
        with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(about, file)
        os.replace(f"{path}.new", path)

    def release(self, remove: bool) -> None:
        """
        Give up the lock.

        @param remove: remove what is ours in the directory, and the directory
            if it is empty then and nobody else made it.
        """
        if remove and self.directory:
            for file in ("control", "journal", "journal.new", "stack", "stack.new", "sessions", "sessions.new"):
                self._remove(os.unlink, f"private/{file}")
            self._remove(os.unlink, "pid")
            # Last, and while it is held: whoever opens it now sees that it is gone.
            self._remove(os.unlink, "private/lock")
            for folder in ("private", "notify", *([] if self.keep else [""])):
                self._remove(os.rmdir, folder)
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    def _in(self, path: str) -> str:
        return os.path.join(self.directory, path) if self.directory else ""

    def _remove(self, how: Any, path: str) -> None:
        with suppress(OSError):
            how(self._in(path))


def running(uid: int, environ: Mapping[str, str]) -> list[Found]:
    """The stacks of a user that run, as far as their directories have the usual places."""
    found = []
    for parent in naming.parents(uid, environ):
        try:
            names = sorted(os.listdir(parent))
        except OSError:
            continue
        for directory in (os.path.join(parent, name) for name in names):
            holder = _holderOf(directory, uid)
            if holder is not None:
                found.append(_about(directory, holder))
    return found


# -- the directory -----------------------------------------------------------


def _gid(group: str) -> int:
    if not group:
        return -1
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise WorldError(f"control_group: there is no group {group}") from None


def _taken(name: str, directory: str, uid: int, gid: int, lock: int) -> int:
    """
    Make a directory ours.

    @return: the descriptor of its lock.
    """
    if len(os.fsencode(naming.controlPath(directory))) > naming.LONGEST_SOCKET_PATH:
        raise _Unusable("its path is too long for a socket")
    for _ in range(3):
        _makeFolders(directory, uid, gid)
        with suppress(FileNotFoundError):  # whoever ended just now has removed it
            return _locked(name, directory) if lock < 0 else _kept(directory, lock)
    raise _Unusable("somebody keeps removing it")


def _makeFolders(directory: str, uid: int, gid: int) -> None:
    parent = os.path.dirname(directory)
    if not os.path.isdir(parent):
        os.makedirs(parent, 0o755, exist_ok=True)
    if os.stat(parent).st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
        raise _Unusable(f"everybody may write to {parent}")
    strangers = {os.lstat(parent).st_uid, os.stat(parent).st_uid} - {0, uid}
    if strangers:
        raise _Unusable(f"{parent} belongs to uid {strangers.pop()}")
    _folder(directory, 0o711, uid)
    _folder(f"{directory}/notify", 0o711, uid, exact=True)
    private = _folder(f"{directory}/private", 0o700, uid, exact=gid < 0)
    if gid >= 0:
        try:
            os.chown(private, -1, gid)
        except PermissionError:
            raise WorldError(f"control_group: needs root or membership in group {gid}") from None
        os.chmod(private, 0o710)


def _folder(path: str, mode: int, uid: int, exact: bool = False) -> str:
    """
    Make a folder, or check the one that is there.

    @param exact: give one that is there this mode too.
    """
    made = True
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        made = False
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise _Unusable(f"{path} is no directory")
    if found.st_uid != uid:
        raise _Unusable(f"{path} belongs to uid {found.st_uid}")
    if found.st_mode & stat.S_IWOTH:
        raise _Unusable(f"everybody may write to {path}")
    if made or exact:
        os.chmod(path, mode)
    return path


# -- the lock ----------------------------------------------------------------


def _locked(name: str, directory: str) -> int:
    path = f"{directory}/private/lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _LOCK)
        if not os.path.samestat(os.fstat(fd), os.stat(path)):
            raise FileNotFoundError
        _writePid(fd)
    except BlockingIOError:
        holder = _pid(fd)
        os.close(fd)
        raise _runs(name, directory, holder) from None
    except OSError:
        os.close(fd)
        raise
    return fd


def _kept(directory: str, lock: int) -> int:
    """Go on with a lock that was taken before an execve(2)."""
    if not os.path.samestat(os.fstat(lock), os.stat(f"{directory}/private/lock")):
        raise _Unusable("the lock that is held is another")
    os.set_inheritable(lock, False)
    return lock


def _abstractLock(name: str, uid: int) -> int:
    """A lock without a file: an address of unix(7) that only one socket can have."""
    address = os.fsencode(naming.abstractControl(name, uid))[: naming.LONGEST_SOCKET_PATH] + b"/lock"
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(address)
    except OSError:
        holder.close()
        raise _runs(name, "", 0) from None
    return holder.detach()


def _writePid(fd: int) -> None:
    os.ftruncate(fd, os.pwrite(fd, b"%d\n" % os.getpid(), 0))


def _pid(fd: int) -> int:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _holderOf(directory: str, uid: int) -> int | None:
    """The pid that holds a directory's lock, 0 if it is not known yet; None if nobody of ours does."""
    try:
        fd = os.open(f"{directory}/private/lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _LOCK)
        free = struct.unpack_from("h", found)[0] == fcntl.F_UNLCK
        return None if free or os.fstat(fd).st_uid != uid else _pid(fd)
    except OSError:
        return None
    finally:
        os.close(fd)


def _refuse(name: str, directory: str, holder: int | None) -> None:
    if holder is not None:
        raise _runs(name, directory, holder)


def _runs(name: str, directory: str, pid: int) -> WorldError:
    who = f", as pid {pid}" if pid else ""
    return WorldError(f"the stack {name} runs already{who}{f' ({directory})' if directory else ''}")


def _about(directory: str, holder: int) -> Found:
    """What the stack file says, as far as it makes sense."""
    about: Any = {}
    with suppress(OSError, ValueError, RecursionError), open(f"{directory}/private/stack") as file:
        about = json.loads(file.read(_MOST))
    texts: Iterator[Any] = (about.get(key) if isinstance(about, dict) else None for key in ("name", "ini"))
    name, ini = (text if isinstance(text, str) else "" for text in texts)
    return Found(name or os.path.basename(directory), directory, ini, holder)
