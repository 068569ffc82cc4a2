"""What a node does to its store, drawn from seeds, for writers that are killed.

A step depends only on the store's state and on a seed, so a store in memory can follow.
"""

from __future__ import annotations

import random

from raftify.core.types import HardState
from raftify.records import SnapshotDescriptor
from raftify.storage import StableStorage, WriteBatch
from raftify.testing.storage_suite.making import MEMBERS, make_entries, make_snapshot


def take_step(storage: StableStorage, seed: int) -> None:
    """Change the store in one of the ways a node does."""
    rng = random.Random(seed)
    state = storage.initial_state().hard_state
    last, latest = storage.last_index(), storage.latest_snapshot().metadata.index
    file_id = f"file{seed}"
    kind = rng.choice(["append"] * 6 + ["conflict", "vote", "save", "compact", "install", "meet"])
    if kind == "conflict" and state.commit < last:
        low = rng.randint(state.commit + 1, last)
        entries = make_entries(low, low + rng.randint(1, 20), term=state.term + 1)
        storage.write(WriteBatch(entries=entries, hard_state=HardState(state.term + 1, 2, low - 1)))
    elif kind == "vote":
        storage.write(WriteBatch(hard_state=HardState(state.term + 1, rng.randint(1, 3), 0)))
    elif kind == "save" and state.commit > latest:
        index = rng.randint(latest + 1, state.commit)
        if index >= storage.first_index():
            data = rng.randbytes(rng.randint(0, 20_000))
            term = storage.term(index)
            storage.save_snapshot(make_snapshot(storage, index, term, data, file_id=file_id))
    elif kind == "compact" and storage.first_index() <= latest:
        storage.compact(rng.randint(storage.first_index() + 1, latest + 1))
    elif kind == "install":
        index, term = last + rng.randint(1, 9), max(state.term, 1)
        data = rng.randbytes(rng.randint(0, 20_000))
        snapshot = make_snapshot(storage, index, term, data, file_id=file_id)
        storage.write(WriteBatch(snapshot=snapshot))
    elif kind == "meet":
        storage.remember_incarnation(rng.randint(2, 4), rng.choice(["", "a", "b"]))
    else:
        entries = make_entries(last + 1, last + 1 + rng.randint(1, 60), max(state.term, 1))
        commit = rng.randint(state.commit, entries[-1].index)
        batch = WriteBatch(entries=entries, membership=MEMBERS)
        batch.hard_state = HardState(max(state.term, 1), state.vote, commit)
        storage.write(batch)


def describe(storage: StableStorage) -> object:
    """Return everything in the store, to compare it with another."""
    first, last = storage.first_index(), storage.last_index()
    snapshot = storage.latest_snapshot()
    with storage.open_snapshot(snapshot) as file:
        data = file.read()
    return (
        (first, storage.term(first - 1), last),
        storage.entries(first, last + 1),
        storage.initial_state(),
        storage.membership(),
        storage.known_incarnations(),
        (snapshot.metadata, SnapshotDescriptor.decode(snapshot.data), data),
    )
