"""A store discards the beginning of its log from a thread of its own, between any two reads."""

from __future__ import annotations

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.raft_log import RaftLog
from raftify.core.types import ConfState, HardState, Message, MessageType
from raftify.errors import Compacted
from tests.core.network import entries, lead, lone, take

#: By index, from 1 on: each term for eight entries, and a tail that a leader left alone.
TERMS = (*[2] * 8, *[3] * 8, *[4] * 8, *[5] * 8)
COMMITTED = 28
#: Reads of one search in so long a log.
READS = 12


class Compacting(MemoryStorage):
    """Is compacted up to `until` just before its read number `after`, of terms or of its bounds."""

    def __init__(self, after: int, until: int) -> None:
        self.armed = False
        self._left = after
        self._until = until
        super().__init__()
        self.append(entries(*enumerate(TERMS, 1)))
        self.set_hardstate(HardState(term=5, commit=COMMITTED))
        self.set_conf_state(ConfState((1, 2)))

    def _read(self) -> None:
        if self.armed:
            if self._left == 0:
                self.armed = False
                self.compact(self._until)
            self._left -= 1

    def term(self, index: int) -> int:
        self._read()
        return super().term(index)

    def first_index(self) -> int:
        self._read()
        return super().first_index()


@pytest.mark.parametrize("until", [2, 9, 17, 18, COMMITTED, COMMITTED + 1])
@pytest.mark.parametrize("after", range(READS))
def test_where_logs_part_is_found_in_what_is_left(after: int, until: int) -> None:
    storage = Compacting(after, until)
    log = RaftLog(storage)
    storage.armed = True
    found, term = log.find_conflict_by_term(32, 4)
    if storage.first_index() - 1 <= 24:
        # The last entry of at most term 4, or the place before the log, whose term is known.
        assert (found, term) == (24, 4)
    else:
        # It was discarded before it was found, or before its term was read: what lies before the
        # log is of term 0.
        assert (found, term) in [(24, 4), (24, 0), (storage.first_index() - 2, 0)]


@pytest.mark.parametrize("until", [2, 17, COMMITTED])
@pytest.mark.parametrize("after", range(READS))
def test_a_follower_refuses_what_does_not_match_while_its_log_is_compacted(
    after: int, until: int
) -> None:
    """The node stopped: "storage has no term for entry 32 of its log"."""
    storage = Compacting(after, until)
    follower = lone(storage, applied=COMMITTED)
    storage.armed = True
    follower.step(
        Message(MessageType.APPEND, from_=2, to=1, term=6, index=32, log_term=6, commit=COMMITTED)
    )
    [answer] = take(follower)
    assert after > 6 or not storage.armed
    assert (answer.reject, answer.reject_hint, answer.log_term) == (True, 32, 5)


@pytest.mark.parametrize("until", [9, 17, COMMITTED, COMMITTED + 1])
@pytest.mark.parametrize("after", range(2 * READS))
def test_a_leader_sends_what_it_has_or_a_snapshot_while_its_log_is_compacted(
    after: int, until: int
) -> None:
    """It sent entries behind a term of 0, which is nobody's."""
    storage = Compacting(after, until)
    leader = lone(storage, applied=COMMITTED)
    lead(leader)
    take(leader)
    storage.armed = True
    refusal = Message(MessageType.APPEND_RESPONSE, from_=2, to=1, term=6, index=32, reject=True)
    refusal.reject_hint, refusal.log_term = 10, 3
    leader.step(refusal)
    [sent] = take(leader)
    if sent.msg_type is MessageType.APPEND:
        assert (sent.index, sent.log_term) == (10, 3)
        assert sent.entries[0].index == sent.index + 1
    else:
        assert sent.msg_type is MessageType.SNAPSHOT


class Contradicting(MemoryStorage):
    """Says that it begins at 1, and has nothing."""

    def term(self, index: int) -> int:
        raise Compacted("gone")


def test_a_store_that_contradicts_itself_is_not_asked_for_ever() -> None:
    storage = Contradicting()
    storage.append(entries(*enumerate(TERMS, 1)))
    assert RaftLog(storage).find_conflict_by_term(32, 4) == (32, None)
