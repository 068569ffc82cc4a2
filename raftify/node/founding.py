"""What a store becomes when a node starts on it: founder, member of a static cluster, joiner."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from weakref import WeakSet

from raftify.config import Config
from raftify.errors import ConfigError, StorageForeign, StorageLocked
from raftify.node.archiving import open_archive
from raftify.node.local_state import LocalState
from raftify.node.recovery import found_from_snapshot
from raftify.peers import (
    Address,
    InitialRole,
    Membership,
    Peer,
    Peers,
    ReservedId,
    check_node_id,
)
from raftify.storage.base import StableStorage, StoreIdentity

#: Stores that a node of this process has and has not closed.
_taken: WeakSet[StableStorage] = WeakSet()


def take_store(storage: StableStorage) -> None:
    """Note that a node has `storage` from here on.

    Raises:
        StorageLocked: one has it already. Two would each write a truth of its own.
    """
    if storage in _taken:
        raise StorageLocked(
            "this storage has a node already, which may still be running: give each node one of "
            "its own, and quit the first before a second takes its place"
        )
    _taken.add(storage)


def release_store(storage: StableStorage) -> None:
    """Note that the node that had `storage` has closed it."""
    _taken.discard(storage)


def prepare_store(
    storage: StableStorage,
    *,
    node_id: int,
    address: Address,
    config: Config,
    logger: logging.Logger,
    make_incarnation: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> None:
    """Make `storage` that of `node_id`, or see that it is; safe to repeat.

    A store with a log resumes, whatever else is said, but that `config.bootstrap_from_snapshot`
    refuses it: that founds a new cluster with an old state. A new store becomes that of a joiner
    if the id was handed out by a cluster, of a member of `config.initial_peers` if these are
    given, and otherwise that of the founder of a new cluster.

    Raises:
        StorageForeign: the store, or the archive of the log, is that of another node or cluster.
        ConfigError: the initial peers do not name this node at this address.
        StorageError: the archive of the log cannot be opened.
    """
    check_node_id(node_id)
    _prepare_log(storage, node_id, address, config, logger, make_incarnation)
    if config.save_compacted_logs:
        # Rather now than at the first purge, weeks later.
        open_archive(config, storage)


def _prepare_log(
    storage: StableStorage,
    node_id: int,
    address: Address,
    config: Config,
    logger: logging.Logger,
    make_incarnation: Callable[[], str],
) -> None:
    identity = storage.identity()
    if config.bootstrap_from_snapshot is not None:
        incarnation = make_incarnation() if identity is None else identity.incarnation
        _recover(storage, node_id, address, config, logger, incarnation)
        return
    if identity is None:
        incarnation = make_incarnation()
        membership = first_membership(node_id, address, config, incarnation)
        storage.initialize(StoreIdentity(config.cluster_id, node_id, incarnation), membership)
        how = "to join a cluster" if not membership.peers else f"with {list(membership.peers)}"
        logger.info("node %d starts on a new store %s", node_id, how)
        return
    if identity.cluster_id != config.cluster_id:
        raise StorageForeign(
            f"the store belongs to cluster {identity.cluster_id!r}, but Config.cluster_id is "
            f"{config.cluster_id!r}: check the directory or the setting"
        )
    if identity.node_id != node_id:
        raise StorageForeign(
            f"the store is that of node {identity.node_id}, not of node {node_id}: two nodes must "
            "never share a directory, and a node keeps its id for life"
        )
    logger.info("node %d resumes at index %d", node_id, storage.last_index())


def _recover(
    storage: StableStorage,
    node_id: int,
    address: Address,
    config: Config,
    logger: logging.Logger,
    incarnation: str,
) -> None:
    if isinstance(node_id, ReservedId) or config.initial_peers is not None:
        raise ConfigError(
            "bootstrap_from_snapshot founds a cluster of this node alone, which others join: it "
            "goes neither with initial_peers nor with a reserved id"
        )
    assert config.bootstrap_from_snapshot is not None
    membership = Membership.of({node_id: Peer(node_id, address)}, index=1, origin=incarnation)
    found_from_snapshot(
        storage,
        StoreIdentity(config.cluster_id, node_id, incarnation),
        membership,
        Path(config.bootstrap_from_snapshot),
        logger,
    )


def first_membership(
    node_id: int, address: Address, config: Config, incarnation: str
) -> Membership:
    """Return what a new store begins with; `incarnation` is the store's.

    The founder of a cluster names it by its own store; the members of a static cluster, who found
    it together, by what all of them were told.
    """
    if isinstance(node_id, ReservedId):
        return Membership()
    if config.initial_peers is None:
        return Membership.of({node_id: Peer(node_id, address)}, index=1, origin=incarnation)
    check_founder(node_id, address, config.initial_peers, "Config.initial_peers")
    origin = static_origin(config.cluster_id, config.initial_peers)
    return Membership.of(config.initial_peers, index=1, origin=origin)


def check_founder(node_id: int, address: str, peers: Peers, name: str) -> None:
    """Raise ConfigError unless node `node_id` at `address` can be one of the founders `peers`.

    `name` says in messages where they were given.
    """
    if all(p.initial_role is InitialRole.LEARNER for p in peers.values()):
        raise ConfigError(f"{name} has learners only: a cluster needs a voter")
    own = peers.get(node_id)
    if own is None:
        raise ConfigError(f"{name} has {list(peers)}, but not this node, {node_id}")
    if own.address != address:
        raise ConfigError(
            f"this node listens on {address}, but {name} says {own.address} for node {node_id}: "
            "the other nodes would not find it"
        )


def static_origin(cluster_id: str, peers: Peers) -> str:
    """Return the origin of a static cluster: the same on every node that is told the same."""
    told: list[object] = [cluster_id]
    told += [(i, peers[i].address, peers[i].initial_role.value) for i in peers]
    metadata = {i: peers[i].metadata.hex() for i in peers if peers[i].metadata}
    if metadata:
        told.append(metadata)
    return sha256(json.dumps(told).encode()).hexdigest()[:32]


def waits_for_nobody(state: LocalState, storage: StableStorage, config: Config) -> bool:
    """Say whether a node that starts may campaign without waiting for a leader's word first."""
    node_id = state.node_id
    if state.membership.conf_state.voters == (node_id,):
        return True
    fresh = storage.last_index() == storage.latest_snapshot().metadata.index
    peers = config.initial_peers
    first = peers.get(node_id) if peers is not None else None
    return fresh and first is not None and first.initial_role is InitialRole.LEADER
