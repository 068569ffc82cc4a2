"""What a leader sends to bring the others' logs to its own, and what it learns of them."""

from __future__ import annotations

from raftify.core.entry_size import fits, limit_size
from raftify.core.progress import Progress, ProgressState
from raftify.core.raft_core import RaftCore
from raftify.core.read_index import release_waiting
from raftify.core.types import INVALID_INDEX, Entry, Message, MessageType, Role
from raftify.errors import (
    Compacted,
    InvariantViolation,
    LogTemporarilyUnavailable,
    MalformedMessage,
    SnapshotTemporarilyUnavailable,
    Unavailable,
)


def bcast_append(core: RaftCore) -> None:
    """Send everybody what they lack, or at least the commit index."""
    for node_id, progress in core.tracker.progress.items():
        if node_id != core.id:
            maybe_send_append(core, node_id, progress, allow_empty=True)


def send_append(core: RaftCore, to: int) -> None:
    """Send `to` one message with what it lacks, or at least the commit index."""
    maybe_send_append(core, to, core.tracker.progress[to], allow_empty=True)


def send_append_aggressively(core: RaftCore, to: int) -> None:
    """Send `to` everything it lacks, as far as the window of messages under way allows."""
    progress = core.tracker.progress[to]
    while maybe_send_append(core, to, progress, allow_empty=False):
        pass


def maybe_send_append(core: RaftCore, to: int, progress: Progress, *, allow_empty: bool) -> bool:
    """Send `to` the next entries, or a snapshot if they are gone; True if a message was queued.

    Without `allow_empty` nothing is sent that has no entries.
    """
    if progress.is_paused():
        return False
    if progress.pending_request_snapshot != INVALID_INDEX:
        return _send_snapshot(core, to, progress)
    log = core.raft_log
    try:
        # First the term: where storage discards its beginning meanwhile the entries are gone then,
        # and not just the term before them, which would read 0.
        term = log.term(progress.next_idx - 1)
        entries = log.entries(progress.next_idx, core.max_msg_size)
        if not entries and not allow_empty:
            return False
    except LogTemporarilyUnavailable:
        core.fetching[to] = core.fetching.get(to, False) or not allow_empty
        return False
    except (Compacted, Unavailable):
        return allow_empty and _send_snapshot(core, to, progress)
    if core.batch_append and _try_batching(core, to, progress, entries):
        return True
    message = Message(
        MessageType.APPEND,
        to=to,
        index=progress.next_idx - 1,
        log_term=term,
        entries=entries,
        commit=log.committed,
    )
    if entries:
        progress.update_state(entries[-1].index)
    core.send(message)
    return True


def _try_batching(core: RaftCore, to: int, progress: Progress, entries: list[Entry]) -> bool:
    """Put `entries` into an append message to `to` that has not been handed out.

    Only if they follow on it, and fit into it; raft-rs lets it grow without limit.
    """
    for message in core.msgs:
        if message.msg_type is not MessageType.APPEND or message.to != to:
            continue
        if entries:
            # An empty message ends where it begins. raft-rs lets any entries join it, which are
            # then acknowledged at the wrong indices after a rejection took the probe back.
            end = message.entries[-1].index if message.entries else message.index
            joined = message.entries + entries
            if end + 1 != entries[0].index or not _fit_into_one(core, joined):
                return False
            message.entries = joined
            progress.update_state(entries[-1].index)
        message.commit = core.raft_log.committed
        return True
    return False


def _fit_into_one(core: RaftCore, entries: list[Entry]) -> bool:
    limit, unstable = core.max_msg_size, core.raft_log.unstable
    if entries[0].index >= unstable.offset and fits(unstable.entries_size, len(entries), limit):
        return True
    return len(limit_size(entries, limit)) == len(entries)


def _send_snapshot(core: RaftCore, to: int, progress: Progress) -> bool:
    if not progress.recent_active:
        # It would pile up at the sender for a node that is not there.
        return False
    try:
        snapshot = core.raft_log.snapshot(progress.pending_request_snapshot, to)
    except SnapshotTemporarilyUnavailable:
        return False
    if snapshot.is_empty():
        raise InvariantViolation("storage gave an empty snapshot to send")
    core.send(Message(MessageType.SNAPSHOT, to=to, snapshot=snapshot))
    progress.become_snapshot(snapshot.metadata.index)
    return True


def maybe_commit(core: RaftCore) -> bool:
    """Commit what a quorum has (paper §5.3, §5.4.2); True if the commit index rose.

    The caller then tells the others.
    """
    index = core.tracker.maximal_committed_index()[0]
    log = core.raft_log
    if index <= log.committed or not log.maybe_commit(index, core.term):
        return False
    own = core.tracker.get(core.id)
    # A leader that removed itself has no progress any more, and still commits for the others.
    if own is not None:
        own.update_committed(log.committed)
    release_waiting(core)
    return True


def on_persist_entries(core: RaftCore, index: int, term: int) -> None:
    """Note that the own log is durable up to (`index`, `term`): only now it counts for a quorum."""
    if not core.raft_log.maybe_persist(index, term) or core.role is not Role.LEADER:
        return
    own = core.tracker.get(core.id)
    if (
        own is not None
        and own.maybe_update(index)
        and maybe_commit(core)
        and core.should_bcast_commit()
    ):
        bcast_append(core)


def on_entries_fetched(core: RaftCore) -> None:
    """Go on with the followers whose entries storage was fetching."""
    fetching = core.fetching
    core.fetching = {}
    if core.role is not Role.LEADER:
        return
    for node_id, aggressively in fetching.items():
        if core.tracker.get(node_id) is None:
            continue
        if aggressively:
            send_append_aggressively(core, node_id)
        else:
            send_append(core, node_id)


def handle_append_response(core: RaftCore, message: Message) -> None:
    """Learn how far a follower is, commit what that allows, and send it more.

    Raises:
        MalformedMessage: it acknowledges what the leader never had, or wants a snapshot of it.
            Taken, it would count for entries that are yet to be written.
    """
    progress = core.tracker.get(message.from_)
    if progress is None:
        return
    if not message.reject and message.index > core.raft_log.last_index():
        raise MalformedMessage(
            f"node {message.from_} acknowledges entry {message.index}, but the leader's log ends "
            f"at {core.raft_log.last_index()}"
        )
    if max(message.request_snapshot, message.reject_hint) > core.raft_log.last_index() and (
        message.request_snapshot != INVALID_INDEX
    ):
        raise MalformedMessage(
            f"node {message.from_} wants a snapshot up to {message.request_snapshot} for its log "
            f"up to {message.reject_hint}, but the leader's ends at {core.raft_log.last_index()}"
        )
    progress.recent_active = True
    progress.update_committed(message.commit)
    if message.reject:
        _handle_rejection(core, message, progress)
        return
    was_paused = progress.is_paused()
    if not progress.maybe_update(message.index):
        return
    _after_acceptance(progress, message.index)
    if maybe_commit(core):
        if core.should_bcast_commit():
            bcast_append(core)
    elif was_paused:
        send_append(core, message.from_)
    # Freed room in the window may let several messages through at once.
    send_append_aggressively(core, message.from_)
    if message.from_ == core.lead_transferee and progress.matched == core.raft_log.last_index():
        send_timeout_now(core, message.from_)


def _after_acceptance(progress: Progress, index: int) -> None:
    if progress.state is ProgressState.REPLICATE:
        progress.ins.free_to(index)
    elif progress.state is ProgressState.PROBE:
        progress.become_replicate()
    elif progress.is_snapshot_caught_up():
        progress.become_probe()


def _handle_rejection(core: RaftCore, message: Message, progress: Progress) -> None:
    """Probe further back: where the logs part is no later than (`reject_hint`, `log_term`)."""
    next_probe_index = message.reject_hint
    if message.log_term > 0:
        # Every entry here with a term above the follower's at the hint cannot be the follower's.
        next_probe_index, _ = core.raft_log.find_conflict_by_term(
            message.reject_hint, message.log_term
        )
    accepted = progress.maybe_decr_to(message.index, next_probe_index, message.request_snapshot)
    if accepted and progress.state is ProgressState.REPLICATE:
        progress.become_probe()
    # Whoever asks for a snapshot has a log that ends within this leader's, and takes no append that
    # it could acknowledge. Without this (raft-rs lacks it) a quorum that needs the node never
    # commits what the snapshot is to cover.
    acknowledged = (
        message.request_snapshot != INVALID_INDEX
        and message.log_term == core.term
        and progress.state is not ProgressState.SNAPSHOT
    )
    if (
        acknowledged
        and progress.maybe_update(message.reject_hint)
        and maybe_commit(core)
        and core.should_bcast_commit()
    ):
        bcast_append(core)
    elif accepted:
        send_append(core, message.from_)


def send_timeout_now(core: RaftCore, to: int) -> None:
    """Tell `to` to campaign at once: it is to take over (thesis 3.10)."""
    core.read_only.end_lease()
    core.send(Message(MessageType.TIMEOUT_NOW, to=to))
