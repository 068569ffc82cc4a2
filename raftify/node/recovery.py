"""Founds a new cluster whose state machine begins with a snapshot of an old one.

For the day when most machines of a cluster are lost for good, or all logs. Nothing here asks the
old cluster; docs/operations.md says what may go wrong.
"""

from __future__ import annotations

import logging
from pathlib import Path

from raftify.core.types import HardState, Snapshot, SnapshotMetadata
from raftify.errors import ConfigError, StorageError, StorageForeign
from raftify.peers import Membership
from raftify.records import SnapshotDescriptor
from raftify.storage.base import StableStorage, StoreIdentity, WriteBatch
from raftify.storage.log_state import FOUNDING_INDEX, FOUNDING_TERM
from raftify.storage.snapshot_files import FINISHED_SUFFIX

_COPY_BYTES = 1 << 20
_SNAPSHOT_DIRECTORY = "snapshots"


def find_snapshot(path: Path) -> Path:
    """Return the file at `path`, or the one snapshot in that directory or log directory.

    Raises:
        ConfigError: there is none, or there are several.
    """
    if path.is_file():
        return path
    found = [
        file
        for directory in (path, path / _SNAPSHOT_DIRECTORY)
        for file in sorted(directory.glob("*" + FINISHED_SUFFIX))
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(
            f"bootstrap_from_snapshot: {path} is no file, and no directory with a file "
            f"'*{FINISHED_SUFFIX}'"
        )
    raise ConfigError(
        f"bootstrap_from_snapshot: {path} has {len(found)} snapshots; name the file of one of "
        f"them: {', '.join(file.name for file in found)}"
    )


def found_from_snapshot(
    storage: StableStorage,
    identity: StoreIdentity,
    membership: Membership,
    source: Path,
    logger: logging.Logger,
) -> None:
    """Make `storage` that of the founder of a new cluster, with the state in `source`.

    `membership` is the new one's first: `identity`'s node alone. Safe to repeat after a crash in
    the middle, and only then: a store that has a log is refused.

    Raises:
        ConfigError: the store has a log, or there is no snapshot.
        StorageForeign: the store is that of another node or cluster.
        StorageFull: there is no room for the snapshot.
        StorageError: the snapshot cannot be read, or the store not written.
    """
    _check_has_no_log(storage, identity)
    file = find_snapshot(source)
    descriptor = _copy(storage, file, membership)
    if storage.identity() is None:
        # Like a joiner, which waits for a snapshot: who dies behind this comes here again.
        storage.initialize(identity, Membership())
    metadata = SnapshotMetadata(membership.conf_state, FOUNDING_INDEX, FOUNDING_TERM)
    storage.write(
        WriteBatch(
            snapshot=Snapshot(descriptor.encode(), metadata),
            hard_state=HardState(FOUNDING_TERM, 0, FOUNDING_INDEX),
            membership=membership,
        )
    )
    logger.warning(
        "node %d founds a new cluster with the state in %s (%d bytes); what was acknowledged "
        "after that snapshot is lost, and members of the old cluster cannot take part",
        identity.node_id, file, descriptor.size_bytes,
    )  # fmt: skip


def _check_has_no_log(storage: StableStorage, identity: StoreIdentity) -> None:
    owner = storage.identity()
    if owner is None:
        return
    if (owner.cluster_id, owner.node_id) != (identity.cluster_id, identity.node_id):
        raise StorageForeign(
            f"the store belongs to node {owner.node_id} of cluster {owner.cluster_id!r}, not to "
            f"node {identity.node_id} of cluster {identity.cluster_id!r}"
        )
    if storage.last_index() > 0 or storage.membership().member_ids():
        raise ConfigError(
            f"bootstrap_from_snapshot is set, but the store of node {owner.node_id} has a log that "
            "it would forget: take the setting away to go on with the log, or give the node an "
            "empty directory to begin anew with the snapshot"
        )


def _copy(storage: StableStorage, file: Path, membership: Membership) -> SnapshotDescriptor:
    """Copy the snapshot into the store, durably; return what describes it."""
    sink = storage.create_snapshot_sink()
    try:
        with file.open("rb") as source:
            while data := source.read(_COPY_BYTES):
                sink.write(data)
        return SnapshotDescriptor(*sink.finish(), membership)
    except OSError as error:
        raise StorageError(f"cannot read the snapshot {file}: {error.strerror}") from error
    finally:
        sink.abort()
