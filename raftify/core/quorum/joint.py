"""Two majorities that must agree, for the time of a configuration change (Raft thesis 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from raftify.core.quorum.majority import Acknowledged, MajorityConfig, VoteResult


@dataclass(frozen=True, slots=True)
class JointConfig:
    """`incoming` is the configuration to be, `outgoing` the one before; empty if not joint."""

    incoming: MajorityConfig = field(default_factory=MajorityConfig)
    outgoing: MajorityConfig = field(default_factory=MajorityConfig)

    @property
    def is_joint(self) -> bool:
        return bool(self.outgoing.voters)

    def is_singleton(self) -> bool:
        """Return whether a single voter decides alone."""
        return not self.outgoing.voters and len(self.incoming.voters) == 1

    def ids(self) -> frozenset[int]:
        """Return the voters of both halves."""
        return self.incoming.voters | self.outgoing.voters

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.incoming.voters or node_id in self.outgoing.voters

    def committed_index(
        self, acked: Mapping[int, Acknowledged], *, use_group_commit: bool = False
    ) -> tuple[int, bool]:
        """Return the highest index that both halves commit, and whether groups decided in both."""
        index, used_groups = self.incoming.committed_index(acked, use_group_commit=use_group_commit)
        if not self.outgoing.voters:
            return index, used_groups
        outgoing_index, outgoing_used_groups = self.outgoing.committed_index(
            acked, use_group_commit=use_group_commit
        )
        return min(index, outgoing_index), used_groups and outgoing_used_groups

    def vote_result(self, check: Callable[[int], bool | None]) -> VoteResult:
        """Return how the election stands: won if both halves are won, lost if either is lost."""
        incoming = self.incoming.vote_result(check)
        outgoing = self.outgoing.vote_result(check)
        if incoming is outgoing:
            return incoming
        if VoteResult.LOST in (incoming, outgoing):
            return VoteResult.LOST
        return VoteResult.PENDING

    def describe(self, acked: Mapping[int, Acknowledged]) -> str:
        """Return the drawing of `MajorityConfig.describe` over the voters of both halves."""
        return MajorityConfig(self.ids()).describe(acked)
