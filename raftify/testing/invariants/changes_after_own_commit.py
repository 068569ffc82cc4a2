"""A leader begins no change of the configuration before it has committed an entry of its term."""

from __future__ import annotations

from raftify.core.confchange_codec import leave_joint
from raftify.core.types import Entry
from raftify.errors import MalformedMessage
from raftify.node.delivery import decode_change
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.derived import is_change
from raftify.testing.invariants.watch import Step
from raftify.testing.simulation.observer import NodeView


class ChangesAfterOwnCommit(LogInvariant):
    """Thesis 4.1 and its erratum (the bug in single-server membership changes, raft-dev, 2015).

    Until then it may not know of a change that was committed, and quorums of its own may not meet
    those of that. What leaves a joint configuration is not judged: whoever proposes it, there is
    one way out only, and its quorums meet those of both halves.
    """

    cites = "Raft thesis 4.1, erratum"

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look at the changes that a leader has just appended."""
        log, term = step.log, step.leader_of
        if not term or log.term(step.committed_before) in (None, term):
            return
        for index in range(step.first_changed, log.last + 1):
            entry = log.entry(index)
            if entry is not None and log.term(index) == term and _begins(entry):
                self.fail(
                    f"node {node.id}, leader of term {term}, began a change at {index}, and had "
                    f"committed only up to {step.committed_before}, which is of term "
                    f"{log.term(step.committed_before)}"
                )


def _begins(entry: Entry) -> bool:
    if not is_change(entry):
        return False
    try:
        return not leave_joint(decode_change(entry))
    except MalformedMessage:
        return False
