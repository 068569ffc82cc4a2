"""The log: proposals, and reads that see them."""

from __future__ import annotations

import asyncio

from raftify.facade.deadlines import seconds
from raftify.node.raft_node import RaftNode
from raftify.state_machine import AbstractLogEntry


class Log:
    """Proposals and linearizable reads."""

    _node: RaftNode

    async def propose(
        self, data: bytes | AbstractLogEntry, *, timeout: float | None = None
    ) -> bytes:
        """Replicate one entry; return what the state machine's `apply` returned for it.

        On a follower it goes to the leader. Without a leader it waits for one.

        Raises:
            NoLeader: no leader took it within `timeout` seconds; it was not appended.
            ProposalTooLarge, Overloaded: it was not appended.
            LeadershipLost, DeadlineExceeded: it may take effect later, or never.
            NodeStopped: the node ended first.
        """
        payload = data.encode() if isinstance(data, AbstractLogEntry) else data
        node = self._node
        timeout = seconds(timeout, node.config.proposal_timeout)
        return await node.leader.call(
            lambda leader, left: leader.propose(payload, timeout=left),
            timeout=timeout,
            what="the proposal",
        )

    async def read_index(self, *, timeout: float | None = None) -> int:
        """Return once the local state machine holds everything acknowledged before the call.

        A read of the state machine after it is linearizable (thesis 6.4), on every node. Returns
        the index that was waited for.

        Raises:
            NoLeader, DeadlineExceeded: not within `timeout` seconds.
        """
        node, loop = self._node, asyncio.get_running_loop()
        timeout = seconds(timeout, node.config.proposal_timeout)
        deadline = loop.time() + timeout
        index = await node.leader.call(
            lambda leader, left: leader.read_index(timeout=left),
            timeout=timeout,
            what="the read",
            repeatable=True,
        )
        await node.state.wait_until(
            lambda: node.state.applied >= index,
            timeout=max(deadline - loop.time(), 0),
            what=f"applying up to index {index}",
        )
        return index
