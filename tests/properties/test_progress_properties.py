"""Flow control over any course of events: the window against a slow twin, progress' invariants."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from raftify.core.inflights import Inflights
from raftify.core.progress import Progress, ProgressState
from raftify.core.types import INVALID_INDEX

INDICES = st.integers(min_value=0, max_value=12)


class WindowAgainstList(RuleBasedStateMachine):
    """`Inflights` beside a plain list and the rule for its capacity spelled out."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Inflights(4)
        self.indices: list[int] = []
        self.capacity = 4
        self.wanted = 4
        self.last = 0

    def settle(self) -> None:
        if not self.indices:
            self.capacity = self.wanted

    @precondition(lambda self: not self.window.full())
    @rule(step=st.integers(0, 3))
    def add(self, step: int) -> None:
        self.last += step
        self.window.add(self.last)
        self.indices.append(self.last)

    @rule(behind=st.integers(-2, 8))
    def free_to(self, behind: int) -> None:
        self.window.free_to(self.last - behind)
        self.indices = [index for index in self.indices if index > self.last - behind]
        self.settle()

    @rule()
    def free_first_one(self) -> None:
        self.window.free_first_one()
        self.indices = [index for index in self.indices if index != self.indices[0]]
        self.settle()

    @rule()
    def reset(self) -> None:
        self.window.reset()
        self.indices = []
        self.settle()

    @rule(capacity=st.integers(0, 6))
    def set_cap(self, capacity: int) -> None:
        self.window.set_cap(capacity)
        self.wanted = capacity
        self.capacity = max(self.capacity, capacity) if self.indices else capacity

    @invariant()
    def agree(self) -> None:
        assert self.window.count() == len(self.indices)
        assert self.window.full() == (len(self.indices) >= min(self.capacity, self.wanted))
        assert self.window.capacity == self.capacity


TestWindowAgainstList = WindowAgainstList.TestCase
TestWindowAgainstList.settings = settings(max_examples=60, deadline=None)


class ProgressKeepsItsInvariants(RuleBasedStateMachine):
    """Every event that a leader may report, late and repeated responses among them."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(5, 3)
        self.matched = 0
        self.committed = 0

    @rule(index=INDICES)
    def acknowledged(self, index: int) -> None:
        news = self.progress.maybe_update(index)
        assert news is (index > self.matched)
        assert self.progress.next_idx > index

    @rule(rejected=INDICES, hint=INDICES, request=st.sampled_from([INVALID_INDEX, 3, 9]))
    def rejected(self, rejected: int, hint: int, request: int) -> None:
        before = self.progress.next_idx
        in_date = self.progress.maybe_decr_to(rejected, hint, request)
        assert self.progress.next_idx <= before
        if not in_date:
            assert self.progress.next_idx == before

    @precondition(lambda self: not self.progress.is_paused())
    @rule(count=st.integers(1, 3))
    def sent(self, count: int) -> None:
        self.progress.update_state(self.progress.next_idx + count - 1)

    @rule(index=INDICES)
    def committed_known(self, index: int) -> None:
        self.progress.update_committed(index)

    @rule()
    def become_probe(self) -> None:
        self.progress.become_probe()
        assert self.progress.matched < self.progress.next_idx

    @rule()
    def become_replicate(self) -> None:
        self.progress.become_replicate()
        assert self.progress.matched < self.progress.next_idx

    @rule(index=st.integers(1, 12))
    def become_snapshot(self, index: int) -> None:
        self.progress.become_snapshot(index)

    @rule()
    def snapshot_failure(self) -> None:
        self.progress.snapshot_failure()

    @invariant()
    def holds(self) -> None:
        progress = self.progress
        assert progress.matched >= self.matched
        assert progress.committed_index >= self.committed
        self.matched, self.committed = progress.matched, progress.committed_index
        assert progress.next_idx >= 1
        if progress.state is ProgressState.REPLICATE:
            assert progress.matched < progress.next_idx
        else:
            assert progress.ins.count() == 0
        if progress.state is not ProgressState.SNAPSHOT:
            assert progress.pending_snapshot == 0
        else:
            assert progress.is_paused()


TestProgressKeepsItsInvariants = ProgressKeepsItsInvariants.TestCase
TestProgressKeepsItsInvariants.settings = settings(max_examples=60, deadline=None)


@settings(deadline=None)
@given(matched=INDICES, hints=st.lists(INDICES, min_size=20, max_size=20))
def test_a_probe_that_is_always_rejected_reaches_the_first_index(
    matched: int, hints: list[int]
) -> None:
    """Going back on each rejection terminates, whatever the follower hints at (paper 5.3)."""
    progress = Progress(13, 3)
    for hint in hints:
        assert progress.maybe_decr_to(progress.next_idx - 1, hint, INVALID_INDEX)
    assert progress.next_idx == 1
