"""Which sets of voters decide: majorities, and pairs of majorities while a change is under way.

Pure values that know nothing of logs, terms or messages. Reference: thesis 4.3; raft-rs quorum.
"""

from raftify.core.quorum.joint import JointConfig
from raftify.core.quorum.majority import (
    UNBOUNDED_INDEX,
    AckedIndex,
    Acknowledged,
    MajorityConfig,
    VoteResult,
)

__all__ = [
    "UNBOUNDED_INDEX",
    "AckedIndex",
    "Acknowledged",
    "JointConfig",
    "MajorityConfig",
    "VoteResult",
]
