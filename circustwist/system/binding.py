"""
Makes sockets: bound, and refused in one line that says what is in the way.
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

from ..model.errors import Problem, WorldError
from ..model.naming import LONGEST_SOCKET_PATH
from ..model.stack import Socket
from .holders import holder, inetInodes, unixInodes

_FAMILIES = {"af_inet": net.AF_INET, "af_inet6": net.AF_INET6, "af_unix": net.AF_UNIX}
TYPES = {"sock_stream": net.SOCK_STREAM, "sock_dgram": net.SOCK_DGRAM, "sock_seqpacket": net.SOCK_SEQPACKET}

_SO_MEMINFO = 55
_LISTEN = 10

_File: TypeAlias = tuple[int, int]
"""What tells the file of a UNIX socket from a later one at its path: device and inode."""


class Refused(Exception):
    """
    A socket cannot be had.

    @ivar option: which option of its section is to blame; empty if none.
    """

    def __init__(self, option: str, text: str) -> None:
        super().__init__(text)
        self.option = option


@attrs.frozen
class Held:
    """
    One socket.

    @ivar path: of a UNIX socket, absolute; empty for the others.
    @ivar file: what was made at the path; None if it cannot be told.
    @ivar seated: its section, if it only keeps the port: each seat has a socket that listens.
    @ivar backlog: how many connections may wait; 0 if it does not listen.
    """

    socket: net.socket
    path: str = ""
    file: _File | None = None
    seated: Socket | None = None
    backlog: int = 0


@contextmanager
def told(spec: Socket) -> Iterator[None]:
    """Say in one line which section was refused, and why."""
    try:
        yield
    except Refused as refused:
        problem = Problem(spec.place, f"socket:{spec.name}", refused.option, str(refused))
        raise WorldError(str(problem)) from None


@contextmanager
def blaming(option: str, texts: Mapping[int, str], prefix: str = "") -> Iterator[None]:
    """Refuse for an error of the kernel, in the words that we have for it or in its own."""
    try:
        yield
    except OSError as error:
        text = texts.get(error.errno or 0) or f"{prefix}{os.strerror(error.errno or 0)}"
        raise Refused(option, text) from None


def family(spec: Socket) -> net.AddressFamily:
    """The family of a section."""
    return net.AF_UNIX if spec.unix else _FAMILIES[spec.family]


def _created(spec: Socket) -> net.socket:
    domain, kind = family(spec), TYPES[spec.type]
    with blaming("family", {errno.EAFNOSUPPORT: f"{domain.name} is not available on this host"}):
        try:
            return net.socket(domain, kind)
        except OSError as error:
            if error.errno in (errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT):
                raise Refused("type", f"{kind.name} does not exist for {domain.name}") from None
            raise


def bound(spec: Socket, listens: bool) -> Held:
    """
    A socket for a section.

    @param listens: whether connections are accepted on it, if it is a stream; else it only keeps its port.
    @raise Refused: if it cannot be had.
    """
    created = _created(spec)
    try:
        created.setblocking(spec.blocking)
        return _boundUnix(spec, created) if spec.unix else _boundInet(spec, created, listens)
    except BaseException:
        created.close()
        raise


def _boundInet(spec: Socket, created: net.socket, listens: bool) -> Held:
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
        with blaming("interface", texts):
            created.setsockopt(net.SOL_SOCKET, net.SO_BINDTODEVICE, os.fsencode(spec.interface) + b"\0")
    address = resolved(spec)
    try:
        created.bind(address)
        if spec.stream and listens:
            created.listen(spec.backlog)
    except OSError as error:
        raise _inetRefusal(spec, address, error) from None
    # Of the sockets of one port only those that listen are given connections.
    return Held(created, seated=None if listens else spec, backlog=spec.backlog * (spec.stream and listens))


def resolved(spec: Socket) -> tuple[Any, ...]:
    """
    The address of a section, as bind(2) takes it.

    @raise Refused: if it is not known.
    """
    host = spec.host or "localhost"
    try:
        return net.getaddrinfo(host, spec.port, family(spec), TYPES[spec.type])[0][4]
    except UnicodeError:
        raise Refused("host", f"{host!r} cannot be a host's name") from None
    except net.gaierror as error:
        texts = {
            net.EAI_NONAME: f"{host} is not known",
            net.EAI_AGAIN: f"{host} cannot be looked up now",
            net.EAI_ADDRFAMILY: f"{host} has no address of {spec.family.upper()}",
            net.EAI_NODATA: f"{host} has no address of {spec.family.upper()}",
        }
        raise Refused("host", texts.get(error.errno or 0) or f"{host}: {error.strerror}") from None


def named(spec: Socket) -> bool:
    """Whether a name server may be asked for the address of a section."""
    if spec.unix or spec.host in ("", "localhost"):
        return False
    try:
        net.getaddrinfo(spec.host, None, flags=net.AI_NUMERICHOST)
    except OSError:
        return True
    return False


def looked(specs: Iterable[Socket]) -> list[Socket]:
    """
    The same sections with addresses for names.

    @raise WorldError: one line, if one is not known.
    """
    found = []
    for spec in specs:
        with told(spec):
            found.append(attrs.evolve(spec, host=resolved(spec)[0]) if named(spec) else spec)
    return found


def listens(held: Held) -> bool:
    """Whether a socket on which connections are accepted still listens: any worker may have shut it down."""
    return bool(held.socket.getsockopt(net.SOL_SOCKET, net.SO_ACCEPTCONN))


def _inetRefusal(spec: Socket, address: tuple[Any, ...], error: OSError) -> Refused:
    if error.errno == errno.EADDRINUSE:
        return Refused("port", f"{spec.address} is in use{holder(inetInodes(spec.stream, address[0], address[1]))}")
    if error.errno == errno.EACCES:
        return Refused("port", f"{spec.address} needs root or CAP_NET_BIND_SERVICE")
    if error.errno == errno.EADDRNOTAVAIL:
        return Refused("host", f"{spec.host or 'localhost'} is no address of this host")
    return Refused("", f"{spec.address}: {os.strerror(error.errno or 0)}")


def _boundUnix(spec: Socket, created: net.socket) -> Held:
    path = os.path.abspath(spec.path)
    if not spec.path:
        raise Refused("path", "is missing")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise Refused("path", f"{path} is longer than {LONGEST_SOCKET_PATH} bytes")
    uid, gid = _owner(spec)
    with blaming("path", {errno.EADDRINUSE: f"{path} is in use"}, f"{path}: "):
        _makeWay(spec, path)
        with _umask(spec.umask if spec.mode is None else ~spec.mode & 0o777):
            created.bind(path)
    held = Held(created, path, fileAt(path), backlog=spec.backlog * spec.stream)
    try:
        with blaming("user" if spec.user else "group", {errno.EPERM: "needs root to give the socket away"}):
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
        raise Refused("user", f"there is no user {spec.user}") from None
    try:
        if spec.group:
            gid = int(spec.group) if spec.group.isdecimal() else grp.getgrnam(spec.group).gr_gid
    except KeyError:
        raise Refused("group", f"there is no group {spec.group}") from None
    return uid, gid


def fileAt(path: str) -> _File | None:
    """The socket file at a path, if there is one."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def _makeWay(spec: Socket, path: str) -> None:
    """
    Remove the file that a dead owner left at the path.

    @raise Refused: if its owner lives, or if it is no socket.
    """
    if not os.path.lexists(path):
        return
    file = fileAt(path)
    if file is None:
        raise Refused("path", f"{path} exists and is no socket")
    if not spec.replace and not _stale(path, TYPES[spec.type]):
        raise Refused("path", f"{path} is in use{holder(unixInodes(path))}")
    if fileAt(path) == file:
        os.unlink(path)


def _stale(path: str, kind: net.SocketKind) -> bool:
    """Whether nobody is behind a socket file."""
    with net.socket(net.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in (errno.ECONNREFUSED, errno.ENOENT)


def waiting(socket: net.socket) -> tuple[int | None, int | None, int | None]:
    """
    How many connections wait in a listening socket, how many may, and how many
    were refused because so many waited; None where the kernel does not say.
    """
    if socket.family == net.AF_UNIX and socket.type != net.SOCK_DGRAM:
        from . import diag

        with suppress(OSError):
            for message in diag.ask(diag.unixSockets(os.fstat(socket.fileno()).st_ino, states=1 << _LISTEN)):
                found = diag.unixSocket(message)
                return (found.queue, found.limit, None) if found is not None else (None, None, None)
    if socket.family == net.AF_UNIX or socket.type != net.SOCK_STREAM:
        return None, None, None
    # Of a listening socket tcpi_unacked and tcpi_sacked are its accept queue and
    # the queue's limit; tcp_get_info() in the kernel's net/ipv4/tcp.c.
    unacked, sacked = struct.unpack_from("=II", socket.getsockopt(net.IPPROTO_TCP, net.TCP_INFO, 32), 24)
    return unacked, sacked, _drops(socket)


def _drops(socket: net.socket) -> int | None:
    """
    How many connections were refused.

    @see: SK_MEMINFO_DROPS in the kernel's sock_diag.h; SO_MEMINFO, Linux 4.12
    """
    found = socket.getsockopt(net.SOL_SOCKET, _SO_MEMINFO, 36)
    return int(struct.unpack("=9I", found)[8]) if len(found) == 36 else None
