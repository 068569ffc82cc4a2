"""Who is believed to be whom, and what a connection failed of, in words that say what to mend."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from raftify.config import TlsConfig
from raftify.errors import CertificateRefused, NotPermitted, PeerUnreachable, TransportError
from raftify.transport.credentials import files_of

#: How gRPC's core words what went wrong with TLS; it has no codes for it.
_VERIFY: Final = re.compile(r"CERTIFICATE_VERIFY_FAILED:? ?([^:]*)")
_NAME: Final = re.compile(
    r"hostname verification check failed|peer name .* is not in peer cert", re.I
)
_NO_TLS: Final = re.compile(r"WRONG_VERSION_NUMBER|HTTP_REQUEST")
_HANDSHAKE: Final = re.compile(r"(?:ssl|tls) handshake failed.*", re.IGNORECASE)
_CLOSED: Final = re.compile(r"socket closed|connection reset|broken pipe|EOF", re.IGNORECASE)
#: How gRPC words what the network said, and what that means for whoever calls.
_CAUSES: Final = (
    (
        re.compile(r"connection refused", re.IGNORECASE),
        "the machine is there, and no program listens at that port: the node is not running",
    ),
    (
        re.compile(r"no route to host|(?:network|host) is (?:unreachable|down)", re.IGNORECASE),
        "there is no way to that machine: it is down, or the network to it is",
    ),
    (
        re.compile(r"time(?:d )?out|deadline exceeded", re.IGNORECASE),
        "nothing came back: the machine is down, or a firewall swallows what is sent",
    ),
    (
        re.compile(r"errors? resolving|lookup failed|name not found|DNS", re.IGNORECASE),
        "the name of that host is not known here: check its spelling and the name server",
    ),
    (
        re.compile(r"HTTP/2|http1"),
        "another program listens there: it does not speak gRPC",
    ),
)


def connection_failure(
    details: str, where: str, tls: TlsConfig | None, *, node_id: int = 0
) -> PeerUnreachable | CertificateRefused:
    """Return why there is no connection to `where`; `details` is what gRPC said of it.

    A server that does not take our certificate only closes the connection: that, and the end of a
    process at that very moment, look the same.
    """
    if tls is None:
        if _CLOSED.search(details):
            hint = "it closed the connection at once, as a node does that takes only TLS: set tls"
            return PeerUnreachable(f"nobody answers at {where}; {hint} ({details})")
        return PeerUnreachable(_nobody_answers(where, details))
    if verify := _VERIFY.search(details):
        # Old versions of gRPC do not say which it is.
        reason = verify[1].strip() or "it has expired, or another authority signed it"
        return CertificateRefused(
            f"the certificate of {where} does not hold by ca_cert {tls.ca_cert}: {reason}"
        )
    if _NAME.search(details):
        name = tls.name_of(node_id)
        wanted = f"the DNS name {name!r}" if name else "the host by which it was called"
        return CertificateRefused(f"the certificate of {where} does not name {wanted}")
    if _NO_TLS.search(details):
        return CertificateRefused(f"{where} speaks no TLS: set tls there, or not here")
    if handshake := _HANDSHAKE.search(details):
        return CertificateRefused(f"no TLS with {where}: {handshake[0]}")
    if _CLOSED.search(details):
        return PeerUnreachable(
            f"nobody answers at {where}: it closed the connection during the TLS handshake; "
            f"{_of_our_certificate(tls)} ({details})"
        )
    return PeerUnreachable(_nobody_answers(where, details))


def _nobody_answers(where: str, details: str) -> str:
    """Return what `details` comes down to, as far as it is known, and `details` itself."""
    cause = next((f": {words}" for pattern, words in _CAUSES if pattern.search(details)), "")
    return f"nobody answers at {where}{cause} ({details})"


def is_of_tls(failure: TransportError, details: str) -> bool:
    """Say whether a failed connection got as far as TLS: somebody listens there, then."""
    return isinstance(failure, CertificateRefused) or _CLOSED.search(details) is not None


def is_of_the_connection(details: str) -> bool:
    """Say whether what gRPC reports of a call is that there was no connection to begin with."""
    return "failed to connect" in details


def _of_our_certificate(tls: TlsConfig) -> str:
    if not tls.cert:
        return "a node that demands certificates does so, and this program shows none"
    faults = files_of(tls).faults()
    if faults:
        return "; ".join(faults)
    return f"a node does so that does not take our certificate {tls.cert}: see its log"


def check_names_node(
    auth: Mapping[str, Iterable[bytes]], tls: TlsConfig | None, node_id: int
) -> None:
    """Check that the certificate of a caller may speak for a node, as `TlsConfig.node_name` says.

    `auth` is `context.auth_context()`. Names count as they are: `*` stands for nothing here.

    Raises:
        CertificateRefused: it may not.
    """
    if tls is None or not tls.node_name or not node_id:
        return
    wanted = tls.name_of(node_id)
    names = _names_in(auth)
    if wanted.lower() not in (name.lower() for name in names):
        raise CertificateRefused(
            f"the caller says it is node {node_id}, and its certificate has not the DNS name "
            f"{wanted!r} of that node; its DNS names are: {_listed(names)}"
        )


def check_names_admin(
    auth: Mapping[str, Iterable[bytes]], tls: TlsConfig | None, call: str
) -> None:
    """Check that the certificate of a caller that is no node may call what changes the cluster.

    Raises:
        NotPermitted: it has none of `TlsConfig.admin_names`.
    """
    if tls is None or not tls.admin_names:
        return
    names = _names_in(auth)
    if not {name.lower() for name in tls.admin_names} & {name.lower() for name in names}:
        raise NotPermitted(
            f"{call} is for nodes and for those whose certificate has a DNS name of "
            f"TlsConfig.admin_names ({_listed(tls.admin_names)}); the caller's DNS names are: "
            f"{_listed(names)}"
        )


def _names_in(auth: Mapping[str, Iterable[bytes]]) -> list[str]:
    return [name.decode("ascii", "replace") for name in auth.get("peer_dns", ())]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
