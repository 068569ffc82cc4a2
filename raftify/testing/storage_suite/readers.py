"""Readers on other threads while one writes."""

from __future__ import annotations

import threading

from raftify.core.types import Entry, HardState
from raftify.errors import (
    Compacted,
    Unavailable,
)
from raftify.storage import StableStorage, WriteBatch
from raftify.testing.storage_suite.base import Cases
from raftify.testing.storage_suite.making import make_entries, make_snapshot


class ReaderCases(Cases):
    """Reads come from any thread at any time."""

    def test_readers_see_the_state_before_a_write_or_after_it(self, storage: StableStorage) -> None:
        """The writer replaces tails and discards heads; no reader ever sees a mixture."""
        storage.write(WriteBatch(entries=make_entries(2, 60), hard_state=HardState(1, 1, 1)))
        faults: list[BaseException] = []
        stop = threading.Event()
        reads = 0

        def read() -> None:
            nonlocal reads
            try:
                while not stop.is_set():
                    _check_one_read(storage)
                    reads += 1
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                faults.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for term in range(2, 60):
            low = _first_of_last_term(term)
            entries = make_entries(low, low + 60 + term % 7, term)
            storage.write(WriteBatch(entries=entries, hard_state=HardState(term, 1, low - 1)))
            if term % 10 == 0:
                storage.save_snapshot(make_snapshot(storage, low - 1, storage.term(low - 1)))
                storage.compact(low)
        stop.set()
        for reader in readers:
            reader.join()
        assert faults == [], "\n".join(map(str, faults))
        assert reads > 0, "no reader read anything"


def _first_of_last_term(term: int) -> int:
    """Return where the writer begins in `term`: two more are kept after each compaction."""
    return 4 + (term - 1) // 10 * 2


def _check_one_read(storage: StableStorage) -> None:
    """Read the log; the term of its last entry says what each of the others must be."""
    first, last = storage.first_index(), storage.last_index()
    try:
        entries: list[Entry] = storage.entries(first, last + 1)
    except (Compacted, Unavailable):
        return
    term = entries[-1].term
    # What the last compaction left at the head was written just before it.
    at_head = max((term - 1) // 10 * 10, 1)
    low = _first_of_last_term(term)
    middle = min(max(low, first), last + 1)
    expected = [*make_entries(first, middle, at_head), *make_entries(middle, last + 1, term)]
    assert entries == expected, (
        f"read {first} to {last} of term {term}, which begins at {low}: the terms are "
        f"{[entry.term for entry in entries]}, the indices {[entry.index for entry in entries]}"
    )
