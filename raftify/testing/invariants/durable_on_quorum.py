"""What a leader commits is on the disks of a quorum at that moment."""

from __future__ import annotations

from raftify.core.tracker import Configuration
from raftify.core.types import Role
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.majorities import decides, halves
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class DurableOnQuorum(LogInvariant):
    """Raft paper §5.3 and Figure 2: an entry is committed once it is stored on a majority.

    Looks through messages and bookkeeping at the disks themselves: nothing that all of them lose
    their power for may take the entry away. A disk that was lost since (see `forget`), or belongs
    to nobody who is watched, is given the benefit of the doubt.
    """

    cites = "Raft paper §5.3"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        self._nodes: dict[int, NodeView] = {}
        self._conf: dict[int, Configuration] = {}

    def forget(self, node_id: int) -> None:
        """Take what it had acknowledged for granted: it could, while it had its disk."""
        self._nodes.pop(node_id, None)

    def on_start(self, node: NodeView) -> None:
        """Remember whose disk is where."""
        self._nodes[node.id] = node
        super().on_start(node)

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look at the disks when a leader commits."""
        core = node.raft
        self._nodes[node.id] = node
        if core is None:
            return
        before = self._conf.get(node.id, core.tracker.conf)
        self._conf[node.id] = core.tracker.conf
        index = step.committed
        if core.role is not Role.LEADER or step.started or index <= step.committed_before:
            return
        term = step.log.term(index)
        if term is None:
            return
        confs = {before, core.tracker.conf, *self._between(step)}
        voters = frozenset[int]().union(*(half for conf in confs for half in halves(conf)))
        holders = {voter for voter in voters if self._has(voter, index, term)}
        if not any(decides(conf, holders) for conf in confs):
            self.fail(
                f"node {node.id} committed entry {index} of term {term}, which only the disks of "
                f"{sorted(holders)} have; the configuration is {core.tracker.conf.to_conf_state()}"
            )

    def _between(self, step: Step) -> list[Configuration]:
        """Return the configurations that this very step may have gone through."""
        known = self.watch.committed.configurations
        if step.committed > known.upto:
            return []
        first, last = known.position(step.committed_before), known.position(step.committed)
        return known.sequence[first : last + 1]

    def _has(self, node_id: int, index: int, term: int) -> bool:
        node = self._nodes.get(node_id)
        if node is None:
            return True
        disk = node.disk
        return disk.snapshot_index >= index or disk.term(index) == term
