"""The control protocol over TLS, for people on other hosts, who are known by their certificates."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    trustRootFromCertificates,
)
from twisted.logger import Logger

from .control.amp import ControlFactory, Server
from .model import keys
from .model.commands import ROLES
from .model.errors import WorldError
from .model.inputs import Who
from .model.settings import Settings
from .model.users import User, byCert

HANDSHAKE_WITHIN = 10.0
"""Seconds in which who has connected must have shown a certificate."""

MOST = 1 << 20
"""Bytes of a file with certificates."""

_BEGIN = "-----BEGIN CERTIFICATE-----"


def holder(users: Callable[[], Sequence[User]]) -> Callable[[Any], Who]:
    """
    Who is at the other end of TLS, by their certificate.

    @param users: the C{[user:NAME]} sections as they are in force.
    @return: from a transport to who it is: nobody until the handshake is done.
    """
    def identify(transport: Any) -> Who:
        certificate = transport.getPeerCertificate()
        where = getattr(transport.getPeer(), "host", "")
        if certificate is None:
            return Who(f"somebody at {where} (tls)")
        shown = keys.fingerprint(certificate.digest("sha256").decode("ascii"))
        user = byCert(users(), shown)
        name, role = (user.name, user.role) if user else (f"certificate {shown[:16]}", "")
        return Who(f"{name} ({where}, tls)", role)

    return identify


class Visitors(ControlFactory):
    """
    Serves whoever has a certificate, and sends away who has not shown one in time.

    @ivar reactor: whose clock it is.
    """

    reactor: Any

    def buildProtocol(self, addr: IAddress | None) -> Server | None:
        """A connection that has yet to show its certificate."""
        server = super().buildProtocol(addr)
        if server is not None:
            self.reactor.callLater(HANDSHAKE_WITHIN, self._late, server)
        return server

    def _late(self, server: Server) -> None:
        if server in self.connections and server.who.role not in ROLES:
            server.transport.abortConnection()


class SecureDoor:
    """Where people on other hosts come in."""

    _log = Logger(namespace="circustwist")

    def __init__(self, reactor: Any, settings: Settings, factory: Visitors) -> None:
        self._reactor = reactor
        self._settings = settings
        self._factory = factory
        self._port: Any = None

    def open(self) -> None:
        """Listen; what is in the way is logged, and the stack runs without it."""
        self._factory.reactor = self._reactor
        host, _, port = self._settings.control_tls.rpartition(":")
        try:
            self._port = self._reactor.listenSSL(
                int(port), self._factory, context(self._settings), interface="" if host == "*" else host.strip("[]"))
        except (WorldError, CannotListenError) as error:
            self._log.error("[circus] control_tls: {error}; nobody can connect there", error=str(error))
        else:
            self._log.info("  control {address} (TLS)", address=self._settings.control_tls)

    def close(self) -> None:
        """Let nobody in any more, and end every connection when what is written has gone out."""
        self._factory.close()
        if self._port is not None:
            maybeDeferred(self._port.stopListening)
            self._port = None


def context(settings: Settings) -> CertificateOptions:
    """
    How connections are secured: TLS 1.2 or later, with a certificate of both sides.

    @raise WorldError: one line, if the files do not allow it.
    """
    mine = _chain("control_tls_certificate", settings.control_tls_certificate)
    clients = _chain("control_tls_clients", settings.control_tls_clients)
    text = _read("control_tls_key", settings.control_tls_key)
    try:
        # With an empty passphrase nobody is asked for one.
        made = CertificateOptions(
            privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, text, b""), certificate=mine[0].original,
            extraCertChain=[one.original for one in mine[1:]], trustRoot=trustRootFromCertificates(clients),
            raiseMinimumTo=TLSVersion.TLSv1_2)
        made.getContext()
    except (crypto.Error, SSL.Error, ValueError, TypeError):
        raise WorldError(f"control_tls_key: {settings.control_tls_key} holds no key of control_tls_certificate, or one "
                         "with a passphrase") from None
    return made


def _chain(option: str, path: str) -> list[Certificate]:
    """
    The certificates in a file, in their order.

    @raise WorldError: one line, if there is none.
    """
    texts = _read(option, path).decode("utf-8", "replace").split(_BEGIN)[1:]
    try:
        found = [Certificate.loadPEM((_BEGIN + text).encode()) for text in texts]
    except (crypto.Error, ValueError):
        found = []
    if not found:
        raise WorldError(f"{option}: there is no certificate in {path}, or one that is damaged; PEM is expected")
    return found


def _read(option: str, path: str) -> bytes:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if option == "control_tls_key" and os.fstat(file.fileno()).st_mode & 0o077:
                SecureDoor._log.warn(
                    "[circus] control_tls_key: others than its owner may read {path}; chmod 600", path=path)
            return file.read(MOST) or b""
    except OSError as error:
        raise WorldError(f"{option}: {path} cannot be read: {error.strerror}") from None
