"""A store in RocksDB, for logs that outgrow a memory map: `pip install raftify[rocksdb]`.

from raftify.storage.rocksdb import RocksDbStorage
"""

try:
    import rocksdict  # noqa: F401 - to say at once what is missing
except ImportError as error:
    raise ImportError(
        "raftify.storage.rocksdb needs the package rocksdict: pip install 'raftify[rocksdb]'"
    ) from error

from raftify.storage.rocksdb.storage import RocksDbStorage

__all__ = ["RocksDbStorage"]
