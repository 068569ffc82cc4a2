"""Which handler a role has for which message: the whole behaviour of a node in two tables."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from raftify.core import candidate, election, follower, leader, read_index, transfer
from raftify.core.heartbeat import handle_beat
from raftify.core.raft_core import Handler, HandlerTables
from raftify.core.replication import handle_append_response
from raftify.core.snapshot_handling import handle_snapshot_status
from raftify.core.terms import admit
from raftify.core.types import MessageType, Role

_EVERY_ROLE: Final[Mapping[MessageType, Handler]] = {
    MessageType.REQUEST_VOTE: election.handle_vote_request,
    MessageType.REQUEST_PRE_VOTE: election.handle_vote_request,
}

_FOLLOWER: Final[Mapping[MessageType, Handler]] = {
    **_EVERY_ROLE,
    MessageType.HUP: election.handle_hup,
    MessageType.PROPOSE: follower.handle_propose,
    MessageType.APPEND: follower.follower_append,
    MessageType.HEARTBEAT: follower.follower_heartbeat,
    MessageType.SNAPSHOT: follower.follower_snapshot,
    MessageType.TRANSFER_LEADER: transfer.handle_transfer_leader_as_follower,
    MessageType.TIMEOUT_NOW: transfer.handle_timeout_now,
    MessageType.READ_INDEX: read_index.handle_read_index_as_follower,
    MessageType.READ_INDEX_RESP: read_index.handle_read_index_response,
}

_ANY_CANDIDATE: Final[Mapping[MessageType, Handler]] = {
    **_EVERY_ROLE,
    MessageType.HUP: election.handle_hup,
    MessageType.PROPOSE: candidate.handle_propose,
    MessageType.APPEND: candidate.candidate_append,
    MessageType.HEARTBEAT: candidate.candidate_heartbeat,
    MessageType.SNAPSHOT: candidate.candidate_snapshot,
    MessageType.READ_INDEX: read_index.handle_read_index_as_candidate,
}

_LEADER: Final[Mapping[MessageType, Handler]] = {
    **_EVERY_ROLE,
    MessageType.BEAT: handle_beat,
    MessageType.CHECK_QUORUM: leader.handle_check_quorum,
    MessageType.PROPOSE: leader.handle_propose,
    MessageType.APPEND_RESPONSE: handle_append_response,
    MessageType.HEARTBEAT_RESPONSE: leader.handle_heartbeat_response,
    MessageType.SNAP_STATUS: handle_snapshot_status,
    MessageType.UNREACHABLE: leader.handle_unreachable,
    MessageType.TRANSFER_LEADER: transfer.handle_transfer_leader_as_leader,
    MessageType.READ_INDEX: read_index.handle_read_index_as_leader,
}

#: What each role does. A (pre-)candidate counts only answers to its own kind of campaign: an answer
#: to a pre-vote that comes late must not count as a vote (canonical/raft#196).
BY_ROLE: Final[Mapping[Role, Mapping[MessageType, Handler]]] = MappingProxyType(
    {
        Role.FOLLOWER: _FOLLOWER,
        Role.PRE_CANDIDATE: {
            **_ANY_CANDIDATE,
            MessageType.REQUEST_PRE_VOTE_RESPONSE: election.handle_vote_response,
        },
        Role.CANDIDATE: {
            **_ANY_CANDIDATE,
            MessageType.REQUEST_VOTE_RESPONSE: election.handle_vote_response,
        },
        Role.LEADER: _LEADER,
    }
)

_FOR_LEADERS: Final = frozenset(
    {
        MessageType.BEAT,
        MessageType.CHECK_QUORUM,
        MessageType.APPEND_RESPONSE,
        MessageType.HEARTBEAT_RESPONSE,
        MessageType.SNAP_STATUS,
        MessageType.UNREACHABLE,
    }
)
_FOR_ANY_CANDIDATE: Final = frozenset(
    {MessageType.REQUEST_VOTE_RESPONSE, MessageType.REQUEST_PRE_VOTE_RESPONSE}
)
#: Asked while a leader was known, and of no use to anybody in an election.
_PASSED_ON: Final = frozenset(
    {MessageType.TRANSFER_LEADER, MessageType.TIMEOUT_NOW, MessageType.READ_INDEX_RESP}
)

#: What each role ignores on purpose: answers and orders meant for what it was before.
IGNORED: Final[Mapping[Role, frozenset[MessageType]]] = MappingProxyType(
    {
        Role.FOLLOWER: _FOR_LEADERS | _FOR_ANY_CANDIDATE,
        Role.PRE_CANDIDATE: _FOR_LEADERS | _PASSED_ON | {MessageType.REQUEST_VOTE_RESPONSE},
        Role.CANDIDATE: _FOR_LEADERS | _PASSED_ON | {MessageType.REQUEST_PRE_VOTE_RESPONSE},
        Role.LEADER: _FOR_ANY_CANDIDATE
        | {
            MessageType.HUP,
            MessageType.APPEND,
            MessageType.HEARTBEAT,
            MessageType.SNAPSHOT,
            MessageType.TIMEOUT_NOW,
            MessageType.READ_INDEX_RESP,
        },
    }
)

HANDLERS: Final = HandlerTables(BY_ROLE, admit)
