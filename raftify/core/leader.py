"""What a leader does: take proposals, watch over its followers, and step down in time."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from raftify.core.confchange_codec import decode_conf_change, decode_conf_change_v2, into_v2
from raftify.core.config import ReadOnlyOption
from raftify.core.progress import ProgressState
from raftify.core.raft_core import RaftCore
from raftify.core.read_index import confirm_round
from raftify.core.replication import bcast_append, send_append
from raftify.core.types import (
    INVALID_ID,
    INVALID_INDEX,
    ConfChangeV2,
    Entry,
    EntryType,
    Message,
)
from raftify.errors import (
    ConfChangeRejected,
    InvariantViolation,
    LeaderTransferring,
    MalformedMessage,
    Overloaded,
    PendingConfChange,
    ProposalDropped,
)

_ENTRY_TYPE: Final = attrgetter("entry_type")


def handle_propose(core: RaftCore, message: Message) -> None:
    """Append what another node's user proposed there.

    The entries are copied: the message is not ours, and a network may deliver it twice.

    Raises:
        ProposalDropped: see `propose_entries`.
    """
    entries = [
        Entry(entry.entry_type, data=entry.data, context=entry.context) for entry in message.entries
    ]
    propose_entries(core, entries)


def propose_entries(core: RaftCore, entries: list[Entry]) -> int:
    """Append `entries`, which become the core's own, all or none; return the first one's index.

    A configuration change that cannot be made now is replaced by an empty entry, as in raft-rs.

    Raises:
        ProposalDropped: this leader was removed, hands over its office, or has too much waiting.
    """
    if not entries:
        raise InvariantViolation("a proposal needs at least one entry")
    if core.tracker.get(core.id) is None:
        raise ProposalDropped("this leader was removed from the cluster; ask its successor")
    if core.lead_transferee is not None:
        raise LeaderTransferring(f"leadership is being handed over to node {core.lead_transferee}")
    first_index = core.raft_log.last_index() + 1
    pending_conf_index = core.pending_conf_index
    if any(map(_ENTRY_TYPE, entries)):
        _check_conf_changes(core, entries, first_index)
    if not core.append_entry(entries):
        core.pending_conf_index = pending_conf_index
        raise Overloaded(
            f"{core.uncommitted_size()} bytes of proposals wait for their commit, more than "
            "max_uncommitted_size allows; slow down and try again"
        )
    bcast_append(core)
    return first_index


def _check_conf_changes(core: RaftCore, entries: list[Entry], first_index: int) -> None:
    # All are read before the first has an effect, so that one that is damaged leaves none behind.
    changes = [
        (offset, _decode_change(entry))
        for offset, entry in enumerate(entries)
        if entry.entry_type is not EntryType.NORMAL
    ]
    for offset, change in changes:
        try:
            refuse_conf_change(core, change)
        except ConfChangeRejected:
            entries[offset] = Entry()
        else:
            core.pending_conf_index = first_index + offset


def _decode_change(entry: Entry) -> ConfChangeV2:
    try:
        if entry.entry_type is EntryType.CONF_CHANGE:
            return into_v2(decode_conf_change(entry.data))
        return decode_conf_change_v2(entry.data)
    except MalformedMessage as error:
        raise ProposalDropped(f"the configuration change cannot be read: {error}") from error


def refuse_conf_change(core: RaftCore, change: ConfChangeV2) -> None:
    """Check whether `change` may be proposed now.

    Raises:
        PendingConfChange: another may be under way; or this leader committed nothing in its term
            yet, and may not know of one that is. raft-rs does not wait for that; without it, two
            leaders can make changes whose quorums do not meet.
        ConfChangeRejected: it is joint and `change` does not leave that, or the other way round.
    """
    if core.has_pending_conf():
        raise PendingConfChange(
            f"a configuration change may be under way (at index {core.pending_conf_index}, applied "
            f"{core.raft_log.applied}); wait until it has been applied"
        )
    if not core.commit_to_current_term():
        raise PendingConfChange(
            f"the leader has committed nothing in its term {core.term} yet; try again shortly"
        )
    is_joint = core.tracker.conf.is_joint
    wants_to_leave = not change.changes
    if is_joint and not wants_to_leave:
        raise ConfChangeRejected("must transition out of joint config first")
    if wants_to_leave and not is_joint:
        raise ConfChangeRejected("not in joint state; refusing empty conf change")


def handle_heartbeat_response(core: RaftCore, message: Message) -> None:
    """Learn that a follower is there; send it what it lacks, and count it for reads."""
    progress = core.tracker.get(message.from_)
    if progress is None:
        return
    progress.update_committed(message.commit)
    progress.recent_active = True
    progress.resume()
    if progress.state is ProgressState.REPLICATE and progress.ins.full():
        # Its answers may have been lost; one message more will show.
        progress.ins.free_first_one()
    if (
        progress.matched < core.raft_log.last_index()
        or progress.pending_request_snapshot != INVALID_INDEX
    ):
        send_append(core, message.from_)
    if message.context and core.read_only.option is ReadOnlyOption.SAFE:
        confirm_round(core, message.from_, message.context)


def handle_unreachable(core: RaftCore, message: Message) -> None:
    """Learn that a message did not reach a follower: what followed it is lost as well."""
    progress = core.tracker.get(message.from_)
    if progress is not None and progress.state is ProgressState.REPLICATE:
        progress.become_probe()


def handle_check_quorum(core: RaftCore, _message: Message) -> None:
    """Step down if no quorum was heard of since the last time (thesis 6.2)."""
    if not core.tracker.quorum_recently_active(core.id):
        core.become_follower(core.term, INVALID_ID)
