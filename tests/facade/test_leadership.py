"""What a node answers of leadership when it moves while somebody waits."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import cast

from raftify.config import Config
from raftify.core.types import INVALID_ID, Role
from raftify.facade.leadership import Leadership
from raftify.leading import LeaderWork
from raftify.node.background import Background
from raftify.node.local_state import LocalState, RunningState
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


async def test_an_office_that_is_lost_before_the_work_began_is_none() -> None:
    """`start` was called once the core had made the node a follower, and `stop` after it."""
    state = LocalState(StoreIdentity("c", 1, "own"), "n1:1", Membership())
    state.running, state.role, state.term, events = RunningState.RUNNING, Role.LEADER, 5, []
    lost = asyncio.Event()

    def lose() -> None:
        state.role = Role.FOLLOWER
        state.notify()
        lost.set()

    async def read_index(*, timeout: float) -> int:
        # The turn in which the core steps down is due already.
        asyncio.get_running_loop().call_soon(lose)
        return 0

    node = SimpleNamespace(
        state=state,
        config=Config(),
        api=SimpleNamespace(read_index=read_index),
        background=Background(1, logging.getLogger("test")),
        logger=logging.getLogger("test"),
    )
    work = LeaderWork(
        cast("RaftNode", node),
        lambda term: events.append(("start", term)),
        lambda term: events.append(("stop", term)),
    )
    await lost.wait()
    await work.close()
    assert events == []
