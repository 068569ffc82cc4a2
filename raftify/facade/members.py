"""The membership: who belongs to the cluster, and how that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from raftify.client.arguments import flag, seconds
from raftify.client.changes import Members as Named
from raftify.client.changes import check_change, conf_change, membership_change
from raftify.core.types import ConfChangeTransition, ConfChangeV2
from raftify.errors import ConfigError
from raftify.initializing import initialize
from raftify.node.raft_node import RaftNode
from raftify.peers import InitialRole, Membership, Peer, Peers, check_node_id
from raftify.records import decode_peers, encode_peers


class Members:
    """Reads and changes the configuration.

    Every change raises:

        ConfigError: an argument is wrong, and nothing was asked of anybody: no id, no address.
        PendingConfChange: another change is under way.
        ConfChangeRejected: it is impossible, an address is missing, or a learner to be promoted
            lags by more than `Config.learner_max_lag` entries and `force` is not given.
        JoinRejected: an id was used before, and is never used again.
        NoLeader: no leader took it within `timeout` seconds.
        DeadlineExceeded, LeadershipLost: it may take effect later. All of them are safe to repeat.
    """

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
        return await initialize(self._node, members, timeout=timeout)

    async def change_membership(
        self,
        voters: Named,
        *,
        retain: bool = False,
        force: bool = False,
        timeout: float | None = None,
    ) -> Membership:
        """Make just these nodes the voters, whichever they were; return the membership then.

            await raft.change_membership({2, 3, 4})

        More than one difference goes through a joint configuration (thesis 4.3). Repeating the call
        is harmless. Who is new should be a learner that has caught up, see `add_learner`.

        Args:
            voters: their ids, or `{id: address}` for those the cluster does not know.
            retain: keep voters that are left out as learners, instead of removing them.
            force: promote learners however far they lag. Until they have caught up, commits may
                have to wait for them.

        Raises:
            ConfigError, PendingConfChange, ConfChangeRejected, JoinRejected, NoLeader,
            DeadlineExceeded, LeadershipLost: see `Members`.
        """
        loop = asyncio.get_running_loop()
        timeout = seconds(timeout, self._node.config.conf_change_request_timeout)
        deadline = loop.time() + timeout
        flag("retain", retain)
        flag("force", force)
        if isinstance(voters, str | bytes) or not isinstance(voters, Iterable):
            raise ConfigError(f"voters are node ids, as in {{1, 2, 3}}, not {voters!r:.60}")
        voters = voters if isinstance(voters, Mapping) else list(voters)
        # Refuses what makes no sense, without a leader.
        membership_change(self._node.state.membership.conf_state, voters, retain=retain)
        view = await self._node.leader.call(
            lambda leader, left: leader.get_peers(timeout=left),
            timeout=timeout,
            what="the membership change",
            repeatable=True,
        )
        membership = view.membership
        while True:
            change = membership_change(membership.conf_state, voters, retain=retain)
            if change is None and not membership.conf_state.voters_outgoing:
                return membership
            # A joint configuration that is being left: the empty change waits for its end.
            left = max(deadline - loop.time(), 0.001)
            membership = await self.change_config(
                change or ConfChangeV2(), force=force, timeout=left
            )

    async def add_learner(
        self,
        node_id: int,
        address: str,
        *,
        metadata: bytes = b"",
        blocking: bool = True,
        timeout: float | None = None,
    ) -> Membership:
        """Add a node that follows and does not vote; return the membership.

        Args:
            address: `host:port` of the node, which should be running by now.
            metadata: whatever the cluster shall know of it; replicated with the membership.
            blocking: return once it has everything that is committed. Without, as soon as it is
                a learner.

        Raises:
            DeadlineExceeded: it is a learner, but had not caught up within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        timeout = seconds(timeout, self._node.config.conf_change_request_timeout)
        deadline = loop.time() + timeout
        flag("blocking", blocking)
        peer = Peer(node_id, address, metadata=metadata)
        change = conf_change(add_learners=[peer])
        membership = await self.change_config(change, timeout=timeout)
        if blocking:
            await self.wait_for_member(node_id, timeout=max(deadline - loop.time(), 0.001))
        return membership

    async def wait_for_member(self, node_id: int, *, timeout: float | None = None) -> int:
        """Return once member `node_id` has everything that is committed now; return its index.

        Raises:
            ConfChangeRejected: it is no member.
            DeadlineExceeded: it lags still after `timeout` seconds; it may be down.
        """
        check_node_id(node_id)
        timeout = seconds(timeout, self._node.config.conf_change_request_timeout)
        return await self._node.leader.call(
            lambda leader, left: leader.await_caught_up(node_id, timeout=left),
            timeout=timeout,
            what=f"the catching up of node {node_id}",
            repeatable=True,
        )

    async def add_peer(
        self,
        node_id: int,
        address: str,
        role: InitialRole = InitialRole.VOTER,
        *,
        timeout: float | None = None,
    ) -> Membership:
        """Add one member; see `add_peers`.

        Raises:
            ConfigError, PendingConfChange, ConfChangeRejected, JoinRejected, NoLeader,
            DeadlineExceeded, LeadershipLost: see `Members`.
        """
        peers = Peers([Peer(node_id, address, initial_role=role)])
        return await self.add_peers(peers, timeout=timeout)

    async def add_peers(
        self, peers: Mapping[int, str] | Peers, *, timeout: float | None = None
    ) -> Membership:
        """Add several members in one change, voters unless their role says learner.

        Nodes join by themselves with `join_cluster`; this is for whoever knows them beforehand.

        Raises:
            ConfigError, PendingConfChange, ConfChangeRejected, JoinRejected, NoLeader,
            DeadlineExceeded, LeadershipLost: see `Members`.
        """
        wanted = peers if isinstance(peers, Peers) else Peers(peers)
        learners = [p for p in wanted.values() if p.initial_role is InitialRole.LEARNER]
        voters = [p for p in wanted.values() if p not in learners]
        return await self.change_config(
            conf_change(add=voters, add_learners=learners), timeout=timeout
        )

    async def change_config(
        self,
        change: ConfChangeV2 | None = None,
        peers: Mapping[int, str] | None = None,
        *,
        add: Named = (),
        add_learners: Named = (),
        remove: Iterable[int] = (),
        transition: ConfChangeTransition = ConfChangeTransition.AUTO,
        force: bool = False,
        timeout: float | None = None,
    ) -> Membership:
        """Change the configuration; return the membership that it led to.

        Give a whole `change`, or say what to change in words:

            await raft.change_config(add={4: "10.0.0.4:60061"}, remove=[2])

        Several changes at once go through a joint configuration; unless the transition is explicit,
        the call returns after that was left again.

        Args:
            change: what to add, demote or remove.
            peers: with a `change`, the addresses of the nodes that are new.
            force: promote learners however far they lag.

        Raises:
            ConfigError, PendingConfChange, ConfChangeRejected, JoinRejected, NoLeader,
            DeadlineExceeded, LeadershipLost: see `Members`.
        """
        if change is None:
            change = conf_change(
                add=add, add_learners=add_learners, remove=remove, transition=transition
            )
        elif add or add_learners or remove:
            raise ConfigError("give either a whole ConfChangeV2 or add, add_learners and remove")
        if peers is not None:
            change = check_change(change)
            named = [*decode_peers(change.context), *Peers(peers).values()]
            change = ConfChangeV2(change.transition, change.changes, encode_peers(named))
        wanted, node = check_change(change), self._node
        flag("force", force)
        timeout = seconds(timeout, node.config.conf_change_request_timeout)
        return await node.leader.call(
            lambda leader, left: leader.change_config(wanted, timeout=left, force=force),
            timeout=timeout,
            what="the configuration change",
        )

    async def leave_joint(self, *, timeout: float | None = None) -> Membership:
        """Leave a joint configuration that was entered explicitly (thesis 4.3).

        Where there is none nothing happens.

        Raises:
            PendingConfChange, NoLeader, DeadlineExceeded, LeadershipLost: see `Members`.
        """
        return await self.change_config(ConfChangeV2(), timeout=timeout)

    def get_peers(self) -> Peers:
        """Return the members with their addresses, as this node knows them."""
        return Peers(self._node.state.membership.peers.values())

    def get_cluster_size(self) -> int:
        """Return the number of members, learners included."""
        return len(self._node.state.membership.member_ids())
