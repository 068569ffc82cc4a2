"""Putting a committed configuration change into force (thesis 4)."""

from __future__ import annotations

from raftify.core.confchange import Changer
from raftify.core.confchange_codec import enter_joint, leave_joint
from raftify.core.raft_core import RaftCore
from raftify.core.read_index import confirm_by_smaller_quorum
from raftify.core.replication import bcast_append, maybe_commit, maybe_send_append
from raftify.core.types import INVALID_ID, ConfChangeV2, ConfState, Role


def apply_conf_change(core: RaftCore, change: ConfChangeV2) -> ConfState:
    """Put `change` into force and return the new configuration.

    Raises:
        ConfChangeRejected: it is impossible in the present configuration; nothing was changed.
    """
    changer = Changer(core.tracker)
    auto_leave = enter_joint(change)
    if leave_joint(change):
        conf, changes = changer.leave_joint()
    elif auto_leave is not None:
        conf, changes = changer.enter_joint(change.changes, auto_leave=auto_leave)
    else:
        conf, changes = changer.simple(change.changes)
    core.tracker.apply_conf(conf, changes, core.raft_log.last_index())
    return post_conf_change(core)


def post_conf_change(core: RaftCore) -> ConfState:
    """Adjust to a configuration that has come into force, and return it."""
    conf = core.tracker.conf
    conf_state = conf.to_conf_state()
    core.promotable = core.id in conf.voters
    if core.role is not Role.LEADER:
        return conf_state
    if not core.promotable:
        # Removed or demoted. While joint the outgoing half still holds this node, so that it stays
        # to lead the cluster out of it (cockroach#105578, etcd-io/raft#79). raft-rs never steps
        # down, and then keeps everybody from electing another.
        if core.step_down_on_removal:
            core.become_follower(core.term, INVALID_ID)
        return conf_state
    if maybe_commit(core):
        # The quorum may have become smaller.
        bcast_append(core)
    else:
        # New members need not wait for the next heartbeat.
        for node_id, progress in core.tracker.progress.items():
            if node_id != core.id:
                maybe_send_append(core, node_id, progress, allow_empty=False)
    confirm_by_smaller_quorum(core)
    if core.lead_transferee is not None and core.lead_transferee not in conf.voters:
        core.abort_leader_transfer()
    return conf_state
