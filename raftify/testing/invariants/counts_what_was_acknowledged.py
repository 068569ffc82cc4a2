"""What a leader takes a follower to have is what that follower told it in the leader's term."""

from __future__ import annotations

from raftify.core.types import Message, MessageType, Role
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class CountsWhatWasAcknowledged(Invariant):
    """Raft paper, Figure 2: matchIndex begins with 0 after each election.

    A follower may have lost to another leader what it acknowledged in an earlier term, and a new
    one has nothing yet. A leader that takes a follower to have more is wrong at once, though only
    the commit of what that follower lacks shows it.
    """

    cites = "Raft paper, Figure 2"
    judges_changes_alone = True

    def __init__(self) -> None:
        #: Of each node its process and term, and what others acknowledged to it in that.
        self._told: dict[int, tuple[tuple[int, int], dict[int, int]]] = {}

    def on_receive(self, node: NodeView, message: Message) -> None:
        """Note what is acknowledged."""
        core = node.raft
        if core is None or message.msg_type is not MessageType.APPEND_RESPONSE:
            return
        if message.term != core.term:
            return
        index = message.index
        if message.reject:
            # Who asks for a snapshot may acknowledge the log that it has.
            index = message.reject_hint if message.request_snapshot else 0
        reign = (node.incarnation, core.term)
        known = self._told.get(node.id)
        if known is None or known[0] != reign:
            known = self._told[node.id] = (reign, {})
        known[1][message.from_] = max(known[1].get(message.from_, 0), index)

    def on_step(self, node: NodeView) -> None:
        """Compare what a leader counts with what it was told."""
        core = node.raft
        if core is None or core.role is not Role.LEADER:
            return
        reign, told = self._told.get(node.id, ((0, 0), dict[int, int]()))
        if reign != (node.incarnation, core.term):
            told = {}
        for node_id, progress in core.tracker.progress.items():
            if node_id != node.id and progress.matched > told.get(node_id, 0):
                self.fail(
                    f"node {node.id}, leader of term {core.term}, takes node {node_id} to have "
                    f"its log up to {progress.matched}, and was told in that term of "
                    f"{told.get(node_id, 0)}"
                )
