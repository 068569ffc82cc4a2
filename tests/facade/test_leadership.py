"""What a node answers of leadership when it moves while somebody waits."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

from raftify.config import Config
from raftify.core.types import INVALID_ID
from raftify.facade.leadership import Leadership
from raftify.node.local_state import LocalState
from raftify.node.raft_node import RaftNode
from raftify.peers import Membership
from raftify.storage.base import StoreIdentity


async def test_a_leader_lost_at_once_is_still_the_one_that_was_waited_for() -> None:
    """The answer was read when the waiting task ran again, and could be 0: nobody."""
    state = LocalState(StoreIdentity("c", 1, "own"), "n1:1", Membership())
    leadership = Leadership()
    leadership._node = cast("RaftNode", SimpleNamespace(state=state, config=Config()))
    waiting = asyncio.create_task(leadership.wait_for_leader(timeout=5))
    await asyncio.sleep(0)
    state.leader_id = 3
    state.notify()
    state.leader_id = INVALID_ID
    state.notify()
    assert await waiting == 3
