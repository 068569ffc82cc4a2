"""Configuration changes for tests: making them, proposing them, and a leader ready for them."""

from __future__ import annotations

from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode
from raftify.core.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)
from tests.core.network import (
    Network,
    Node,
    accept,
    config,
    founded,
    lead,
    lone,
    persist,
    take,
)

ADD, REMOVE, LEARNER = (
    ConfChangeType.ADD_NODE,
    ConfChangeType.REMOVE_NODE,
    ConfChangeType.ADD_LEARNER_NODE,
)


def change(kind: ConfChangeType, node_id: int) -> ConfChange:
    return ConfChange(0, kind, node_id)


def joint(
    *changes: tuple[ConfChangeType, int],
    transition: ConfChangeTransition = ConfChangeTransition.AUTO,
) -> ConfChangeV2:
    return ConfChangeV2(transition, tuple(ConfChangeSingle(kind, i) for kind, i in changes))


LEAVE = ConfChangeV2()


def joined(network: Network, node_id: int) -> None:
    """Start a node that knows nothing yet."""
    settings = config(node_id, check_quorum=network.raft(1).check_quorum)
    network.nodes[node_id] = Node(settings, MemoryStorage())


def conf(network: Network, node_id: int) -> ConfState:
    return network[node_id].raw.status().conf_state


def make(network: Network, at: int, wanted: ConfChange | ConfChangeV2) -> None:
    network[at].raw.propose_conf_change(b"", wanted)
    network.settle()
    network.tick(at)
    network.tick(at)


def ready_leader(voters: list[int]) -> RawNode:
    """Return a leader that has committed and applied everything, with nothing to send."""
    raw = lone(founded(voters))
    lead(raw)
    for voter in voters[1:]:
        accept(raw, voter, 2)
    persist(raw)
    raw.advance_apply()
    take(raw)
    return raw
