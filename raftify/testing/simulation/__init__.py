"""A whole cluster under virtual time, from one seed: see `simulate` and docs/simulation.md."""

from raftify.testing.simulation.cluster import SimulatedCluster
from raftify.testing.simulation.drawing import draw
from raftify.testing.simulation.loop import Deadlock, SimulatedLoop
from raftify.testing.simulation.network import Conditions, SimulatedNetwork
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.simulation.observer import (
    DurableView,
    InvariantViolation,
    NodeView,
    Observer,
)
from raftify.testing.simulation.run import Outcome, simulate, virtual_time
from raftify.testing.simulation.trace import Trace

__all__ = [
    "Conditions",
    "Deadlock",
    "DurableView",
    "InvariantViolation",
    "NodeView",
    "Observer",
    "Outcome",
    "SimulatedCluster",
    "SimulatedLoop",
    "SimulatedNetwork",
    "SimulatedNode",
    "Trace",
    "draw",
    "simulate",
    "virtual_time",
]
