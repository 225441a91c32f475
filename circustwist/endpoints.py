"""The way in for Circus's own clients, as far as the configuration asks for it."""

from __future__ import annotations

import builtins
import os
import pwd
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from .logic.requests import Steering
from .model import keys
from .model.errors import WorldError
from .model.settings import PUBSUB, STATS, Settings
from .model.stack import Stack
from .model.users import User

if TYPE_CHECKING:
    from .control.zmq import Endpoints

MOST = 1000
"""Characters of a file with a key in it."""

_log = Logger(namespace="circustwist")


def open(reactor: Any, stack: Callable[[], Stack], steering: Steering) -> Endpoints | None:
    """
    Open the endpoints, if there are any; what keeps them from being opened is logged.

    Nothing of ZeroMQ is imported without them.

    @param stack: the configuration that is in force.
    """
    settings = stack().settings
    if not settings.endpoint:
        tell = _log.info if settings.pubsub_endpoint or settings.stats_endpoint or settings.statsd else _log.debug
        tell("no endpoint in [circus]: circusctl and its like cannot connect; endpoint = tcp://127.0.0.1:5555 lets "
             "them in")
        return None
    from .control import zmq

    try:
        opened = zmq.listen(reactor, steering, _ways(settings, lambda: stack().users))
    except WorldError as error:
        _log.error("{error}; Circus's clients cannot connect", error=str(error))
        return None
    if settings.multicast_endpoint:
        _discoverable(reactor, settings, opened)
    return opened


def _discoverable(reactor: Any, settings: Settings, opened: Endpoints) -> None:
    """Let clients ask for the endpoint."""
    from .control.discovery import discoverable

    try:
        port = discoverable(reactor, settings.multicast_endpoint, settings.endpoint)
    except CannotListenError as error:
        _log.error("[circus] multicast_endpoint: {error}", error=str(error))
    else:
        opened.ends.append(port.stopListening)


def _ways(settings: Settings, users: Callable[[], Iterable[User]]) -> Any:
    """
    Where the endpoints are to be, and for whom.

    @raise WorldError: one line, if they cannot be so.
    """
    from .control import guard, zmq

    owner = _account(settings.endpoint_owner)
    ours = owner is None or owner[0] == os.geteuid()
    insecure = settings.endpoint_insecure
    secret = _secret(settings.curve_secret_key_file)
    if not secret and not guard.private(settings.endpoint):
        _log.warn("everybody on this host reaches {endpoint} and may stop what runs here{more}; ipc:///PATH is for one "
                  "user", endpoint=settings.endpoint, more=" and say what is run" * insecure)
    return zmq.Ways(
        settings.endpoint, settings.pubsub_endpoint or PUBSUB,
        settings.stats_endpoint or (STATS if settings.statsd else ""),
        guard.Guard(settings.endpoint, insecure, "" if ours else settings.endpoint_owner, users if secret else None),
        owner, secret)


def _secret(path: str) -> bytes:
    """
    The secret key in a file; nothing for no file.

    @raise WorldError: one line, if there is none.
    """
    if not path:
        return b""
    try:
        with builtins.open(path) as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                _log.warn("[circus] curve_secret_key_file: others than its owner may read {path}; chmod 600", path=path)
            return keys.curveKey(file.read(MOST)).encode()
    except OSError as error:
        raise WorldError(f"[circus] curve_secret_key_file: {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise WorldError(f"[circus] curve_secret_key_file: there is no key in {path}; 40 letters of Z85, or 64 hex "
                         "digits") from None


def _account(name: str) -> tuple[int, int] | None:
    """
    The uid and gid of a user; None for nobody.

    @raise WorldError: if there is no such user.
    """
    if not name:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise WorldError(f"[circus] endpoint_owner: there is no user {name}") from None
    return found.pw_uid, found.pw_gid
