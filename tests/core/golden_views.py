"""What golden scripts look at: commands that print and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from raftify.core.describe import describe_conf_state, describe_progress
from raftify.core.describe_messages import describe_entry, describe_message
from tests.core.golden_cluster import GoldenCluster, GoldenNode

#: Takes the ids of the nodes to show; none means all.
View = Callable[[GoldenCluster, list[str]], None]


def _nodes(cluster: GoldenCluster, words: list[str]) -> list[GoldenNode]:
    return [cluster.nodes[int(word)] for word in words] or list(cluster.nodes.values())


def status(cluster: GoldenCluster, words: list[str]) -> None:
    """Print how a leader sees the others."""
    for node in _nodes(cluster, words):
        core = node.raw.raft
        for member, progress in core.tracker.progress.items():
            is_learner = member in core.tracker.conf.learners
            cluster.show(f"{member}: {describe_progress(progress, is_learner=is_learner)}")
        extra = node.raw.status()
        if extra.lead_transferee is not None:
            cluster.show(f"handing over to {extra.lead_transferee}")
        if extra.uncommitted_size:
            cluster.show(f"{extra.uncommitted_size} bytes uncommitted")


def raft_state(cluster: GoldenCluster, words: list[str]) -> None:
    """Print role, term, vote, leader and commit index."""
    for node in _nodes(cluster, words):
        core = node.raw.raft
        cluster.show(
            f"{node.id}: {core.role.name} term={core.term} vote={core.vote} "
            f"leader={core.leader_id} commit={core.raft_log.committed}"
        )


def raft_log(cluster: GoldenCluster, words: list[str]) -> None:
    """Print bounds and entries of the log."""
    for node in _nodes(cluster, words):
        log = node.raw.raft.raft_log
        cluster.show(
            f"{node.id}: first={log.first_index()} last={log.last_index()} "
            f"committed={log.committed} persisted={log.persisted} applied={log.applied}"
        )
        for entry in log.all_entries():
            cluster.show(f"  {describe_entry(entry)}")


def configuration(cluster: GoldenCluster, words: list[str]) -> None:
    """Print the configuration in force."""
    for node in _nodes(cluster, words):
        cluster.show(f"{node.id}: {describe_conf_state(node.raw.status().conf_state)}")


def messages(cluster: GoldenCluster, words: list[str]) -> None:
    """Print the messages under way, or those to the nodes given."""
    wanted = {int(word) for word in words} or set(cluster.nodes)
    for message in cluster.wire:
        if message.to in wanted:
            cluster.show(describe_message(message))


VIEWS: Final[Mapping[str, View]] = {
    "configuration": configuration,
    "messages": messages,
    "raft-log": raft_log,
    "raft-state": raft_state,
    "status": status,
}
