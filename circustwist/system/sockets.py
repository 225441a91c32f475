"""
Sockets that are bound once, held, and never accepted on.

Everything here is close-on-exec: a worker gets its sockets from the spawner,
by number.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket as net
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import attrs
from zope.interface import implementer

from ..model.errors import Problem, WorldError
from ..model.naming import LONGEST_SOCKET_PATH
from ..model.stack import Socket
from .holders import holder, inetInodes, unixInodes
from .interfaces import ISockets

_FAMILIES = {"af_inet": net.AF_INET, "af_inet6": net.AF_INET6, "af_unix": net.AF_UNIX}
_TYPES = {"sock_stream": net.SOCK_STREAM, "sock_dgram": net.SOCK_DGRAM, "sock_seqpacket": net.SOCK_SEQPACKET}

_File: TypeAlias = tuple[int, int]
"""What tells the file of a UNIX socket from a later one at its path: device and inode."""


class _Refused(Exception):
    """
    A socket cannot be had.

    @ivar option: which option of its section is to blame; empty if none.
    """

    def __init__(self, option: str, text: str) -> None:
        super().__init__(text)
        self.option = option


@attrs.frozen
class _Held:
    """
    One socket.

    @ivar path: of a UNIX socket, absolute; empty for the others.
    @ivar file: what was made at the path; None if it cannot be told.
    """

    socket: net.socket
    path: str = ""
    file: _File | None = None


@implementer(ISockets)
class Sockets:
    """The sockets of a stack."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def bind(self, socket: Socket) -> None:
        with _told(socket):
            self._hold(socket, _bound(socket))

    def bindAll(self, sockets: Iterable[Socket]) -> None:
        """
        Bind all of them, or none.

        @raise WorldError: one line for each that could not be bound.
        """
        bound, lines = [], []
        for socket in sockets:
            try:
                self.bind(socket)
                bound.append(socket.name)
            except WorldError as error:
                lines.append(str(error))
        if lines:
            for name in bound:
                self.drop(name, unlink=True)
            raise WorldError("\n".join(lines))

    def adopt(self, socket: Socket, fd: int, ours: bool = True) -> None:
        """
        Hold a socket that somebody else bound.

        @param ours: whether the file of a UNIX socket is ours to remove.
        """
        with _told(socket), _blaming("", {errno.ENOTSOCK: f"descriptor {fd} is no socket"}):
            try:
                adopted = net.socket(fileno=fd)
                adopted.set_inheritable(False)
                adopted.setblocking(socket.blocking)
                if socket.stream:
                    adopted.listen(socket.backlog)
            except OSError:
                os.close(fd)
                raise
        path = os.path.abspath(socket.path) if socket.unix else ""
        self._hold(socket, _Held(adopted, path, _fileAt(path) if ours else None))

    def update(self, socket: Socket) -> None:
        """
        Apply what can change in a socket that is held: its backlog.

        @raise KeyError: if there is none of that name.
        """
        if socket.stream:
            self._held[socket.name].socket.listen(socket.backlog)

    def fileno(self, name: str) -> int:
        return self._held[name].socket.fileno()

    def inodes(self) -> dict[str, int]:
        """The inode of each socket by name, for the journal."""
        return {name: os.fstat(held.socket.fileno()).st_ino for name, held in self._held.items()}

    def describe(self, name: str) -> Mapping[str, Any]:
        held = self._held[name]
        queue, limit = _backlog(held.socket)
        host, port = ("", 0) if held.path else held.socket.getsockname()[:2]
        where = {"path": held.path} if held.path else {"host": host, "port": port}
        return {**where, "inode": os.fstat(held.socket.fileno()).st_ino, "queue": queue, "limit": limit}

    def exchange(self, other: Sockets, names: Iterable[str]) -> None:
        """Give the sockets of these names to another holder, and take its own."""
        for name in names:
            mine, theirs = self._held.pop(name, None), other._held.pop(name, None)
            if theirs is not None:
                self._held[name] = theirs
            if mine is not None:
                other._held[name] = mine

    def drop(self, name: str, unlink: bool) -> None:
        """
        Let go of one socket; with C{unlink}, remove its file if it is a UNIX socket.

        @raise KeyError: if there is none of that name.
        """
        held = self._held.pop(name)
        held.socket.close()
        if unlink and held.file is not None and _fileAt(held.path) == held.file:
            with suppress(OSError):
                os.unlink(held.path)

    def close(self, unlink: bool) -> None:
        for name in list(self._held):
            self.drop(name, unlink)

    def _hold(self, socket: Socket, held: _Held) -> None:
        if socket.name in self._held:
            held.socket.close()
            raise ValueError(f"there is a socket {socket.name} already")
        self._held[socket.name] = held


def fits(socket: Socket, fd: int) -> bool:
    """Whether a socket that somebody else bound is the one that a section asks for."""
    with suppress(OSError, _Refused), net.socket(fileno=os.dup(fd)) as other:
        if (other.family, other.type) != (_family(socket), _TYPES[socket.type]):
            return False
        name = other.getsockname()
        if socket.unix:
            return bool(name == os.path.abspath(socket.path))
        return bool(socket.port in (0, name[1]) and _resolved(socket)[0] == name[0])
    return False


# -- binding -----------------------------------------------------------------


@contextmanager
def _told(spec: Socket) -> Iterator[None]:
    """Say in one line which section was refused, and why."""
    try:
        yield
    except _Refused as refused:
        problem = Problem(spec.place, f"socket:{spec.name}", refused.option, str(refused))
        raise WorldError(str(problem)) from None


@contextmanager
def _blaming(option: str, texts: Mapping[int, str], prefix: str = "") -> Iterator[None]:
    """Refuse for an error of the kernel, in the words that we have for it or in its own."""
    try:
        yield
    except OSError as error:
        text = texts.get(error.errno or 0) or f"{prefix}{os.strerror(error.errno or 0)}"
        raise _Refused(option, text) from None


def _family(spec: Socket) -> net.AddressFamily:
    return net.AF_UNIX if spec.unix else _FAMILIES[spec.family]


def _created(spec: Socket) -> net.socket:
    family, kind = _family(spec), _TYPES[spec.type]
    with _blaming("family", {errno.EAFNOSUPPORT: f"{family.name} is not available on this host"}):
        try:
            return net.socket(family, kind)
        except OSError as error:
            if error.errno in (errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT):
                raise _Refused("type", f"{kind.name} does not exist for {family.name}") from None
            raise


def _bound(spec: Socket) -> _Held:
    created = _created(spec)
    try:
        created.setblocking(spec.blocking)
        return _boundUnix(spec, created) if spec.unix else _boundInet(spec, created)
    except BaseException:
        created.close()
        raise


def _boundInet(spec: Socket, created: net.socket) -> _Held:
    if spec.stream:
        # Without it the port is refused for a minute after the last owner's
        # connections; on datagrams it would let two owners share a port.
        created.setsockopt(net.SOL_SOCKET, net.SO_REUSEADDR, 1)
    if spec.so_reuseport:
        created.setsockopt(net.SOL_SOCKET, net.SO_REUSEPORT, 1)
    if spec.interface:
        texts = {
            errno.ENODEV: f"there is no interface {spec.interface}",
            errno.EPERM: "needs root or CAP_NET_RAW",
        }
        with _blaming("interface", texts):
            created.setsockopt(net.SOL_SOCKET, net.SO_BINDTODEVICE, os.fsencode(spec.interface) + b"\0")
    address = _resolved(spec)
    try:
        created.bind(address)
        if spec.stream:
            created.listen(spec.backlog)
    except OSError as error:
        raise _inetRefusal(spec, address, error) from None
    return _Held(created)


def _resolved(spec: Socket) -> tuple[Any, ...]:
    host = spec.host or "localhost"
    try:
        return net.getaddrinfo(host, spec.port, _family(spec), _TYPES[spec.type])[0][4]
    except UnicodeError:
        raise _Refused("host", f"{host!r} cannot be a host's name") from None
    except net.gaierror as error:
        texts = {
            net.EAI_NONAME: f"{host} is not known",
            net.EAI_AGAIN: f"{host} cannot be looked up now",
            net.EAI_ADDRFAMILY: f"{host} has no address of {spec.family.upper()}",
            net.EAI_NODATA: f"{host} has no address of {spec.family.upper()}",
        }
        raise _Refused("host", texts.get(error.errno or 0) or f"{host}: {error.strerror}") from None


def _inetRefusal(spec: Socket, address: tuple[Any, ...], error: OSError) -> _Refused:
    if error.errno == errno.EADDRINUSE:
        return _Refused("port", f"{spec.address} is in use{holder(inetInodes(spec.stream, address[0], address[1]))}")
    if error.errno == errno.EACCES:
        return _Refused("port", f"{spec.address} needs root or CAP_NET_BIND_SERVICE")
    if error.errno == errno.EADDRNOTAVAIL:
        return _Refused("host", f"{spec.host or 'localhost'} is no address of this host")
    return _Refused("", f"{spec.address}: {os.strerror(error.errno or 0)}")


def _boundUnix(spec: Socket, created: net.socket) -> _Held:
    path = os.path.abspath(spec.path)
    if not spec.path:
        raise _Refused("path", "is missing")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise _Refused("path", f"{path} is longer than {LONGEST_SOCKET_PATH} bytes")
    uid, gid = _owner(spec)
    with _blaming("path", {errno.EADDRINUSE: f"{path} is in use"}, f"{path}: "):
        _makeWay(spec, path)
        with _umask(spec.umask if spec.mode is None else ~spec.mode & 0o777):
            created.bind(path)
    held = _Held(created, path, _fileAt(path))
    try:
        with _blaming("user" if spec.user else "group", {errno.EPERM: "needs root to give the socket away"}):
            if (uid, gid) != (-1, -1):
                os.chown(path, uid, gid, follow_symlinks=False)
        if spec.stream:
            created.listen(spec.backlog)
    except BaseException:
        os.unlink(path)
        raise
    return held


@contextmanager
def _umask(umask: int | None) -> Iterator[None]:
    """
    Run under this umask, or under our own.

    A socket is made with 0777, so the umask sets its mode exactly and at once.
    """
    if umask is None:
        yield
        return
    own = os.umask(umask)
    try:
        yield
    finally:
        os.umask(own)


def _owner(spec: Socket) -> tuple[int, int]:
    """The ids of the owner and the group to be, -1 for those that stay."""
    uid = gid = -1
    try:
        if spec.user:
            uid = int(spec.user) if spec.user.isdecimal() else pwd.getpwnam(spec.user).pw_uid
    except KeyError:
        raise _Refused("user", f"there is no user {spec.user}") from None
    try:
        if spec.group:
            gid = int(spec.group) if spec.group.isdecimal() else grp.getgrnam(spec.group).gr_gid
    except KeyError:
        raise _Refused("group", f"there is no group {spec.group}") from None
    return uid, gid


def _fileAt(path: str) -> _File | None:
    """The socket file at a path, if there is one."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def _makeWay(spec: Socket, path: str) -> None:
    """
    Remove the file that a dead owner left at the path.

    @raise _Refused: if its owner lives, or if it is no socket.
    """
    if not os.path.lexists(path):
        return
    file = _fileAt(path)
    if file is None:
        raise _Refused("path", f"{path} exists and is no socket")
    if not spec.replace and not _stale(path, _TYPES[spec.type]):
        raise _Refused("path", f"{path} is in use{holder(unixInodes(path))}")
    if _fileAt(path) == file:
        os.unlink(path)


def _stale(path: str, kind: net.SocketKind) -> bool:
    """Whether nobody is behind a socket file."""
    with net.socket(net.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in (errno.ECONNREFUSED, errno.ENOENT)


def _backlog(socket: net.socket) -> tuple[int | None, int | None]:
    """How many connections wait in a listening socket, and how many may."""
    if socket.family == net.AF_UNIX or socket.type != net.SOCK_STREAM:
        return None, None
    # Of a listening socket tcpi_unacked and tcpi_sacked are its accept queue and
    # the queue's limit; tcp_get_info() in the kernel's net/ipv4/tcp.c.
    unacked, sacked = struct.unpack_from("=II", socket.getsockopt(net.IPPROTO_TCP, net.TCP_INFO, 32), 24)
    return unacked, sacked
