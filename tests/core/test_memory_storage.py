"""The storage in memory."""

from __future__ import annotations

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.types import ConfState
from raftify.errors import (
    Compacted,
    InvariantViolation,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    Unavailable,
)
from tests.core.network import (
    Network,
    entries,
    founded,
    snapshot,
)

VOTERS = [1, 2, 3]


# -- the storage in memory -------------------------------------------------------------------


def test_memory_storage_compacts_and_still_knows_the_term_before() -> None:
    storage = MemoryStorage()
    storage.append(entries((1, 1), (2, 1), (3, 2)))
    storage.compact(1)
    assert storage.first_index() == 1
    storage.compact(3)
    assert (storage.first_index(), storage.last_index(), storage.term(2)) == (3, 3, 1)
    storage.compact(4)
    assert (storage.first_index(), storage.last_index(), storage.term(3)) == (4, 3, 2)
    with pytest.raises(InvariantViolation, match="no entry 9"):
        storage.compact(9)
    with pytest.raises(InvariantViolation, match="discarded"):
        storage.append(entries((3, 2)))
    with pytest.raises(InvariantViolation, match="gap"):
        storage.append(entries((9, 2)))


def test_memory_storage_replaces_everything_from_an_appends_first_entry_on() -> None:
    storage = MemoryStorage()
    storage.append(entries((1, 1), (2, 1), (3, 1), (4, 1)))
    storage.append(entries((2, 2)))
    assert (storage.last_index(), storage.term(2)) == (2, 2)


def test_memory_storage_refuses_an_old_snapshot() -> None:
    storage = founded([1])
    with pytest.raises(SnapshotOutOfDate):
        storage.apply_snapshot(snapshot(1, 1))
    with pytest.raises(SnapshotTemporarilyUnavailable, match="reaches 5"):
        storage.snapshot(5, 1)


def test_memory_storage_keeps_nothing_of_a_log_that_a_snapshot_replaces() -> None:
    """Paper §7: the follower discards its entire log."""
    storage = founded([1])
    storage.append(entries((2, 1), (3, 1), (4, 1), (5, 1)))
    storage.apply_snapshot(snapshot(3, 2))
    assert (storage.first_index(), storage.last_index()) == (4, 3)
    assert storage.term(3) == 2


def test_a_lagging_follower_catches_up_through_a_snapshot() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network.propose(1, *[b"x"] * 20)
    for node_id in (1, 2):
        network[node_id].storage.compact(network.committed()[node_id])
    network.recover()
    network.tick(1)
    network.tick(1)
    assert network.committed() == {1: 22, 2: 22, 3: 22}
    network.propose(1, b"y")
    assert network[3].applied[-1] == b"y"


def test_memory_storage_reads_within_its_bounds() -> None:
    storage = founded([1])
    storage.append(entries((2, 1), (3, 1), data=b"x"))
    assert [entry.index for entry in storage.entries(2, 4)] == [2, 3]
    assert [entry.index for entry in storage.entries(2, 4, 0)] == [2]
    for too_early in (lambda: storage.entries(1, 3), lambda: storage.term(0)):
        with pytest.raises(Compacted):
            too_early()
    for too_late in (lambda: storage.entries(2, 5), lambda: storage.term(4)):
        with pytest.raises(Unavailable):
            too_late()


def test_memory_storage_takes_commit_and_configuration() -> None:
    storage = founded([1])
    storage.append(entries((2, 3)))
    storage.commit_to_and_set_conf_states(2, ConfState((1, 2)))
    state = storage.initial_state()
    assert (state.hard_state.term, state.hard_state.commit) == (3, 2)
    assert state.conf_state == ConfState((1, 2))
    storage.commit_to_and_set_conf_states(2, None)
    assert storage.initial_state().conf_state == ConfState((1, 2))
