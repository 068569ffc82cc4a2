"""The configuration in force, and the progress of every node in it.

Knows nothing of how one configuration becomes another: that is `raftify.core.confchange`, which
hands its result to `ProgressTracker.apply_conf`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum

from raftify.core.progress import Progress
from raftify.core.quorum import JointConfig, VoteResult
from raftify.core.types import ConfState


@dataclass(frozen=True, slots=True)
class Configuration:
    """Who votes and who only learns.

    `learners_next` are voters of the outgoing half that become learners when the joint
    configuration is left; until then they vote (thesis 4.3). `auto_leave` asks the leader to leave
    the joint configuration by itself.

    Invariants: nobody is voter and learner at once; `learners_next` lies within the outgoing
    voters; `learners_next` is empty and `auto_leave` False unless joint.
    """

    voters: JointConfig = field(default_factory=JointConfig)
    learners: frozenset[int] = frozenset()
    learners_next: frozenset[int] = frozenset()
    auto_leave: bool = False

    @property
    def is_joint(self) -> bool:
        return self.voters.is_joint

    def to_conf_state(self) -> ConfState:
        """Return what is replicated and stored; the ids of each set in order."""
        return ConfState(
            voters=tuple(self.voters.incoming),
            learners=tuple(sorted(self.learners)),
            voters_outgoing=tuple(self.voters.outgoing),
            learners_next=tuple(sorted(self.learners_next)),
            auto_leave=self.auto_leave,
        )


class MapChangeType(Enum):
    """What happens to a node's progress when a configuration comes into force."""

    ADD = 1
    REMOVE = 2


#: Changes to the nodes tracked, in the order in which they take place.
MapChange = list[tuple[int, MapChangeType]]


class ProgressTracker:
    """Everybody's progress, the votes of the present election, and the configuration for both.

    `progress` holds voters and learners, this node included, in the order of their ids. With
    `group_commit`, entries commit once two commit groups have them (raft-rs).
    """

    __slots__ = ("conf", "group_commit", "max_inflight", "progress", "votes")

    def __init__(self, max_inflight: int) -> None:
        self.conf = Configuration()
        self.progress: dict[int, Progress] = {}
        self.votes: dict[int, bool] = {}
        self.max_inflight = max_inflight
        self.group_commit = False

    def clear(self) -> None:
        """Forget configuration, progress and votes."""
        self.conf = Configuration()
        self.progress.clear()
        self.votes.clear()

    def get(self, node_id: int) -> Progress | None:
        """Return the node's progress; None if it is not a member."""
        return self.progress.get(node_id)

    def is_singleton(self) -> bool:
        """Return whether a single voter decides alone."""
        return self.conf.voters.is_singleton()

    def maximal_committed_index(self) -> tuple[int, bool]:
        """Return the highest index that voters enough have, and whether commit groups decided it.

        It may be one of an earlier term, which only a later entry commits (paper 5.4.2).
        """
        return self.conf.voters.committed_index(self.progress, use_group_commit=self.group_commit)

    def reset_votes(self) -> None:
        """Begin a new election."""
        self.votes.clear()

    def record_vote(self, node_id: int, *, granted: bool) -> None:
        """Note a vote; a node's first vote counts."""
        self.votes.setdefault(node_id, granted)

    def tally_votes(self) -> tuple[int, int, VoteResult]:
        """Return how many granted and how many refused their vote, and how the election stands."""
        counted = [
            granted for node_id, granted in self.votes.items() if node_id in self.conf.voters
        ]
        granted = sum(counted)
        return granted, len(counted) - granted, self.vote_result()

    def vote_result(self) -> VoteResult:
        """Return how the election stands."""
        return self.conf.voters.vote_result(self.votes.get)

    def has_quorum(self, nodes: Collection[int]) -> bool:
        """Return whether `nodes` alone could decide, in both halves where joint."""
        result = self.conf.voters.vote_result(lambda node_id: node_id in nodes)
        return result is VoteResult.WON

    def decides_alone(self, node_id: int) -> bool:
        """Return whether `node_id` needs nobody else, in neither half where joint.

        raft-rs asks `is_singleton` instead. That is false for a sole voter which is joint with
        itself, and true for a leader that the sole voter is not.
        """
        return self.has_quorum((node_id,))

    def quorum_recently_active(self, perspective_of: int) -> bool:
        """Return whether a quorum was heard of since the last call, and begin anew.

        `perspective_of` is the leader, who asks and always counts as active.
        """
        active: set[int] = set()
        for node_id, progress in self.progress.items():
            if node_id == perspective_of:
                progress.recent_active = True
                active.add(node_id)
            elif progress.recent_active:
                progress.recent_active = False
                active.add(node_id)
        return self.has_quorum(active)

    def apply_conf(
        self,
        conf: Configuration,
        changes: Iterable[tuple[int, MapChangeType]],
        next_idx: int,
    ) -> None:
        """Put `conf` into force; nodes that `changes` adds are probed from `next_idx` on."""
        self.conf = conf
        for node_id, change in changes:
            if change is MapChangeType.REMOVE:
                self.progress.pop(node_id, None)
                continue
            # An empty log's last index is 0, but nothing can be sent from there: matched < next.
            progress = Progress(max(next_idx, 1), self.max_inflight)
            # It had no chance yet to be heard of, and must not make the leader step down.
            progress.recent_active = True
            self.progress[node_id] = progress
        in_order = sorted(self.progress.items())
        self.progress.clear()
        self.progress.update(in_order)
