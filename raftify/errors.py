"""Every exception this package raises on purpose, in one hierarchy.

    RaftifyError
    +-- ConfigError                     a setting, address or argument is wrong (also a ValueError)
    +-- Rejected                        nothing was changed; the caller may try again
    |   +-- NotLeader                   ask `leader_id` at `leader_address` instead
    |   +-- ProposalDropped             the entry was not appended
    |   |   +-- NoLeader                no leader was known until the deadline
    |   |   +-- Overloaded              too much is uncommitted, or the inbox is full
    |   |   +-- LeaderTransferring      the leader is handing over its office
    |   |   +-- ProposalTooLarge        the entry exceeds the configured limit
    |   +-- ConfChangeRejected          the configuration change is impossible as asked
    |   |   +-- PendingConfChange       another one is still under way
    |   +-- TransferRejected            the transferee cannot take over
    |   +-- StepLocalMessage            a message that only the node itself may produce came in
    |   +-- StepPeerNotFound            a response came from a peer that is not a member
    |   +-- JoinRejected                the cluster does not take this node
    |   +-- QueryFailed                 the state machine has no answer to a query
    |   +-- NotPermitted                the caller's certificate may not do that
    +-- OutcomeUnknown                  the entry may or may not take effect later
    |   +-- LeadershipLost              the leader that appended it lost its office
    |   +-- DeadlineExceeded            the deadline passed while it was under way
    +-- StorageError
    |   +-- Compacted                   the entry asked for was discarded after a snapshot
    |   +-- Unavailable                 the entry asked for is beyond the end of the log
    |   +-- LogTemporarilyUnavailable   the entry is being fetched; try again later
    |   +-- SnapshotOutOfDate           a newer snapshot is already in place
    |   +-- SnapshotTemporarilyUnavailable
    |   +-- StorageFull                 map or disk is full; nothing of the write was kept
    |   +-- StorageDamaged              checksum, contiguity or format is wrong
    |   +-- StorageForeign              the store belongs to another node or cluster
    |   +-- StorageTooNew               written by a newer version of this package
    |   +-- StorageLocked               another process, or this one, has it open
    |   +-- NotALogDirectory            there is no store at that path
    +-- TransportError
    |   +-- AddressInUse                the port to listen on is taken
    |   +-- PeerUnreachable             no connection, or it broke before the request was sent
    |   +-- PeerRefused                 cluster or node id do not match
    |   |   +-- NodeRemoved             the cluster has removed this node
    |   |   +-- IncarnationMismatch     the id is known with another store: the disk was wiped
    |   |   +-- CertificateRefused      a certificate is not of the cluster, not valid, or another's
    |   +-- MalformedMessage            bytes from the network that are no message of ours
    +-- NodeStopped                     the node is not running (any more)
    +-- StateMachineError               the user's apply, snapshot or restore raised
    +-- InvariantViolation              a bug in this package or a broken store; the node stops

What a caller may conclude is in the class: after `Rejected` nothing happened, after
`OutcomeUnknown` the entry may still be applied.
"""

from __future__ import annotations


class RaftifyError(Exception):
    """Base of every exception that this package raises on purpose."""


class ConfigError(RaftifyError, ValueError):
    """A setting, an address or an argument is wrong; the message says which and how to mend it."""


class Rejected(RaftifyError):
    """The request was refused and changed nothing. It is safe to repeat."""


class NotLeader(Rejected):
    """This node is not the leader.

    `leader_id` is 0 and `leader_address` empty while no leader is known.
    """

    def __init__(self, message: str = "", *, leader_id: int = 0, leader_address: str = "") -> None:
        super().__init__(message or _describe_not_leader(leader_id, leader_address))
        self.leader_id = leader_id
        self.leader_address = leader_address


def _describe_not_leader(leader_id: int, leader_address: str) -> str:
    if leader_id == 0:
        return "this node is not the leader, and knows of none"
    where = f" at {leader_address}" if leader_address else ""
    return f"this node is not the leader; node {leader_id}{where} is"


class ProposalDropped(Rejected):
    """The proposal was not appended to any log."""


class NoLeader(ProposalDropped):
    """No leader was known until the deadline."""


class Overloaded(ProposalDropped):
    """Too many uncommitted bytes or queued requests; slow down and repeat."""


class LeaderTransferring(ProposalDropped):
    """The leader is handing over its office and takes no proposals meanwhile."""


class ProposalTooLarge(ProposalDropped):
    """The proposal, or another request, is larger than a configured limit, which it names."""


class ConfChangeRejected(Rejected):
    """The configuration change is impossible from the present configuration."""


class PendingConfChange(ConfChangeRejected):
    """Another configuration change is under way; wait until it has been applied."""


class TransferRejected(Rejected):
    """Leadership cannot be handed to that node."""


class QueryFailed(Rejected):
    """The state machine has no `query`, or it raised. Nothing changed."""


class NotPermitted(Rejected):
    """The caller's certificate is of the cluster, and may not do that; see `TlsConfig`."""


class StepLocalMessage(Rejected):
    """A message type that only the node itself may produce came from outside."""


class StepPeerNotFound(Rejected):
    """A response came from a peer that is not part of the configuration."""


class JoinRejected(Rejected):
    """The cluster does not take this node; the message says what to do."""


class OutcomeUnknown(RaftifyError):
    """The entry was handed to the log but its fate is not known; it may still be applied."""


class LeadershipLost(OutcomeUnknown):
    """The leader that appended the entry lost its office before the entry was applied there."""


class DeadlineExceeded(OutcomeUnknown):
    """The deadline passed while the request was under way."""


class StorageError(RaftifyError):
    """The log, a snapshot or the directory that holds them is not as it should be."""


class Compacted(StorageError):
    """The entry asked for was discarded after a snapshot."""


class Unavailable(StorageError):
    """The entry asked for is beyond the end of the log."""


class LogTemporarilyUnavailable(StorageError):
    """The entries are being fetched; the core is told with `on_entries_fetched`."""


class SnapshotOutOfDate(StorageError):
    """The snapshot is older than the one in place."""


class SnapshotTemporarilyUnavailable(StorageError):
    """A snapshot that serves is not there yet; ask again later."""


class StorageFull(StorageError):
    """The map or the disk is full. The write was rolled back whole; nothing was lost."""


class StorageDamaged(StorageError):
    """Checksum, contiguity or format of stored data is wrong; the message names file and index."""


class StorageForeign(StorageError):
    """The store belongs to another node or another cluster."""


class StorageTooNew(StorageError):
    """The store was written by a newer version of this package."""


class StorageLocked(StorageError):
    """The store is open already, in this process or in another."""


class NotALogDirectory(StorageError):
    """There is no store at that path."""


class TransportError(RaftifyError):
    """Talking to another node failed."""


class AddressInUse(TransportError):
    """The address to listen on is taken by another socket."""


class PeerUnreachable(TransportError):
    """The peer could not be reached; the request was not processed."""


class PeerRefused(TransportError):
    """The other end refuses us, or we it: cluster, node id or incarnation do not match."""


class NodeRemoved(PeerRefused):
    """The cluster has removed this node; it comes back only with a new id and an empty store.

    `known_to_most`: a leader says that more than half of the voters that stay have it on disk.
    """

    def __init__(self, message: str = "", *, known_to_most: bool = False) -> None:
        super().__init__(message)
        self.known_to_most = known_to_most


class IncarnationMismatch(PeerRefused):
    """This id is known with another store; the disk behind it was wiped or replaced."""


class CertificateRefused(PeerRefused):
    """One end does not take the other's certificate, or there is no TLS where it must be."""


class MalformedMessage(TransportError):
    """Bytes from the network, or from a store, that are no message of ours."""


class NodeStopped(RaftifyError):
    """The node is not running, or stopped while the request was under way.

    What was under way may have been applied, or may be applied by the other nodes.
    """


class StateMachineError(RaftifyError):
    """The user's state machine raised. The node stops: skipping an entry would make it diverge.

    `index` is the entry (or snapshot) it raised at, `operation` one of apply, snapshot, restore.
    """

    def __init__(self, message: str, *, index: int = 0, operation: str = "apply") -> None:
        super().__init__(message)
        self.index = index
        self.operation = operation


class InvariantViolation(RaftifyError):
    """Something that must always hold does not. The node refuses all work and stops."""
