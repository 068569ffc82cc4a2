"""Messages that contradict themselves or the log: each is refused before it changes anything.

What becomes of them is stated in docs/bad-input.md; `unharmed` expects a node that goes on.
"""

from __future__ import annotations

import pytest

from raftify.core.raw_node import RawNode
from raftify.core.types import ConfState, Message, MessageType, Role, Snapshot, SnapshotMetadata
from raftify.errors import MalformedMessage
from tests.core.network import append, entries, founded, lone, role, take
from tests.core.test_bad_input import FAR, OVERLAPPING, VOTERS, following, leading, unharmed

#: The term that `following` is in, and a later one, which must not be taken over either.
TERMS = [2, 7]
#: What follows the log of `following`, said to end in this term, in a message of term 2.
TERMS_THAT_CANNOT_BE = [
    pytest.param(2, [1], id="falls below the log's"),
    pytest.param(1, [2, 1], id="falls"),
    pytest.param(1, [2, 1, 2], id="falls and rises again"),
    pytest.param(2, [8], id="above the message's"),
    pytest.param(2, [2, 8, 8], id="above the message's, later"),
    pytest.param(8, [8], id="the log's above the message's"),
    pytest.param(8, [], id="the log's above the message's, without entries"),
    pytest.param(0, [0], id="none"),
]


def an_append(index: int, log_term: int, terms: list[int], *, term: int = 2) -> Message:
    positions = [(index + 1 + place, entry_term) for place, entry_term in enumerate(terms)]
    return Message(
        MessageType.APPEND,
        from_=2,
        term=term,
        index=index,
        log_term=log_term,
        entries=entries(*positions),
    )


def a_snapshot(index: int, term: int, conf_state: ConfState, *, message_term: int = 2) -> Message:
    snapshot = Snapshot(b"", SnapshotMetadata(conf_state, index, term))
    return Message(MessageType.SNAPSHOT, from_=2, term=message_term, snapshot=snapshot)


def campaigning() -> RawNode:
    """Return a candidate of term 2."""
    raw = lone(founded(VOTERS))
    raw.campaign()
    take(raw)
    return raw


# -- appends -------------------------------------------------------------------------------


@pytest.mark.parametrize(("log_term", "terms"), TERMS_THAT_CANNOT_BE)
@pytest.mark.parametrize("term", TERMS)
def test_entries_whose_terms_cannot_be_are_refused(
    term: int, log_term: int, terms: list[int]
) -> None:
    """§5.3: a log's terms never fall, and a leader's log holds none above its own."""
    raw = following()
    raw.tick()
    with unharmed(raw, MalformedMessage, "no leader has such a log"):
        raw.step(an_append(3, log_term, terms, term=term))
    append(raw, (4, 2))
    assert raw.raft.raft_log.last_index() == 4


def test_entries_whose_terms_rise_up_to_the_messages_are_taken() -> None:
    """The bounds belong to what can be."""
    raw = following()
    raw.step(an_append(3, 2, [2, 3, 3, 5], term=5))
    assert [entry.term for entry in raw.raft.raft_log.all_entries()][-4:] == [2, 3, 3, 5]


def test_a_candidate_does_not_yield_to_what_cannot_be() -> None:
    raw = campaigning()
    with unharmed(raw, MalformedMessage, "no leader has such a log"):
        raw.step(an_append(1, 1, [2, 1]))
    assert role(raw) is Role.CANDIDATE


@pytest.mark.parametrize("index", [4, 54])
def test_an_append_beyond_the_log_does_not_match_in_term_0(index: int) -> None:
    """§5.3: where there is no entry, none matches, though the term there reads 0."""
    raw = following()
    raw.step(
        Message(
            MessageType.APPEND,
            from_=2,
            term=2,
            index=index,
            log_term=0,
            commit=index,
            entries=entries((index + 1, 2)),
        )
    )
    [answer] = take(raw)
    assert (answer.reject, answer.index) == (True, index)
    assert answer.reject_hint <= raw.raft.raft_log.committed
    assert (raw.raft.raft_log.last_index(), raw.raft.raft_log.committed) == (3, 2)
    raw.tick()


# -- snapshots -----------------------------------------------------------------------------


@pytest.mark.parametrize("conf_state", OVERLAPPING)
@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("index", [1, 9])
def test_a_snapshot_with_an_impossible_configuration_is_refused(
    index: int, term: int, conf_state: ConfState
) -> None:
    """Log and snapshot would be of a cluster that cannot be; the log stays, the node goes on."""
    raw = following()
    raw.tick()
    with unharmed(raw, MalformedMessage, r"no sequence of changes|removed all voters"):
        raw.step(a_snapshot(index, 2, conf_state, message_term=term))
    raw.step(a_snapshot(9, 2, ConfState(voters=(1, 2))))
    assert raw.raft.raft_log.last_index() == 9


def test_a_snapshot_of_a_later_term_than_its_messages_is_refused() -> None:
    raw = following()
    with unharmed(raw, MalformedMessage, "a snapshot of term 3; no leader"):
        raw.step(a_snapshot(9, 3, ConfState(voters=(1, 2))))


def test_a_candidate_does_not_yield_to_a_snapshot_that_cannot_be() -> None:
    raw = campaigning()
    with unharmed(raw, MalformedMessage, "cannot be"):
        raw.step(a_snapshot(9, 2, OVERLAPPING[0]))
    assert role(raw) is Role.CANDIDATE


# -- wishes for a snapshot -----------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "hint"), [(3, 2), (2, 3), (FAR, FAR), (FAR, 0), (1, FAR)])
def test_a_wish_for_a_snapshot_of_what_the_leader_has_not_is_refused(
    wanted: int, hint: int
) -> None:
    """No snapshot would ever serve, and the end of a log is taken for acknowledged with it."""
    raw = leading()
    assert raw.raft.raft_log.last_index() == 2
    with unharmed(raw, MalformedMessage, "but the leader's ends at 2"):
        raw.step(
            Message(
                MessageType.APPEND_RESPONSE,
                from_=2,
                term=raw.raft.term,
                index=1,
                reject=True,
                reject_hint=hint,
                log_term=raw.raft.term,
                request_snapshot=wanted,
            )
        )
    progress = raw.raft.tracker.progress[2]
    assert (progress.pending_request_snapshot, raw.raft.raft_log.committed) == (0, 2)


def test_a_wish_for_a_snapshot_of_the_whole_log_is_heard() -> None:
    raw = leading()
    raw.step(
        Message(
            MessageType.APPEND_RESPONSE,
            from_=2,
            term=raw.raft.term,
            index=2,
            reject=True,
            reject_hint=2,
            log_term=raw.raft.term,
            request_snapshot=2,
        )
    )
    assert raw.raft.tracker.progress[2].pending_request_snapshot == 2


def test_a_rejection_whose_hint_is_past_the_log_is_no_wish() -> None:
    """It is taken as before: only the leader's own probe bounds where it goes on from."""
    raw = leading()
    progress = raw.raft.tracker.progress[2]
    probed = progress.next_idx - 1
    raw.step(
        Message(
            MessageType.APPEND_RESPONSE,
            from_=2,
            term=raw.raft.term,
            index=probed,
            reject=True,
            reject_hint=FAR,
        )
    )
    assert progress.next_idx <= probed + 1
