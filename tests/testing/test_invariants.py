"""Each invariant lets right views pass, and fails at one that breaks exactly it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from raftify.core.confchange_codec import encode_conf_change_v2
from raftify.core.config import ReadOnlyOption
from raftify.core.read_only import ReadState
from raftify.core.terms import CAMPAIGN_TRANSFER
from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Role,
)
from raftify.errors import StorageError
from raftify.peers import Membership
from raftify.testing.invariants import (
    ALL,
    AcknowledgesWhatMatches,
    AdmitsWhatIsDurable,
    ChangesAfterOwnCommit,
    CommitsInOwnTerm,
    CommittedNeverChanges,
    ConfigurationFollowsLog,
    ConfigurationsOverlap,
    CountsWhatWasAcknowledged,
    CutOnlyAtConflict,
    DeterministicResults,
    DurableOnQuorum,
    ElectedByMajorities,
    ElectionSafety,
    HandsOutWhatIsDurable,
    Invariant,
    Invariants,
    KeepsWhatItAcknowledged,
    LeaderAppendOnly,
    LeaderCompleteness,
    LeaseEndsWithTransfer,
    LogMatching,
    MonotonicApplied,
    MonotonicCommit,
    MonotonicTerm,
    OneChangeAtATime,
    OneVoteATerm,
    OnlyMembersLead,
    OrderOfIndexes,
    PersistedIsDurable,
    ReadsAreConfirmed,
    RefusesWithReason,
    RetainsWhatASnapshotHas,
    StateMachineSafety,
    SyncBeforeApply,
    SyncBeforeSend,
    VotesForUpToDate,
)
from raftify.testing.invariants.configurations_overlap import overlap
from raftify.testing.simulation.observer import InvariantViolation, NodeView, Observer
from tests.testing.views import FakeDisk, FakeNode, at, snapshot

Story = Callable[[Invariant], None]
RIGHT: list[tuple[type[Invariant], Story]] = []
WRONG: list[tuple[type[Invariant], str, Story]] = []


def right(kind: type[Invariant]) -> Callable[[Story], Story]:
    def note(story: Story) -> Story:
        RIGHT.append((kind, story))
        return story

    return note


def wrong(kind: type[Invariant], complaint: str) -> Callable[[Story], Story]:
    def note(story: Story) -> Story:
        WRONG.append((kind, complaint, story))
        return story

    return note


# -- elections ------------------------------------------------------------------------------


@right(ElectionSafety)
def one_leader_a_term(invariant: Invariant) -> None:
    one, two = FakeNode(1).lead(2), FakeNode(2)
    for node in (one, two, one):
        invariant.on_step(node)
    two.lead(3)
    invariant.on_step(two)
    # A deposed leader that does not know it yet is none of its successor's term.
    invariant.on_step(one)


@right(ElectionSafety)
def a_sole_voter_that_nobody_heard_of(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2)
    node.disk.hard_state = HardState(1)
    invariant.on_step(node)
    node.incarnation = 2
    invariant.on_step(node.lead(2))


@wrong(ElectionSafety, "term 2 has two leaders")
def two_leaders_of_a_term(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(1).lead(2))
    invariant.on_step(FakeNode(2).lead(2))


@wrong(ElectionSafety, "process 2")
def leader_again_after_a_restart(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2)
    invariant.on_step(node)
    node.incarnation = 2
    invariant.on_step(node)


def gave_votes(observer: Observer, node: FakeNode, voters: tuple[int, ...]) -> None:
    """Let a candidate get these votes, in its own term."""
    kind, term = MessageType.REQUEST_VOTE_RESPONSE, node.raft.term
    for voter in voters:
        observer.on_receive(node, Message(kind, from_=voter, to=node.id, term=term))


@right(ElectedByMajorities)
def elected_by_two_of_three(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2)
    gave_votes(invariant, node, (2,))
    # Of an election that it has lost.
    late = Message(MessageType.REQUEST_VOTE_RESPONSE, from_=3, to=1, term=1)
    invariant.on_receive(node, late)
    invariant.on_step(node.lead(2))


@right(ElectedByMajorities)
def elected_by_both_halves(invariant: Invariant) -> None:
    node = configured(FakeNode(1).follow(2), (1, 4, 5), (1, 2, 3))
    gave_votes(invariant, node, (2, 5))
    invariant.on_step(node.lead(2))
    # It leads on, whatever becomes of the configuration.
    invariant.on_step(configured(node, (1, 4, 5, 6, 7)))


@right(ElectedByMajorities)
def a_sole_voter_needs_nobody(invariant: Invariant) -> None:
    invariant.on_step(configured(FakeNode(1), (1,)).lead(2))


@wrong(ElectedByMajorities, re.escape("by the votes of [1, 4, 5]"))
def elected_by_the_incoming_half(invariant: Invariant) -> None:
    node = configured(FakeNode(1).follow(2), (1, 4, 5), (1, 2, 3))
    gave_votes(invariant, node, (4, 5))
    invariant.on_step(node.lead(2))


@wrong(ElectedByMajorities, re.escape("by the votes of [1, 4, 5]"))
def elected_by_a_learner_and_a_stranger(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2)
    gave_votes(invariant, node, (4, 5))
    invariant.on_step(node.lead(2))


@wrong(ElectedByMajorities, re.escape("leader of term 3 by the votes of [1]"))
def elected_by_votes_of_another_term(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2)
    gave_votes(invariant, node, (2, 3))
    invariant.on_step(node.lead(3))


@wrong(ElectedByMajorities, re.escape("by the votes of [1]"))
def refused_and_elected_all_the_same(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2)
    kind = MessageType.REQUEST_VOTE_RESPONSE
    invariant.on_receive(node, Message(kind, from_=2, to=1, term=2, reject=True))
    invariant.on_step(node.lead(2))


@right(OneVoteATerm)
def votes_again_for_the_same(invariant: Invariant) -> None:
    node = FakeNode(1)
    for term, to in [(2, 2), (2, 2), (3, 3)]:
        invariant.on_send(node, Message(MessageType.REQUEST_VOTE_RESPONSE, to=to, term=term))
    refusal = Message(MessageType.REQUEST_VOTE_RESPONSE, to=3, term=2, reject=True)
    invariant.on_send(node, refusal)
    for term, vote in [(1, 0), (1, 2), (2, 0), (2, 3)]:
        node.raft.term, node.raft.vote = term, vote
        invariant.on_step(node)


@wrong(OneVoteATerm, "voted for 2 and then for 3 in term 2")
def votes_for_two(invariant: Invariant) -> None:
    node = FakeNode(1)
    for to in (2, 3):
        invariant.on_send(node, Message(MessageType.REQUEST_VOTE_RESPONSE, to=to, term=2))


@wrong(OneVoteATerm, "voted for 2 and then for 1")
def votes_and_campaigns(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_send(node, Message(MessageType.REQUEST_VOTE_RESPONSE, to=2, term=2))
    invariant.on_send(node.restart(), Message(MessageType.REQUEST_VOTE, to=2, term=2))


@wrong(OneVoteATerm, "changed its vote in term 2")
def changes_its_vote_in_memory(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2)
    for vote in (3, 2):
        node.raft.vote = vote
        invariant.on_step(node)


def refuse(
    invariant: Invariant,
    index: int,
    log_term: int,
    *,
    own_id: int = 1,
    context: bytes = b"",
    vote: int = 0,
) -> FakeNode:
    """Have a node refuse its vote in term 3 to node 2, whose log ends so; its own ends at 2 with an
    entry of term 2. Return it."""
    node = FakeNode(own_id).append(at(2, 2)).follow(3)
    node.raft.vote = vote
    ask = Message(
        MessageType.REQUEST_VOTE, to=1, from_=2, term=3, index=index, log_term=log_term,
        context=context,
    )  # fmt: skip
    no = Message(MessageType.REQUEST_VOTE_RESPONSE, to=2, from_=1, term=3, reject=True)
    invariant.on_send(FakeNode(2), ask)
    invariant.on_send(node, no)
    return node


@right(RefusesWithReason)
def refusals_that_have_a_reason(invariant: Invariant) -> None:
    refuse(invariant, 9, 1)
    refuse(invariant, 2, 2)
    refuse(invariant, 3, 2, vote=3)
    # What was asked in another term says nothing of this one.
    other = Message(MessageType.REQUEST_VOTE_RESPONSE, to=2, from_=1, term=4, reject=True)
    invariant.on_send(FakeNode(1).follow(4), other)


@right(RefusesWithReason)
def a_refusal_by_who_hears_of_its_removal_then(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(4).follow(3))
    refuse(invariant, 2, 2, own_id=4)


@right(RefusesWithReason)
def a_refusal_by_who_has_known_the_leader(invariant: Invariant) -> None:
    node = FakeNode(1).follow(3)
    node.raft.leader_id = 3
    invariant.on_step(node)
    refuse(invariant, 3, 2)


@wrong(RefusesWithReason, r"ends at 2 \(term 2\), refused .* node 2, whose log ends at 3 \(term 2")
def a_longer_log_is_refused(invariant: Invariant) -> None:
    refuse(invariant, 3, 2)


@wrong(RefusesWithReason, r"whose log ends at 1 \(term 3\)")
def a_shorter_log_of_a_later_term_is_refused(invariant: Invariant) -> None:
    refuse(invariant, 1, 3)


@wrong(RefusesWithReason, "has given it to nobody")
def whom_the_leader_has_chosen_is_refused(invariant: Invariant) -> None:
    refuse(invariant, 2, 2, context=CAMPAIGN_TRANSFER)


@wrong(RefusesWithReason, "node 4, whose log ends at 2")
def who_cannot_be_elected_refuses(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(4).follow(2))
    refuse(invariant, 2, 2, own_id=4)


@right(OnlyMembersLead)
def a_voter_leads(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2)
    invariant.on_step(node)
    node.raft.role = Role.FOLLOWER
    node.raft.restore_conf_state(ConfState((2, 3)), 1)
    invariant.on_step(node)


@right(OnlyMembersLead)
def a_leader_that_may_stay(invariant: Invariant) -> None:
    node = FakeNode(1, step_down_on_removal=False).lead(2)
    invariant.on_step(node)
    node.raft.restore_conf_state(ConfState((2, 3)), 1)
    invariant.on_step(node)


@wrong(OnlyMembersLead, "is no voter")
def a_stranger_leads(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(4).lead(2))


@wrong(OnlyMembersLead, "is no voter")
def a_removed_leader_stays(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2)
    invariant.on_step(node)
    node.raft.restore_conf_state(ConfState((2, 3)), 1)
    invariant.on_step(node)


@right(LeaseEndsWithTransfer)
def a_lease_until_the_transfer(invariant: Invariant) -> None:
    node = FakeNode(1, read_only_option=ReadOnlyOption.LEASE_BASED, check_quorum=True).lead(2)
    invariant.on_step(node)
    invariant.on_send(node, Message(MessageType.TIMEOUT_NOW, to=2, term=2))
    node.raft.read_only.end_lease()
    invariant.on_step(node)
    node.raft.read_only.drop_all()
    invariant.on_step(node.lead(5))


@wrong(LeaseEndsWithTransfer, "still trusts")
def a_lease_beyond_the_transfer(invariant: Invariant) -> None:
    node = FakeNode(1, read_only_option=ReadOnlyOption.LEASE_BASED, check_quorum=True).lead(2)
    invariant.on_send(node, Message(MessageType.TIMEOUT_NOW, to=2, term=2))
    invariant.on_step(node)


# -- logs -----------------------------------------------------------------------------------


@right(LeaderAppendOnly)
def a_leader_appends_and_a_follower_is_corrected(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2)
    for index in (2, 3, 4):
        invariant.on_step(node.append(at(index, 2)))
    node.follow(3).append(at(3, 3))
    invariant.on_step(node)
    invariant.on_step(node.lead(4).append(at(4, 4)))


@wrong(LeaderAppendOnly, "leader of term 2, replaced its entries from 2 on")
def a_leader_replaces(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2).append(at(2, 2), at(3, 2))
    invariant.on_step(node)
    invariant.on_step(node.append(at(2, 2, b"other"), at(3, 2)))


@wrong(LeaderAppendOnly, "replaced its entries from 3 on")
def a_leader_deletes(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2).append(at(2, 2), at(3, 2))
    invariant.on_step(node)
    node.raft.raft_log.unstable.entries.pop()
    invariant.on_step(node)


@right(LogMatching)
def logs_that_part_at_another_term(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(1).append(at(2, 2), at(3, 2)))
    invariant.on_step(FakeNode(2).append(at(2, 2), at(3, 3)))
    invariant.on_step(FakeNode(3).append(at(2, 2)))


@right(LogMatching)
def what_a_sole_voter_never_synced(invariant: Invariant) -> None:
    """It leads before its term is durable, and after a crash leads the same term again."""
    node = FakeNode(1).append(at(2, 2), durable=False)
    invariant.on_step(node)
    invariant.on_step(node.restart().append(at(2, 2, b"other")))


@wrong(LogMatching, "another one than elsewhere")
def what_became_durable_later(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), durable=False)
    invariant.on_step(node)
    node.disk.hard_state = HardState(2, 1, 1)
    invariant.on_step(node.append(at(3, 2)))
    invariant.on_step(FakeNode(2).append(at(2, 2, b"other")))


@wrong(LogMatching, "another one than elsewhere")
def the_same_place_with_other_data(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(1).append(at(2, 2)))
    invariant.on_step(FakeNode(2).append(at(2, 2, b"other")))


@wrong(LogMatching, "lies behind one of term 2 on node 2")
def the_same_entry_behind_another(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(1).append(at(2, 1), at(3, 3)))
    invariant.on_step(FakeNode(2).append(at(2, 2), at(3, 3)))


@wrong(LogMatching, "another one than elsewhere")
def a_place_that_was_overwritten_comes_back(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2))
    invariant.on_step(node)
    invariant.on_step(node.append(at(2, 3)))
    invariant.on_step(node.append(at(2, 2, b"other")))


@wrong(LogMatching, "entry 3 of term 1 lies behind one of term 2 on node 1")
def a_tail_that_stayed_behind_what_was_replaced(invariant: Invariant) -> None:
    """The end of the log is the same as before; only what was written last shows it."""
    node = FakeNode(1).append(at(2, 1), at(3, 1), at(4, 1)).hand_to_storage()
    invariant.on_step(node)
    log = node.raft.raft_log
    node.append(at(2, 2))
    node.stored.append([at(2, 2), at(3, 1), at(4, 1)])
    log.unstable.stable_entries(2, 2)
    assert log.last_index() == 4
    invariant.on_step(node)


@right(CutOnlyAtConflict)
def a_follower_is_corrected_and_another_leader_has_less(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2).append(at(2, 2), at(3, 2), at(4, 2))
    invariant.on_step(node)
    invariant.on_step(node.follow(3).append(at(3, 3)))
    # What the leader of term 3 replaced, the one of term 4 has again, and more it did not send.
    invariant.on_step(node.append(at(4, 3), at(5, 3)))
    invariant.on_step(node.follow(4).append(at(3, 3)))
    # A snapshot may take the place of the whole log.
    invariant.on_step(node.append(at(4, 4)))
    node.raft.raft_log.restore(snapshot(9, 4))
    invariant.on_step(node)


@wrong(CutOnlyAtConflict, "dropped the entries behind 3 in term 2")
def a_repeated_append_cuts_off_the_end(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2).append(at(2, 2), at(3, 2), at(4, 2))
    invariant.on_step(node)
    invariant.on_step(node.append(at(2, 2), at(3, 2)))


@right(LeaderCompleteness)
def a_leader_has_what_is_committed(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(1).lead(2).append(at(2, 2)).commit(2))
    invariant.on_step(FakeNode(2).append(at(2, 2), at(3, 3)).lead(3))
    # Elected before: what was committed later it need not have.
    invariant.on_step(FakeNode(3).append(at(2, 1)).lead(1))


@wrong(LeaderCompleteness, "without the entry 2 of term 2")
def a_leader_lacks_what_is_committed(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(1).lead(2).append(at(2, 2)).commit(2))
    invariant.on_step(FakeNode(2).append(at(2, 1)).lead(3))


@right(CommittedNeverChanges)
def everybody_commits_the_same(invariant: Invariant) -> None:
    for node in (FakeNode(1), FakeNode(2)):
        invariant.on_step(node.append(at(2, 2), at(3, 2)).commit(2))
        invariant.on_step(node.append(at(3, 3)).commit(3))


@wrong(CommittedNeverChanges, "index 2 was committed with an entry of term 2")
def two_commit_other_entries(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(1).append(at(2, 2)).commit(2))
    invariant.on_step(FakeNode(2).append(at(2, 3)).commit(2))


@wrong(CommittedNeverChanges, "node 1 replaced entries from 2 on")
def one_overwrites_what_it_committed(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2)).commit(2)
    invariant.on_step(node)
    invariant.on_step(node.append(at(2, 3)))


@wrong(CommittedNeverChanges, "commits one of term 3")
def a_process_comes_back_with_another_entry(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2)).commit(2)
    invariant.on_step(node)
    invariant.on_step(node.restart().append(at(2, 3)).commit(2))


@right(CommitsInOwnTerm)
def older_entries_commit_along_with_one_of_the_own_term(invariant: Invariant) -> None:
    """The way of the paper's figure 8 (e); and a follower commits whatever its leader says."""
    leader = FakeNode(1).append(at(2, 2), at(3, 2)).lead(4)
    invariant.on_step(leader.append(at(4, 4)))
    invariant.on_step(leader.commit(4))
    follower = FakeNode(2).append(at(2, 2), at(3, 2), at(4, 4)).follow(4)
    invariant.on_step(follower)
    invariant.on_step(follower.commit(3))


@right(CommitsInOwnTerm)
def a_commit_that_was_known_when_it_was_elected(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2)).follow(2)
    invariant.on_step(node)
    invariant.on_step(node.commit(3).lead(4).append(at(4, 4)))


@wrong(CommitsInOwnTerm, "leader of term 4, committed up to entry 2, which is of term 2")
def an_entry_of_an_older_term_commits_by_counting(invariant: Invariant) -> None:
    """The paper's figure 8 (c), before the crash that makes it (d)."""
    leader = FakeNode(1).append(at(2, 2)).lead(4)
    invariant.on_step(leader.append(at(3, 4)))
    invariant.on_step(leader.commit(2))


def leader_and_follower(invariant: Invariant) -> FakeNode:
    """Begin a story of a leader of term 3 and a follower, which have entry 2 alike; return it."""
    leader, follower = FakeNode(1).append(at(2, 2)), FakeNode(2).append(at(2, 2))
    for node in (leader, follower):
        invariant.on_start(node)
    invariant.on_step(leader.lead(3).append(at(3, 3)))
    invariant.on_step(follower.follow(3))
    return follower


def acknowledges(invariant: Invariant, node: FakeNode, index: int, term: int = 3) -> None:
    kind = MessageType.APPEND_RESPONSE
    invariant.on_send(node, Message(kind, from_=node.id, to=1, term=term, index=index))


@right(AcknowledgesWhatMatches)
def what_the_leader_has(invariant: Invariant) -> None:
    node = leader_and_follower(invariant)
    acknowledges(invariant, node, 2)
    invariant.on_step(node.append(at(3, 3)))
    acknowledges(invariant, node, 3)


@right(AcknowledgesWhatMatches)
def what_a_leader_of_an_older_term_had(invariant: Invariant) -> None:
    node = leader_and_follower(invariant).append(at(3, 2), at(4, 2))
    acknowledges(invariant, node, 4, term=2)
    refusal = Message(MessageType.APPEND_RESPONSE, to=1, term=3, index=4, reject=True)
    invariant.on_send(node, refusal)


@wrong(AcknowledgesWhatMatches, r"acknowledges 3 \(term 2\).* has term 3 there")
def another_entry_of_that_index(invariant: Invariant) -> None:
    acknowledges(invariant, leader_and_follower(invariant).append(at(3, 2)), 3)


@wrong(AcknowledgesWhatMatches, "has term None there and ends at 3")
def more_than_the_leader_has(invariant: Invariant) -> None:
    node = leader_and_follower(invariant).append(at(3, 3), at(4, 3))
    acknowledges(invariant, node, 4)


@right(KeepsWhatItAcknowledged)
def cut_by_the_leader_of_a_later_term(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2), at(3, 2))
    invariant.on_start(node)
    acknowledges(invariant, node, 3, term=2)
    acknowledges(invariant, node, 2, term=2)  # once more, late
    invariant.on_step(node.append(at(4, 2)))
    invariant.on_step(node.follow(3).append(at(2, 3)))


@right(KeepsWhatItAcknowledged)
def a_snapshot_of_more_than_was_acknowledged(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2))
    invariant.on_start(node)
    acknowledges(invariant, node, 2, term=2)
    node.raft.raft_log.restore(snapshot(5, 2))
    invariant.on_step(node)


@wrong(KeepsWhatItAcknowledged, "acknowledged 4 in term 2, and its log ends at 2")
def a_snapshot_that_takes_away_what_follows(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2), at(3, 2), at(4, 2))
    invariant.on_start(node)
    acknowledges(invariant, node, 4, term=2)
    node.raft.raft_log.restore(snapshot(2, 2))
    invariant.on_step(node)


@wrong(KeepsWhatItAcknowledged, "acknowledged 2 in term 2, and its log ends at 1")
def forgotten_over_a_restart(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2))
    invariant.on_start(node)
    acknowledges(invariant, node, 2, term=2)
    invariant.on_start(node.restart().follow(2))


@right(RetainsWhatASnapshotHas)
def a_snapshot_of_what_it_has_or_lacks(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2), at(3, 2))
    is_told(invariant, node, 2, 2)
    invariant.on_step(node.commit(2).append(at(4, 2)))
    is_told(invariant, node, 3, 3)
    node.raft.raft_log.restore(snapshot(3, 3))
    invariant.on_step(node)
    is_told(invariant, node, 1, 1)
    invariant.on_step(node)
    # The same once more, before it is on the disk: it has that already.
    is_told(invariant, node, 3, 3)
    invariant.on_step(node)


@wrong(RetainsWhatASnapshotHas, "had entries 2 to 3, and replaced them by a snapshot of .* up to 2")
def a_snapshot_of_what_it_has_takes_its_place(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2), at(3, 2))
    is_told(invariant, node, 2, 2)
    node.raft.raft_log.restore(snapshot(2, 2))
    invariant.on_step(node)


def is_told(invariant: Invariant, node: FakeNode, index: int, term: int) -> None:
    kind, told = MessageType.SNAPSHOT, snapshot(index, term)
    invariant.on_receive(node, Message(kind, from_=1, to=2, term=node.raft.term, snapshot=told))


@right(PersistedIsDurable)
def counted_once_it_is_written(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2))
    invariant.on_start(node)
    log = node.raft.raft_log
    log.persisted = 2
    invariant.on_step(node.append(at(3, 2), durable=False))
    # A snapshot on its way to the disk takes its place, and then counts.
    log.restore(snapshot(5, 2))
    invariant.on_step(node)
    node.disk = FakeDisk(snapshot_index=5, before=(5, 2))
    log.persisted = 5
    invariant.on_step(node)


@wrong(PersistedIsDurable, r"up to 2 \(term 2\), and its disk has term None there")
def counted_before_it_is_written(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2), durable=False)
    node.raft.raft_log.persisted = 2
    invariant.on_step(node)


@wrong(PersistedIsDurable, r"up to 2 \(term 3\), and its disk has term 2 there")
def counted_for_what_it_takes_the_place_of(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2))
    node.raft.raft_log.persisted = 2
    invariant.on_step(node)
    invariant.on_step(node.append(at(2, 3), durable=False))


@wrong(PersistedIsDurable, "up to 3, and it ends at 2")
def counted_though_it_was_cut_off(invariant: Invariant) -> None:
    node = FakeNode(2).follow(2).append(at(2, 2), at(3, 2))
    node.raft.raft_log.persisted = 3
    invariant.on_step(node.append(at(2, 3)))


@right(DurableOnQuorum)
def two_disks_of_three(invariant: Invariant) -> None:
    leader, other, third = FakeNode(1).lead(2), FakeNode(2), FakeNode(3)
    for node in (leader, other, third):
        invariant.on_start(node)
    # Its own disk may be the slow one (thesis 10.2.1).
    leader.append(at(2, 2), durable=False)
    for node in (other, third):
        node.append(at(2, 2))
    invariant.on_step(leader)
    invariant.on_step(leader.commit(2))


@right(DurableOnQuorum)
def a_snapshot_counts(invariant: Invariant) -> None:
    leader, other, third = FakeNode(1).lead(2), FakeNode(2), FakeNode(3)
    for node in (leader, other, third):
        invariant.on_start(node)
    other.disk = FakeDisk(snapshot_index=5, before=(5, 2))
    invariant.on_step(leader.append(at(2, 2)))
    invariant.on_step(leader.commit(2))


@wrong(DurableOnQuorum, re.escape("only the disks of [1] have"))
def one_disk_of_three(invariant: Invariant) -> None:
    leader, other, third = FakeNode(1).lead(2), FakeNode(2), FakeNode(3)
    for node in (leader, other, third):
        invariant.on_start(node)
    other.append(at(2, 2), durable=False)
    invariant.on_step(leader.append(at(2, 2)))
    invariant.on_step(leader.commit(2))


@right(DurableOnQuorum)
def a_majority_of_both_halves(invariant: Invariant) -> None:
    leader, other, third = joint_commit(invariant)
    for node in (other, third):
        node.append(at(2, 2))
    invariant.on_step(leader.commit(2))


@wrong(DurableOnQuorum, re.escape("only the disks of [1, 4] have"))
def a_majority_of_the_incoming_half_alone(invariant: Invariant) -> None:
    leader, other, _ = joint_commit(invariant)
    other.append(at(2, 2))
    invariant.on_step(leader.commit(2))


def joint_commit(invariant: Invariant) -> tuple[FakeNode, FakeNode, FakeNode]:
    """Begin a story of nodes 1, 4 and 2, in which node 1 leads and has an entry not committed."""
    leader, other, third = FakeNode(1).lead(2), FakeNode(4), FakeNode(2)
    for node in (leader, other, third, FakeNode(3)):
        invariant.on_start(configured(node, (1, 4), (1, 2, 3)))
    invariant.on_step(leader.append(at(2, 2)))
    return leader, other, third


# -- what is applied ------------------------------------------------------------------------


@right(StateMachineSafety)
def all_apply_the_same(invariant: Invariant) -> None:
    one, two = FakeNode(1), FakeNode(2)
    for node in (one, two):
        invariant.on_start(node)
        invariant.on_apply(node, [at(2, 2), at(4, 2)], [b"", b""])
    invariant.on_restore(one, 9)
    invariant.on_apply(one, [at(10, 3)], [b""])
    invariant.on_start(two.restart())
    invariant.on_apply(two, [at(2, 2)], [b""])


@wrong(StateMachineSafety, "another entry 2")
def two_apply_other_entries(invariant: Invariant) -> None:
    invariant.on_apply(FakeNode(1), [at(2, 2)], [b""])
    invariant.on_apply(FakeNode(2), [at(2, 2, b"other")], [b""])


@wrong(StateMachineSafety, "twice, or out of order")
def one_applies_twice(invariant: Invariant) -> None:
    for _ in range(2):
        invariant.on_apply(FakeNode(1), [at(2, 2)], [b""])


@wrong(StateMachineSafety, "left out entry 3")
def one_leaves_an_entry_out(invariant: Invariant) -> None:
    invariant.on_apply(FakeNode(1), [at(2, 2), at(3, 2)], [b"", b""])
    invariant.on_apply(FakeNode(2), [at(2, 2), at(4, 2)], [b"", b""])


@wrong(StateMachineSafety, "another left it out")
def one_has_an_entry_more(invariant: Invariant) -> None:
    invariant.on_apply(FakeNode(1), [at(2, 2), at(4, 2)], [b"", b""])
    invariant.on_apply(FakeNode(2), [at(2, 2), at(3, 2)], [b"", b""])


@right(DeterministicResults)
def the_same_result(invariant: Invariant) -> None:
    for node_id in (1, 2):
        invariant.on_apply(FakeNode(node_id), [at(2, 2), at(3, 2)], [b"a", b"b"])


@wrong(DeterministicResults, "gave b'a' on one node and b'b' on node 2")
def another_result(invariant: Invariant) -> None:
    invariant.on_apply(FakeNode(1), [at(2, 2)], [b"a"])
    invariant.on_apply(FakeNode(2), [at(2, 2)], [b"b"])


@right(SyncBeforeApply)
def committed_and_durable(invariant: Invariant) -> None:
    invariant.on_apply(FakeNode(1).append(at(2, 2)).commit(2), [at(2, 2)], [b""])
    early = FakeNode(1).append(at(2, 2), durable=False).commit(2)
    early.raft.max_apply_unpersisted_log_limit = 10
    invariant.on_apply(early, [at(2, 2)], [b""])


@wrong(SyncBeforeApply, "knows only of 1 to be committed")
def applied_before_commit(invariant: Invariant) -> None:
    invariant.on_apply(FakeNode(1).append(at(2, 2)), [at(2, 2)], [b""])


@wrong(SyncBeforeApply, "its disk has term None there")
def applied_before_sync(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), durable=False).commit(2)
    invariant.on_apply(node, [at(2, 2)], [b""])


@right(HandsOutWhatIsDurable)
def a_follower_hands_out_what_it_has_written(invariant: Invariant) -> None:
    node = FakeNode(1).follow(1).append(at(2, 1))
    invariant.on_step(node.commit(2).hand_out(2))
    invariant.on_step(node.append(at(3, 1), durable=False).commit(3))


@right(HandsOutWhatIsDurable)
def a_leader_hands_out_before_its_disk_is_done(invariant: Invariant) -> None:
    node = FakeNode(1).lead(1).append(at(2, 1), at(3, 1), durable=False)
    invariant.on_step(node.commit(2).hand_out(2))
    # It removes itself by the next, and so steps down.
    invariant.on_step(node.commit(3).hand_out(3).follow(1))
    invariant.on_step(node)


@wrong(HandsOutWhatIsDurable, "handed out entry 2 of term 2, and its disk has term None there")
def one_that_led_hands_out_before_its_disk_is_done(invariant: Invariant) -> None:
    node = FakeNode(1).lead(1)
    invariant.on_step(node)
    invariant.on_step(node.follow(2).append(at(2, 2), durable=False))
    invariant.on_step(node.commit(2).hand_out(2))


@wrong(HandsOutWhatIsDurable, "handed out entry 2 of term 2, and its disk has term 1 there")
def one_hands_out_what_is_to_replace_what_its_disk_has(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 1)).follow(2).append(at(2, 2), durable=False)
    invariant.on_step(node.commit(2).hand_out(2))


# -- what never goes back -------------------------------------------------------------------


@right(MonotonicTerm)
def terms_rise(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_start(node)
    for term in (1, 2, 5):
        node.follow(term).disk.hard_state = HardState(term - 1)
        invariant.on_step(node)
    # What nobody heard of may be lost with the memory; a refusal and a pre-vote bind nobody.
    refusal = Message(MessageType.APPEND_RESPONSE, to=2, term=5, reject=True)
    invariant.on_send(node, refusal)
    invariant.on_send(node, Message(MessageType.REQUEST_PRE_VOTE, to=2, term=6))
    invariant.on_start(node.restart().follow(4))


@wrong(MonotonicTerm, "went back from term 3 to 2")
def a_term_falls(invariant: Invariant) -> None:
    for term in (3, 2):
        invariant.on_step(FakeNode(1).follow(term))


@wrong(MonotonicTerm, "came back in term 1, and had been in 3")
def a_durable_term_is_forgotten(invariant: Invariant) -> None:
    node = FakeNode(1).follow(3)
    node.disk.hard_state = HardState(3)
    invariant.on_step(node)
    invariant.on_start(node.restart())


@wrong(MonotonicTerm, "came back in term 1, and had been in 4")
def a_term_that_was_told_is_forgotten(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_send(node, Message(MessageType.APPEND_RESPONSE, to=2, term=4))
    invariant.on_start(node.restart())


@wrong(MonotonicTerm, "the disk of node 1 went back from term 3 to 2")
def a_disk_goes_back_a_term(invariant: Invariant) -> None:
    node = FakeNode(1).follow(3)
    for term in (3, 2):
        node.disk.hard_state = HardState(term)
        invariant.on_step(node)


@right(MonotonicCommit)
def commits_rise(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2))
    invariant.on_step(node.commit(2))
    invariant.on_step(node.commit(3))
    # Only what was written is known after a restart.
    invariant.on_start(node.restart())


@wrong(MonotonicCommit, "fell from 3 to 2")
def a_commit_falls(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2))
    invariant.on_step(node.commit(3))
    invariant.on_step(node.commit(2))


@wrong(MonotonicCommit, "came back with 1 committed, its disk had 3")
def a_durable_commit_is_forgotten(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2)).commit(3)
    node.disk.hard_state = HardState(2, 0, 3)
    invariant.on_step(node)
    invariant.on_start(node.restart())


@wrong(MonotonicCommit, "on disk of node 1 fell from 3 to 2")
def a_disk_goes_back_a_commit(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2)).commit(3)
    for commit in (3, 2):
        node.disk.hard_state = HardState(2, 0, commit)
        invariant.on_step(node)


@right(MonotonicApplied)
def applied_rises(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_start(node)
    for applied in (1, 2, 5):
        node.applied = applied
        invariant.on_step(node.hand_out(applied + 1))
    invariant.on_start(node.restart())
    invariant.on_step(node)


@wrong(MonotonicApplied, "had handed out 1 and applied 5, and now 1 and 4")
def applied_falls(invariant: Invariant) -> None:
    node = FakeNode(1)
    for applied in (5, 4):
        node.applied = applied
        invariant.on_step(node)


@wrong(MonotonicApplied, "had handed out 5 and applied 1, and now 4 and 1")
def handed_out_falls(invariant: Invariant) -> None:
    for index in (5, 4):
        invariant.on_step(FakeNode(1).hand_out(index))


@right(OrderOfIndexes)
def indexes_in_order(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2), at(4, 2)).commit(3).hand_out(3)
    node.applied = 2
    invariant.on_step(node)
    invariant.on_apply(node, [at(2, 2), at(3, 2)], [b"", b""])


@right(OrderOfIndexes)
def a_snapshot_of_others_goes_ahead(invariant: Invariant) -> None:
    node = FakeNode(1)
    node.disk.snapshot_index = node.applied = 1
    invariant.on_start(node)
    invariant.on_restore(node, 1)
    node.raft.raft_log.restore(snapshot(5, 2))
    invariant.on_step(node)
    node.disk = FakeDisk(snapshot_index=5, before=(5, 2))
    node.raft.raft_log.unstable.stable_snap(5)
    node.stored.apply_snapshot(snapshot(5, 2))
    invariant.on_step(node.hand_out(5))
    invariant.on_restore(node, 5)
    node.applied = 5
    invariant.on_step(node)
    invariant.on_apply(node, [at(6, 2)], [b""])


@right(OrderOfIndexes)
def a_new_process_takes_its_snapshot_in(invariant: Invariant) -> None:
    node = FakeNode(1)
    node.applied = 0
    invariant.on_start(node)
    invariant.on_step(node)
    invariant.on_restore(node, 1)
    invariant.on_apply(node, [at(2, 2), at(3, 2)], [b"", b""])
    invariant.on_apply(node, [at(4, 2)], [b""])


@wrong(OrderOfIndexes, "snapshot 3, applied 2")
def a_snapshot_of_what_was_not_applied(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_start(node)
    node.append(at(2, 2), at(3, 2)).commit(3).hand_out(3)
    node.applied = 2
    node.disk.snapshot_index = 3
    invariant.on_step(node)


@wrong(OrderOfIndexes, re.escape("which had 2, got the entries [4]"))
def an_entry_left_out(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_start(node)
    invariant.on_restore(node, 1)
    invariant.on_apply(node, [at(2, 2)], [b""])
    invariant.on_apply(node, [at(4, 2)], [b""])


@wrong(OrderOfIndexes, re.escape("which had 0, got the entries [2]"))
def a_snapshot_that_was_never_taken_in(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_start(node)
    invariant.on_apply(node, [at(2, 2)], [b""])


@wrong(OrderOfIndexes, "purged 3, snapshot 2")
def purged_beyond_the_snapshot(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2), at(4, 2)).commit(4).hand_out(4)
    node.disk = FakeDisk(snapshot_index=2, before=(3, 2), terms=[2])
    invariant.on_step(node)


@wrong(OrderOfIndexes, "snapshot 3")
def a_snapshot_beyond_the_commit(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2)).commit(2).hand_out(2)
    node.disk.snapshot_index = 3
    invariant.on_step(node)


@wrong(OrderOfIndexes, "applied 3, handed out 2")
def applied_beyond_what_was_handed_out(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2), at(3, 2)).commit(3).hand_out(2)
    node.applied = 3
    invariant.on_step(node)


@wrong(OrderOfIndexes, "committed 3, last 2")
def committed_beyond_the_end(invariant: Invariant) -> None:
    invariant.on_step(FakeNode(1).append(at(2, 2)).commit(3))


@wrong(OrderOfIndexes, re.escape("got the entries [3, 2]"))
def applied_out_of_order(invariant: Invariant) -> None:
    invariant.on_apply(FakeNode(1), [at(3, 2), at(2, 2)], [b"", b""])


# -- what leaves a node ---------------------------------------------------------------------


def voted(term: int, vote: int) -> FakeNode:
    node = FakeNode(1).follow(term)
    node.disk.hard_state = HardState(term, vote, 1)
    return node


@right(SyncBeforeSend)
def durable_votes_and_acknowledgements(invariant: Invariant) -> None:
    invariant.on_send(voted(2, 3), Message(MessageType.REQUEST_VOTE_RESPONSE, to=3, term=2))
    invariant.on_send(voted(2, 1), Message(MessageType.REQUEST_VOTE, to=3, term=2))
    # Its disk is in a later term, and it will not vote in this one again.
    invariant.on_send(voted(3, 2), Message(MessageType.REQUEST_VOTE_RESPONSE, to=3, term=2))
    node = voted(2, 3).append(at(2, 2))
    invariant.on_send(node, Message(MessageType.APPEND_RESPONSE, to=3, term=2, index=2))
    invariant.on_send(
        node, Message(MessageType.APPEND_RESPONSE, to=3, term=2, index=9, reject=True)
    )
    node.disk.snapshot_index = 7
    invariant.on_send(node, Message(MessageType.APPEND_RESPONSE, to=3, term=2, index=7))
    invariant.on_send(voted(2, 1), Message(MessageType.HEARTBEAT, to=3, term=2))


@wrong(SyncBeforeSend, "votes for 3 in term 2, but its disk has term 1")
def a_vote_before_its_sync(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2)
    invariant.on_send(node, Message(MessageType.REQUEST_VOTE_RESPONSE, to=3, term=2))


@wrong(SyncBeforeSend, "votes for 3 in term 2, but its disk has term 2 with a vote for 2")
def another_vote_than_the_disk_has(invariant: Invariant) -> None:
    invariant.on_send(voted(2, 2), Message(MessageType.REQUEST_VOTE_RESPONSE, to=3, term=2))


@wrong(SyncBeforeSend, "asks for votes in term 2")
def a_campaign_before_its_own_vote(invariant: Invariant) -> None:
    invariant.on_send(voted(2, 0), Message(MessageType.REQUEST_VOTE, to=3, term=2))


@wrong(SyncBeforeSend, "acknowledges 2 .* ends at 1")
def an_acknowledgement_before_its_sync(invariant: Invariant) -> None:
    node = voted(2, 3).append(at(2, 2), durable=False)
    invariant.on_send(node, Message(MessageType.APPEND_RESPONSE, to=3, term=2, index=2))


@wrong(SyncBeforeSend, re.escape("acknowledges 2 (term 2) in term 2, but its disk has term 1"))
def an_acknowledgement_of_another_entry(invariant: Invariant) -> None:
    node = voted(2, 3).append(at(2, 2))
    node.disk.terms = [1]
    invariant.on_send(node, Message(MessageType.APPEND_RESPONSE, to=3, term=2, index=2))


@wrong(SyncBeforeSend, "acknowledges 1 in term 2, but its disk knows only term 1")
def an_acknowledgement_in_a_term_that_could_be_forgotten(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2)
    invariant.on_send(node, Message(MessageType.APPEND_RESPONSE, to=3, term=2, index=1))


@wrong(SyncBeforeSend, "could lead this term twice")
def a_reign_that_could_be_forgotten(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2)
    node.disk.hard_state = HardState(1)
    invariant.on_send(node, Message(MessageType.APPEND, to=3, term=2, index=1))


# -- what is known of configurations --------------------------------------------------------


def knows_of_a_change(invariant: Invariant, upto: int) -> FakeNode:
    """Return a node that knows of a commit up to `upto`, and of a change at 3."""
    node = FakeNode(1)
    invariant.on_start(node)
    node.append(at(2, 2), change(3, (ADD, 4)), at(4, 2)).commit(upto)
    invariant.on_step(node)
    return node


def answer(commit: int, kind: MessageType = MessageType.APPEND_RESPONSE) -> Message:
    return Message(kind, to=2, term=2, index=4, commit=commit)


@right(AdmitsWhatIsDurable)
def an_answer_of_what_is_durable(invariant: Invariant) -> None:
    node = knows_of_a_change(invariant, 4)
    invariant.on_send(node, answer(2))
    # Who leads, or asks for votes, tells others what to look for: it does not count as known.
    invariant.on_send(node, answer(4, MessageType.HEARTBEAT))
    invariant.on_send(node, answer(4, MessageType.REQUEST_VOTE))
    node.disk.membership = Membership(index=3)
    invariant.on_send(node, answer(4))
    invariant.on_send(node, answer(4, MessageType.HEARTBEAT_RESPONSE))


@wrong(AdmitsWhatIsDurable, "knows 3 to be committed.* membership of 1, and not that of 3")
def an_answer_of_a_change_before_its_sync(invariant: Invariant) -> None:
    invariant.on_send(knows_of_a_change(invariant, 4), answer(3))


@wrong(AdmitsWhatIsDurable, "knows 4 to be committed.* membership of 1, and not that of 3")
def a_heartbeat_answered_before_the_sync_of_a_change(invariant: Invariant) -> None:
    invariant.on_send(knows_of_a_change(invariant, 4), answer(4, MessageType.HEARTBEAT_RESPONSE))


# -- configurations -------------------------------------------------------------------------

ADD, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE
EXPLICIT = ConfChangeTransition.EXPLICIT


def change(index: int, *singles: tuple[ConfChangeType, int]) -> Entry:
    """A change through a joint configuration, or, without `singles`, out of it."""
    transition = EXPLICIT if singles else ConfChangeTransition.AUTO
    changes = tuple(ConfChangeSingle(*single) for single in singles)
    data = encode_conf_change_v2(ConfChangeV2(transition, changes))
    return at(index, 2, data, entry_type=EntryType.CONF_CHANGE_V2)


def configured(node: FakeNode, voters: tuple[int, ...], outgoing: tuple[int, ...] = ()) -> FakeNode:
    node.raft.restore_conf_state(ConfState(voters, voters_outgoing=outgoing), 1)
    return node


@right(ConfigurationsOverlap)
@right(ConfigurationFollowsLog)
def all_are_replaced_through_a_joint_configuration(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_start(node)
    many = [(kind, i) for kind, ids in [(ADD, (4, 5, 6)), (REMOVE, (1, 2, 3))] for i in ids]
    configured(node.append(change(2, *many)).commit(2).hand_out(2), (4, 5, 6), (1, 2, 3))
    invariant.on_step(node)
    configured(node.append(change(3)).commit(3).hand_out(3), (4, 5, 6))
    invariant.on_step(node)


@wrong(ConfigurationsOverlap, "have no node in common")
def all_are_replaced_at_once(invariant: Invariant) -> None:
    assert isinstance(invariant, ConfigurationsOverlap)
    node = FakeNode(1)
    invariant.on_start(node)
    known = invariant.watch.committed.configurations
    known.sequence.append(configured(FakeNode(4), (4, 5, 6)).raft.tracker.conf)
    invariant.on_step(node.append(at(2, 2)).commit(2))


@right(ChangesAfterOwnCommit)
def a_change_after_an_entry_of_its_term(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2).append(at(2, 2))
    invariant.on_start(node)
    invariant.on_step(node.commit(2).hand_out(2))
    invariant.on_step(node.append(change(3, (ADD, 4))))


@right(ChangesAfterOwnCommit)
def a_change_of_a_leader_before_it(invariant: Invariant) -> None:
    node = FakeNode(1).follow(2)
    invariant.on_start(node)
    invariant.on_step(node.append(change(2, (ADD, 4))))
    invariant.on_step(node.lead(3).append(at(3, 3)))


@right(ChangesAfterOwnCommit)
def a_new_leader_leaves_a_joint_configuration(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2).append(at(2, 2))
    invariant.on_start(node)
    invariant.on_step(node.append(change(3)))


@wrong(ChangesAfterOwnCommit, "began a change at 3, and had committed only up to 1")
def a_change_before_an_entry_of_its_term(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2).append(at(2, 2))
    invariant.on_start(node)
    invariant.on_step(node)
    invariant.on_step(node.append(change(3, (ADD, 4))))


@right(OneChangeAtATime)
def a_leader_makes_one_change_after_the_other(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2)
    invariant.on_start(node)
    invariant.on_step(node.append(change(2, (ADD, 4))).commit(2).hand_out(2))
    invariant.on_step(node.append(change(3, (ADD, 5))))


@right(OneChangeAtATime)
def a_new_leader_finds_several_changes(invariant: Invariant) -> None:
    node = FakeNode(1).append(change(2, (ADD, 4)), change(3, (ADD, 5)))
    invariant.on_start(node)
    invariant.on_step(node.lead(3).append(at(4, 3)).commit(4).hand_out(3))
    invariant.on_step(node.append(replace(change(5, (ADD, 6)), term=3)))


@wrong(OneChangeAtATime, "leader of term 2, began a change at 4 while that at 2 was not in force")
def a_leader_makes_two_changes_at_once(invariant: Invariant) -> None:
    node = FakeNode(1).lead(2)
    invariant.on_start(node)
    invariant.on_step(node.append(change(2, (ADD, 4))))
    invariant.on_step(node.append(at(3, 2), change(4, (ADD, 5))).commit(2))


@wrong(OneChangeAtATime, "while that at 2 was not in force")
def a_new_leader_does_not_wait_for_an_old_change(invariant: Invariant) -> None:
    node = FakeNode(1).append(change(2, (ADD, 4)))
    invariant.on_start(node)
    node.lead(3).append(at(3, 3), replace(change(4, (ADD, 5)), term=3))
    invariant.on_step(node.commit(3))


@wrong(ConfigurationFollowsLog, r"voters=\(1, 2, 3\).*leads to.*voters_outgoing=\(1, 2, 3\)")
def a_change_is_lost(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_start(node)
    invariant.on_step(node.append(change(2, (ADD, 4))).commit(2).hand_out(2))


@wrong(ConfigurationFollowsLog, "node 1 has")
def a_change_is_in_force_before_its_commit(invariant: Invariant) -> None:
    node = FakeNode(1)
    invariant.on_start(node)
    invariant.on_step(configured(node.append(change(2, (ADD, 4))), (1, 2, 3, 4), (1, 2, 3)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("123", "1234", True),
        ("1234", "123", True),
        ("1", "12", True),
        ("123", "12345", False),
        ("1", "2", False),
        ("123", "456", False),
        ("123", "456/123", True),
        ("456/123", "456", True),
        ("456/123", "789/456", True),
        ("456/123", "789", False),
        ("1234567", "1234589", False),
    ],
)
def test_quorums_overlap(before: str, after: str, *, expected: bool) -> None:
    def halves(text: str) -> tuple[frozenset[int], frozenset[int]]:
        incoming, _, outgoing = text.partition("/")
        return frozenset(map(int, incoming)), frozenset(map(int, outgoing))

    assert overlap(halves(before), halves(after)) is expected


# -- votes, counts and reads ----------------------------------------------------------------


def vote_for(
    invariant: Invariant, index: int, log_term: int, *, node: FakeNode | None = None
) -> None:
    """Have a node vote in term 3 for node 2, whose log ends so; its own ends at 2 with an entry of
    term 2, if it is none other."""
    if node is None:
        node = FakeNode(1).append(at(2, 2)).follow(3)
    ask = Message(MessageType.REQUEST_VOTE, to=1, from_=2, term=3, index=index, log_term=log_term)
    invariant.on_send(FakeNode(2), ask)
    invariant.on_send(node, Message(MessageType.REQUEST_VOTE_RESPONSE, to=2, from_=1, term=3))


@right(VotesForUpToDate)
def votes_for_logs_that_are_not_behind(invariant: Invariant) -> None:
    vote_for(invariant, 2, 2)
    vote_for(invariant, 3, 2)
    # A shorter log of a later term.
    vote_for(invariant, 1, 3)
    # A refusal says nothing.
    no = Message(MessageType.REQUEST_VOTE_RESPONSE, to=2, from_=1, term=3, reject=True)
    invariant.on_send(FakeNode(1).append(at(2, 2), at(3, 2)).follow(3), no)


@right(VotesForUpToDate)
def a_vote_that_leaves_after_the_leader_was_heard(invariant: Invariant) -> None:
    node = FakeNode(1).append(at(2, 2)).follow(3)
    node.raft.leader_id = 2
    invariant.on_step(node)
    node.raft.leader_id = 0
    vote_for(invariant, 1, 1, node=node)


@right(VotesForUpToDate)
def a_vote_of_a_term_that_is_over(invariant: Invariant) -> None:
    vote_for(invariant, 1, 1, node=FakeNode(1).append(at(2, 2)).follow(4))


@wrong(VotesForUpToDate, r"ends at 2 \(term 2\), votes in term 3 for node 2, whose log ends at 9")
def a_vote_for_a_longer_log_of_an_older_term(invariant: Invariant) -> None:
    vote_for(invariant, 9, 1)


@wrong(VotesForUpToDate, r"whose log ends at 1 \(term 2\)")
def a_vote_for_a_shorter_log(invariant: Invariant) -> None:
    vote_for(invariant, 1, 2)


def told(invariant: Invariant, node: FakeNode, index: int, **fields: Any) -> None:
    """Let `node`, which leads term 3, receive an answer of node 2 in that term."""
    fields = {"term": 3, **fields}
    answer = Message(MessageType.APPEND_RESPONSE, to=1, from_=2, index=index, **fields)
    invariant.on_receive(node, answer)


def takes(node: FakeNode, index: int) -> FakeNode:
    """Let a leader take node 2 to have its log up to `index`."""
    node.raft.tracker.progress[2].matched = index
    return node


@right(CountsWhatWasAcknowledged)
def a_leader_counts_what_it_was_told(invariant: Invariant) -> None:
    node = FakeNode(1).lead(3)
    invariant.on_step(node)
    told(invariant, node, 4)
    told(invariant, node, 2)
    invariant.on_step(takes(node, 4))
    # Who wants a snapshot acknowledges its log.
    told(invariant, node, 4, reject=True, reject_hint=6, request_snapshot=5)
    invariant.on_step(takes(node, 6))
    # Its own log it knows, and who leads no more counts nothing.
    node.raft.tracker.progress[1].matched = 9
    invariant.on_step(node)
    invariant.on_step(takes(node.follow(4), 9))


@wrong(CountsWhatWasAcknowledged, "node 2 to have its log up to 4, and was told in that term of 0")
def a_leader_counts_what_it_knew_in_an_earlier_term(invariant: Invariant) -> None:
    node = FakeNode(1).lead(3)
    told(invariant, node, 4)
    invariant.on_step(takes(node, 4))
    invariant.on_step(node.lead(5))


@wrong(CountsWhatWasAcknowledged, "up to 4, and was told in that term of 0")
def a_leader_counts_a_rejection(invariant: Invariant) -> None:
    node = FakeNode(1).lead(3)
    told(invariant, node, 4, reject=True, reject_hint=4)
    invariant.on_step(takes(node, 4))


@wrong(CountsWhatWasAcknowledged, "up to 4, and was told in that term of 3")
def a_leader_counts_what_was_told_in_an_older_term(invariant: Invariant) -> None:
    node = FakeNode(1).lead(3)
    told(invariant, node, 3)
    told(invariant, node, 4, term=2)
    invariant.on_step(takes(node, 4))


class Reader:
    """Node 1, which leads term 3 of a cluster of five that know of commits up to 4."""

    def __init__(self, invariant: Invariant, **settings: Any) -> None:
        self.invariant = invariant
        self.node = FakeNode(1, voters=(1, 2, 3, 4, 5), **settings).lead(3).commit(4)

    def ask(self, context: bytes = b"read") -> None:
        asked = Message(MessageType.READ_INDEX, entries=[Entry(data=context)])
        self.invariant.on_receive(self.node, asked)

    def beat(self, token: bytes) -> None:
        for node_id in (2, 3, 4, 5):
            beat = Message(MessageType.HEARTBEAT, to=node_id, from_=1, term=3, context=token)
            self.invariant.on_send(self.node, beat)

    def hear(self, token: bytes, *voters: int, term: int = 3) -> None:
        for node_id in voters:
            self.invariant.on_receive(
                self.node,
                Message(
                    MessageType.HEARTBEAT_RESPONSE, to=1, from_=node_id, term=term, context=token
                ),
            )

    def answer(self, index: int = 4, context: bytes = b"read") -> None:
        self.node.raft.read_states = [ReadState(index, context)]
        self.invariant.on_step(self.node)


@right(ReadsAreConfirmed)
def a_read_that_two_others_of_five_confirm(invariant: Invariant) -> None:
    reader = Reader(invariant)
    reader.ask()
    reader.beat(b"one")
    reader.hear(b"one", 2, 4)
    reader.answer()
    # It is still there at the next look, and by then the term may be another.
    reader.node.raft.term = 4
    invariant.on_step(reader.node)


@right(ReadsAreConfirmed)
def a_read_that_a_later_round_confirms(invariant: Invariant) -> None:
    reader = Reader(invariant)
    reader.ask()
    reader.beat(b"one")
    reader.ask(b"other")
    reader.beat(b"two")
    reader.hear(b"two", 3, 5)
    reader.answer()


@right(ReadsAreConfirmed)
def a_read_that_nobody_needs_to_confirm(invariant: Invariant) -> None:
    reader = Reader(invariant, read_only_option=ReadOnlyOption.LEASE_BASED, check_quorum=True)
    reader.ask()
    reader.answer()
    alone = Reader(invariant)
    configured(alone.node, (1,))
    alone.ask()
    alone.answer()


@right(ReadsAreConfirmed)
def a_read_by_a_lease_that_ends_in_the_same_step(invariant: Invariant) -> None:
    """Storm 213: a commit released the read, and then let the leader hand over."""
    reader = Reader(invariant, read_only_option=ReadOnlyOption.LEASE_BASED, check_quorum=True)
    reader.ask()
    reader.node.raft.read_only.end_lease()
    reader.answer()


@wrong(ReadsAreConfirmed, r"only \[\] answered")
def a_read_by_a_lease_that_ended_a_step_before(invariant: Invariant) -> None:
    reader = Reader(invariant, read_only_option=ReadOnlyOption.LEASE_BASED, check_quorum=True)
    reader.ask()
    reader.node.raft.read_only.end_lease()
    reader.invariant.on_receive(reader.node, Message(MessageType.APPEND_RESPONSE, from_=2, term=3))
    reader.answer()


@wrong(ReadsAreConfirmed, r"of what left after the read was asked only \[2\] answered")
def a_read_that_one_other_of_five_confirms(invariant: Invariant) -> None:
    reader = Reader(invariant)
    reader.ask()
    reader.beat(b"one")
    reader.hear(b"one", 2)
    reader.answer()


@wrong(ReadsAreConfirmed, r"only \[\] answered")
def a_read_that_only_a_lease_confirms(invariant: Invariant) -> None:
    reader = Reader(invariant)
    reader.ask()
    reader.answer()


@wrong(ReadsAreConfirmed, r"only \[2, 6\] answered")
def a_read_that_a_learner_confirms(invariant: Invariant) -> None:
    reader = Reader(invariant)
    reader.ask()
    reader.beat(b"one")
    reader.hear(b"one", 2, 6)
    reader.answer()


@wrong(ReadsAreConfirmed, r"only \[\] answered")
def a_read_that_a_round_of_before_confirms(invariant: Invariant) -> None:
    reader = Reader(invariant)
    reader.beat(b"one")
    reader.ask()
    # The same round once more says nothing new: its answers may be old.
    reader.beat(b"one")
    reader.hear(b"one", 2, 3, 4)
    reader.answer()


@wrong(ReadsAreConfirmed, r"only \[4\] answered")
def a_read_that_answers_of_an_older_term_confirm(invariant: Invariant) -> None:
    reader = Reader(invariant)
    reader.ask()
    reader.beat(b"one")
    reader.hear(b"one", 2, 3, term=2)
    reader.hear(b"one", 4)
    reader.answer()


@wrong(ReadsAreConfirmed, "a read with 3 in term 3, and knew 4 to be committed")
def a_read_of_less_than_was_committed(invariant: Invariant) -> None:
    reader = Reader(invariant)
    reader.ask()
    reader.beat(b"one")
    reader.hear(b"one", 2, 3)
    reader.answer(3)


# -- all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "story"), RIGHT, ids=lambda value: value.__name__)
def test_what_is_right_passes(kind: type[Invariant], story: Story) -> None:
    story(kind())


@pytest.mark.parametrize(
    ("kind", "complaint", "story"), WRONG, ids=lambda v: "" if isinstance(v, str) else v.__name__
)
def test_what_is_wrong_is_found(kind: type[Invariant], complaint: str, story: Story) -> None:
    with pytest.raises(InvariantViolation, match=complaint) as caught:
        story(kind())
    assert caught.value.name == kind.__name__
    assert caught.value.cites == kind.cites


def test_each_invariant_has_a_story_of_both_kinds() -> None:
    assert {kind for kind, _ in RIGHT} == {kind for kind, _, _ in WRONG} == set(ALL)


def test_together_they_see_a_cluster_work_and_fail() -> None:
    invariants = Invariants()
    nodes = [FakeNode(1), FakeNode(2), FakeNode(3)]
    for node in nodes:
        invariants.on_start(node)
    for node in nodes:
        node.append(at(2, 2)).follow(2).disk.hard_state = HardState(2, 1, 1)
        invariants.on_step(node)
    gave_votes(invariants, nodes[0], (3,))
    leader = nodes[0].lead(2).commit(2).hand_out(2)
    invariants.on_send(leader, Message(MessageType.APPEND, to=2, term=2, index=2, commit=2))
    invariants.on_step(leader)
    invariants.on_restore(leader, 1)
    invariants.on_apply(leader, [at(2, 2)], [b"done"])
    leader.applied = 2
    invariants.on_step(leader)
    with pytest.raises(InvariantViolation, match="CommittedNeverChanges"):
        invariants.on_step(nodes[1].append(replace(at(2, 2), term=3)).commit(2))


def test_together_each_looks_at_what_it_is_for() -> None:
    """Nobody is left out by sharing the look at the log."""
    for kind, complaint, story in WRONG:
        if kind is ConfigurationsOverlap:
            continue  # its story reaches into what it watches
        together = Invariants([kind])
        with pytest.raises(InvariantViolation, match=complaint):
            story(together)  # type: ignore[arg-type]  # an observer is all that a story needs


class Spy(Invariant):
    """Counts what it is shown."""

    cites = "here"
    judges_changes_alone = True

    def __init__(self) -> None:
        self.shown = 0

    def on_step(self, node: NodeView) -> None:
        self.shown += 1


class SpyOfEveryStep(Spy):
    judges_changes_alone = False


def set_hard_state(node: FakeNode) -> None:
    node.disk.hard_state = replace(node.disk.hard_state)


CHANGES: dict[str, Callable[[FakeNode], object]] = {
    "term": lambda node: setattr(node.raft, "term", 7),
    "vote": lambda node: setattr(node.raft, "vote", 3),
    "role": lambda node: setattr(node.raft, "role", Role.CANDIDATE),
    "process": lambda node: setattr(node, "incarnation", 2),
    "committed": lambda node: node.commit(2),
    "handed out": lambda node: node.hand_out(0),
    "applied": lambda node: setattr(node, "applied", 2),
    "log": lambda node: node.append(at(3, 1), durable=False),
    "last entry": lambda node: node.append(at(2, 1), durable=False),
    "log in storage": lambda node: node.hand_to_storage(),
    "written as it was": set_hard_state,
    "snapshot": lambda node: setattr(node.disk, "snapshot_index", 0),
    "purged": lambda node: setattr(node.disk, "before", (0, 0)),
    "configuration": lambda node: setattr(
        node.raft.tracker, "conf", replace(node.raft.tracker.conf)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_step_is_shown_if_anything_changed(change: Callable[[FakeNode], object]) -> None:
    together = Invariants([Spy, SpyOfEveryStep])
    on_change, always = together.members
    assert isinstance(on_change, Spy)
    assert isinstance(always, Spy)
    node = FakeNode().append(at(2, 1))
    together.on_start(node)
    together.on_step(node)
    assert (on_change.shown, always.shown) == (1, 2)
    change(node)
    together.on_step(node)
    assert (on_change.shown, always.shown) == (2, 3)


def test_what_could_not_be_looked_at_is_looked_at_again() -> None:
    """The disk failed while the invariants looked; nothing else happens before it works again."""

    class Failing(Spy):
        def on_step(self, node: NodeView) -> None:
            super().on_step(node)
            if self.shown == 1:
                raise StorageError("the disk fails")

    together = Invariants([Failing])
    node = FakeNode()
    for _ in range(3):
        together.on_step(node)
    (failing,) = together.members
    assert isinstance(failing, Spy)
    assert failing.shown == 2
