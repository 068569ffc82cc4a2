"""What a store knows of its log beside the entries, and the rules that every write must keep.

Pure functions from one state to the next, shared by every backend: a backend only has to carry out
the `LogChange` it is given, all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from raftify.core.types import (
    INVALID_ID,
    Entry,
    HardState,
    RaftState,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import (
    Compacted,
    InvariantViolation,
    MalformedMessage,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    StorageDamaged,
    StorageError,
    StorageForeign,
    Unavailable,
)
from raftify.peers import Membership
from raftify.records import SnapshotDescriptor
from raftify.storage.base import StoreIdentity, WriteBatch

#: Index and term at which the log of every founder begins.
FOUNDING_INDEX = 1
FOUNDING_TERM = 1


@dataclass(frozen=True, slots=True)
class LogState:
    """Everything durable but the entries. `before_*` is the last entry that is not there any more.

    Invariants: before_index <= last_index; snapshot index, before_index <= commit <= last_index.
    """

    before_index: int = 0
    before_term: int = 0
    last_index: int = 0
    hard_state: HardState = field(default_factory=HardState)
    membership: Membership = field(default_factory=Membership)
    snapshot: Snapshot = field(default_factory=Snapshot)

    def raft_state(self) -> RaftState:
        """Return hard state and configuration as the core wants them at start."""
        hard_state = self.hard_state
        copy = HardState(hard_state.term, hard_state.vote, hard_state.commit)
        return RaftState(copy, self.membership.conf_state)

    def check_range(self, low: int, high: int) -> None:
        """Raise Compacted or Unavailable unless all of `[low, high)` is in the log."""
        if low <= self.before_index:
            raise Compacted(f"entry {low} was discarded; the log begins at {self.before_index + 1}")
        if high > self.last_index + 1:
            raise Unavailable(f"entry {high - 1} is beyond the last one, {self.last_index}")

    def snapshot_for(self, request_index: int, to: int) -> Snapshot:
        """Return the latest snapshot if it serves; see StableStorage.snapshot."""
        metadata = self.snapshot.metadata
        if metadata.index == 0 or metadata.index < request_index:
            raise SnapshotTemporarilyUnavailable(
                f"no snapshot reaches index {request_index} yet; the latest ends at "
                f"{metadata.index}"
            )
        conf = metadata.conf_state
        members = (*conf.voters, *conf.learners, *conf.voters_outgoing, *conf.learners_next)
        if to and to not in members:
            raise SnapshotTemporarilyUnavailable(
                f"the configuration of the latest snapshot, at {metadata.index}, lacks node {to}"
            )
        return self.snapshot


@dataclass(frozen=True, slots=True)
class LogChange:
    """What one write does: first `discard_all` or `discard_from`, then `entries`, then `state`.

    Entries up to `state.before_index` may be removed at any later time.
    """

    state: LogState
    entries: Sequence[Entry] = ()
    discard_all: bool = False
    discard_from: int | None = None


def initial_log(membership: Membership) -> LogState:
    """Return the state of a new store; see StableStorage.initialize."""
    if not membership.member_ids():
        return LogState(membership=membership)
    data = SnapshotDescriptor(membership=membership).encode()
    metadata = SnapshotMetadata(membership.conf_state, FOUNDING_INDEX, FOUNDING_TERM)
    return LogState(
        before_index=FOUNDING_INDEX,
        before_term=FOUNDING_TERM,
        last_index=FOUNDING_INDEX,
        hard_state=HardState(term=FOUNDING_TERM, vote=INVALID_ID, commit=FOUNDING_INDEX),
        membership=membership,
        snapshot=Snapshot(data, metadata),
    )


def check_new(existing: StoreIdentity | None, identity: StoreIdentity) -> None:
    """Raise unless a store may be made that of `identity`.

    Raises:
        StorageForeign: it is another node's or cluster's already.
        InvariantViolation: it is this node's already; overwriting it would forget its votes.
    """
    if existing is None:
        return
    if (existing.cluster_id, existing.node_id) != (identity.cluster_id, identity.node_id):
        raise StorageForeign(
            f"this store belongs to node {existing.node_id} of cluster {existing.cluster_id!r}, "
            f"not to node {identity.node_id} of cluster {identity.cluster_id!r}: give every node "
            "a directory of its own"
        )
    raise InvariantViolation(
        f"the store of node {existing.node_id} of cluster {existing.cluster_id!r} is initialized "
        "already; initializing it again would forget its log and its votes"
    )


def plan_write(state: LogState, batch: WriteBatch, term_of: Callable[[int], int]) -> LogChange:
    """Return what `batch` does to a log in `state`, whose terms `term_of` tells.

    Raises:
        SnapshotOutOfDate: its snapshot is older than the one in place.
        InvariantViolation: it would leave a gap, overwrite what is committed, or go back in time.
    """
    committed = state.hard_state.commit
    discard_all, discard_from = False, None
    if batch.snapshot is not None and not batch.snapshot.is_empty():
        state, discard_all = _with_snapshot(state, batch.snapshot, term_of)
        committed = max(committed, state.before_index)
    entries = batch.entries
    if entries:
        low = entries[0].index
        _check_entries(state, entries, committed)
        before = low - 1
        _check_terms(
            entries, state.before_term if before == state.before_index else term_of(before)
        )
        if low <= state.last_index:
            discard_from = low
        state = replace(state, last_index=entries[-1].index)
    if batch.hard_state is not None:
        state = replace(state, hard_state=_next_hard_state(state, batch.hard_state))
    if batch.membership is not None:
        state = replace(state, membership=batch.membership)
    return LogChange(state, entries, discard_all, discard_from)


def plan_saved_snapshot(
    state: LogState, snapshot: Snapshot, term_of: Callable[[int], int]
) -> LogState:
    """Return the state with `snapshot`, one of our own making, as the latest.

    Raises:
        SnapshotOutOfDate: it is older than the one in place.
        InvariantViolation: it is not of this log.
    """
    metadata = snapshot.metadata
    _check_not_older(state, metadata)
    if metadata.index > state.last_index:
        raise InvariantViolation(
            f"a snapshot at {metadata.index} cannot be of a log that ends at {state.last_index}"
        )
    if metadata.index >= state.before_index and term_of(metadata.index) != metadata.term:
        raise InvariantViolation(
            f"a snapshot at {metadata.index} of term {metadata.term} cannot be of a log whose "
            f"entry there is of term {term_of(metadata.index)}"
        )
    return replace(state, snapshot=snapshot, hard_state=_at_least(state.hard_state, metadata))


def plan_compaction(state: LogState, first_index: int, term_of: Callable[[int], int]) -> LogState:
    """Return the state with the log beginning at `first_index`; see StableStorage.compact."""
    if first_index <= state.before_index + 1:
        raise Compacted(
            f"the log begins at {state.before_index + 1} already; there is nothing before "
            f"{first_index} to discard"
        )
    covered = state.snapshot.metadata.index
    if first_index > covered + 1:
        raise StorageError(
            f"cannot discard the entries before {first_index}: the latest snapshot covers only "
            f"those up to {covered}; take a snapshot first"
        )
    return replace(state, before_index=first_index - 1, before_term=term_of(first_index - 1))


def decode_descriptor(snapshot: Snapshot) -> SnapshotDescriptor:
    """Return what `snapshot.data` holds, or raise StorageDamaged."""
    try:
        return SnapshotDescriptor.decode(snapshot.data)
    except MalformedMessage as error:
        raise StorageDamaged(
            f"the snapshot at {snapshot.metadata.index} has no readable descriptor: {error}"
        ) from error


def _with_snapshot(
    state: LogState, snapshot: Snapshot, term_of: Callable[[int], int]
) -> tuple[LogState, bool]:
    """Return the state with a received snapshot, and whether the whole log must go.

    An entry with the snapshot's index and term means that what follows it is of the same history
    and may stay; otherwise all of it goes, or the leader would find the old tail in the way for
    ever (Raft paper, figure 13, steps 6 and 7).
    """
    metadata = snapshot.metadata
    _check_not_older(state, metadata)
    if metadata.index < state.before_index:
        raise SnapshotOutOfDate(
            f"the received snapshot ends at {metadata.index}, where the log was discarded up to "
            f"{state.before_index}"
        )
    holds = metadata.index <= state.last_index and term_of(metadata.index) == metadata.term
    if not holds and state.hard_state.commit > metadata.index:
        raise InvariantViolation(
            f"the received snapshot at {metadata.index} of term {metadata.term} contradicts a log "
            f"that is committed up to {state.hard_state.commit}"
        )
    membership = decode_descriptor(snapshot).membership
    state = replace(
        state,
        before_index=metadata.index,
        before_term=metadata.term,
        last_index=state.last_index if holds else metadata.index,
        hard_state=_at_least(state.hard_state, metadata),
        membership=membership if membership.member_ids() else state.membership,
        snapshot=snapshot,
    )
    return state, not holds


def _check_not_older(state: LogState, metadata: SnapshotMetadata) -> None:
    latest = state.snapshot.metadata.index
    if metadata.index < latest:
        raise SnapshotOutOfDate(
            f"a snapshot at {metadata.index} is older than the one in place, at {latest}"
        )


def _check_entries(state: LogState, entries: Sequence[Entry], committed: int) -> None:
    low = entries[0].index
    if [entry.index for entry in entries] != list(range(low, low + len(entries))):
        raise InvariantViolation(f"the {len(entries)} entries to write from {low} on have gaps")
    if low > state.last_index + 1:
        raise InvariantViolation(
            f"entries from {low} on would leave a gap: the log ends at {state.last_index}"
        )
    if low <= committed:
        raise InvariantViolation(
            f"entries from {low} on would overwrite what is committed, up to {committed}"
        )


def _check_terms(entries: Sequence[Entry], term_before: int) -> None:
    """Check that terms do not fall, as far as costs nothing: before the entries and over them."""
    first, last = entries[0], entries[-1]
    if not term_before <= first.term <= last.term:
        raise InvariantViolation(
            f"the term would fall: from {term_before} before index {first.index} to {first.term} "
            f"there and {last.term} at {last.index}"
        )


def _next_hard_state(state: LogState, new: HardState) -> HardState:
    """Return what to store for `new`.

    The commit index in a store may be behind the truth but never behind its own snapshot, or a
    restart would find a log that begins after what it calls committed.
    """
    old = state.hard_state
    if new.term < old.term:
        raise InvariantViolation(f"the term would go back from {old.term} to {new.term}")
    if new.term == old.term and old.vote not in (INVALID_ID, new.vote):
        raise InvariantViolation(
            f"the vote in term {old.term} would change from {old.vote} to {new.vote}"
        )
    commit = max(new.commit, old.commit)
    if commit > state.last_index:
        raise InvariantViolation(
            f"entry {commit} cannot be committed in a log that ends at {state.last_index}"
        )
    return HardState(new.term, new.vote, commit)


def _at_least(hard_state: HardState, metadata: SnapshotMetadata) -> HardState:
    commit = max(hard_state.commit, metadata.index)
    if hard_state.term >= metadata.term:
        return HardState(hard_state.term, hard_state.vote, commit)
    return HardState(metadata.term, INVALID_ID, commit)
