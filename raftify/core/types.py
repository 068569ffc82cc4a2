"""The values that the core takes and gives: entries, messages, configurations, snapshots.

Plain slotted dataclasses, to be treated as immutable: whoever holds one may share it. They are not
protobuf objects (a field read there costs five times a slot's); `raftify.wire` converts. Enum
numbers are those of raft-rs's eraftpb, so that conversion is a number's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

#: Id 0 means "nobody": no leader, no vote.
INVALID_ID: Final = 0
#: Index 0 lies before every log; it also means "no index".
INVALID_INDEX: Final = 0
#: Stands for "no limit" wherever a size in bytes is asked for.
NO_LIMIT: Final = (1 << 64) - 1


class EntryType(IntEnum):
    """What an entry is: a proposal, or a configuration change in its old or its new form."""

    NORMAL = 0
    CONF_CHANGE = 1
    CONF_CHANGE_V2 = 2


class MessageType(IntEnum):
    """What a message is; some only a node tells itself (see `raftify.core.step`)."""

    HUP = 0
    BEAT = 1
    PROPOSE = 2
    APPEND = 3
    APPEND_RESPONSE = 4
    REQUEST_VOTE = 5
    REQUEST_VOTE_RESPONSE = 6
    SNAPSHOT = 7
    HEARTBEAT = 8
    HEARTBEAT_RESPONSE = 9
    UNREACHABLE = 10
    SNAP_STATUS = 11
    CHECK_QUORUM = 12
    TRANSFER_LEADER = 13
    TIMEOUT_NOW = 14
    READ_INDEX = 15
    READ_INDEX_RESP = 16
    REQUEST_PRE_VOTE = 17
    REQUEST_PRE_VOTE_RESPONSE = 18


class Role(IntEnum):
    """raft-rs's StateRole."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    PRE_CANDIDATE = 3


class ConfChangeType(IntEnum):
    """What happens to one node: it becomes a voter, is removed, or becomes a learner."""

    ADD_NODE = 0
    REMOVE_NODE = 1
    ADD_LEARNER_NODE = 2


class ConfChangeTransition(IntEnum):
    """Whether a change goes through a joint configuration, and who ends that (thesis 4.3).

    AUTO: through one if more than one voter changes, which is left by itself. IMPLICIT: through
    one in any case, left by itself. EXPLICIT: through one that lasts until `leave_joint`.
    """

    AUTO = 0
    IMPLICIT = 1
    EXPLICIT = 2


@dataclass(slots=True)
class Entry:
    """One log entry. `data` is the proposal, or an encoded ConfChange / ConfChangeV2.

    `encoded` caches the entry's wire form; it belongs to `raftify.wire`, which fills it, and takes
    no part in comparison. Once it is set nobody may change the entry.
    """

    entry_type: EntryType = EntryType.NORMAL
    term: int = 0
    index: int = 0
    data: bytes = b""
    context: bytes = b""
    encoded: bytes | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class HardState:
    """What must be durable before any message that depends on it leaves: term, vote, commit."""

    term: int = 0
    vote: int = 0
    commit: int = 0


@dataclass(slots=True)
class SoftState:
    """What need not be durable: who leads, and what this node is."""

    leader_id: int = INVALID_ID
    raft_state: Role = Role.FOLLOWER


@dataclass(slots=True)
class ConfState:
    """The configuration at some index. Joint while `voters_outgoing` is not empty."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False


@dataclass(slots=True)
class SnapshotMetadata:
    """`index` and `term` of the last entry the snapshot covers, and the configuration there."""

    conf_state: ConfState = field(default_factory=ConfState)
    index: int = 0
    term: int = 0


@dataclass(slots=True)
class Snapshot:
    """A snapshot as the core sees it: opaque `data`, and what it covers. Empty if index is 0."""

    data: bytes = b""
    metadata: SnapshotMetadata = field(default_factory=SnapshotMetadata)

    def is_empty(self) -> bool:
        return self.metadata.index == 0


@dataclass(slots=True)
class RaftState:
    """What a storage knows at start: raft-rs's RaftState."""

    hard_state: HardState = field(default_factory=HardState)
    conf_state: ConfState = field(default_factory=ConfState)


@dataclass(slots=True)
class Message:
    """One Raft message; which fields mean something depends on `msg_type`."""

    msg_type: MessageType = MessageType.HUP
    to: int = 0
    from_: int = 0
    term: int = 0
    log_term: int = 0
    index: int = 0
    entries: list[Entry] = field(default_factory=list)
    commit: int = 0
    commit_term: int = 0
    snapshot: Snapshot | None = None
    request_snapshot: int = INVALID_INDEX
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    priority: int = 0


@dataclass(slots=True)
class ConfChangeSingle:
    """What happens to one node, as a part of a ConfChangeV2."""

    change_type: ConfChangeType = ConfChangeType.ADD_NODE
    node_id: int = 0


@dataclass(slots=True)
class ConfChange:
    """The first form of a configuration change: one node at a time."""

    id: int = 0
    change_type: ConfChangeType = ConfChangeType.ADD_NODE
    node_id: int = 0
    context: bytes = b""


@dataclass(slots=True)
class ConfChangeV2:
    """Any number of changes at once, through a joint configuration where more than one.

    Without changes it leaves the joint configuration (thesis 4.3).
    """

    transition: ConfChangeTransition = ConfChangeTransition.AUTO
    changes: tuple[ConfChangeSingle, ...] = ()
    context: bytes = b""
