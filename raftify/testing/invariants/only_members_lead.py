"""Only a voter of the configuration becomes leader, and it leads only while it is one."""

from __future__ import annotations

from raftify.core.types import Role
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class OnlyMembersLead(Invariant):
    """Thesis 4.2.2: a leader that is removed steps down once the change is committed.

    With `step_down_on_removal` off it goes on leading, as raft-rs's does, but none that is no
    voter begins to.
    """

    cites = "Raft thesis 4.2.2"
    judges_changes_alone = True

    def __init__(self) -> None:
        self._led: dict[int, int] = {}

    def on_step(self, node: NodeView) -> None:
        """Look at leaders and candidates."""
        core = node.raft
        if core is None:
            return
        led = self._led.get(node.id) == core.term
        leads = core.role is Role.LEADER
        self._led[node.id] = core.term if leads else 0
        if not leads or node.id in core.tracker.conf.voters:
            return
        if not led or core.step_down_on_removal:
            self.fail(
                f"node {node.id} leads term {core.term}, but is no voter of "
                f"{core.tracker.conf.to_conf_state()}"
            )
