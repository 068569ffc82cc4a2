"""A copy of what a node knows, for metrics and tools: it never changes and blocks nobody."""

from __future__ import annotations

from dataclasses import dataclass, field

from raftify.core.progress import ProgressState
from raftify.core.raft_core import RaftCore
from raftify.core.types import ConfState, HardState, Role, SoftState


@dataclass(frozen=True, slots=True)
class ProgressStatus:
    """How far one node is, in the eyes of the leader (see Progress)."""

    matched: int
    next_idx: int
    state: ProgressState
    paused: bool
    pending_snapshot: int
    recent_active: bool
    inflight: int
    committed_index: int


@dataclass(frozen=True, slots=True)
class Status:
    """raft-rs's Status, and the bounds of the log. `progress` is empty unless this node leads."""

    id: int
    hs: HardState
    ss: SoftState
    applied: int
    persisted: int
    first_index: int
    last_index: int
    conf_state: ConfState
    lead_transferee: int | None
    uncommitted_size: int
    progress: dict[int, ProgressStatus] = field(default_factory=dict)


def status_of(core: RaftCore) -> Status:
    """Return the status of `core` as of now."""
    log = core.raft_log
    return Status(
        id=core.id,
        hs=core.hard_state(),
        ss=core.soft_state(),
        applied=log.applied,
        persisted=log.persisted,
        first_index=log.first_index(),
        last_index=log.last_index(),
        conf_state=core.tracker.conf.to_conf_state(),
        lead_transferee=core.lead_transferee,
        uncommitted_size=core.uncommitted_size() if core.role is Role.LEADER else 0,
        progress=_progress_of(core) if core.role is Role.LEADER else {},
    )


def _progress_of(core: RaftCore) -> dict[int, ProgressStatus]:
    return {
        node_id: ProgressStatus(
            matched=progress.matched,
            next_idx=progress.next_idx,
            state=progress.state,
            paused=progress.is_paused(),
            pending_snapshot=progress.pending_snapshot,
            recent_active=progress.recent_active,
            inflight=progress.ins.count(),
            committed_index=progress.committed_index,
        )
        for node_id, progress in core.tracker.progress.items()
    }
