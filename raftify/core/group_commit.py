"""Group commit: entries commit only once nodes of two groups (data centres, say) hold them.

As in raft-rs. Groups are kept in memory only: set them anew after a start or a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping

from raftify.core.raft_core import RaftCore
from raftify.core.replication import bcast_append, maybe_commit
from raftify.core.types import Role
from raftify.errors import ConfigError


def enable_group_commit(core: RaftCore, *, enable: bool) -> None:
    """Switch it on or off; a leader commits at once what switching off allows."""
    core.tracker.group_commit = enable
    if not enable:
        _commit_as_leader(core)


def assign_commit_groups(core: RaftCore, groups: Mapping[int, int]) -> None:
    """Put nodes into groups, numbered from 1. Unknown nodes are passed over.

    Raises:
        ConfigError: a group's number is not positive; nothing was changed.
    """
    for node_id, group in groups.items():
        if group <= 0:
            raise ConfigError(f"node {node_id} cannot be in commit group {group}: they begin at 1")
    for node_id, group in groups.items():
        progress = core.tracker.get(node_id)
        if progress is not None:
            progress.commit_group_id = group
    if core.tracker.group_commit:
        _commit_as_leader(core)


def clear_commit_group(core: RaftCore) -> None:
    """Take every node out of its group."""
    for progress in core.tracker.progress.values():
        progress.commit_group_id = 0


def check_group_commit_consistent(core: RaftCore) -> bool | None:
    """Say whether everything committed is held by two groups; None if this node cannot tell."""
    log = core.raft_log
    # Applied, not committed: a configuration change in between could decide otherwise.
    if core.role is not Role.LEADER or not log.match_term(log.applied, core.term):
        return None
    index, by_groups = core.tracker.maximal_committed_index()
    return by_groups and index == log.committed


def _commit_as_leader(core: RaftCore) -> None:
    if core.role is Role.LEADER and maybe_commit(core):
        bcast_append(core)
