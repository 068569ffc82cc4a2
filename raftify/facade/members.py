"""The membership: who belongs to the cluster, and how that changes."""

from __future__ import annotations

from collections.abc import Mapping

from raftify.core.types import ConfChangeV2
from raftify.errors import ConfigError
from raftify.facade.deadlines import seconds
from raftify.node.raft_node import RaftNode
from raftify.peers import Membership, Peers
from raftify.records import decode_peers, encode_peers


class Members:
    """Reads and changes the configuration."""

    _node: RaftNode

    async def change_config(
        self,
        change: ConfChangeV2,
        peers: Mapping[int, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> Membership:
        """Change the configuration; return the membership that it led to.

        Several changes at once go through a joint configuration; unless the transition is explicit,
        the call returns after that was left again.

        Args:
            change: what to add, demote or remove.
            peers: the addresses of the nodes that are new.

        Raises:
            PendingConfChange: another change is under way.
            ConfChangeRejected: it is impossible, or an address is missing.
            NoLeader: no leader took it within `timeout` seconds.
        """
        if not isinstance(change, ConfChangeV2):
            raise ConfigError(f"a ConfChangeV2 is wanted, not {type(change).__name__}")
        if peers:
            named = [*decode_peers(change.context), *Peers(peers).values()]
            change = ConfChangeV2(change.transition, change.changes, encode_peers(named))
        wanted = change
        node = self._node
        timeout = seconds(timeout, node.config.conf_change_request_timeout)
        return await node.leader.call(
            lambda leader, left: leader.change_config(wanted, timeout=left),
            timeout=timeout,
            what="the configuration change",
        )

    async def leave_joint(self, *, timeout: float | None = None) -> Membership:
        """Leave a joint configuration that was entered explicitly (thesis 4.3)."""
        return await self.change_config(ConfChangeV2(), timeout=timeout)

    def get_peers(self) -> Peers:
        """Return the members with their addresses, as this node knows them."""
        return Peers(self._node.state.membership.peers.values())

    def get_cluster_size(self) -> int:
        """Return the number of members, learners included."""
        return len(self._node.state.membership.member_ids())
