"""Until when certificates in files hold.

The standard library shows that only of a certificate that another end of a handshake has shown, and
only while it holds; so the few fields before it are skipped here (RFC 5280, section 4.1).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
#: Tags of DER.
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
#: A long form of a length beyond that is no certificate's.
_LONGEST_LENGTH: Final = 4


@dataclass(frozen=True, slots=True)
class Validity:
    """Whose certificate holds until when, in seconds since 1970; names as they are encoded."""

    issuer: bytes
    subject: bytes
    until: float


def first_expiry(ca_pem: bytes, cert_pem: bytes) -> float | None:
    """Return when the first of the certificates expires that a node needs to be believed.

    These are its own, those between it and its authority's, and that. Other authorities in the file
    do not count: an old one that has been replaced may expire.

    Returns:
        Seconds since 1970; None if the certificates cannot be read.
    """
    try:
        chain, authorities = _certificates(cert_pem), _certificates(ca_pem)
    except (ValueError, IndexError, StopIteration):
        return None
    if not chain:
        return None
    issuers = [one.until for one in authorities if one.subject == chain[-1].issuer]
    return min([one.until for one in chain] + ([max(issuers)] if issuers else []))


def _certificates(pem: bytes) -> list[Validity]:
    """Return what stands in a file.

    Raises:
        ValueError, IndexError, StopIteration: one of them cannot be read.
    """
    found = []
    for part in pem.decode("latin-1").split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        if not end:
            raise ValueError("a certificate in the file has no end")
        found.append(_read(ssl.PEM_cert_to_DER_cert(_BEGIN + body + _END)))
    return found


def _read(der: bytes) -> Validity:
    certificate = next(_elements(der))[1]
    fields = _elements(next(_elements(certificate))[1])
    tag, _ = next(fields)
    if tag == _VERSION:
        next(fields)  # the serial number
    next(fields)  # the algorithm of the signature
    _, issuer = next(fields)
    _, dates = next(fields)
    _, subject = next(fields)
    _, (tag, text) = _elements(dates)
    return Validity(issuer, subject, _time(tag, text.decode("ascii")))


def _time(tag: int, text: str) -> float:
    if tag == _UTC_TIME:
        # Of two digits those below 50 are of this century (RFC 5280, 4.1.2.5.1).
        text = ("20" if int(text[:2]) < 50 else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"a date has the tag {tag}")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element that `data` is a row of."""
    place = 0
    while place < len(data):
        tag, length, place = data[place], data[place + 1], place + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= _LONGEST_LENGTH:
                raise ValueError("an element of the certificate has no length")
            length, place = int.from_bytes(data[place : place + count]), place + count
        if place + length > len(data):
            raise ValueError("an element of the certificate is cut off")
        yield tag, data[place : place + length]
        place += length
