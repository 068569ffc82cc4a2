"""What is committed in a term is in the logs of the leaders of all later terms."""

from __future__ import annotations

from raftify.core.types import Role
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class LeaderCompleteness(LogInvariant):
    """Raft paper, Figure 3 and §5.4. Where logs match, the last committed entry stands for all."""

    cites = "Raft paper §5.4"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        self._known: dict[int, tuple[int, int]] = {}

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look at the log of every new leader, once."""
        core = node.raft
        if core is None or core.role is not Role.LEADER:
            return
        reign = (node.incarnation, core.term)
        if self._known.get(node.id) == reign:
            return
        self._known[node.id] = reign
        index, term = self.watch.committed.last_known_before(core.term)
        if index >= step.log.first and step.log.term(index) != term:
            self.fail(
                f"node {node.id} became leader of term {core.term} without the entry {index} of "
                f"term {term}, which had been committed; it has term {step.log.term(index)} there"
            )
