"""How much memory an attack may cost a node, by what it sends and what the settings let in.

None of it was measured: docs/security.md says which limit stands for what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from raftify.config import Config
from tests.port import attacks_by_weight as weight
from tests.port.target import Attack

MIB: Final = 1 << 20
#: So many calls of clients are served that the limit is met by attacks that hold
#: their calls, and small enough a cache that it cannot be taken for what an attack has left behind.
SETTINGS: Final[dict[str, Any]] = {
    "tick_interval": 0.1,
    "max_client_calls": 40,
    "entry_cache_bytes": 8 * MIB,
    # Shorter than soak holds a snapshot that never ends.
    "snapshot_timeout": 60.0,
}
CONFIG: Final = Config(**SETTINGS)
#: The longest time for which a follower waits for word of a leader, in seconds.
ELECTION: Final = 2 * CONFIG.tick_interval * CONFIG.raft_config.election_tick

#: Streams of strangers, of messages and of snapshots, beside `max_client_calls`.
STREAMS_OF_STRANGERS: Final = 34
#: What one message takes while it is parsed, by its size; one is parsed at a time.
PARSED: Final = 8
CONNECTION: Final = 16 << 10
#: What the allocators of C and Python keep of what was let go of: freed pieces between others.
SPARE: Final = 64 * MIB
#: Messages that a node may hold if a caller sends the largest ones without a pause: one for each
#: call that is let in, however few callers there are, since what a refused call has sent is still
#: on its way when the next one begins.
ALL_CALLS: Final = CONFIG.max_client_calls + STREAMS_OF_STRANGERS


@dataclass(frozen=True)
class Held:
    """What a node may hold at the same time because of an attack.

    `messages` are of the largest size, `queues` are results or pieces up to `outbox_bytes` each.
    """

    messages: int = 1
    connections: int = 1
    queues: int = 0


HELD: Final[dict[Attack, Held]] = {
    weight.idle_connections: Held(connections=3_000),
    weight.headers_then_silence: Held(connections=20),
    weight.byte_by_byte: Held(connections=50),
    weight.half_sent_giants: Held(messages=ALL_CALLS, connections=100),
    weight.endless_snapshots: Held(messages=2, connections=40),
    weight.giant_requests: Held(messages=ALL_CALLS),
    weight.giants_at_once: Held(messages=ALL_CALLS, connections=12),
    weight.everything_held: Held(messages=ALL_CALLS, connections=3_210),
    weight.pieces_without_end: Held(queues=2),
    weight.results_never_read: Held(queues=4, connections=4),
}


def most_mib(attack: Attack) -> int:
    """Return how much more memory a node may have at the worst moment of an attack."""
    held = HELD.get(attack, Held())
    most = (min(held.messages, ALL_CALLS) + PARSED) * CONFIG.max_grpc_message_bytes
    most += held.queues * CONFIG.outbox_bytes + held.connections * CONNECTION + SPARE
    return most // MIB


def left_mib() -> int:
    """Return how much more memory a node may have than before the first attack, once all is over.

    That is its cache of entries, as objects of Python, and what the allocators keep.
    """
    return (PARSED * CONFIG.entry_cache_bytes + SPARE) // MIB
