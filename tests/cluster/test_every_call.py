"""Nothing that this package offers goes without its row in the table of bad calls, or a reason."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Final

import raftify
from tests.cluster.bad_calls import CLIENT, LOG_READER, MAKERS, RAFT, WAIT

#: What programs import. What is in others with an `__all__` is for `WITHOUT_ROWS` to say.
PACKAGES: Final = (
    "raftify",
    "raftify.client",
    "raftify.config",
    "raftify.storage",
    "raftify.storage.rocksdb",
)
WITHOUT_ROWS: Final = {
    "raftify.core.*": "a node alone calls it; tests/core/test_bad_input.py tries it",
    "raftify.testing*": "for tests: there any exception says enough",
}
ROWS: Final = {
    *(f"Raft.{name}" for name in RAFT),
    *(f"RaftServiceClient.{name}" for name in CLIENT),
    *(f"Wait.{name}" for name in WAIT),
    *(f"LogReader.{name}" for name in LOG_READER),
    *MAKERS,
    # Every setting of them, in test_bad_calls.test_settings.
    *("Config", "RaftConfig", "TlsConfig"),
}
#: By name, or by the names that a pattern stands for.
REASONS: Final = {
    "Abstract*": "users implement it, and the node calls it",
    "StreamingStateMachine*": "users implement it, and the node calls it",
    "StableStorage.*": "users implement it, and the node calls it",
    "LmdbStorage.*": "the node calls it; tests/storage tries it",
    "MemStorage.*": "the node calls it; tests/storage tries it",
    "RocksDbStorage.*": "the node calls it; tests/storage tries it",
    "LmdbStorage": "made by its `create`",
    "MemStorage": "made by its `create`",
    "RocksDbStorage": "made by its `create`",
    "LogReader": "made by its `open`",
    "Raft": "made by its `bootstrap`",
    "RaftServiceClient": "made by `create_client`",
    "Connect": "a type",
    "Address": "made by its `parse`; as it is, it is a text, and checked where it is given",
    "ClusterJoinTicket": "a value, checked where it is given",
    "ConfChangeSingle": "a value, checked where it is given",
    "ConfChangeV2": "a value, checked where it is given",
    "ConfState": "a value, checked where it is given",
    "Entry": "a value, checked where it is given",
    "Message": "a value, checked where it is given",
    "Peer": "a value, checked where it is given",
    "ReservedId": "a value, checked where it is given",
    "ClusterView": "a value that calls return",
    "Membership*": "a value that calls return; a look into it finds nothing for a wrong id",
    "Metrics": "a value that calls return",
    "PeerMetrics": "a value that calls return",
    "Peers.agreed": "nodes and clients make it of what a cluster has agreed on",
    "StoreIdentity": "a value that calls return",
    "WriteBatch": "a value that the node makes",
    "TlsConfig.*": "a node asks with its own id, once its settings were found right",
}


def public_callables(package: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every function and class of a package's `__all__`, and every method of the classes."""
    module = import_module(package)
    for name in module.__all__:
        found = getattr(module, name)
        if inspect.isclass(found):
            if not issubclass(found, int | str) or name in ("Address", "ReservedId"):
                yield name, found  # of an enum no more can be made
            for method in dir(found):
                owner = next(c for c in found.__mro__ if method in vars(c) or c is object)
                held = vars(owner).get(method)
                function = getattr(held, "__func__", held)
                is_ours = inspect.isfunction(function) and function.__module__.startswith("raftify")
                if is_ours and not method.startswith("_"):
                    yield f"{name}.{method}", getattr(found, method)
        elif callable(found):
            yield name, found


def needs_no_row(name: str, function: Callable[..., Any]) -> bool:
    """Say whether there is nothing to be given to a call, or a reason not to try it."""
    if any(fnmatchcase(name, pattern) for pattern in REASONS):
        return True
    return not [p for p in inspect.signature(function).parameters if p != "self"]


def test_every_public_call_has_a_row_or_a_reason() -> None:
    missing = {
        name
        for package in PACKAGES
        for name, function in public_callables(package)
        if name not in ROWS and not needs_no_row(name, function)
    }
    assert missing == set()


def test_every_package_with_public_names_is_looked_at() -> None:
    offering = {
        module.name
        for module in pkgutil.walk_packages(raftify.__path__, "raftify.")
        if hasattr(import_module(module.name), "__all__")
    }
    without = {
        name for name in offering if any(fnmatchcase(name, pattern) for pattern in WITHOUT_ROWS)
    }
    assert offering - without == set(PACKAGES) - {"raftify"}


def test_no_reason_is_left_over() -> None:
    names = {name for package in PACKAGES for name, _ in public_callables(package)}
    assert [p for p in REASONS if not any(fnmatchcase(name, p) for name in names)] == []


def test_the_walk_finds_what_is_known_to_be_there() -> None:
    names = {name for package in PACKAGES for name, _ in public_callables(package)}
    assert {"create_client", "Config.load", "RocksDbStorage.create", "Raft.propose"} <= names
