"""The options that say how a node is reached over TLS."""

from __future__ import annotations

import argparse
from pathlib import Path

from raftify.config import TlsConfig


def add_tls_options(parser: argparse.ArgumentParser) -> None:
    """Add them to `parser`; `tls_of` reads them."""
    tls = parser.add_argument_group("TLS", "for a cluster that has it; see docs/security.md")
    tls.add_argument(
        "--ca-cert", type=Path, metavar="FILE", help="the authority that signed the nodes"
    )
    tls.add_argument("--cert", type=Path, metavar="FILE", help="a certificate to show the node")
    tls.add_argument("--key", type=Path, metavar="FILE", help="the key of that certificate")
    tls.add_argument(
        "--server-name",
        default="",
        metavar="NAME",
        help="the name in the node's certificate, if it does not name its host",
    )


def tls_of(arguments: argparse.Namespace) -> TlsConfig | None:
    """Return what the options say; None if none of them was given."""
    given = (arguments.ca_cert, arguments.cert, arguments.key, arguments.server_name)
    if not any(given):
        return None
    return TlsConfig(
        ca_cert=arguments.ca_cert or "",
        cert=arguments.cert,
        key=arguments.key,
        # What the node demands, it says itself.
        require_client_cert=False,
        server_name_override=arguments.server_name,
    )
