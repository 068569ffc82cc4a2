"""What a lease can bear: clocks that run alike, and nobody who is paused or cut off for longer than
an election timeout (see `ReadOnlyOption.LEASE_BASED`)."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.testing.storm.disk_faults import DISK_FAULTS
from raftify.testing.storm.mishaps import Mishap, slow_return
from raftify.testing.storm.node_faults import NODE_FAULTS, drift, pause
from raftify.testing.storm.outside import old_message
from raftify.testing.storm.requests import REQUESTS, campaign, switched_off
from raftify.testing.storm.scene import Fault

#: Beside pauses and clocks, what makes voters listen to another while a leader trusts its lease: a
#: node that campaigns against it, ticks or heartbeats that stop, an old word to campaign.
_UNBEARABLE = frozenset([drift, pause, campaign, switched_off, old_message])
_BEARABLE = frozenset([*NODE_FAULTS, *DISK_FAULTS, *REQUESTS]) - _UNBEARABLE
#: The others cut machines off from each other.
BEARABLE_MISHAPS: Sequence[Mishap] = (slow_return,)


def bearable(faults: Sequence[Sequence[Fault]]) -> list[list[Fault]]:
    """Return those of `faults` under which a lease proves something.

    Cuts are not among them: whether a leader still has a quorum shows only at the end of the next
    election timeout, and others may have elected another by then.
    """
    return [[fault for fault in group if fault in _BEARABLE] for group in faults]
