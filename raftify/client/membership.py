"""Changes of the membership, in the same words for a node and for a client of its cluster."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from raftify.client.arguments import flag
from raftify.client.changes import Members, conf_change, membership_change, wanted_change
from raftify.core.types import ConfChangeTransition, ConfChangeV2, ConfState
from raftify.errors import ConfigError, NotLeader
from raftify.peers import InitialRole, Membership, Peer, Peers, check_node_id
from raftify.transport.interface import NodeApi

T = TypeVar("T")


class MembershipChanges(ABC):
    """Changes the configuration. Whoever leads does it; a change follows the leader as it moves.

    Every change raises:

        ConfigError: an argument is wrong, and nothing was asked of anybody: no id, no address.
        PendingConfChange: another change is under way.
        ConfChangeRejected: it is impossible, or an address is missing; or without `force`, a
            learner to be promoted lags by more than `Config.learner_max_lag` entries, or too few of
            the voters that would be left have been heard of lately.
        JoinRejected: an id was used before, and is never used again.
        NoLeader: no leader took it within `timeout` seconds.
        OutcomeUnknown (DeadlineExceeded, LeadershipLost): it may take effect later. All of them are
            safe to repeat.
    """

    @abstractmethod
    async def _ask_leader(
        self,
        do: Callable[[NodeApi, float], Awaitable[T]],
        *,
        timeout: float,
        what: str,
        repeatable: bool = False,
    ) -> T:
        """Return what `do(leader, seconds_left)` returns.

        `repeatable` says that doing it twice is the same as doing it once.
        """

    @abstractmethod
    def _change_timeout(self, timeout: float | None) -> float:
        """Return the seconds that a change may take; raise ConfigError if `timeout` is no time."""

    async def change_membership(
        self,
        voters: Members,
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
            force: promote learners however far they lag, and take voters away although the rest
                may not be able to commit. Commits may have to wait for those that are missing.

        Raises:
            ConfigError, PendingConfChange, ConfChangeRejected, JoinRejected, NoLeader,
            OutcomeUnknown: see `MembershipChanges`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._change_timeout(timeout)
        flag("retain", retain)
        flag("force", force)
        if isinstance(voters, str | bytes) or not isinstance(voters, Iterable):
            raise ConfigError(f"voters are node ids, as in {{1, 2, 3}}, not {voters!r:.60}")
        voters = voters if isinstance(voters, Mapping) else list(voters)
        # Refuses what makes no sense, without a leader.
        membership_change(ConfState(), voters, retain=retain)

        def left() -> float:
            return max(deadline - loop.time(), 0.001)

        membership = await self._present_membership(left(), confirmed=False)
        confirmed = settled = False
        while True:
            change = membership_change(membership.conf_state, voters, retain=retain)
            if change is not None or membership.conf_state.voters_outgoing:
                # A joint configuration that is being left: the empty change waits for its end.
                membership = await self.change_config(
                    change or ConfChangeV2(), force=force, timeout=left()
                )
                settled = True
            elif settled:
                return membership
            elif not confirmed:
                membership = await self._present_membership(left(), confirmed=True)
                confirmed = True
            else:
                # An earlier call may have ended before those that stay knew; the empty change waits
                # for them. A leader that was replaced since may answer of an older membership.
                index = membership.index
                membership = await self.change_config(ConfChangeV2(), force=force, timeout=left())
                settled = membership.index >= index

    async def _present_membership(self, timeout: float, *, confirmed: bool) -> Membership:
        """Return the membership as the leader knows it.

        What is to be changed is compared by the leader again. That nothing is to be changed only a
        leader can say that a quorum follows: one that was replaced knows an older membership.
        """

        async def ask(node: NodeApi, left: float) -> Membership:
            if confirmed:
                await node.read_index(timeout=left)
            view = await node.get_peers(timeout=left)
            if confirmed and view.leader_id != view.node_id:
                raise NotLeader(leader_id=view.leader_id, leader_address=view.leader_address)
            return view.membership

        return await self._ask_leader(
            ask, timeout=timeout, what="the membership change", repeatable=True
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
            ConfigError, PendingConfChange, ConfChangeRejected, JoinRejected, NoLeader,
            OutcomeUnknown: see `MembershipChanges`.
            DeadlineExceeded: it is a learner, but had not caught up within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        timeout = self._change_timeout(timeout)
        deadline = loop.time() + timeout
        flag("blocking", blocking)
        peer = Peer(node_id, address, metadata=metadata)
        membership = await self.change_config(conf_change(add_learners=[peer]), timeout=timeout)
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
        return await self._ask_leader(
            lambda leader, left: leader.await_caught_up(node_id, timeout=left),
            timeout=self._change_timeout(timeout),
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
            OutcomeUnknown: see `MembershipChanges`.
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
            OutcomeUnknown: see `MembershipChanges`.
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
        add: Members = (),
        add_learners: Members = (),
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
            force: promote learners however far they lag, and take voters away although the rest
                may not be able to commit.

        Raises:
            ConfigError, PendingConfChange, ConfChangeRejected, JoinRejected, NoLeader,
            OutcomeUnknown: see `MembershipChanges`.
        """
        wanted = wanted_change(
            change,
            peers,
            add=add,
            add_learners=add_learners,
            remove=remove,
            transition=transition,
        )
        flag("force", force)
        return await self._ask_leader(
            lambda leader, left: leader.change_config(wanted, timeout=left, force=force),
            timeout=self._change_timeout(timeout),
            what="the configuration change",
        )

    async def leave_joint(self, *, timeout: float | None = None) -> Membership:
        """Leave a joint configuration that was entered explicitly (thesis 4.3).

        Where there is none nothing happens.

        Raises:
            PendingConfChange, NoLeader, OutcomeUnknown: see `MembershipChanges`.
        """
        return await self._ask_leader(
            lambda leader, left: leader.leave_joint(timeout=left),
            timeout=self._change_timeout(timeout),
            what="the end of the joint configuration",
        )
