"""The node as its transport sees it: NodeApi for anyone, and the peers' side of the protocol."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import BinaryIO

from raftify.core.types import Message, Snapshot
from raftify.errors import IncarnationMismatch, NodeRemoved, NodeStopped, PeerRefused, RaftifyError
from raftify.node.config_changes import was_removed
from raftify.node.inbox import Inbox
from raftify.node.local_api import LocalApi
from raftify.node.local_state import LocalState
from raftify.node.whereabouts import Whereabouts
from raftify.records import SnapshotDescriptor, SnapshotSink
from raftify.storage.base import StableStorage
from raftify.transport.interface import Handshake, check_origin


class PeerEndpoint:
    """Implements `PeerService`. Messages go to the inbox and nowhere else.

    `on_met(node_id, incarnation)` is called for a peer met for the first time, `on_refused` when
    the cluster refuses this node for good, see `report_refused`. Where callers say that they are
    goes to `whereabouts`.
    """

    def __init__(
        self,
        *,
        api: LocalApi,
        state: LocalState,
        storage: StableStorage,
        inbox: Inbox,
        report_unreachable: Callable[[int], None],
        report_snapshot: Callable[[int, bool], None],
        on_met: Callable[[int, str], None],
        whereabouts: Whereabouts,
        on_refused: Callable[[RaftifyError], None],
        is_leaving: Callable[[], bool],
        ask_others: Callable[[], None],
        logger: logging.Logger,
    ) -> None:
        self._state = state
        self._storage = storage
        self._inbox = inbox
        self._report_unreachable = report_unreachable
        self._report_snapshot = report_snapshot
        self._on_met = on_met
        self._whereabouts = whereabouts
        self._on_refused = on_refused
        self._is_leaving = is_leaving
        self._ask_others = ask_others
        #: Who refused this node for good.
        self._refusers: set[int] = set()
        self._logger = logger
        self._incarnations = storage.known_incarnations()
        self.propose = api.propose
        self.change_config = api.change_config
        self.leave_joint = api.leave_joint
        self.await_caught_up = api.await_caught_up
        self.query = api.query
        self.read_index = api.read_index
        self.initialize = api.initialize
        self.request_id = api.request_id
        self.get_peers = api.get_peers
        self.set_peers = api.set_peers
        self.transfer_leader = api.transfer_leader
        self.create_snapshot = api.create_snapshot
        self.debug_node = api.debug_node
        self.read_state = api.read_state
        self._known_to_most = api.departures.known_to_most
        self._send_message = api.send_message
        self._replace_snapshot = api.replace_snapshot

    def origin(self) -> str:
        return self._state.origin

    def is_member(self, node_id: int, incarnation: str) -> bool:
        peer = self._state.membership.peers.get(node_id)
        known = (peer.incarnation if peer else "") or self._incarnations.get(node_id, "")
        return bool(known) and known == incarnation

    def greet(self, handshake: Handshake) -> None:
        """Check who calls.

        Raises:
            PeerRefused: another cluster, perhaps of the same name, or not meant for this node; or
                a stranger that cannot say which cluster of that name it means.
            NodeRemoved: the cluster has removed the caller.
            IncarnationMismatch: the caller's id is known with another store: its disk was wiped.
        """
        identity = self._state.identity
        if handshake.cluster_id != identity.cluster_id:
            raise PeerRefused(
                f"this node belongs to cluster {identity.cluster_id!r}, the caller to "
                f"{handshake.cluster_id!r}: check the addresses and Config.cluster_id"
            )
        check_origin(handshake.origin, self.origin(), identity.cluster_id)
        if handshake.to_id not in (0, identity.node_id):
            raise PeerRefused(
                f"the caller looks for node {handshake.to_id}, and this is node "
                f"{identity.node_id}: an address in the membership is wrong; mend it with set_peers"
            )
        self._check_removed(handshake.from_id)
        self._check_incarnation(handshake.from_id, handshake.from_incarnation)
        if self.origin() and not handshake.origin and not self._is_known(handshake.from_id):
            raise PeerRefused(
                f"node {handshake.from_id} is no member of cluster {identity.cluster_id!r} and "
                "does not know its origin: a joiner learns it from its ticket (Raft.request_id)"
            )
        if handshake.from_address:
            self._whereabouts.heard(handshake.from_id, handshake.from_address)

    async def send_message(self, message: Message, *, timeout: float) -> None:
        """Take one message that came outside any stream, if it is from a member.

        While this node has no membership anybody may be a member.

        Raises:
            PeerRefused: it is for another node, or from one that is no member.
            NodeRemoved: the cluster has removed the sender.
        """
        node_id, peers = self._state.identity.node_id, self._state.membership.peers
        if message.to != node_id:
            raise PeerRefused(f"this is node {node_id}, and the message is for node {message.to}")
        self._check_removed(message.from_)
        if peers and message.from_ not in peers:
            raise PeerRefused(
                f"node {message.from_} is no member of cluster "
                f"{self._state.identity.cluster_id!r}, and only members send Raft messages: add "
                "it with change_config first"
            )
        await self._send_message(message, timeout=timeout)

    def _is_known(self, node_id: int) -> bool:
        membership = self._state.membership
        return membership.is_member(node_id) or node_id in membership.peers

    def _check_removed(self, node_id: int) -> None:
        # Who hears it stops for good. This node must not forget then that the removal is committed:
        # it could need the vote of the one that is gone to find out again. One that was removed
        # itself says nothing: it is soon gone, and what it knows with it.
        own, known = self._state.node_id, self._state.durable_membership
        if was_removed(node_id, known) and not was_removed(own, known):
            raise NodeRemoved(
                f"node {node_id} was removed from the cluster; to come back, start it "
                "with an empty log directory and join again with Raft.request_id",
                known_to_most=self._known_to_most(),
            )

    def _check_incarnation(self, node_id: int, incarnation: str) -> None:
        peer = self._state.membership.peers.get(node_id)
        known = (peer.incarnation if peer else "") or self._incarnations.get(node_id, "")
        if not known:
            # Strangers come in any number; only who belongs here is worth a place on the disk.
            if self._state.membership.is_member(node_id):
                self._incarnations[node_id] = incarnation
                self._on_met(node_id, incarnation)
        elif known != incarnation:
            raise IncarnationMismatch(
                f"node {node_id} came with another store than before (incarnation {incarnation}, "
                f"known {known}): its disk was wiped or replaced, and with it the votes it gave. "
                f"Remove node {node_id} from the cluster and let the machine join under a new id"
            )

    async def receive(self, messages: Sequence[Message]) -> None:
        await self._inbox.put_messages(messages)

    def report_unreachable(self, node_id: int) -> None:
        self._late(lambda: self._report_unreachable(node_id))

    def report_snapshot(self, node_id: int, *, success: bool) -> None:
        self._late(lambda: self._report_snapshot(node_id, success))

    def report_refused(self, node_id: int, error: RaftifyError) -> None:
        """Note that peer `node_id` refuses us.

        Being removed ends this node once more than half of the other voters say so, or a leader
        says that more than half of those that stay know. Each of them has it on disk, so that one
        of these can be elected without this node, whatever the rest know (etcd#10563). Being wiped
        ends it once more than half of the other members say so: what is at one member's address may
        be a stranger. One is enough where this node has no membership to compare with.
        """
        was_asked_for = isinstance(error, NodeRemoved) and self._is_leaving()
        level = logging.INFO if was_asked_for else logging.WARNING
        self._logger.log(level, "node %d refuses this node: %s", node_id, error)
        if not isinstance(error, NodeRemoved | IncarnationMismatch):
            return
        self._refusers.add(node_id)
        own, membership = self._state.node_id, self._state.membership
        others = membership.member_ids() - {own}
        if isinstance(error, NodeRemoved):
            others = others.intersection(membership.conf_state.voters) or others
        known = isinstance(error, NodeRemoved) and error.known_to_most
        if known or not others or 2 * len(self._refusers & others) > len(others):
            self._on_refused(error)
        else:
            # A node that hears from its leader would call nobody else. And again each time: who had
            # not heard of the removal when it was asked first may have by now.
            self._ask_others()

    def report_damaged_snapshot(self, snapshot: Snapshot, error: Exception) -> None:
        """Have a fresh snapshot take the place of one whose file cannot be read."""
        self._replace_snapshot(snapshot, error)

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO | None:
        if not SnapshotDescriptor.decode(snapshot.data).file_id:
            return None
        return self._storage.open_snapshot(snapshot)

    def create_snapshot_sink(self, snapshot: Snapshot) -> SnapshotSink | None:
        file_id = SnapshotDescriptor.decode(snapshot.data).file_id
        return self._storage.create_snapshot_sink(file_id) if file_id else None

    def _late(self, call: Callable[[], None]) -> None:
        """Hand `call` to the core unless the node has ended, when nobody cares any more."""
        try:
            self._inbox.put_call(call)
        except NodeStopped:
            self._logger.debug("a report came after the end")
