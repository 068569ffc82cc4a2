"""A set of voters of which any majority decides.

An empty set constrains nothing: it commits everything and wins every vote, so that a joint
configuration with one empty half behaves as the other half alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Final, Protocol

#: What an empty configuration commits: above every index there can be. raft-rs's u64::MAX.
UNBOUNDED_INDEX: Final = (1 << 64) - 1


class VoteResult(Enum):
    """The state of an election; the values are what the golden files call it."""

    PENDING = "VotePending"
    LOST = "VoteLost"
    WON = "VoteWon"


class Acknowledged(Protocol):
    """What one voter has acknowledged. A `Progress` is one, so the tracker passes its own map."""

    @property
    def matched(self) -> int:
        """The highest index known to be in the voter's log; 0 if none is."""
        ...

    @property
    def commit_group_id(self) -> int:
        """The voter's commit group; 0 if it has none."""
        ...


@dataclass(frozen=True, slots=True)
class AckedIndex:
    """The least that is `Acknowledged`."""

    matched: int = 0
    commit_group_id: int = 0


_NOTHING: Final = AckedIndex()
_by_index = attrgetter("matched")


@dataclass(frozen=True, slots=True)
class MajorityConfig:
    """The ids of the voters. It iterates in the order of the ids."""

    voters: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.voters)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self.voters))

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.voters

    def committed_index(
        self, acked: Mapping[int, Acknowledged], *, use_group_commit: bool = False
    ) -> tuple[int, bool]:
        """Return the highest index that is committed, and whether commit groups decided it.

        A voter that `acked` does not know has acknowledged nothing. With `use_group_commit`, an
        index is committed only once voters of two commit groups have it. The flag returned is
        True if two groups were found (and for the empty configuration, as in raft-rs).
        """
        if not self.voters:
            return UNBOUNDED_INDEX, True
        if use_group_commit:
            return self._group_committed_index(acked)
        # Runs at every append response: no key function, no object per voter.
        indices = []
        for node_id in self.voters:
            progress = acked.get(node_id)
            indices.append(0 if progress is None else progress.matched)
        indices.sort()
        return indices[(len(indices) - 1) // 2], False

    def _group_committed_index(self, acked: Mapping[int, Acknowledged]) -> tuple[int, bool]:
        matched = [acked.get(node_id, _NOTHING) for node_id in self.voters]
        matched.sort(key=_by_index, reverse=True)
        at_quorum = matched[len(matched) // 2]
        group = at_quorum.commit_group_id
        everyone_has_a_group = True
        for voter in matched:
            if voter.commit_group_id == 0:
                everyone_has_a_group = False
            elif group == 0:
                group = voter.commit_group_id
            elif voter.commit_group_id != group:
                # The first voter outside the quorum's own group: up to here two groups have it.
                return min(voter.matched, at_quorum.matched), True
        if everyone_has_a_group:
            # All in one group, so there is no second one to wait for.
            return at_quorum.matched, False
        # A voter without a group might turn out to be in any; only what everybody has is safe.
        return matched[-1].matched, False

    def vote_result(self, check: Callable[[int], bool | None]) -> VoteResult:
        """Return how the election stands; `check` gives a voter's vote, None if it is not in."""
        if not self.voters:
            return VoteResult.WON
        granted = missing = 0
        for node_id in self.voters:
            vote = check(node_id)
            if vote is None:
                missing += 1
            elif vote:
                granted += 1
        quorum = len(self.voters) // 2 + 1
        if granted >= quorum:
            return VoteResult.WON
        return VoteResult.PENDING if granted + missing >= quorum else VoteResult.LOST

    def describe(self, acked: Mapping[int, Acknowledged]) -> str:
        """Return a drawing: a line per voter, with as many `x` as voters have a lower index."""
        if not self.voters:
            return "<empty majority quorum>"
        size = len(self.voters)
        indices = sorted(acked.get(node_id, _NOTHING).matched for node_id in self.voters)
        lines = [f"{' ' * size}    idx\n"]
        for node_id in self:
            if node_id in acked:
                index = acked[node_id].matched
                lower = indices.index(index)
                bar = f"{'x' * lower}>{' ' * (size - lower)}"
            else:
                index = 0
                bar = f"?{' ' * size}"
            lines.append(f"{bar} {index:>5}    (id={node_id})\n")
        return "".join(lines)
