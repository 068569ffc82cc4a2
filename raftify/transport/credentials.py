"""Certificates as gRPC takes them, read again when their files were replaced."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import grpc

from raftify.config import TlsConfig
from raftify.config.validity import first_expiry
from raftify.errors import ConfigError

_LOGGER: Final = logging.getLogger("raftify.tls")

#: Seconds; dates of certificates pass by themselves.
_LOOK_AGAIN: Final = 60.0

_Signature = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Pem:
    """What stood in the files. `version` grows with each replacement that was taken."""

    ca_cert: bytes
    cert: bytes | None
    key: bytes | None
    version: int
    #: Seconds since 1970 until which `cert` holds; None if there is none, or it does not tell.
    expires_at: float | None


class CertificateFiles:
    """The files of one TlsConfig. gRPC asks from threads of its own, so a lock guards the rest.

    Files are replaced one after the other, so for a moment certificate and key do not fit. Until
    everything is in order again, what was read before is used.
    """

    def __init__(self, tls: TlsConfig) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._seen: _Signature = ()
        self._pem: Pem | None = None
        self._judged: tuple[_Signature, float] | None = None
        self._faults: list[str] = []

    def current(self) -> Pem:
        """Return what is to be used now.

        Raises:
            ConfigError: the files cannot be read, and never could.
        """
        with self._lock:
            pem = self._pem
            try:
                signature = self._signature()
                if pem is not None and signature == self._seen:
                    return pem
                faults = self._tls.faults() if pem is not None else []
                if not faults:
                    read = self._read(0 if pem is None else pem.version + 1)
                    if signature == self._signature():
                        # Else they were replaced while they were read, which the next call sees.
                        self._pem, self._seen = read, signature
                    return self._pem or read
            except OSError as error:
                if pem is None:
                    raise ConfigError(f"tls: cannot read the certificates: {error}") from error
                faults, signature = [str(error)], ()
            if signature != self._seen:
                _LOGGER.warning("goes on with the certificates from before: %s", "; ".join(faults))
            self._seen = signature
            assert pem is not None
            return pem

    @property
    def expires_at(self) -> float | None:
        """Until when the certificate holds that was read last; None before any was."""
        pem = self._pem
        return None if pem is None else pem.expires_at

    def faults(self) -> list[str]:
        """Return what is wrong with the files now; looked at anew once a minute, or when they
        were replaced, because it is asked at each failure."""
        with self._lock:
            try:
                state = (self._signature(), time.monotonic() // _LOOK_AGAIN)
            except OSError as error:
                return [str(error)]
            if state != self._judged:
                self._judged, self._faults = state, self._tls.faults()
            return self._faults

    def _signature(self) -> _Signature:
        files = (self._tls.ca_cert, self._tls.cert, self._tls.key)
        stats = [Path(file).stat() for file in files if file]
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats)

    def _read(self, version: int) -> Pem:
        tls = self._tls
        authority = Path(tls.ca_cert).read_bytes()
        cert = Path(tls.cert).read_bytes() if tls.cert else None
        key = Path(tls.key).read_bytes() if tls.key else None
        expires_at = None if cert is None else first_expiry(authority, cert)
        return Pem(authority, cert, key, version, expires_at)


@lru_cache(maxsize=128)
def files_of(tls: TlsConfig) -> CertificateFiles:
    """Return the files of `tls`, shared by all connections with the same settings."""
    return CertificateFiles(tls)


def version_of(tls: TlsConfig | None) -> int:
    """Return which certificates a new channel would have: a number that grows as they change."""
    return 0 if tls is None else files_of(tls).current().version


def channel_credentials(tls: TlsConfig) -> grpc.ChannelCredentials:
    """Return what a client, or a node that calls another, shows and trusts, as of now."""
    pem = files_of(tls).current()
    return grpc.ssl_channel_credentials(pem.ca_cert, pem.key, pem.cert)


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials:
    """Return what a node shows and trusts where it is called; replaced files count at once."""
    files = files_of(tls)
    first = files.current()
    last_given = first.version

    def replaced() -> grpc.ServerCertificateConfiguration | None:
        nonlocal last_given
        pem = files.current()
        if pem.version == last_given:
            return None
        last_given = pem.version
        return _server_configuration(pem)

    return grpc.dynamic_ssl_server_credentials(
        _server_configuration(first),
        replaced,  # type: ignore[arg-type]  # the stubs do not know that None says "as before"
        tls.require_client_cert,
    )


def _server_configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    assert pem.key is not None
    assert pem.cert is not None
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.cert)], pem.ca_cert)
