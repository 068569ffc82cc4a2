"""What operators and tests look at and set in motion."""

from __future__ import annotations

from raftify.facade.deadlines import seconds
from raftify.node.raft_node import RaftNode
from raftify.state_machine import AbstractStateMachine
from raftify.storage.base import StableStorage


class Operation:
    """Snapshots, and a look inside."""

    _node: RaftNode

    async def make_snapshot(self, *, timeout: float | None = None) -> int:
        """Take a snapshot of this node's state machine now; return the index it covers."""
        node = self._node
        timeout = seconds(timeout, node.config.snapshot_timeout)
        return await node.api.create_snapshot(timeout=timeout)

    def state_machine(self) -> AbstractStateMachine:
        """Return this node's state machine. Reading it sees what has been applied here."""
        return self._node.state_machine

    def storage(self) -> StableStorage:
        return self._node.storage

    def inspect(self) -> dict[str, object]:
        """Return the node's inner state as plain values, for people and for tests."""
        return self._node.report()
