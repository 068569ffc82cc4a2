"""What a node that is refused says, and to whom it matters."""

from __future__ import annotations

import logging

import pytest

from raftify.errors import NodeRemoved
from raftify.testing.simulation import SimulatedCluster
from tests.cluster.machines import Tally
from tests.failures.simulation import simulated

LOGGER = logging.getLogger("tests.refusals")
GONE = NodeRemoved("node 1 was removed")


@simulated(2, logger=LOGGER)
async def test_who_leaves_is_not_warned_that_it_was_removed(
    cluster: SimulatedCluster[Tally], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever follows the README's quick guide was told to join again with an empty directory."""
    caplog.set_level(logging.INFO, LOGGER.name)
    node = cluster.nodes[1]
    node.runtime.leaving = True
    node.runtime._transport.service.report_refused(2, GONE)  # type: ignore[attr-defined]
    await node.outcome()
    said = [(r.levelno, r.getMessage()) for r in caplog.records if "refuses" in r.getMessage()]
    assert said == [(logging.INFO, "node 2 refuses this node: node 1 was removed")]


@simulated(2, logger=LOGGER)
async def test_who_does_not_leave_is_warned(
    cluster: SimulatedCluster[Tally], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER.name)
    node = cluster.nodes[1]
    node.runtime._transport.service.report_refused(2, GONE)  # type: ignore[attr-defined]
    with pytest.raises(NodeRemoved):
        await node.outcome()
    assert [r.levelname for r in caplog.records if "refuses" in r.getMessage()] == ["WARNING"]
