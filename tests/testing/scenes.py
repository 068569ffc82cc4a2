"""A storm's scene over a calm cluster, for tests of what happens in one."""

from __future__ import annotations

from random import Random
from typing import Any

from raftify.testing.history import Recorder
from raftify.testing.invariants import Invariants
from raftify.testing.simulation.cluster import SimulatedCluster
from raftify.testing.storm.plan import draw_plan
from raftify.testing.storm.scene import Scene
from raftify.testing.storm.store import StoreWorkload


def scene_of(cluster: SimulatedCluster[Any], seed: int) -> Scene:
    """Return the scene of a storm of `seed`, without a storm."""
    recorder = Recorder(lambda: cluster.now)
    return Scene(
        plan=draw_plan(seed),
        cluster=cluster,
        workload=StoreWorkload(),
        invariants=Invariants(),
        recorder=recorder,
        stale=recorder,
        random=Random(seed),
    )
