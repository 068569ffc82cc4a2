"""How long a leader that goes waits for its successor."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from raftify.config import Config
from raftify.errors import TransferRejected
from raftify.node.handing_over import hand_over
from raftify.node.local_api import LocalApi
from raftify.node.local_state import LocalState

CONFIG = Config()
PATIENCE = 2 * CONFIG.raft_config.election_tick * CONFIG.tick_interval


class Api:
    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []

    def matched_voters(self) -> dict[int, int]:
        return {3: 7, 2: 7, 4: 5}

    async def transfer_leader(self, to: int, *, timeout: float) -> None:
        self.asked.append((to, timeout))
        raise TransferRejected("nobody there")


@pytest.mark.parametrize(
    ("given", "waited"), [(None, PATIENCE), (60.0, PATIENCE), (0.25, 0.25), (0.0, 0.0)]
)
async def test_it_waits_no_longer_than_it_was_told(given: float | None, waited: float) -> None:
    """`leave` has no time left after other changes took it; 0 was taken for no limit."""
    api, state = Api(), cast("LocalState", SimpleNamespace(is_leader=True))
    await hand_over(state, cast("LocalApi", api), CONFIG, timeout=given)
    assert api.asked == [(2, waited)]
