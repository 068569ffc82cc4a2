"""When the first of a node's certificates expires, as it stands in their files."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from raftify.config.validity import first_expiry

NOW = datetime(2026, 7, 1, 12, 30, 15, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ("authority", "between", "node")


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(subject: str, issuer: str, until: datetime) -> bytes:
    """Return a certificate as PEM; nobody looks at its signature here."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(1950, 1, 1, tzinfo=UTC))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_what_another_library_says() -> None:
    """A real authority with one between; its own certificates hold for longer."""
    authority = trustme.CA()
    between = authority.create_child_ca()
    made = between.issue_cert("node", not_before=NOW - DAY, not_after=NOW)
    chain = b"".join(part.bytes() for part in made.cert_chain_pems)
    ca = authority.cert_pem.bytes()
    read = x509.load_pem_x509_certificate(chain).not_valid_after_utc
    assert first_expiry(ca, chain) == read.timestamp() == NOW.timestamp()
    alone = x509.load_pem_x509_certificate(ca)
    assert first_expiry(ca, ca) == alone.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("first", NAMES)
def test_the_first_of_the_chain_counts(first: str) -> None:
    until = {one: NOW + (1 if one == first else 100) * DAY for one in NAMES}
    chain = certificate("node", "between", until["node"]) + certificate(
        "between", "authority", until["between"]
    )
    ca = certificate("authority", "authority", until["authority"])
    assert first_expiry(ca, chain) == until[first].timestamp()


def test_an_authority_that_was_replaced_may_expire() -> None:
    ca = (
        certificate("former", "former", NOW - DAY)
        + certificate("authority", "authority", NOW + DAY)
        + certificate("authority", "authority", NOW + 100 * DAY)  # the same, renewed
    )
    node = certificate("node", "authority", NOW + 50 * DAY)
    assert first_expiry(ca, node) == (NOW + 50 * DAY).timestamp()


@pytest.mark.parametrize("year", [1951, 1999, 2000, 2049, 2050, 2500, 9999])
def test_dates_of_both_forms(year: int) -> None:
    until = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    node = certificate("node", "authority", until)
    assert first_expiry(b"", node) == until.timestamp()


def test_none_where_nothing_can_be_read() -> None:
    node = certificate("node", "authority", NOW)
    assert first_expiry(b"", b"") is None
    assert first_expiry(b"", b"no certificate") is None
    assert first_expiry(b"", node[: len(node) // 2]) is None
    assert first_expiry(node[: len(node) // 2], node) is None


DER = x509.load_pem_x509_certificate(certificate("node", "authority", NOW)).public_bytes(
    serialization.Encoding.DER
)


def as_pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()


@given(st.binary(max_size=200))
def test_noise_raises_nothing(noise: bytes) -> None:
    assert first_expiry(b"", as_pem(noise)) is None


@given(st.integers(0, len(DER) - 1), st.integers(0, 255), st.integers(0, len(DER)))
def test_damage_raises_nothing(place: int, byte: int, end: int) -> None:
    data = bytearray(DER)
    data[place] = byte
    answer = first_expiry(as_pem(bytes(data)), as_pem(bytes(data[:end])))
    assert answer is None or isinstance(answer, float)
