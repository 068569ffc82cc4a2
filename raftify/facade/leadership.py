"""Leadership: who has it, and how it moves."""

from __future__ import annotations

from raftify.facade.deadlines import seconds
from raftify.node.raft_node import RaftNode


class Leadership:
    """Who leads, and how to change it."""

    _node: RaftNode

    def is_leader(self) -> bool:
        """Say whether this node believes to lead. Not a linearizable check: see `read_index`."""
        return self._node.state.is_leader

    def get_id(self) -> int:
        return self._node.state.node_id

    def get_leader_id(self) -> int:
        """Return the leader's id as this node knows it; 0 while it knows of none."""
        return self._node.state.leader_id

    async def wait_for_leader(self, *, timeout: float | None = None) -> int:
        """Return the leader's id once one is known.

        Raises:
            DeadlineExceeded: none was within `timeout` seconds.
        """
        state = self._node.state
        timeout = seconds(timeout, self._node.config.proposal_timeout)
        await state.wait_until(lambda: bool(state.leader_id), timeout=timeout, what="an election")
        return state.leader_id

    async def transfer_leader(self, node_id: int, *, timeout: float | None = None) -> None:
        """Hand leadership to the voter `node_id`; returns once it leads.

        Raises:
            TransferRejected: it is no voter, or did not take over within an election timeout.
        """
        node = self._node
        timeout = seconds(timeout, node.config.conf_change_request_timeout)
        await node.leader.call(
            lambda leader, left: leader.transfer_leader(node_id, timeout=left),
            timeout=timeout,
            what=f"the transfer of leadership to node {node_id}",
        )

    async def campaign(self, *, timeout: float | None = None) -> None:
        """Stand for election now, without waiting for the election timeout.

        Returns when the campaign has begun; the votes decide.
        """
        node = self._node
        await node.api.campaign(timeout=seconds(timeout, node.config.request_timeout))
