"""An index that was committed with one entry is never committed with another, nor overwritten."""

from __future__ import annotations

from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step
from raftify.testing.simulation.observer import NodeView


class CommittedNeverChanges(LogInvariant):
    """Raft paper §5.4.3 and §5.3: what is committed is durable and will be executed by all."""

    cites = "Raft paper §5.4.3"

    def on_log(self, node: NodeView, step: Step) -> None:
        """Compare what the node commits with what anybody committed there first."""
        if step.replaced and step.first_changed <= step.committed_before:
            self.fail(
                f"node {node.id} replaced entries from {step.first_changed} on, but had "
                f"committed up to {step.committed_before}"
            )
        for index in range(max(step.committed_before + 1, step.log.first), step.committed + 1):
            agreed = self.watch.committed.by_index.get(index)
            if agreed is None:
                continue
            term, entry = step.log.term(index), step.log.entry(index)
            if term != agreed.term or (
                entry is not None and agreed.entry is not None and entry != agreed.entry
            ):
                self.fail(
                    f"index {index} was committed with an entry of term {agreed.term}, and node "
                    f"{node.id} commits one of term {term}: {agreed.entry!r} and {entry!r}"
                )
