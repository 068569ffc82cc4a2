"""A node's inner state as plain values: what `inspect` and `debug_node` show."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from raftify.core.raw_node import RawNode
from raftify.core.types import Entry, EntryType
from raftify.errors import Compacted, RaftifyError, Unavailable
from raftify.node.core_task import CoreTask
from raftify.node.inbox import Inbox
from raftify.node.local_state import LocalState
from raftify.node.metrics import Metrics
from raftify.node.telling import EntryDecoder, decoding, tell
from raftify.peers import Membership
from raftify.storage.base import StableStorage

#: How many entries at the end of the log are shown, and up to how many bytes of each.
LAST_ENTRIES: Final = 5
_SHOWN_BYTES: Final = 4096
#: How often the end of the log is looked for while it moves.
_LOOKS: Final = 3


def describe_node(
    *,
    state: LocalState,
    raw: RawNode,
    storage: StableStorage,
    inbox: Inbox,
    core: CoreTask,
    state_machine: object,
    metrics: Metrics,
) -> dict[str, object]:
    """Return everything worth knowing of a node, as values that JSON can hold."""
    raft = raw.raft
    snapshot = storage.latest_snapshot().metadata
    return {
        "node_id": state.node_id,
        "cluster_id": state.identity.cluster_id,
        "incarnation": state.identity.incarnation,
        "address": state.address,
        "running_state": str(state.running),
        "role": raft.role.name.lower(),
        "term": raft.term,
        "vote": raft.vote,
        "leader_id": raft.leader_id,
        "leader_address": state.leader_address,
        "first_index": storage.first_index(),
        "last_index": raft.raft_log.last_index(),
        "committed": raft.raft_log.committed,
        "applied": state.applied,
        "delivered": state.delivered,
        "persisted": raft.raft_log.persisted,
        "last_entries": _last_entries(storage),
        "snapshot_index": snapshot.index,
        "snapshot_term": snapshot.term,
        "election_elapsed": raft.election_elapsed,
        "randomized_election_timeout": raft.randomized_election_timeout,
        "membership": describe_membership(state.membership),
        "progress": _progress(raw),
        "waiting": {
            "proposals": len(core.intake.proposals),
            "reads": len(core.intake.reads),
            "conf_changes": len(core.delivery.waiters),
        },
        "inbox": len(inbox),
        "state_machine": _in_words(state_machine),
        "metrics": describe_metrics(metrics),
    }


def _in_words(state_machine: object) -> str:
    """Return its `repr`, or its class's name if it has none of its own: the place in memory that is
    in the default one says nothing, and is another one in each run of a simulation."""
    kind = type(state_machine)
    return kind.__name__ if kind.__repr__ is object.__repr__ else repr(state_machine)


def describe_metrics(metrics: Metrics) -> dict[str, object]:
    """Return metrics as values that JSON can hold, under their own names."""
    return {
        "node_id": metrics.node_id,
        "cluster_id": metrics.cluster_id,
        "running_state": str(metrics.running_state),
        "role": metrics.role.name.lower(),
        "term": metrics.term,
        "vote": metrics.vote,
        "leader_id": metrics.leader_id,
        "last_index": metrics.last_index,
        "committed": metrics.committed,
        "applied": metrics.applied,
        "snapshot": metrics.snapshot,
        "purged": metrics.purged,
        "quorum_silent_for": metrics.quorum_silent_for,
        "failure": metrics.failure,
        "certificate_days_left": metrics.certificate_days_left,
        "membership": describe_membership(metrics.membership),
        "peers": {
            str(peer.node_id): {
                "matched": peer.matched,
                "next_idx": peer.next_idx,
                "state": peer.state.name.lower(),
                "silent_for": peer.silent_for,
            }
            for peer in metrics.peers.values()
        },
    }


def describe_membership(membership: Membership) -> dict[str, object]:
    conf = membership.conf_state
    return {
        "index": membership.index,
        "voters": list(conf.voters),
        "learners": list(conf.learners),
        "voters_outgoing": list(conf.voters_outgoing),
        "learners_next": list(conf.learners_next),
        "auto_leave": conf.auto_leave,
        "peers": {
            str(peer.node_id): {"address": peer.address, "incarnation": peer.incarnation}
            for peer in membership.peers.values()
        },
        "max_id": membership.max_id,
    }


def _end_of(storage: StableStorage) -> list[Entry]:
    for _ in range(_LOOKS):
        end = storage.last_index() + 1
        # The log may be cut at either end between two reads, by the thread that writes it.
        with contextlib.suppress(Compacted, Unavailable):
            return storage.entries(max(storage.first_index(), end - LAST_ENTRIES), end)
    return []


def _last_entries(storage: StableStorage) -> list[dict[str, object]]:
    """Return the last entries that are on the disk; none if they cannot be read.

    The bytes of one that is too large to be shown are left out.
    """
    try:
        entries = _end_of(storage)
    except RaftifyError:
        return []  # a report tells what can be told, also of a broken disk
    shown: list[dict[str, object]] = []
    for entry in entries:
        item: dict[str, object] = {
            "index": entry.index,
            "term": entry.term,
            "type": entry.entry_type.name.lower(),
            "size": len(entry.data),
        }
        if len(entry.data) + len(entry.context) <= _SHOWN_BYTES:
            item |= {"data_hex": entry.data.hex(), "context_hex": entry.context.hex()}
        shown.append(item)
    return shown


def with_decoded(report: dict[str, object], decoder: EntryDecoder) -> dict[str, object]:
    """Return `report` with what `decoder` makes of each proposal among the last entries.

    Raises:
        ConfigError: `decoder` cannot be called.
    """
    decode = decoding(decoder)
    listed = report.get("last_entries")
    if not isinstance(listed, list):
        return report  # a node of another version made it
    return {
        **report,
        "last_entries": [_decoded(i, decode) if isinstance(i, dict) else i for i in listed],
    }


def _decoded(item: dict[str, object], decode: Callable[[bytes], object]) -> dict[str, object]:
    data_hex = item.get("data_hex")
    is_proposal = item.get("type") == EntryType.NORMAL.name.lower() and not item.get("context_hex")
    if not is_proposal or not isinstance(data_hex, str) or not data_hex:
        return item
    told = tell(lambda: decode(bytes.fromhex(data_hex)))
    return {**item, **({"decode_fault": told.fault} if told.fault else {"entry": told.words})}


def _progress(raw: RawNode) -> dict[str, object]:
    return {
        str(node_id): {
            "matched": progress.matched,
            "next_idx": progress.next_idx,
            "state": progress.state.name.lower(),
            "recent_active": progress.recent_active,
            "paused": progress.paused,
            "inflight": progress.inflight,
            "pending_snapshot": progress.pending_snapshot,
        }
        for node_id, progress in raw.status().progress.items()
    }
