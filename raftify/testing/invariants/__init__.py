"""What must hold at every step of a simulated cluster, one file each, with where it is promised.

`Invariants` is the observer that checks all of them. Each one can also stand alone.
"""

from raftify.testing.invariants.acknowledges_what_matches import AcknowledgesWhatMatches
from raftify.testing.invariants.admits_what_is_durable import AdmitsWhatIsDurable
from raftify.testing.invariants.base import Invariant, LogInvariant
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
from raftify.testing.invariants.together import ALL, Invariants
from raftify.testing.invariants.votes_for_up_to_date import VotesForUpToDate

__all__ = [
    "ALL",
    "AcknowledgesWhatMatches",
    "AdmitsWhatIsDurable",
    "ChangesAfterOwnCommit",
    "CommitsInOwnTerm",
    "CommittedNeverChanges",
    "ConfigurationFollowsLog",
    "ConfigurationsOverlap",
    "CountsWhatWasAcknowledged",
    "CutOnlyAtConflict",
    "DeterministicResults",
    "DurableOnQuorum",
    "ElectedByMajorities",
    "ElectionSafety",
    "HandsOutWhatIsDurable",
    "Invariant",
    "Invariants",
    "KeepsWhatItAcknowledged",
    "LeaderAppendOnly",
    "LeaderCompleteness",
    "LeaseEndsWithTransfer",
    "LogInvariant",
    "LogMatching",
    "MonotonicApplied",
    "MonotonicCommit",
    "MonotonicTerm",
    "OneChangeAtATime",
    "OneVoteATerm",
    "OnlyMembersLead",
    "OrderOfIndexes",
    "PersistedIsDurable",
    "ReadsAreConfirmed",
    "RefusesWithReason",
    "RetainsWhatASnapshotHas",
    "StateMachineSafety",
    "SyncBeforeApply",
    "SyncBeforeSend",
    "VotesForUpToDate",
]
