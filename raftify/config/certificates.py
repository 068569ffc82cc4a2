"""What TLS itself says of certificates in files: whether they can be read, and hold.

There is no parser of certificates in the standard library but the one inside a handshake; so a
certificate is judged by a handshake with ourselves, in memory.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

_Path = str | Path


def chain_faults(ca_cert: _Path, cert: _Path | None, key: _Path | None) -> list[str]:
    """Return what is wrong with files that look like PEM: damage, another's key, dates, issuer."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca_cert)
    except (ssl.SSLError, OSError) as error:
        return [f"ca_cert {ca_cert} cannot be read as a certificate: {_reason(error)}"]
    if not cert or not key:
        return []
    try:
        _own_context(cert, key, ssl.PROTOCOL_TLS_SERVER)
    except (ssl.SSLError, OSError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            return [f"key {key} is not the key of cert {cert}"]
        return [f"cert {cert} and key {key} cannot be read: {_reason(error)}"]
    as_client = _refusal(ca_cert, cert, key, client_shows=True)
    # Some certificates are for one of the two uses only.
    if as_client and _refusal(ca_cert, cert, key, client_shows=False):
        return [f"cert {cert} does not hold by ca_cert {ca_cert}: {as_client}"]
    return []


def node_use_fault(ca_cert: _Path, cert: _Path, key: _Path) -> str:
    """Say what keeps a certificate from serving a node, which calls and is called; else ""."""
    for client_shows, use in ((False, "serverAuth"), (True, "clientAuth")):
        refusal = _refusal(ca_cert, cert, key, client_shows=client_shows)
        if refusal:
            return (
                f"cert {cert} cannot serve a node, which calls and is called: {refusal} "
                f"(its extended key usage, if it has one, must name {use})"
            )
    return ""


def names_in(ca_cert: _Path, cert: _Path, key: _Path) -> tuple[str, ...]:
    """Return the DNS names in a certificate that `chain_faults` finds nothing wrong with."""
    shown = _handshake(ca_cert, cert, key, client_shows=False)
    return tuple(str(value) for kind, value in shown.get("subjectAltName", ()) if kind == "DNS")


def _refusal(ca_cert: _Path, cert: _Path, key: _Path, *, client_shows: bool) -> str:
    try:
        _handshake(ca_cert, cert, key, client_shows=client_shows)
    except (ssl.SSLError, OSError) as error:
        return _reason(error)
    return ""


def _handshake(ca_cert: _Path, cert: _Path, key: _Path, *, client_shows: bool) -> dict[str, Any]:
    """Show the certificate to its own authority, as client or as server; return what is in it."""
    client = _own_context(cert, key, ssl.PROTOCOL_TLS_CLIENT)
    server = _own_context(cert, key, ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    judge = server if client_shows else client
    judge.load_verify_locations(cafile=ca_cert)
    judge.verify_mode = ssl.CERT_REQUIRED
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = client.wrap_bio(down, up, server_side=False)
    server_end = server.wrap_bio(up, down, server_side=True)
    for _ in range(3):  # hello, answer, and the client's certificate
        for end in (client_end, server_end):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return dict((server_end if client_shows else client_end).getpeercert() or {})


def _own_context(cert: _Path, key: _Path, side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    # Without a password of ours, OpenSSL would ask for one at the terminal.
    context.load_cert_chain(cert, key, password="")
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return str(error)
