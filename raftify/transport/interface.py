"""The two sides of a transport: what it offers to a node, and what a node offers to it.

gRPC is the real one; tests and the simulator have their own. A transport knows nothing of Raft but
where to send a message and what to do with a snapshot.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from raftify.core.types import ConfChangeV2, Message, Snapshot
from raftify.errors import PeerRefused, RaftifyError
from raftify.peers import ClusterJoinTicket, ClusterView, Membership, Peer, Peers
from raftify.records import SnapshotSink


@dataclass(frozen=True, slots=True)
class Handshake:
    """Said at the start of every call between nodes. A mismatch is refused with PeerRefused.

    `from_address` is where the caller can be reached; a node that has no membership yet answers
    there. `origin` is the cluster's identity beyond its name (`Membership.origin`), empty until
    known; a transport asks `PeerService.origin` for ours at the start of each call.
    """

    cluster_id: str
    from_id: int
    from_incarnation: str
    to_id: int
    from_address: str = ""
    origin: str = ""


def check_origin(theirs: str, ours: str, cluster_id: str) -> None:
    """Raise PeerRefused if both origins are known and differ: two clusters have the same name."""
    if theirs and ours and theirs != ours:
        raise PeerRefused(
            f"the caller is of another cluster of the same name, {cluster_id!r} (origin {theirs}, "
            f"ours {ours}): check the addresses, and give each cluster a cluster_id of its own; "
            "the nodes of one static cluster must all be given the same initial_peers"
        )


class NodeApi(Protocol):
    """What anyone may ask of a node. The node implements it; `Transport.connect` returns one that
    stands for a node elsewhere. `timeout` is in seconds and covers the whole call.

    Every call may raise NotLeader, NoLeader, DeadlineExceeded, NodeStopped and, from elsewhere,
    PeerUnreachable (nothing was done). Cancelling one stops the waiting, not what was begun.
    """

    def propose(self, data: bytes, *, timeout: float) -> asyncio.Future[bytes]:
        """Replicate `data`; the future brings what the leader's state machine returned for it.

        The node serves it if it leads; otherwise the future fails with NotLeader at once. A plain
        function, so that a thousand proposals need no task each.
        """
        ...

    async def change_config(
        self, change: ConfChangeV2, *, timeout: float, force: bool = False
    ) -> Membership:
        """Change the configuration.

        `force` promotes learners that lag, and removes voters though the rest cannot commit, too.
        """
        ...

    async def await_caught_up(self, node_id: int, *, timeout: float) -> int:
        """Return up to where the log of member `node_id` matches, once that is everything that was
        committed when the call came to the leader."""
        ...

    async def leave_joint(self, *, timeout: float) -> Membership: ...

    async def initialize(self, peers: Peers, *, timeout: float) -> Membership:
        """Make the node, which waits for its cluster, found that of `peers`; return the membership.

        Raises:
            ConfigError: they make no cluster, or the node is no voter among them at its address.
            ConfChangeRejected: it has a cluster or a log already.
            JoinRejected: it has asked a cluster to take it.
        """
        ...

    async def read_index(self, *, timeout: float) -> int:
        """Return an index; a node that has applied it may answer a linearizable read."""
        ...

    async def query(self, data: bytes, *, timeout: float, stale: bool = False) -> bytes:
        """Return what the state machine's `query` says. Only the leader answers, after a quorum
        has confirmed it, unless `stale`: then any node does, from what it holds.

        Raises:
            QueryFailed: the state machine has no `query`, or it raised.
        """
        ...

    async def request_id(
        self, raft_addr: str, identity: str, *, timeout: float
    ) -> ClusterJoinTicket: ...

    async def get_peers(self, *, timeout: float) -> ClusterView: ...

    async def set_peers(self, peers: Sequence[Peer], *, timeout: float) -> None: ...

    async def transfer_leader(self, to: int, *, timeout: float) -> int:
        """Hand leadership to the voter `to`, or with 0 to the best placed; return who leads."""
        ...

    async def create_snapshot(self, *, timeout: float) -> int: ...

    async def debug_node(self, *, timeout: float) -> str:
        """Return the node's inner state as JSON text."""
        ...

    async def read_state(self, *, timeout: float) -> bytes:
        """Return the node's state machine as its `encode` does, as far as it has applied the log.

        Raises:
            QueryFailed: `encode` raised, or what it returned is larger than a message may be.
        """
        ...

    async def send_message(self, message: Message, *, timeout: float) -> None:
        """Hand over one Raft message, for tools, tests and programs without streams.

        Its `from` says who sends it, which must be a member, and its `to` must be the node.

        Raises:
            PeerRefused: it is not from a member, or not for that node or cluster.
            StepLocalMessage: a node tells such messages only itself.
        """
        ...


class RemoteNode(NodeApi, Protocol):
    """A node elsewhere."""

    async def close(self) -> None: ...


class PeerService(NodeApi, Protocol):
    """What a node offers to its transport beside NodeApi: the peers' side."""

    def origin(self) -> str:
        """Return the `Membership.origin` of this node's cluster, or an empty string until known."""
        ...

    def is_member(self, node_id: int, incarnation: str) -> bool:
        """Say whether that is a member of the cluster, with the store that it is known by."""
        ...

    def greet(self, handshake: Handshake) -> None:
        """Check who calls; raise PeerRefused with what is wrong and what to do."""
        ...

    async def receive(self, messages: Sequence[Message]) -> None:
        """Take messages from a peer; waits while the inbox is full, so the sender feels it."""
        ...

    def report_unreachable(self, node_id: int) -> None: ...

    def report_refused(self, node_id: int, error: RaftifyError) -> None:
        """A peer refused our handshake; `error` is the PeerRefused that it answered with."""
        ...

    def report_snapshot(self, node_id: int, *, success: bool) -> None: ...

    def report_damaged_snapshot(self, snapshot: Snapshot, error: Exception) -> None:
        """Our file of `snapshot` cannot be read: no follower will ever get it, only another."""
        ...

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO | None:
        """Open a snapshot's bytes to send; None where the state machine has none yet.

        Called on a thread, and so are the file's `read` and `close`.
        """
        ...

    def create_snapshot_sink(self, snapshot: Snapshot) -> SnapshotSink | None:
        """Return where an arriving snapshot's bytes go; None where it has none."""
        ...


class Transport(ABC):
    """Carries messages between nodes. All methods are called on the event loop's thread."""

    @abstractmethod
    async def start(self, handshake: Handshake, service: PeerService) -> None:
        """Listen, and serve `service`. `handshake` is ours, with `to_id` 0.

        Raises:
            AddressInUse: the port is taken.
        """

    @abstractmethod
    def update_peers(self, peers: Mapping[int, Peer]) -> None:
        """Set who is where. Peers that are gone are disconnected after their outbox was sent."""

    @abstractmethod
    def send(self, messages: Sequence[Message]) -> None:
        """Hand messages over for sending; never waits.

        A message to an unknown peer is dropped. If an outbox is full its message is dropped and
        `report_unreachable` called: Raft repairs the loss. A MsgSnapshot goes its own way, and
        `report_snapshot` tells how it ended.
        """

    @abstractmethod
    def connect(self, address: str, *, to_id: int = 0) -> RemoteNode:
        """Return the node at `address` (lazily connected). With `to_id` it must be that node."""

    @abstractmethod
    async def stop(self, *, grace: float) -> None:
        """Send what is in the outboxes for at most `grace` seconds, then close everything."""
