"""The membership: who belongs to the cluster, and how that changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from raftify.client.arguments import seconds
from raftify.client.changes import first_members
from raftify.client.membership import MembershipChanges
from raftify.node.raft_node import RaftNode
from raftify.peers import Membership, Peers
from raftify.transport.interface import NodeApi

T = TypeVar("T")


class Members(MembershipChanges):
    """Reads and changes the configuration; a change may be asked of any node."""

    _node: RaftNode

    async def initialize(
        self, members: Mapping[int, str] | Peers, *, timeout: float | None = None
    ) -> Membership:
        """Found a cluster of nodes that wait for one; return its first membership.

            raft = Raft.bootstrap(ReservedId(1), ...)   # and so 2 and 3, each on its machine
            await raft.initialize({1: "10.0.0.1:60061", 2: "10.0.0.2:60061", 3: "10.0.0.3:60061"})

        To be called on one of them, a voter. It returns once the membership is durable here, and
        campaigns then; the others get it from the leader (`wait_for_leader`). Safe to repeat with
        the same members: also on another of them, at the same time, and after the cluster has
        changed. If this node is lost before the others have heard of it, they wait still.

        Args:
            members: `{id: address}`, or Peers with roles and metadata; this node among them.

        Raises:
            ConfigError: members makes no cluster, or has this node not, at another address or as a
                learner.
            ConfChangeRejected: this node has a cluster or a log already.
            JoinRejected: it has asked a cluster to take it.
            DeadlineExceeded: it was not durable within `timeout` seconds; it may become so.
        """
        timeout = seconds(timeout, self._node.config.conf_change_request_timeout)
        return await self._node.api.initialize(first_members(members), timeout=timeout)

    async def _ask_leader(
        self,
        do: Callable[[NodeApi, float], Awaitable[T]],
        *,
        timeout: float,
        what: str,
        repeatable: bool = False,
    ) -> T:
        return await self._node.leader.call(do, timeout=timeout, what=what, repeatable=repeatable)

    def _change_timeout(self, timeout: float | None) -> float:
        return seconds(timeout, self._node.config.conf_change_request_timeout)

    def get_peers(self) -> Peers:
        """Return the members with their addresses, as this node knows them."""
        return Peers.agreed(self._node.state.membership.peers.values())

    def get_cluster_size(self) -> int:
        """Return the number of members, learners included."""
        return len(self._node.state.membership.member_ids())
