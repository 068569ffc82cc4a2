"""What a running node does by itself, and may be told not to: for tests and for operators."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Switches:
    """Each is on until it is turned off; it then takes effect with the next tick.

    Attributes:
        tick: let Raft's time pass. Without it nothing happens by itself: no election, no heartbeat,
            no deadline of a leadership transfer. Deadlines of calls still pass.
        heartbeat: as the leader, send heartbeats when they are due. Without them followers go
            looking for another leader.
        elect: as a follower or candidate, campaign when the election timeout has passed. A node
            told to campaign, or that is handed leadership, still does.
    """

    tick: bool = True
    heartbeat: bool = True
    elect: bool = True
