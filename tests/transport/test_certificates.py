"""TLS with certificates that are expired, of another name, self-signed, of weak make or older protocols: matrix 37."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.transport.raw_server import reply
from worker.errors import ProviderRefused, RunAgainLater
from worker.transport.client import Transport
from worker.transport.network import Limits, open_network, tls_context

HOST = "people.example.com"
URL = f"https://{HOST}/v1/things"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Key = EllipticCurvePrivateKey | RSAPrivateKey


class Authority:
    """A certificate authority of our own, which the transport of these tests trusts."""

    def __init__(self, name: str = "Authority", above: "Authority | None" = None, *, may_sign: bool = True) -> None:
        self.key = generate_private_key(SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = above or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + DAY)
            .add_extension(x509.BasicConstraints(ca=may_sign, path_length=None), critical=True)
            .sign(issuer.key, SHA256())
        )

    def issue(
        self,
        folder: Path,
        *,
        name: str = HOST,
        since: timedelta = -DAY,
        until: timedelta = DAY,
        key: Key | None = None,
        only_common_name: bool = False,
    ) -> Path:
        """A file with a certificate for a server, its key, and this authority's own behind it."""
        key = key or generate_private_key(SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + since)
            .not_valid_after(NOW + until)
        )
        if not only_common_name:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        certificate = builder.sign(self.key, SHA256())
        path = folder / "server.pem"
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
            + self.certificate.public_bytes(Encoding.PEM)
        )
        return path


ROOT = Authority()
STRANGER = Authority("Somebody else")


@contextmanager
def tls_server(pem: Path, newest: ssl.TLSVersion | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A server with this certificate; what it was sent is in the list."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")  # It may be as careless as it likes: the other side must mind.
    context.load_cert_chain(pem)
    if newest is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    received.append(tls.recv(65_536))
                    tls.sendall(reply())
            except OSError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], received
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def asked(port: int) -> int:
    """The status of a request to the provider, whose name leads to this port."""
    ours = tls_context()
    ours.load_verify_locations(cadata=ROOT.certificate.public_bytes(Encoding.PEM).decode())
    real = socket.create_connection
    transport = Transport(network=open_network(Limits(), lambda *_: ["127.0.0.1"], ours))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            socket, "create_connection", lambda address, *more, **named: real((address[0], port), *more, **named)
        )
        try:
            headers = {"authorization": "Bearer CANARY"}
            return transport.exchange("GET", URL, hosts={HOST}, headers=headers, timeout_s=5).status
        finally:
            transport.close()


def of_a_subordinate_that_may_not_sign(folder: Path) -> Path:
    return Authority("Subordinate", ROOT, may_sign=False).issue(folder)


def self_signed(folder: Path) -> Path:
    alone = Authority(HOST)
    key = alone.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(key + alone.certificate.public_bytes(Encoding.PEM))
    return path


def signed_with_sha_1(folder: Path) -> Path:
    """By the command line: the library does not sign so any more."""
    names = {name: folder / f"{name}.pem" for name in ("authority", "key", "request", "certificate", "extensions")}
    names["authority"].write_bytes(
        ROOT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + ROOT.certificate.public_bytes(Encoding.PEM)
    )
    names["extensions"].write_text(f"subjectAltName=DNS:{HOST}\n")
    asks = f"req -new -newkey rsa:2048 -nodes -subj /CN={HOST} -keyout {names['key']} -out {names['request']}"
    signs = (
        f"x509 -req -sha1 -days 1 -in {names['request']} -CA {names['authority']} -CAkey {names['authority']} "
        f"-set_serial 7 -extfile {names['extensions']} -out {names['certificate']}"
    )
    for command in (asks, signs):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    path = folder / "server.pem"
    path.write_bytes(names["key"].read_bytes() + names["certificate"].read_bytes())
    return path


REFUSED = {
    "expired": lambda folder: ROOT.issue(folder, since=-2 * DAY, until=-DAY),
    "expired a minute ago": lambda folder: ROOT.issue(folder, until=-timedelta(minutes=1)),
    "not valid yet": lambda folder: ROOT.issue(folder, since=timedelta(hours=1)),
    "of another name": lambda folder: ROOT.issue(folder, name="other.example.com"),
    "of a name below": lambda folder: ROOT.issue(folder, name=f"www.{HOST}"),
    "of a name like it": lambda folder: ROOT.issue(folder, name="*.com"),
    "with the name in its subject only": lambda folder: ROOT.issue(folder, only_common_name=True),
    "of an authority that nobody trusts": STRANGER.issue,
    "self-signed": self_signed,
    "of a subordinate that may not sign": of_a_subordinate_that_may_not_sign,
    "with a key of 1024 bits": lambda folder: ROOT.issue(folder, key=generate_rsa(65537, 1024)),  # noqa: S505 - what is to be refused
    "signed with SHA-1": signed_with_sha_1,
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_certificate_is_refused_and_nothing_sent_when_it_is(tmp_path: Path, what: str) -> None:
    with tls_server(REFUSED[what](tmp_path)) as (port, received):
        with pytest.raises(ProviderRefused, match="certificate") as caught:
            asked(port)
        assert received == []
    assert "CANARY" not in str(caught.value)


def test_a_certificate_of_a_trusted_authority_is_taken(tmp_path: Path) -> None:
    with tls_server(ROOT.issue(tmp_path)) as (port, received):
        assert asked(port) == 200
        assert b"Bearer CANARY" in received[0]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_a_server_that_speaks_old_tls_only_is_sent_nothing(tmp_path: Path, newest: ssl.TLSVersion) -> None:
    with tls_server(ROOT.issue(tmp_path), newest) as (port, received):
        with pytest.raises((ProviderRefused, RunAgainLater)):
            asked(port)
        assert received == []
