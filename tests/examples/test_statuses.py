"""What the examples answer over HTTP when raftify raises."""

from __future__ import annotations

import inspect
from http import HTTPStatus

import pytest

from examples.statuses import status_of
from raftify import errors
from raftify.errors import OutcomeUnknown, RaftifyError, Rejected

ALL_ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, RaftifyError)
]


@pytest.mark.parametrize("kind", ALL_ERRORS, ids=lambda kind: kind.__name__)
def test_a_status_says_whether_something_may_have_happened(kind: type[RaftifyError]) -> None:
    """504 and nothing else stands for an unknown outcome; a refusal never looks like a failure."""
    status = status_of(kind("why"))
    assert (status is HTTPStatus.GATEWAY_TIMEOUT) == issubclass(kind, OutcomeUnknown)
    if issubclass(kind, Rejected):
        assert status in {
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        }


def test_some_have_the_statuses_that_clients_know() -> None:
    assert status_of(errors.ProposalTooLarge("")) is HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert status_of(errors.NoLeader("")) is HTTPStatus.SERVICE_UNAVAILABLE
    assert status_of(errors.ConfigError("")) is HTTPStatus.BAD_REQUEST
