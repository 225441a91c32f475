"""Certificates for tests: an authority, whom it knows, and every kind that must not be taken."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@attrs.frozen
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        """As an ini has it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def write(self, certificate: Path, key: Path | None = None) -> None:
        """Put both into files."""
        certificate.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        if key is not None:
            key.write_bytes(self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            key.chmod(0o600)


def pair(name: str, by: Pair | None = None, days: tuple[int, int] = (-1, 1), server: bool = False) -> Pair:
    """
    A new certificate.

    @param by: the authority; None for one that signs itself.
    @param days: from when, and until when, it holds.
    @param server: whether it is for servers, not for clients.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = by.key if by else key
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(by is None, None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False))
    if by is not None:
        made = made.add_extension(x509.ExtendedKeyUsage([Usage.SERVER_AUTH if server else Usage.CLIENT_AUTH]), False)
    else:
        made = made.add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), True)
    return Pair(made.sign(signer, hashes.SHA256()), key)
