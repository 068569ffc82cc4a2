"""Storms: a cluster's whole life from one seed, with everything going wrong that can.

    from raftify.testing.storm import run_storm

    report = run_storm(seed=7)

`python -m raftify.testing.storm --seeds 100` runs many; docs/storms.md says how to run them over a
state machine of your own.
"""

from raftify.testing.storm.report import StormReport, summary
from raftify.testing.storm.scene import StormFailed
from raftify.testing.storm.store import StoreWorkload
from raftify.testing.storm.storm import ALL_FAULTS, run_storm
from raftify.testing.storm.workload import Workload

__all__ = [
    "ALL_FAULTS",
    "StoreWorkload",
    "StormFailed",
    "StormReport",
    "Workload",
    "run_storm",
    "summary",
]
