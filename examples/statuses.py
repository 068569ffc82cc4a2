"""What an error of raftify is over HTTP, so that whoever asks knows whether to ask again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from raftify.errors import (
    ConfChangeRejected,
    ConfigError,
    JoinRejected,
    NodeStopped,
    OutcomeUnknown,
    PeerUnreachable,
    ProposalTooLarge,
    RaftifyError,
    Rejected,
    SnapshotTemporarilyUnavailable,
    TransferRejected,
)

#: The first class that an error belongs to decides.
_STATUS: Final[tuple[tuple[type[RaftifyError], HTTPStatus], ...]] = (
    (ConfigError, HTTPStatus.BAD_REQUEST),
    (ProposalTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (ConfChangeRejected, HTTPStatus.CONFLICT),
    (JoinRejected, HTTPStatus.CONFLICT),
    (TransferRejected, HTTPStatus.CONFLICT),
    # It may have happened, or may happen yet.
    (OutcomeUnknown, HTTPStatus.GATEWAY_TIMEOUT),
    # Nothing happened: try again.
    (Rejected, HTTPStatus.SERVICE_UNAVAILABLE),
    (NodeStopped, HTTPStatus.SERVICE_UNAVAILABLE),
    (PeerUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (SnapshotTemporarilyUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (RaftifyError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def status_of(error: RaftifyError) -> HTTPStatus:
    return next(status for kind, status in _STATUS if isinstance(error, kind))
