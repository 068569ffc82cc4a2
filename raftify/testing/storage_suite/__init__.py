"""What every `StableStorage` must do, as test classes to derive from; see docs/storage.md.

    class TestMyStorage(CrashSafeStorageSuite):
        def open(self, directory: Path) -> StableStorage:
            return MyStorage.create(directory)

pytest runs every case. `StorageSuite` is for stores that forget everything when they are closed,
`DurableStorageSuite` for those that do not, `CrashSafeStorageSuite` for those that lie in a
directory which outlives the process: it kills writers.
"""

try:
    import pytest
except ImportError as error:
    raise ImportError(
        "raftify.testing.storage_suite needs pytest, which raftify itself does not: "
        "pip install pytest"
    ) from error

# The cases say by plain assertions what they found.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{cases}"
        for cases in (
            "compaction", "entries", "founding", "killing", "lifetime", "own_snapshots",
            "readers", "received_snapshots", "reopening",
        )
    )
)  # fmt: skip

from raftify.testing.storage_suite.suites import (  # noqa: E402 - after what they must wait for
    CrashSafeStorageSuite,
    DurableStorageSuite,
    StorageSuite,
)

__all__ = ["CrashSafeStorageSuite", "DurableStorageSuite", "StorageSuite"]
