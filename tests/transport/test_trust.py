"""What is made of gRPC's words for a failed connection, and of the names in certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftify.config import TlsConfig
from raftify.errors import CertificateRefused, PeerUnreachable, TransportError
from raftify.transport.trust import (
    check_names_node,
    connection_failure,
    is_of_the_connection,
    is_of_tls,
)
from tests.transport.certificates import DAY, Authority

_FAILED = "failed to connect to all addresses; last error: "
_SSL = "SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:"
_NEW = f"{_FAILED}UNKNOWN: ipv4:127.0.0.1:1: Tls handshake failed (TSI_PROTOCOL_FAILURE): {_SSL}"
_OLD = f"{_FAILED}UNKNOWN: ipv4:127.0.0.1:1: Ssl handshake failed: {_SSL}"
_CLOSED = f"{_FAILED}UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed"
_REFUSED = (
    f"{_FAILED}UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: connect: "
    "Connection refused (111)"
)
TLS = TlsConfig(ca_cert="ca.pem", require_client_cert=False)


@pytest.mark.parametrize(
    ("details", "kind", "said"),
    [
        (
            f"{_NEW}CERTIFICATE_VERIFY_FAILED: certificate has expired: OK",
            CertificateRefused,
            "the certificate of there does not hold by ca_cert ca.pem: certificate has expired",
        ),
        (
            f"{_NEW}CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate: OK",
            CertificateRefused,
            "by ca_cert ca.pem: unable to get local issuer certificate",
        ),
        (
            f"{_OLD}CERTIFICATE_VERIFY_FAILED",
            CertificateRefused,
            "by ca_cert ca.pem: it has expired, or another authority signed it",
        ),
        (
            f"{_FAILED}UNKNOWN: UNAUTHENTICATED: Hostname Verification Check failed.",
            CertificateRefused,
            "does not name the host by which it was called",
        ),
        (
            f"{_FAILED}UNKNOWN: ipv4:127.0.0.1:1: Peer name 127.0.0.1 is not in peer certificate",
            CertificateRefused,
            "does not name the host by which it was called",
        ),
        (f"{_NEW}WRONG_VERSION_NUMBER: Invalid context: OK", CertificateRefused, "speaks no TLS"),
        (f"{_OLD}WRONG_VERSION_NUMBER", CertificateRefused, "speaks no TLS"),
        (f"{_OLD}NO_SHARED_CIPHER", CertificateRefused, "no TLS with there: .*NO_SHARED_CIPHER"),
        (_CLOSED, PeerUnreachable, "during the TLS handshake; a node that demands certificates"),
        (
            _REFUSED,
            PeerUnreachable,
            "nobody answers at there: .*the node is not running .*Connection refused",
        ),
        ("what nobody has thought of", PeerUnreachable, r"\(what nobody has thought of\)"),
    ],
)
def test_with_tls(details: str, kind: type[TransportError], said: str) -> None:
    failure = connection_failure(details, "there", TLS)
    assert type(failure) is kind
    with pytest.raises(kind, match=said):
        raise failure
    assert is_of_tls(failure, details) == (details != _REFUSED and "nobody has" not in details)


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ("ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused", "not running"),
        ("getsockopt(SO_ERROR): No route to host", "no way to that machine"),
        ("connect failed: error: Network is unreachable", "no way to that machine"),
        ("Failed to connect to remote host: Timeout occurred: FD shutdown", "nothing came back"),
        ("getsockopt(SO_ERROR): Connection timed out", "nothing came back"),
        (
            "errors resolving x:1: [field:hostname lookup error:address lookup failed for x:1]",
            "name of that host is not known",
        ),
        ("DNS resolution failed for x.invalid:1: C-ares status is not", "is not known"),
        ("Failed parsing HTTP/2 (Expected SETTINGS frame)", "another program listens"),
    ],
)
@pytest.mark.parametrize("tls", [None, TLS])
def test_the_cause_is_said_in_words(tls: TlsConfig | None, details: str, said: str) -> None:
    text = str(connection_failure(_FAILED + details, "there", tls))
    assert text.startswith("nobody answers at there: ")
    assert said in text
    assert details in text


def test_without_tls() -> None:
    closed = connection_failure(_CLOSED, "there", None)
    assert type(closed) is PeerUnreachable
    assert "as a node does that takes only TLS: set tls" in str(closed)
    down = connection_failure(_REFUSED, "there", None)
    assert type(down) is PeerUnreachable
    assert "TLS" not in str(down)


def test_the_expected_name_is_the_nodes() -> None:
    tls = TlsConfig(node_name="node-{node_id}.raft", server_name_override="any.raft")
    details = f"{_FAILED}Hostname Verification Check failed."
    named = connection_failure(details, "there", tls, node_id=3)
    assert "does not name the DNS name 'node-3.raft'" in str(named)
    unnamed = connection_failure(details, "there", tls)
    assert "does not name the DNS name 'any.raft'" in str(unnamed)


def test_our_own_certificate_is_looked_at(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.tls("client", "client")
    good = str(connection_failure(_CLOSED, "there", tls))
    assert f"does not take our certificate {tls.cert}" in good
    authority.issue("client", "client", valid=-DAY)
    bad = str(connection_failure(_CLOSED, "there", tls))
    assert f"cert {tls.cert} does not hold" in bad
    assert "certificate has expired" in bad
    authority.key("client").unlink()
    assert "No such file" in str(connection_failure(_CLOSED, "there", tls))


def test_a_stream_that_broke_is_no_failed_connection() -> None:
    assert is_of_the_connection(_CLOSED)
    assert not is_of_the_connection("Socket closed")


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ([b"node-3.raft"], True),
        ([b"localhost", b"NODE-3.raft"], True),
        ([b"node-33.raft"], False),
        ([b"*.raft"], False),
        ([b"x.node-3.raft", b"node-3.raft.x"], False),
        ([b"\xff\xfe"], False),
        ([], False),
    ],
)
def test_names_of_callers(names: list[bytes], taken: bool) -> None:
    tls = TlsConfig(node_name="node-{node_id}.raft")
    auth = {"peer_dns": names, "x509_common_name": [b"node-3.raft"], "peer_uri": [b"node-3.raft"]}
    if taken:
        check_names_node(auth, tls, 3)
    else:
        with pytest.raises(CertificateRefused, match=r"'node-3\.raft'"):
            check_names_node(auth, tls, 3)
    # Nothing is demanded where no names are set, nor of who claims to be no node.
    check_names_node(auth, None, 3)
    check_names_node(auth, TlsConfig(), 3)
    check_names_node(auth, tls, 0)


def test_without_any_certificate_nobody_is_a_node() -> None:
    with pytest.raises(CertificateRefused, match="its DNS names are: none"):
        check_names_node({}, TlsConfig(node_name="node-{node_id}.raft"), 3)
