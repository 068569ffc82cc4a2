"""Values that the cases write."""

from __future__ import annotations

from raftify.core.types import Entry, EntryType, Snapshot, SnapshotMetadata
from raftify.peers import Membership, Peer
from raftify.records import SnapshotDescriptor
from raftify.storage import StableStorage, StoreIdentity

IDENTITY = StoreIdentity("stores", 1, "incarnation-1")
MEMBERS = Membership.of({i: Peer(i, f"127.0.0.1:600{i}") for i in (1, 2, 3)}, index=1)


def make_entries(low: int, high: int, term: int = 1, size: int = 20) -> list[Entry]:
    """Return the entries of `[low, high)`, whose data tell index and term apart."""
    return [
        Entry(EntryType.NORMAL, term, index, f"{term}/{index}/".encode().ljust(size, b"."))
        for index in range(low, high)
    ]


def make_snapshot(
    storage: StableStorage,
    index: int,
    term: int = 1,
    data: bytes = b"state",
    *,
    membership: Membership = MEMBERS,
    file_id: str = "",
) -> Snapshot:
    """Write `data` to a snapshot file of `storage`; return the snapshot that describes it."""
    sink = storage.create_snapshot_sink(file_id)
    sink.write(data)
    descriptor = SnapshotDescriptor(*sink.finish(), membership)
    return Snapshot(descriptor.encode(), SnapshotMetadata(membership.conf_state, index, term))
