"""A node that does not lead hands out only what is durable here."""

from __future__ import annotations

from raftify.core.types import Role
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class HandsOutWhatIsDurable(Invariant):
    """`Ready`, point 4: committed entries are durable here already when they are handed out.

    A leader may be allowed to apply before (`max_apply_unpersisted_log_limit`), since nobody can
    take its entries away; whoever led may not go on so. The state machine itself may get them so
    late that they are durable by then, so that it shows nothing.
    """

    cites = "Ready, point 4"
    judges_changes_alone = True

    def __init__(self) -> None:
        #: Of each node the last index that was handed out, and whether it led then.
        self._seen: dict[int, tuple[int, bool]] = {}

    def on_start(self, node: NodeView) -> None:
        """What was handed out before counts no more."""
        self._seen.pop(node.id, None)

    def on_step(self, node: NodeView) -> None:
        """Look at the last of what was handed out: it stands for all."""
        core = node.raft
        if core is None:
            return
        log, disk, leads = core.raft_log, node.disk, core.role is Role.LEADER
        index = log.applied
        # One that steps down by what it hands out, as who removes itself does, led till then.
        before, led = self._seen.get(node.id, (0, False))
        self._seen[node.id] = (index, leads)
        if index <= max(before, disk.snapshot_index) or leads or led:
            return
        here, durable = log.term(index), disk.term(index)
        if here and durable != here:
            self.fail(
                f"node {node.id}, which does not lead, handed out entry {index} of term {here}, "
                f"and its disk has term {durable} there and ends at {disk.last_index}"
            )
