"""What a leader refuses unless it is forced: changes after which the cluster could not go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from raftify.core.raw_node import RawNode
from raftify.core.types import ConfChangeType, ConfChangeV2
from raftify.errors import ConfChangeRejected
from raftify.node.config_changes import voters_after
from raftify.peers import Membership


def check_promoted(
    change: ConfChangeV2, membership: Membership, raw: RawNode, *, max_lag: int
) -> None:
    """Refuse to make a voter of a learner that lags: commits would have to wait for it.

    Raises:
        ConfChangeRejected: one is more than `max_lag` entries behind.
    """
    raft = raw.raft
    learners = membership.conf_state.learners
    for single in change.changes:
        progress = raft.tracker.progress.get(single.node_id)
        added = single.change_type is ConfChangeType.ADD_NODE
        if not added or single.node_id not in learners or progress is None:
            continue
        lag = raft.raft_log.committed - progress.matched
        if lag > max_lag:
            raise ConfChangeRejected(
                f"learner {single.node_id} is {lag} entries behind, more than "
                f"Config.learner_max_lag ({max_lag}): wait until it has caught up "
                "(add_learner does), or force it"
            )


def check_quorum_left(
    change: ConfChangeV2, membership: Membership, is_silent: Callable[[int], bool]
) -> None:
    """Refuse to take voters away if too few of those left are there.

    What makes nothing worse passes, whoever is silent: the removal of a silent voter most of all.
    A node that is no member yet is not expected to have been heard of.

    Raises:
        ConfChangeRejected: more than half of the new voters are needed, and were not heard of.
    """
    before = set(membership.conf_state.voters)
    after = voters_after(change, membership)
    if before <= after or not after:
        return
    silent = {i for i in before | after if membership.is_member(i) and is_silent(i)}
    spare = _spare(after, silent)
    if spare >= 0 or spare >= _spare(before, silent):
        return
    missing = sorted(after & silent)
    raise ConfChangeRejected(
        f"without {_nodes(before - after)} the voters would be {_nodes(after)}, and "
        f"{_nodes(missing)} of them {'was' if len(missing) == 1 else 'were'} not heard of for an "
        f"election timeout: {len(after) - len(missing)} of {len(after)} cannot commit anything. "
        f"Bring {_nodes(missing)} back or remove {'it' if len(missing) == 1 else 'them'} first, "
        "or force it"
    )


def _spare(voters: set[int], silent: set[int]) -> int:
    """Return how many of `voters` could fail besides, below 0 if they cannot commit."""
    return len(voters - silent) - (len(voters) // 2 + 1)


def _nodes(ids: Iterable[int]) -> str:
    names = [str(i) for i in sorted(ids)]
    if len(names) == 1:
        return f"node {names[0]}"
    return f"nodes {', '.join(names[:-1])} and {names[-1]}"
