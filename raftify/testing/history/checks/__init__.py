"""Simple questions to a history; each returns what it found to be wrong.

They need less than `check`, and say more clearly what is wrong. Those of reads hold for every
linearizable history, and some for weaker promises, too.
"""

from raftify.testing.history.checks.applied_once import applied_once
from raftify.testing.history.checks.finding import CheckFailed, Finding, demand_none
from raftify.testing.history.checks.monotonic_reads import monotonic_reads
from raftify.testing.history.checks.no_phantom import no_phantom
from raftify.testing.history.checks.nothing_lost import nothing_lost
from raftify.testing.history.checks.nothing_refused_applied import nothing_refused_applied
from raftify.testing.history.checks.read_your_writes import read_your_writes
from raftify.testing.history.checks.view import KeyValueView, View, Writes

__all__ = [
    "CheckFailed",
    "Finding",
    "KeyValueView",
    "View",
    "Writes",
    "applied_once",
    "demand_none",
    "monotonic_reads",
    "no_phantom",
    "nothing_lost",
    "nothing_refused_applied",
    "read_your_writes",
]
