"""RawNode: the one door to the algorithm. It does no IO; the contract with its driver is Ready."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from raftify.core import election, group_commit, heartbeat, leader, membership, replication
from raftify.core import snapshot_handling as snapshots
from raftify.core.confchange_codec import encode_conf_change, encode_conf_change_v2, into_v2
from raftify.core.config import RaftConfig
from raftify.core.handlers import HANDLERS
from raftify.core.raft_core import RaftCore
from raftify.core.ready import LightReady, Ready
from raftify.core.ready_queue import ReadyQueue
from raftify.core.status import Status, status_of
from raftify.core.storage import Storage
from raftify.core.transfer import transfer_message
from raftify.core.types import (
    ConfChange,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Role,
    Snapshot,
)
from raftify.core.well_formed import refuse_malformed
from raftify.errors import (
    InvariantViolation,
    MalformedMessage,
    NotLeader,
    StepLocalMessage,
    StepPeerNotFound,
    StorageError,
)

_LOCAL_TYPES: Final = frozenset(
    {
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAP_STATUS,
        MessageType.CHECK_QUORUM,
    }
)
_RESPONSE_TYPES: Final = frozenset(
    {
        MessageType.APPEND_RESPONSE,
        MessageType.REQUEST_VOTE_RESPONSE,
        MessageType.HEARTBEAT_RESPONSE,
        MessageType.REQUEST_PRE_VOTE_RESPONSE,
    }
)
#: Their sender is a leader or a candidate, and term 0 has neither. RaftCore takes a message without
#: a term for one of its own.
_TERM_TYPES: Final = frozenset(
    {
        MessageType.APPEND,
        MessageType.HEARTBEAT,
        MessageType.SNAPSHOT,
        MessageType.TIMEOUT_NOW,
        MessageType.REQUEST_VOTE,
        MessageType.REQUEST_PRE_VOTE,
    }
)

_EVERY_TYPE: Final = frozenset(MessageType)

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class SnapshotStatus(Enum):
    """What became of a snapshot that was sent."""

    FINISH = 1
    FAILURE = 2


def is_local_msg(msg_type: MessageType) -> bool:
    """Say whether only the node itself may produce such messages."""
    return msg_type in _LOCAL_TYPES


def _guarded(
    method: Callable[Concatenate[RawNode, _Parameters], _Result],
) -> Callable[Concatenate[RawNode, _Parameters], _Result]:
    """Refuse the call after a failure, and remember the first.

    A broken invariant or a store that fails in the middle leaves a state that nobody may build on.
    """

    @wraps(method)
    def call(self: RawNode, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        if self.failure is not None:
            raise InvariantViolation(
                f"this node stopped for good: {self.failure}"
            ) from self.failure
        try:
            return method(self, *args, **kwargs)
        except (InvariantViolation, StorageError) as error:
            self.failure = error
            raise

    return call


class RawNode:
    """One node of the cluster: takes ticks, messages and proposals, gives Readies.

    Not for several threads. After an InvariantViolation or a StorageError every call raises
    InvariantViolation; what the failing call changed has not been handed out, and must not be made
    durable. `Rejected` errors change nothing. `raft` is for reading, and for tests.
    """

    def __init__(self, config: RaftConfig, storage: Storage, *, random: random.Random) -> None:
        self.raft: Final = RaftCore(config, storage, random, HANDLERS)
        #: Why this node works no more; None while it does.
        self.failure: Exception | None = None
        self._queue: Final = ReadyQueue(self.raft, config.applied)

    # -- time, messages, elections ----------------------------------------------------------

    @_guarded
    def tick(self) -> bool:
        """Let one tick pass; True if something may have come of it."""
        return self.raft.tick()

    @_guarded
    def step(self, message: Message) -> None:
        """Take in a message of another node.

        Raises:
            StepLocalMessage: only the node itself may produce such a message.
            StepPeerNotFound: an answer from somebody who is no member.
            ProposalDropped: a proposal that cannot be taken.
            MalformedMessage: its type is not known, or it lacks or contradicts what the type asks.
        """
        msg_type = message.msg_type
        if msg_type not in _EVERY_TYPE:
            raise MalformedMessage(f"{msg_type} from node {message.from_} is no message type")
        if msg_type in _LOCAL_TYPES:
            raise StepLocalMessage(f"{msg_type.name} must not come from another node")
        if msg_type in _RESPONSE_TYPES and self.raft.tracker.get(message.from_) is None:
            raise StepPeerNotFound(f"{msg_type.name} from node {message.from_}, which is no member")
        if message.term == 0 and msg_type in _TERM_TYPES:
            raise MalformedMessage(f"{msg_type.name} from node {message.from_} has no term")
        refuse_malformed(message)
        self.raft.step(message)

    @_guarded
    def campaign(self) -> None:
        """Campaign now, unless `campaign_blocker` says why not."""
        self.raft.step(Message(MessageType.HUP))

    @_guarded
    def campaign_blocker(self) -> str | None:
        """Say why this node would not campaign now; None if it would."""
        return election.campaign_blocker(self.raft)

    @_guarded
    def ping(self) -> None:
        """Send heartbeats now; nothing happens unless this node leads."""
        heartbeat.ping(self.raft)

    @_guarded
    def step_down(self) -> None:
        """Give up leadership, if this node has it, without naming a successor."""
        election.step_down(self.raft)

    @_guarded
    def transfer_leader(self, transferee: int) -> None:
        """Hand leadership to `transferee`; a follower passes the wish on to its leader."""
        self.raft.step(transfer_message(transferee))

    # -- proposals and reads ----------------------------------------------------------------

    @_guarded
    def propose(self, context: bytes, data: bytes) -> None:
        """Propose an entry; a follower passes it on to its leader.

        Raises:
            ProposalDropped: it was neither appended nor passed on.
        """
        self._propose(Entry(data=data, context=context))

    @_guarded
    def propose_batch(self, entries: list[Entry]) -> tuple[int, int]:
        """Append entries, all or none, if this node leads; return their term and first index.

        The entries are new, and from now on the core's, which sets their term and index.

        Raises:
            NotLeader: ask `leader_id`; nothing is passed on.
            ProposalDropped: LeaderTransferring, Overloaded, or this leader was removed.
        """
        core = self.raft
        if core.role is not Role.LEADER:
            raise NotLeader(leader_id=core.leader_id)
        return core.term, leader.propose_entries(core, entries)

    @_guarded
    def propose_conf_change(self, context: bytes, change: ConfChange | ConfChangeV2) -> None:
        """Propose a configuration change; a follower passes it on to its leader.

        A leader that cannot make it now says so. (raft-rs appends an empty entry in its place; so
        does this leader with what a follower passed on, since nobody there waits for an error.)

        Raises:
            PendingConfChange, ConfChangeRejected: see `leader.refuse_conf_change`.
            ProposalDropped: it was neither appended nor passed on.
        """
        if isinstance(change, ConfChange):
            entry = Entry(EntryType.CONF_CHANGE, data=encode_conf_change(change), context=context)
        else:
            data = encode_conf_change_v2(change)
            entry = Entry(EntryType.CONF_CHANGE_V2, data=data, context=context)
        if self.raft.role is Role.LEADER:
            leader.refuse_conf_change(self.raft, into_v2(change))
        self._propose(entry)

    def _propose(self, entry: Entry) -> None:
        core = self.raft
        if core.role is Role.LEADER:
            leader.propose_entries(core, [entry])
        else:
            core.step(Message(MessageType.PROPOSE, from_=core.id, entries=[entry]))

    @_guarded
    def apply_conf_change(self, change: ConfChange | ConfChangeV2) -> ConfState:
        """Put a committed configuration change into force; see Ready, point 7.

        Raises:
            ConfChangeRejected: it is impossible; nothing was changed. Every node finds the same.
        """
        return membership.apply_conf_change(self.raft, into_v2(change))

    @_guarded
    def read_index(self, request_ctx: bytes) -> None:
        """Ask for an index that, once applied, makes a read linearizable.

        The answer comes as a ReadState with `request_ctx`, or `request_ctx` in `dropped_reads`.
        From a follower the request, or its answer, can be lost on the way.
        """
        self.raft.step(Message(MessageType.READ_INDEX, entries=[Entry(data=request_ctx)]))

    # -- snapshots and peers ----------------------------------------------------------------

    @_guarded
    def found(self, snapshot: Snapshot) -> None:
        """Begin with `snapshot` on a node without a log; see `snapshot_handling.found`."""
        snapshots.found(self.raft, snapshot)

    @_guarded
    def request_snapshot(self) -> None:
        """Ask the leader for a snapshot.

        Raises:
            Rejected: that makes no sense now; the message says why.
        """
        snapshots.request_snapshot(self.raft)

    @_guarded
    def report_unreachable(self, node_id: int) -> None:
        """Tell that the last message to `node_id` did not go out."""
        self.raft.step(Message(MessageType.UNREACHABLE, from_=node_id))

    @_guarded
    def report_snapshot(self, node_id: int, status: SnapshotStatus) -> None:
        """Tell what became of a snapshot sent to `node_id`. Every one must be reported."""
        failed = status is SnapshotStatus.FAILURE
        self.raft.step(Message(MessageType.SNAP_STATUS, from_=node_id, reject=failed))

    @_guarded
    def on_entries_fetched(self) -> None:
        """Tell that storage has the entries which it said were being fetched."""
        self._queue.on_entries_fetched()
        replication.on_entries_fetched(self.raft)

    # -- Ready ------------------------------------------------------------------------------

    @_guarded
    def has_ready(self) -> bool:
        """Say whether `ready` would return anything."""
        return self._queue.has_ready()

    @_guarded
    def ready(self) -> Ready:
        """Return what is to be done, and open a Ready (see there)."""
        return self._queue.open()

    @_guarded
    def advance(self, ready: Ready) -> LightReady:
        """Close a Ready that was made durable and whose committed entries were applied.

        What the LightReady holds is to be done as well, and told with `advance_apply` or
        `advance_apply_to`.
        """
        applied = self._queue.handed_out
        light = self._queue.close_durable(ready)
        self.raft.commit_apply(applied)
        return light

    @_guarded
    def advance_append(self, ready: Ready) -> LightReady:
        """Close a Ready that was made durable, and all before; its entries may not be applied yet.

        Returns what may be done now. `advance_apply` or `advance_apply_to` tell of applying.
        """
        return self._queue.close_durable(ready)

    @_guarded
    def advance_append_async(self, ready: Ready) -> None:
        """Close a Ready that storage shows, but that is not durable yet.

        `on_persist_ready` follows.
        """
        self._queue.close(ready)

    @_guarded
    def on_persist_ready(self, number: int) -> None:
        """Tell that the Ready of this number, and all before, are durable."""
        self._queue.on_persist(number)

    @_guarded
    def advance_apply(self) -> None:
        """Tell that all committed entries handed out were applied."""
        self.raft.commit_apply(self._queue.handed_out)

    @_guarded
    def advance_apply_to(self, applied: int) -> None:
        """Tell that everything up to `applied` was applied."""
        self.raft.commit_apply(applied)

    # -- settings and looks -----------------------------------------------------------------

    def snap(self) -> Snapshot | None:
        """Return the snapshot that is not durable yet."""
        return self.raft.raft_log.pending_snapshot()

    def status(self) -> Status:
        """Return a copy of what this node knows."""
        return status_of(self.raft)

    def store(self) -> Storage:
        """Return the storage."""
        return self.raft.raft_log.store

    def set_priority(self, priority: int) -> None:
        """Set this node's priority in elections."""
        self.raft.priority = priority

    def set_batch_append(self, *, batch_append: bool) -> None:
        """Set whether entries join append messages that were not handed out yet."""
        self.raft.batch_append = batch_append

    def skip_bcast_commit(self, *, skip: bool) -> None:
        """Set whether followers learn of a new commit index only with the next message."""
        self.raft.skip_bcast_commit = skip

    @_guarded
    def enable_group_commit(self, *, enable: bool) -> None:
        """Switch group commit on or off; see `raftify.core.group_commit`."""
        group_commit.enable_group_commit(self.raft, enable=enable)

    @_guarded
    def assign_commit_groups(self, groups: dict[int, int]) -> None:
        """Put nodes into commit groups; see `raftify.core.group_commit`."""
        group_commit.assign_commit_groups(self.raft, groups)

    @_guarded
    def clear_commit_group(self) -> None:
        """Take every node out of its commit group."""
        group_commit.clear_commit_group(self.raft)

    def check_group_commit_consistent(self) -> bool | None:
        """Say whether two groups hold what is committed; None if this node cannot tell."""
        return group_commit.check_group_commit_consistent(self.raft)

    def adjust_max_inflight_msgs(self, node_id: int, capacity: int) -> None:
        """Set how many appends to `node_id` may be under way; 0 sends it none."""
        progress = self.raft.tracker.get(node_id)
        if progress is not None:
            progress.ins.set_cap(capacity)
