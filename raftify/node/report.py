"""A node's inner state as plain values: what `inspect` and `debug_node` show."""

from __future__ import annotations

from raftify.core.raw_node import RawNode
from raftify.node.core_task import CoreTask
from raftify.node.inbox import Inbox
from raftify.node.local_state import LocalState
from raftify.peers import Membership
from raftify.storage.base import StableStorage


def describe_node(
    *,
    state: LocalState,
    raw: RawNode,
    storage: StableStorage,
    inbox: Inbox,
    core: CoreTask,
    state_machine: object,
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
        "state_machine": repr(state_machine),
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
