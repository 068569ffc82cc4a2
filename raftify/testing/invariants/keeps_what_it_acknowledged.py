"""What a follower acknowledged to a leader stays in its log while that leader's term lasts."""

from __future__ import annotations

from raftify.core.types import Message, MessageType
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class KeepsWhatItAcknowledged(LogInvariant):
    """Raft paper §5.3 and §7: neither what comes late or twice, nor a restart, takes it away.

    A snapshot of what the log has already leaves what follows it; the leader counts on that, and
    never sends it again. Only the leader of a later term may have something else there.
    """

    cites = "Raft paper §5.3, §7"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        #: Of each node the last term in which it acknowledged something, and how far.
        self._acknowledged: dict[int, tuple[int, int]] = {}

    def on_send(self, node: NodeView, message: Message) -> None:
        """Remember what is acknowledged."""
        if message.msg_type is MessageType.APPEND_RESPONSE and not message.reject:
            said = (message.term, message.index)
            self._acknowledged[node.id] = max(self._acknowledged.get(node.id, said), said)

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look for what was acknowledged where a log changed."""
        core = node.raft
        term, index = self._acknowledged.get(node.id, (0, 0))
        if core is not None and core.term == term and step.log.last < index:
            self.fail(
                f"node {node.id} acknowledged {index} in term {term}, and its log ends at "
                f"{step.log.last} in the same term"
            )
