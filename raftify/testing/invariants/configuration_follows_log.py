"""A node's configuration is the one that the committed log leads to, at some committed index."""

from __future__ import annotations

from raftify.core.tracker import Configuration
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class ConfigurationFollowsLog(LogInvariant):
    """Thesis 4.1 and 5.1 (a snapshot holds the configuration of its index); decision 2.

    It may be ahead of what was handed out since the restart, never behind it, and never ahead of
    the commit index.
    """

    cites = "Raft thesis 4.1, 5.1"
    judges_changes_alone = True

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        self._before: dict[int, tuple[Configuration, int, int]] = {}

    def on_step(self, node: NodeView) -> None:
        """Look at the log as well, where this invariant stands alone."""
        super().on_step(node)
        self.on_configuration(node)

    def on_configuration(self, node: NodeView) -> None:
        """Compare the configuration in force with those that the log leads to."""
        core = node.raft
        if core is None:
            return
        conf, log = core.tracker.conf, core.raft_log
        before = self._before.get(node.id)
        if before is not None and before[0] is conf and before[1:] == (log.applied, log.committed):
            return
        self._before[node.id] = (conf, log.applied, log.committed)
        known = self.watch.committed.configurations
        if log.committed > known.upto or not conf.voters.ids():
            return
        first, last = known.position(log.applied), known.position(log.committed)
        if conf not in known.sequence[first : last + 1]:
            self.fail(
                f"node {node.id} has {conf.to_conf_state()}, but the log leads to "
                f"{[each.to_conf_state() for each in known.sequence[first : last + 1]]} between "
                f"{log.applied} (handed out) and {log.committed} (committed)"
            )

    def on_log(self, node: NodeView, step: Step) -> None:
        """Nothing more: the watch has followed the log."""
