"""All invariants as one observer, which looks at each log only once a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from raftify.core.types import Entry, Message
from raftify.errors import StorageError
from raftify.testing.invariants.acknowledges_what_matches import AcknowledgesWhatMatches
from raftify.testing.invariants.admits_what_is_durable import AdmitsWhatIsDurable
from raftify.testing.invariants.base import Invariant, LogInvariant
from raftify.testing.invariants.changes import Changes
from raftify.testing.invariants.changes_after_own_commit import ChangesAfterOwnCommit
from raftify.testing.invariants.commits_in_own_term import CommitsInOwnTerm
from raftify.testing.invariants.committed_never_changes import CommittedNeverChanges
from raftify.testing.invariants.configuration_follows_log import ConfigurationFollowsLog
from raftify.testing.invariants.configurations_overlap import ConfigurationsOverlap
from raftify.testing.invariants.counts_what_was_acknowledged import CountsWhatWasAcknowledged
from raftify.testing.invariants.cut_only_at_conflict import CutOnlyAtConflict
from raftify.testing.invariants.deterministic_results import DeterministicResults
from raftify.testing.invariants.durable_on_quorum import DurableOnQuorum
from raftify.testing.invariants.elected_by_majorities import ElectedByMajorities
from raftify.testing.invariants.election_safety import ElectionSafety
from raftify.testing.invariants.hands_out_what_is_durable import HandsOutWhatIsDurable
from raftify.testing.invariants.keeps_what_it_acknowledged import KeepsWhatItAcknowledged
from raftify.testing.invariants.leader_append_only import LeaderAppendOnly
from raftify.testing.invariants.leader_completeness import LeaderCompleteness
from raftify.testing.invariants.lease_ends_with_transfer import LeaseEndsWithTransfer
from raftify.testing.invariants.log_matching import LogMatching
from raftify.testing.invariants.monotonic_applied import MonotonicApplied
from raftify.testing.invariants.monotonic_commit import MonotonicCommit
from raftify.testing.invariants.monotonic_term import MonotonicTerm
from raftify.testing.invariants.one_change_at_a_time import OneChangeAtATime
from raftify.testing.invariants.one_vote_a_term import OneVoteATerm
from raftify.testing.invariants.only_members_lead import OnlyMembersLead
from raftify.testing.invariants.order_of_indexes import OrderOfIndexes
from raftify.testing.invariants.persisted_is_durable import PersistedIsDurable
from raftify.testing.invariants.reads_are_confirmed import ReadsAreConfirmed
from raftify.testing.invariants.refuses_with_reason import RefusesWithReason
from raftify.testing.invariants.retains_what_a_snapshot_has import RetainsWhatASnapshotHas
from raftify.testing.invariants.state_machine_safety import StateMachineSafety
from raftify.testing.invariants.sync_before_apply import SyncBeforeApply
from raftify.testing.invariants.sync_before_send import SyncBeforeSend
from raftify.testing.invariants.votes_for_up_to_date import VotesForUpToDate
from raftify.testing.invariants.watch import Watch
from raftify.testing.simulation.observer import NodeView, Observer

ALL: Final[tuple[type[Invariant], ...]] = (
    ElectionSafety,
    ElectedByMajorities,
    LeaderAppendOnly,
    LogMatching,
    AcknowledgesWhatMatches,
    CountsWhatWasAcknowledged,
    KeepsWhatItAcknowledged,
    RetainsWhatASnapshotHas,
    CutOnlyAtConflict,
    LeaderCompleteness,
    CommittedNeverChanges,
    CommitsInOwnTerm,
    DurableOnQuorum,
    StateMachineSafety,
    DeterministicResults,
    MonotonicTerm,
    OneVoteATerm,
    VotesForUpToDate,
    RefusesWithReason,
    MonotonicCommit,
    MonotonicApplied,
    SyncBeforeSend,
    SyncBeforeApply,
    PersistedIsDurable,
    HandsOutWhatIsDurable,
    AdmitsWhatIsDurable,
    OrderOfIndexes,
    ConfigurationsOverlap,
    OneChangeAtATime,
    ChangesAfterOwnCommit,
    ConfigurationFollowsLog,
    OnlyMembersLead,
    ReadsAreConfirmed,
    LeaseEndsWithTransfer,
)


class Invariants(Observer):
    """Checks every invariant in `kinds` (all there are, by default) at every event it is for."""

    def __init__(self, kinds: Iterable[type[Invariant]] = ALL) -> None:
        self.watch = Watch()
        self._lost: set[int] = set()
        self.members: list[Invariant] = [
            kind(self.watch) if issubclass(kind, LogInvariant) else kind() for kind in kinds
        ]
        self._logs = [each for each in self.members if isinstance(each, LogInvariant)]
        others = [each for each in self.members if not isinstance(each, LogInvariant)]
        self._starts = [each.on_start for each in others if _overrides(each, "on_start")]
        steps = [each for each in others if _overrides(each, "on_step")]
        self._every_step = [each.on_step for each in steps if not each.judges_changes_alone]
        self._changes = Changes()
        self._on_change = [each.on_step for each in steps if each.judges_changes_alone]
        self._on_change += [
            each.on_configuration
            for each in self.members
            if isinstance(each, ConfigurationFollowsLog)
        ]
        self._receives = [
            each.on_receive for each in self.members if _overrides(each, "on_receive")
        ]
        self._sends = [each.on_send for each in self.members if _overrides(each, "on_send")]
        self._applies = [each.on_apply for each in self.members if _overrides(each, "on_apply")]
        self._restores = [
            each.on_restore for each in self.members if _overrides(each, "on_restore")
        ]
        self._ends = [each.on_end for each in self.members if _overrides(each, "on_end")]

    def forget(self, node_id: int) -> None:
        """The disk of this node was lost: whatever comes back under its id is not looked at.

        An empty disk under an old id breaks the rules by itself. What must hold is that the others
        do not listen to it, and they are looked at.
        """
        self._lost.add(node_id)
        for each in self.members:
            each.forget(node_id)

    def on_start(self, node: NodeView) -> None:
        """Tell all who want to know."""
        if node.id in self._lost:
            return
        for call in self._starts:
            call(node)
        self._changes.forget(node.id)
        self.on_step(node)

    def on_end(self, node: NodeView, how: str) -> None:
        """Tell all who want to know."""
        if node.id in self._lost:
            return
        for call in self._ends:
            call(node, how)

    def on_step(self, node: NodeView) -> None:
        """Look at the log once, and tell all who want to know."""
        core = node.raft
        if core is None or node.id in self._lost:
            return
        try:
            if self._changes.happened(node, core):
                step = self.watch.look(node)
                if step is not None:
                    for each in self._logs:
                        each.on_log(node, step)
                for call in self._on_change:
                    call(node)
            for call in self._every_step:
                call(node)
        except StorageError:
            # It is ending, or its disk fails. What was not looked at is at the next step.
            self._changes.forget(node.id)

    def on_receive(self, node: NodeView, message: Message) -> None:
        """Tell all who want to know."""
        if node.id in self._lost:
            return
        for call in self._receives:
            call(node, message)

    def on_send(self, node: NodeView, message: Message) -> None:
        """Tell all who want to know."""
        if node.id in self._lost:
            return
        for call in self._sends:
            call(node, message)

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        """Tell all who want to know."""
        if node.id in self._lost:
            return
        for call in self._applies:
            call(node, entries, results)

    def on_restore(self, node: NodeView, index: int) -> None:
        """Tell all who want to know."""
        if node.id in self._lost:
            return
        for call in self._restores:
            call(node, index)


def _overrides(invariant: Invariant, method: str) -> bool:
    return getattr(type(invariant), method) is not getattr(Observer, method)
