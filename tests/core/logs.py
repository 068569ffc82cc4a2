"""Logs for the tests of the log: from terms, and behind a snapshot."""

from __future__ import annotations

from raftify.core.memory_storage import MemoryStorage
from raftify.core.raft_log import RaftLog
from raftify.core.types import ConfState, Snapshot, SnapshotMetadata
from tests.core.network import entries


def log_of(*terms: int, written: int = 0) -> RaftLog:
    """Return a log that begins at index 1; the first `written` entries are in storage."""
    storage = MemoryStorage()
    all_of_them = entries(*enumerate(terms, 1))
    storage.append(all_of_them[:written])
    log = RaftLog(storage)
    log.append(all_of_them[written:])
    return log


def snapshot(index: int, term: int) -> Snapshot:
    return Snapshot(metadata=SnapshotMetadata(ConfState((1, 2)), index, term))


def after_snapshot(index: int, term: int, *terms: int) -> RaftLog:
    storage = MemoryStorage()
    storage.apply_snapshot(snapshot(index, term))
    log = RaftLog(storage)
    log.append(entries(*enumerate(terms, index + 1)))
    return log
