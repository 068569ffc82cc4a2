"""What nodes say of themselves in their metrics, and whether all of it can be true."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from raftify.node.local_state import RunningState
from raftify.node.metrics import Metrics
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene

_ORDER = list(RunningState)


class Sightings:
    """Checks each metrics by itself, against those before of the same process, and against what
    other nodes said of the same term."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._leaders: dict[int, int] = {}

    def check(self, node: SimulatedNode, node_id: int, told: Sequence[Metrics]) -> None:
        """Judge what one process of `node` said, in this order; the storm fails if it is wrong.

        `node_id` is what the machine was then: it may have lost its disk and joined again since.
        """
        for metrics in told:
            self._check_one(node, node_id, metrics)
        for before, after in pairwise(told):
            fault = _went_back(before, after)
            if fault:
                self._scene.fail(f"{fault} of {node}: first {before}, then {after}")

    def _check_one(self, node: SimulatedNode, node_id: int, metrics: Metrics) -> None:
        fault = _contradiction(metrics)
        if metrics.node_id != node_id:
            fault = "another id"
        if metrics.leader_id:
            known = self._leaders.setdefault(metrics.term, metrics.leader_id)
            if known != metrics.leader_id:
                fault = f"another leader than {known}, who was that of this term,"
        if fault:
            self._scene.fail(f"{node} says {fault} in {metrics}")


def _contradiction(metrics: Metrics) -> str:
    """Return what cannot be true at one moment of a node."""
    if metrics.has_ended:
        return ""
    if not metrics.applied <= metrics.committed <= metrics.last_index:
        return "that it applied more than is committed, or committed more than it has"
    if not metrics.purged <= metrics.snapshot <= metrics.committed:
        return "that its log begins behind its snapshot, or this covers what is not committed"
    if metrics.is_leader and (metrics.leader_id != metrics.node_id or metrics.vote == 0):
        return "that it leads, and that somebody else does, or nobody"
    if metrics.peers and not metrics.is_leader:
        return "how far others are, without leading"
    return ""


def _went_back(before: Metrics, after: Metrics) -> str:
    """Return what was greater before, or changed though it never may."""
    for name in ("term", "committed", "applied", "snapshot", "purged"):
        if getattr(after, name) < getattr(before, name):
            return f"{name} went back"
    if after.membership.index < before.membership.index:
        return "the membership went back"
    if _ORDER.index(after.running_state) < _ORDER.index(before.running_state):
        return "the running state went back"
    same_term = before.term == after.term
    if same_term and before.vote and after.vote != before.vote:
        return "the vote changed"
    if before.has_ended:
        return "something came behind the end"
    return ""
