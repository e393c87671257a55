"""Encryption: a certificate of the user's, or one made for a day, with its fingerprint."""

import hashlib
import ipaddress
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from amused_edge.runtime.errors import OptionsError, first_line

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

VALID = timedelta(days=1)


@dataclass(frozen=True)
class Encryption:
    """What a server encrypts with.

    Attributes
    ----------
    fingerprint
        SHA-256 of the certificate, in the form that browsers show.
    """

    context: ssl.SSLContext
    fingerprint: str


def from_files(certificate: Path, key: Path | None = None) -> Encryption:
    """Read a certificate (PEM, its chain behind it) and its key, which may stand in the same file.

    Raises
    ------
    OptionsError
        They cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        first = certificate.read_text(encoding="ascii", errors="replace").partition("-----BEGIN CERTIFICATE-----")
        pem = "".join(first[1:]).partition("-----END CERTIFICATE-----")
        content = ssl.PEM_cert_to_DER_cert("".join(pem[:2]) + "\n")
    except (OSError, ValueError) as error:  # ssl.SSLError is one of the first
        raise OptionsError(f"the certificate {certificate} or its key cannot be used: {first_line(error)}") from error
    return Encryption(context, fingerprint(content))


def for_a_day(hosts: Sequence[str]) -> Encryption:
    """Make a key and a certificate of it for these names and addresses; needs the library `cryptography`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "amused-edge serve")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # the library reads files alone; nobody else may look into this folder
        file = Path(folder) / "day.pem"
        file.write_bytes(secret + certificate.public_bytes(encoding))
        return from_files(file)


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate (DER) as browsers show it: pairs of digits with colons between."""
    return hashlib.sha256(certificate).digest().hex(":").upper()


def _no_password() -> str:
    raise ValueError("the key has a password; give one without")


def _name(host: str) -> "GeneralName":
    from cryptography.x509 import DNSName, IPAddress

    try:
        return IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return DNSName(host)
