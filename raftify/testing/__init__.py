"""What users test with, and we ourselves: suites for storages and state machines, a simulator, a
history checker.

The suites are imported when they are asked for, since they need pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raftify.testing.state_machine_suite import StateMachineSuite
    from raftify.testing.storage_suite import (
        CrashSafeStorageSuite,
        DurableStorageSuite,
        StorageSuite,
    )

__all__ = ["CrashSafeStorageSuite", "DurableStorageSuite", "StateMachineSuite", "StorageSuite"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    suite = "state_machine_suite" if name == "StateMachineSuite" else "storage_suite"
    return getattr(import_module(f"{__name__}.{suite}"), name)
