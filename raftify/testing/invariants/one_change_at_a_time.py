"""A leader begins no change of the configuration before the one before it is in force."""

from __future__ import annotations

from raftify.core.types import Role
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.derived import is_change
from raftify.testing.invariants.watch import Step
from raftify.testing.simulation.observer import NodeView


class OneChangeAtATime(LogInvariant):
    """Thesis 4.1: quorums are known to meet only where one change was made between them.

    Two in a log at once lead from three voters to five, and half of each may not know of the other.
    A change is in force once it is applied. A new leader may find several in its log, of leaders
    before it; it makes none itself until all of those are.
    """

    cites = "Raft thesis 4.1"

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look at the changes that a leader has just appended."""
        core, log = node.raft, step.log
        if core is None or core.role is not Role.LEADER:
            return
        for index in range(step.first_changed, log.last + 1):
            entry = log.entry(index)
            if not is_change(entry) or log.term(index) != core.term:
                continue
            for before in range(max(core.raft_log.applied + 1, log.first), index):
                if is_change(log.entry(before)):
                    self.fail(
                        f"node {node.id}, leader of term {core.term}, began a change at {index} "
                        f"while that at {before} was not in force"
                    )
