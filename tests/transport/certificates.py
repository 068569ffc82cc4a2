"""Authorities and certificates made in the test, as files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

from raftify.config import TlsConfig

DAY = timedelta(days=1)
HOST = "127.0.0.1"


@dataclass
class Authority:
    """Signs certificates. `directory` takes the files; each certificate is known by a name."""

    directory: Path

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._ca = trustme.CA()
        #: When the first of them was made.
        self.made = datetime.now(UTC)
        self._ca.cert_pem.write_to_path(str(self.ca_cert))

    @property
    def ca_cert(self) -> Path:
        return self.directory / "ca.pem"

    def cert(self, name: str) -> Path:
        return self.directory / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def issue(self, name: str, *names: str, valid: timedelta = 30 * DAY) -> None:
        """Write a certificate for the hosts `names`, valid from 60 days ago until `valid` from
        now."""
        now = datetime.now(UTC)
        made = self._ca.issue_cert(*names, not_before=now - 60 * DAY, not_after=now + valid)
        made.private_key_pem.write_to_path(str(self.key(name)))
        chain = b"".join(part.bytes() for part in made.cert_chain_pems)
        self.cert(name).write_bytes(chain)

    def tls(self, name: str, *names: str, **settings: Any) -> TlsConfig:
        """Return settings with a certificate of that name, made now if there is none."""
        if not self.cert(name).exists():
            self.issue(name, *(names or (HOST,)))
        defaults = {"ca_cert": self.ca_cert, "cert": self.cert(name), "key": self.key(name)}
        return TlsConfig(**{**defaults, **settings})
