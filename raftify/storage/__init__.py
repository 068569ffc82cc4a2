"""Durable storage: the interface `StableStorage`, in LMDB and in memory."""

from raftify.storage.base import StableStorage, StoreIdentity, WriteBatch
from raftify.storage.lmdb_storage import LmdbStorage
from raftify.storage.log_reader import LogReader
from raftify.storage.mem_storage import MemStorage

__all__ = [
    "LmdbStorage",
    "LogReader",
    "MemStorage",
    "StableStorage",
    "StoreIdentity",
    "WriteBatch",
]
