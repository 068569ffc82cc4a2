"""What users test with, and we ourselves: suites for storages and state machines, a network
within the process, a simulator, a history checker.

The suites are imported when they are asked for, since they need pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raftify.testing.memory_transport import MemoryNetwork
    from raftify.testing.state_machine_suite import StateMachineSuite
    from raftify.testing.storage_suite import (
        CrashSafeStorageSuite,
        DurableStorageSuite,
        StorageSuite,
    )

_HOMES = {
    "CrashSafeStorageSuite": "storage_suite",
    "DurableStorageSuite": "storage_suite",
    "MemoryNetwork": "memory_transport",
    "StateMachineSuite": "state_machine_suite",
    "StorageSuite": "storage_suite",
}
__all__ = [
    "CrashSafeStorageSuite",
    "DurableStorageSuite",
    "MemoryNetwork",
    "StateMachineSuite",
    "StorageSuite",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
