"""Replicate any state machine with the Raft consensus algorithm.

Implement `AbstractStateMachine`, give it to `Raft.bootstrap` with a storage, run it, and propose.
See the README for a quick guide.

    Layers, each importing only what stands before it:
    errors < core < wire < peers, state_machine < records, config < storage, transport
           < node, client < joining, leading, leaving, waiting < facade < raft
           < cli, testing
"""

from raftify.client import RaftServiceClient, create_client
from raftify.config import Config, TlsConfig
from raftify.core.config import RaftConfig, ReadOnlyOption
from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Role,
)
from raftify.event_loop import new_event_loop
from raftify.node.local_state import RunningState
from raftify.node.metrics import Metrics, PeerMetrics
from raftify.peers import (
    Address,
    ClusterJoinTicket,
    ClusterView,
    InitialRole,
    Membership,
    Peer,
    Peers,
    ReservedId,
)
from raftify.raft import Raft
from raftify.state_machine import AbstractLogEntry, AbstractStateMachine, StreamingStateMachine
from raftify.storage import LmdbStorage, MemStorage, StableStorage

__version__ = "0.1.0"

__all__ = [
    "AbstractLogEntry",
    "AbstractStateMachine",
    "Address",
    "ClusterJoinTicket",
    "ClusterView",
    "ConfChangeSingle",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "ConfState",
    "Config",
    "Entry",
    "EntryType",
    "InitialRole",
    "LmdbStorage",
    "MemStorage",
    "Membership",
    "Message",
    "MessageType",
    "Metrics",
    "Peer",
    "PeerMetrics",
    "Peers",
    "Raft",
    "RaftConfig",
    "RaftServiceClient",
    "ReadOnlyOption",
    "ReservedId",
    "Role",
    "RunningState",
    "StableStorage",
    "StreamingStateMachine",
    "TlsConfig",
    "create_client",
    "new_event_loop",
]
