"""Campaigns and votes (paper §5.2, §5.4.1; pre-vote: thesis 9.6)."""

from __future__ import annotations

from typing import Final

from raftify.core.quorum import VoteResult
from raftify.core.raft_core import RaftCore
from raftify.core.replication import bcast_append
from raftify.core.terms import CAMPAIGN_TRANSFER
from raftify.core.types import INVALID_ID, Message, MessageType, Role
from raftify.errors import LogTemporarilyUnavailable

#: The kinds of campaign, as raft-rs names them.
CAMPAIGN_PRE_ELECTION: Final = b"CampaignPreElection"
CAMPAIGN_ELECTION: Final = b"CampaignElection"

_RESPONSES: Final = {
    MessageType.REQUEST_VOTE: MessageType.REQUEST_VOTE_RESPONSE,
    MessageType.REQUEST_PRE_VOTE: MessageType.REQUEST_PRE_VOTE_RESPONSE,
}


def campaign_blocker(core: RaftCore) -> str | None:
    """Say why this node would not campaign now; None if it would."""
    log = core.raft_log
    if core.role is Role.LEADER:
        return "it leads already"
    if not core.promotable:
        if not core.tracker.progress:
            return "it has no configuration yet; a leader must send it one"
        return "it is no voter of the configuration it knows"
    # A snapshot brought its configuration with it, even while its state is still being restored.
    # (raft-rs looks for entries that are gone as soon as the snapshot is stored, and fails.)
    first_index = max(log.applied + 1, log.first_index())
    try:
        if core.has_conf_change(first_index, log.committed + 1):
            return "a committed configuration change has yet to be applied"
    except LogTemporarilyUnavailable:
        return "storage is still fetching the entries that may change the configuration"
    if log.persisted < log.last_index() and core.tracker.decides_alone(core.id):
        # It would win at once, by a vote of its own that stands for entries not durable yet.
        return "its log is not durable yet"
    return None


def hup(core: RaftCore, *, transfer_leader: bool) -> None:
    """Campaign, unless something stands against it (see `campaign_blocker`)."""
    if campaign_blocker(core) is not None:
        return
    if transfer_leader:
        # No pre-vote: the leader itself wants it, so nothing is disturbed.
        campaign(core, CAMPAIGN_TRANSFER)
    elif core.pre_vote:
        campaign(core, CAMPAIGN_PRE_ELECTION)
    else:
        campaign(core, CAMPAIGN_ELECTION)


def handle_hup(core: RaftCore, _message: Message) -> None:
    """React to the election timeout."""
    hup(core, transfer_leader=False)


def campaign(core: RaftCore, kind: bytes) -> None:
    """Ask every voter for its (pre-)vote, the own one first."""
    if kind == CAMPAIGN_PRE_ELECTION:
        core.become_pre_candidate()
        msg_type = MessageType.REQUEST_PRE_VOTE
        # The term of the election that would follow.
        term = core.term + 1
    else:
        core.become_candidate()
        msg_type = MessageType.REQUEST_VOTE
        term = core.term
    if poll(core, core.id, granted=True) is VoteResult.WON:
        return
    log = core.raft_log
    commit, commit_term = log.commit_info()
    for voter in sorted(core.tracker.conf.voters.ids()):
        if voter == core.id:
            continue
        core.send(
            Message(
                msg_type,
                to=voter,
                term=term,
                index=log.last_index(),
                log_term=log.last_term(),
                commit=commit,
                commit_term=commit_term,
                context=kind if kind == CAMPAIGN_TRANSFER else b"",
            )
        )


def poll(core: RaftCore, from_: int, *, granted: bool) -> VoteResult:
    """Count a vote, and act if it decides the election."""
    core.tracker.record_vote(from_, granted=granted)
    result = core.tracker.vote_result()
    if result is VoteResult.WON:
        if core.role is Role.PRE_CANDIDATE:
            campaign(core, CAMPAIGN_ELECTION)
        else:
            core.become_leader()
            bcast_append(core)
    elif result is VoteResult.LOST:
        # A pre-vote's answer has the term of the election that will not be; the own one stays.
        core.become_follower(core.term, INVALID_ID)
    return result


def _goes_first(core: RaftCore, message: Message) -> bool:
    """Say whether this node rather stands for election itself: it has the higher priority, and can
    be elected wherever the sender can, as both logs end alike. Whom the leader has chosen goes
    before it."""
    log = core.raft_log
    return (
        core.priority > message.priority
        and message.context != CAMPAIGN_TRANSFER
        and core.promotable
        and (message.log_term, message.index) == (log.last_term(), log.last_index())
    )


def handle_vote_request(core: RaftCore, message: Message) -> None:
    """Give a (pre-)vote, or refuse it.

    Whether this node thinks itself a voter does not matter: it may have become one and not know it
    yet, and whoever asks counts only the votes of voters.
    """
    is_pre_vote = message.msg_type is MessageType.REQUEST_PRE_VOTE
    can_vote = (
        core.vote == message.from_
        or (core.vote == INVALID_ID and core.leader_id == INVALID_ID)
        or (is_pre_vote and message.term > core.term)
    )
    log = core.raft_log
    response = Message(_RESPONSES[message.msg_type], to=message.from_)
    if (
        can_vote
        and log.is_up_to_date(message.index, message.log_term)
        and not _goes_first(core, message)
    ):
        # The message's term: a pre-candidate's is ahead, and it would ignore an answer of ours.
        response.term = message.term
        core.send(response)
        if not is_pre_vote:
            core.election_elapsed = 0
            core.vote = message.from_
        return
    response.term = core.term
    response.reject = True
    response.commit, response.commit_term = log.commit_info()
    core.send(response)
    maybe_commit_by_vote(core, message)


def handle_vote_response(core: RaftCore, message: Message) -> None:
    """Count an answer to the present campaign."""
    poll(core, message.from_, granted=not message.reject)
    maybe_commit_by_vote(core, message)


def maybe_commit_by_vote(core: RaftCore, message: Message) -> None:
    """Learn what is committed from a campaign's messages; without a leader nobody else tells.

    A candidate that so learns of a configuration change gives up: who must vote may have changed.
    """
    if message.commit == 0 or message.commit_term == 0:
        return
    log = core.raft_log
    last_commit = log.committed
    if message.commit <= last_commit or core.role is Role.LEADER:
        return
    if not log.maybe_commit(message.commit, message.commit_term):
        return
    if core.role is Role.FOLLOWER:
        return
    if core.has_conf_change(last_commit + 1, log.committed + 1):
        core.become_follower(core.term, INVALID_ID)


def step_down(core: RaftCore) -> None:
    """Give up leadership. The term stays, so nobody else's vote is disturbed."""
    if core.role is Role.LEADER:
        core.become_follower(core.term, INVALID_ID)
