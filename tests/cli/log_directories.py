"""Log directories to look into, made with the storage itself."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from raftify.config import Config
from raftify.core.confchange_codec import encode_conf_change_v2
from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    EntryType,
    HardState,
)
from raftify.peers import Membership, Peer, Peers
from raftify.records import ReserveId, encode_command, encode_peers
from raftify.storage import LmdbStorage
from raftify.storage.base import StoreIdentity, WriteBatch
from raftify.storage.record_storage import RecordStorage

ADDRESS = "127.0.0.1:60061"
CONFIG = Config(lmdb_map_size=1 << 30)


class Opens(Protocol):
    """Opens the store in a directory, or makes one there: `create` of any kind of it."""

    def __call__(self, log_dir: Path, config: Config, /) -> RecordStorage: ...


def open_storage(path: Path, create: Opens = LmdbStorage.create) -> RecordStorage:
    return create(path, CONFIG)


def found(path: Path, create: Opens = LmdbStorage.create) -> RecordStorage:
    """Return the store of node 1 in cluster "default", its log still empty."""
    storage = open_storage(path, create)
    membership = Membership.of(Peers({1: ADDRESS}), index=1)
    storage.initialize(StoreIdentity("default", 1, "cafe0123"), membership)
    return storage


def sample_entries() -> list[Entry]:
    """Return one entry of each kind, from index 2 on."""
    change = ConfChangeV2(
        changes=(ConfChangeSingle(ConfChangeType.ADD_NODE, 2),),
        context=encode_peers([Peer(2, "127.0.0.1:60062")]),
    )
    return [
        Entry(term=2, index=2),
        Entry(term=2, index=3, context=encode_command(ReserveId("127.0.0.1:60062"))),
        Entry(EntryType.CONF_CHANGE_V2, term=2, index=4, data=encode_conf_change_v2(change)),
        Entry(term=2, index=5, data=b"SET greeting hello"),
        Entry(term=3, index=6, data=b"\x00\x01\xfe\xff"),
        Entry(term=3, index=7, data="grüße, 世界! ".encode() * 20),
    ]


def make_sample(path: Path, create: Opens = LmdbStorage.create) -> None:
    """Make a log directory with `sample_entries`, membership and hard state, and close it."""
    storage = found(path, create)
    membership = storage.membership().reserve("127.0.0.1:60062", index=3)
    storage.write(
        WriteBatch(entries=sample_entries(), hard_state=HardState(3, 1, 7), membership=membership)
    )
    storage.remember_incarnation(2, "beef4567")
    storage.close()


def make_long(path: Path, count: int) -> None:
    """Make a log directory with `count` proposals, from index 2 on, and close it."""
    storage = found(path)
    entries = [Entry(term=2, index=i, data=b"proposal %d" % i) for i in range(2, count + 2)]
    for start in range(0, count, 1000):
        storage.write(WriteBatch(entries=entries[start : start + 1000]))
    storage.close()
