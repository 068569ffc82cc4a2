"""What a message of another term does before it is handled, if it is (paper §5.1)."""

from __future__ import annotations

from typing import Final

from raftify.core.raft_core import RaftCore
from raftify.core.types import INVALID_ID, Message, MessageType

#: Context of a vote request whose sender was told by the leader to take over.
CAMPAIGN_TRANSFER: Final = b"CampaignTransfer"

_VOTE_REQUESTS: Final = frozenset({MessageType.REQUEST_VOTE, MessageType.REQUEST_PRE_VOTE})
_FROM_LEADERS: Final = frozenset({MessageType.APPEND, MessageType.HEARTBEAT, MessageType.SNAPSHOT})


def admit(core: RaftCore, message: Message) -> bool:
    """Adjust to a message of another term; False if it is to be dropped."""
    if message.term > core.term:
        return _admit_newer(core, message)
    _answer_older(core, message)
    return False


def _admit_newer(core: RaftCore, message: Message) -> bool:
    msg_type = message.msg_type
    if msg_type in _VOTE_REQUESTS and message.context != CAMPAIGN_TRANSFER and _hears_leader(core):
        # A node that was removed, or cut off for a while, must not unseat a leader that works
        # (thesis 4.2.3).
        return False
    if msg_type is MessageType.REQUEST_PRE_VOTE or (
        msg_type is MessageType.REQUEST_PRE_VOTE_RESPONSE and not message.reject
    ):
        # The term is that of an election which may never be held.
        return True
    leader_id = message.from_ if msg_type in _FROM_LEADERS else INVALID_ID
    core.become_follower(message.term, leader_id)
    return True


def _hears_leader(core: RaftCore) -> bool:
    return (
        core.check_quorum
        and core.leader_id != INVALID_ID
        and core.election_elapsed < core.election_timeout
    )


def _answer_older(core: RaftCore, message: Message) -> None:
    if message.msg_type is MessageType.REQUEST_PRE_VOTE:
        # Its sender may have the longer log and be needed; told our term, it can win an election.
        core.send(
            Message(
                MessageType.REQUEST_PRE_VOTE_RESPONSE,
                to=message.from_,
                term=core.term,
                reject=True,
            )
        )
    elif message.msg_type in (MessageType.HEARTBEAT, MessageType.APPEND) and (
        core.check_quorum or core.pre_vote or core.leader_id == INVALID_ID
    ):
        # This node got ahead of the leader's term while it was cut off, and nobody listens to its
        # campaigns. The answer makes the leader step down and a common term possible. Without
        # quorum checks of its own raft-rs says nothing: but those of the others keep it out.
        core.send(Message(MessageType.APPEND_RESPONSE, to=message.from_))
